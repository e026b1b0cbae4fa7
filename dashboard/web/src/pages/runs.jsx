// All runs, the newest first; filters are in the address.
import { useState } from 'preact/hooks';
import { useApi, useLive, url } from '../api.js';
import { Command, Link, Notice, Page, Pager, RunFlags, RunLink, Table, Waiting } from '../parts/basics.jsx';
import { Progress } from '../parts/progress.jsx';
import { setQuery } from '../route.js';
import { count, duration, time } from '../format.js';
import { trialsText } from './overview.jsx';

const PAGE = 50;
const DAY_S = 86400;

function seconds(day, more = 0) {
	const at = Date.parse(`${day}T00:00:00Z`);
	return Number.isNaN(at) ? undefined : at / 1000 + more;
}

export function Runs({ query }) {
	const offset = Number(query.offset) || 0;
	const live = useLive();
	const state = useApi(
		url('/runs', {
			offset,
			limit: PAGE,
			mechanism: query.mechanism,
			profile: query.profile,
			commit: query.commit,
			host: query.host,
			since_s: query.since && seconds(query.since),
			until_s: query.until && seconds(query.until, DAY_S),
		}),
	);
	const papers = useApi('/papers');
	const hosts = useApi('/hosts');
	const [first, choose] = useState(query.a);
	const field = (name, label, placeholder) => (
		<label>
			{label}{' '}
			<input
				size={10}
				placeholder={placeholder}
				value={query[name] ?? ''}
				onChange={(e) => setQuery({ [name]: e.currentTarget.value.trim(), offset: undefined })}
			/>
		</label>
	);
	const filtered = ['mechanism', 'profile', 'commit', 'host', 'since', 'until'].some((name) => query[name]);
	return (
		<Page title="Runs" kicker="Store" aside={<Link to={['files']}>Files that were refused</Link>}>
			{live.runs
				.filter((run) => run.state === 'running')
				.map((run) => (
					<Progress key={run.id} run={run} />
				))}
			<form class="filters" role="search" aria-label="Runs" onSubmit={(e) => e.preventDefault()}>
				<Jump />
				<label>
					mechanism{' '}
					<select value={query.mechanism ?? ''} onChange={(e) => setQuery({ mechanism: e.currentTarget.value, offset: undefined })}>
						<option value="">all</option>
						{(papers.data?.papers ?? []).map((p) => (
							<option key={p.mechanism} value={p.mechanism}>
								{p.mechanism}
							</option>
						))}
					</select>
				</label>
				<label>
					profile{' '}
					<select value={query.profile ?? ''} onChange={(e) => setQuery({ profile: e.currentTarget.value, offset: undefined })}>
						<option value="">all</option>
						{['smoke', 'quick', 'paper', 'nightly'].map((p) => (
							<option key={p}>{p}</option>
						))}
					</select>
				</label>
				{(hosts.data?.hosts?.length ?? 0) > 1 && (
					<label>
						host{' '}
						<select value={query.host ?? ''} onChange={(e) => setQuery({ host: e.currentTarget.value, offset: undefined })}>
							<option value="">all</option>
							{hosts.data.hosts.map((h) => (
								<option key={h.host} value={h.host}>
									{h.host.slice(0, 8)}
								</option>
							))}
						</select>
					</label>
				)}
				{field('commit', 'commit')}
				{field('since', 'from', '2026-01-31')}
				{field('until', 'to', '2026-12-31')}
				{filtered && (
					<button type="button" onClick={() => setQuery(Object.fromEntries(['mechanism', 'profile', 'commit', 'host', 'since', 'until', 'offset'].map((n) => [n, undefined])))}>
						Clear
					</button>
				)}
			</form>
			{state.error && state.data && <Notice kind="bad">Not up to date: {state.error.message}</Notice>}
			{!state.data ? (
				<Waiting state={state} what="the runs" />
			) : !state.data.total ? (
				<Notice>
					{filtered ? (
						'No run is like this.'
					) : (
						<>
							No run yet: <Command text="fleetlab run shmipc" />
						</>
					)}
				</Notice>
			) : (
				<>
					{first && (
						<p>
							Compare {first} with another: choose it below. <button type="button" onClick={() => choose(undefined)}>Never mind</button>
						</p>
					)}
					<Table caption={`${count(state.data.total, 'run')}, the newest first`} className="dense" head={['started', 'run', 'mechanisms', 'profile', 'trials', { text: 'took', class: 'num' }, 'commit', 'host', 'compare']}>
						{state.data.runs.map((run) => (
							<tr key={run.id}>
								<td class="id">{time(run.started)}</td>
								<td>
									<RunLink id={run.id} /> <RunFlags run={run} />
								</td>
								<td>{run.mechanisms?.join(', ')}</td>
								<td>{run.profile}</td>
								<td>{trialsText(run)}</td>
								<td class="num">{duration(run.wall_s)}</td>
								<td>
									<code>{run.commit}</code>
								</td>
								<td>
									{run.cpu}, {run.accelerator}
								</td>
								<td>
									{first === run.id ? (
										'this'
									) : first ? (
										<Link to={['compare', { a: first, b: run.id }]}>with this</Link>
									) : (
										<button type="button" aria-label={`Compare ${run.id} with another`} onClick={() => choose(run.id)}>
											with …
										</button>
									)}
								</td>
							</tr>
						))}
					</Table>
					<Pager total={state.data.total} offset={offset} limit={PAGE} what="runs" onOffset={(o) => setQuery({ offset: o || undefined })} />
				</>
			)}
		</Page>
	);
}

// An id goes straight to that run.
function Jump() {
	const [text, set] = useState('');
	return (
		<label>
			run{' '}
			<input
				type="search"
				size={22}
				placeholder="id"
				value={text}
				onInput={(e) => set(e.currentTarget.value)}
				onKeyDown={(e) => {
					if (e.key === 'Enter' && text.trim()) location.hash = `/run/${encodeURIComponent(text.trim())}`;
				}}
			/>
		</label>
	);
}
