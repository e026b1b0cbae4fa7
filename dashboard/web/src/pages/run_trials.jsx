// The trials of a run, and one of them with every sample, its evidence and its logs.
import { useMemo, useState } from 'preact/hooks';
import { useApi, url } from '../api.js';
import { Facts, Link, Notice, Page, Pager, Table, Waiting } from '../parts/basics.jsx';
import { Chart } from '../parts/chart.jsx';
import { Outcome } from '../parts/verdict.jsx';
import { setQuery } from '../route.js';
import { bytes, coordinates, duration, fact, number, time, unitName, value } from '../format.js';
import { Evidence } from './claim.jsx';

const PAGE = 100;

export function Trials({ id, query, live, under, total, data }) {
	const offset = Number(query.offset) || 0;
	const filter = { experiment: query.experiment, variant: query.variant, outcome: query.outcome };
	const state = useApi(url(`/runs/${encodeURIComponent(id)}/trials`, { ...filter, offset, limit: PAGE }));
	const told = useMemo(() => {
		// What the events told since the list was asked for, the newest first.
		const known = new Set((state.data?.trials ?? []).map((t) => t.index));
		return (under ? (live.trials ?? []) : []).filter((t) => !known.has(t.index) && matches(t, filter));
	}, [state.data, live.trials, under]);
	if (!state.data) return <Waiting state={state} what="the trials" />;
	const rows = [...state.data.trials, ...told];
	const choice = (name, values) =>
		values.length > 1 && (
			<label>
				{name}{' '}
				<select value={query[name] ?? ''} onChange={(e) => setQuery({ [name]: e.currentTarget.value, offset: undefined })}>
					<option value="">all</option>
					{values.map((v) => (
						<option key={v}>{v}</option>
					))}
				</select>
			</label>
		);
	const outcomes = data.outcomes ?? rows;
	const unique = (name) => [...new Set(outcomes.map((o) => o[name]).filter(Boolean))].sort();
	return (
		<>
			<form class="filters" onSubmit={(e) => e.preventDefault()}>
				{choice('experiment', unique('experiment'))}
				{choice('variant', unique('variant'))}
				{choice('outcome', unique('outcome'))}
			</form>
			{data.problems?.length > 0 && (
				<Notice kind="bad">
					{data.problems.slice(0, 5).map((p) => (
						<p key={p.index}>
							<Link to={['run', id, 'trial', p.index]}>Trial {p.index}</Link> ({p.experiment}, {p.variant}) {p.outcome}: {p.reason}
						</p>
					))}
					{data.problems.length > 5 && <p>and {data.problems.length - 5} more</p>}
				</Notice>
			)}
			<Table caption="Trials, in the order in which they ran" className="dense" head={[{ text: 'trial', class: 'num' }, 'experiment', 'variant', { text: 'block', class: 'num' }, 'outcome', { text: 'ready', class: 'num' }, { text: 'took', class: 'num' }, 'started', 'evidence']}>
				{rows.map((t) => (
					<tr key={t.index}>
						<td class="num">
							<Link to={['run', id, 'trial', t.index]}>{t.index}</Link>
						</td>
						<td>
							{t.mechanism} {t.experiment}
						</td>
						<td>
							{t.variant} <span class="quiet">{t.arm ? `arm ${t.arm}` : t.role}</span>
						</td>
						<td class="num">
							{t.block}.{t.half}
						</td>
						<td>
							<Outcome outcome={t.outcome} />
							{t.counts === false && t.outcome === 'ok' && <span class="bad"> does not count: {t.why_not}</span>}
						</td>
						<td class="num">{t.ready_s === undefined ? '–' : duration(t.ready_s)}</td>
						<td class="num">{duration(t.wall_s)}</td>
						<td>{time(t.started).slice(11)}</td>
						<td class="text">
							{t.reason ? (
								<span class="bad">{t.reason}</span>
							) : (
								(t.evidence ?? []).map((e) => `${e.name}${e.ok ? '' : ' does not hold'}`).join(', ')
							)}
						</td>
					</tr>
				))}
			</Table>
			{!rows.length && <p class="quiet">{under ? 'No trial has ended yet.' : 'No trial.'}</p>}
			{under ? (
				<p class="quiet">
					{rows.length} of {total ?? '?'} trials have ended; the others follow here.
				</p>
			) : (
				<Pager total={state.data.total} offset={offset} limit={PAGE} what="trials" onOffset={(o) => setQuery({ offset: o || undefined })} />
			)}
		</>
	);
}

const matches = (t, filter) => Object.entries(filter).every(([name, v]) => !v || t[name] === v);

export function Trial({ run, index, query }) {
	const base = `/runs/${encodeURIComponent(run)}/trials/${encodeURIComponent(index)}`;
	const state = useApi(base);
	const samples = useApi(url(`${base}/samples`, { limit: 200 }));
	const t = state.data;
	const crumbs = <Link to={['run', run, { tab: 'trials' }]}>Run {run}</Link>;
	if (!t) {
		return (
			<Page kicker={crumbs} title={`Trial ${index}`}>
				<Waiting state={state} what={`trial ${index}`} />
			</Page>
		);
	}
	return (
		<Page kicker={crumbs} title={`Trial ${index}: ${t.variant}`}>
			{t.outcome !== 'ok' && (
				<Notice kind="bad">
					<b>{t.outcome}</b>: {t.reason || 'no reason was recorded'}
				</Notice>
			)}
			<Facts
				rows={[
					['outcome', <><Outcome outcome={t.outcome} />{t.counts === false && <span class="bad"> does not count: {t.why_not}</span>}</>],
					['experiment', `${t.mechanism} ${t.experiment}`],
					['place', `block ${t.block}, half ${t.half}, ${t.role}${t.arm ? `, arm ${t.arm}` : ''}`],
					['started', time(t.started)],
					['guests', t.boot && `${t.boot}${t.ready_s !== undefined ? `, ready after ${duration(t.ready_s)}` : ''}`],
					['took', `${duration(t.wall_s)}${t.disk_bytes ? `, ${bytes(t.disk_bytes)} of disk` : ''}`],
					['warnings', t.warnings?.length ? t.warnings.join('; ') : undefined],
				]}
			/>
			<section>
				<h2>Evidence</h2>
				<Evidence evidence={t.evidence} />
			</section>
			<section>
				<h2>Samples</h2>
				{samples.data ? <Samples samples={samples.data.samples} query={query} /> : <Waiting state={samples} what="the samples" />}
			</section>
			<section>
				<h2>Parameters, as read back after set-up</h2>
				<Table caption="Parameters" className="dense">
					{Object.entries(t.parameters ?? {}).map(([name, v]) => (
						<tr key={name}>
							<th scope="row">{name}</th>
							<td>{fact(v)}</td>
						</tr>
					))}
				</Table>
			</section>
			{t.logs?.length > 0 && (
				<section>
					<h2>Logs</h2>
					<ul>
						{t.logs.map((log) => (
							<li key={log.name}>
								<Link to={['run', run, { tab: 'logs', log: log.name }]}>{log.name}</Link> <span class="quiet">{bytes(log.bytes)}</span>
							</li>
						))}
					</ul>
				</section>
			)}
		</Page>
	);
}

const X = { label: 'reading, in order', whole: true };

function Samples({ samples = [], query }) {
	const many = samples.filter((s) => s.values.length > 1);
	const [all, showAll] = useState(false);
	const shown = all ? many : many.slice(0, 4);
	return (
		<>
			<Table caption="Samples" className="dense" head={['metric', 'at', { text: 'median', class: 'num' }, { text: 'readings', class: 'num' }, 'values']}>
				{samples.map((s, i) => (
					<tr key={i}>
						<th scope="row">{s.metric}</th>
						<td>{coordinates(s.at)}</td>
						<td class="num">{value(s.median, s.unit)}</td>
						<td class="num">{s.count}</td>
						<td class="text num-text">{s.values.slice(0, 6).map(number).join('  ')}{s.count > 6 ? ' …' : ''} {unitName(s.unit)}</td>
					</tr>
				))}
			</Table>
			<div class="charts">
				{shown.map((s, i) => (
					<Sample key={`${s.metric}${i}`} sample={s} index={i} query={query} />
				))}
			</div>
			{many.length > 4 && !all && (
				<button type="button" onClick={() => showAll(true)}>
					Draw the other {many.length - 4}
				</button>
			)}
		</>
	);
}

function Sample({ sample, index, query }) {
	const series = useMemo(() => [{ label: sample.metric, line: sample.values.length > 20, points: sample.values.map((v, i) => ({ x: i + 1, y: v })) }], [sample]);
	return <Chart id={`s${index}`} title={`${sample.metric}${sample.at ? `, ${coordinates(sample.at)}` : ''}`} series={series} x={X} y={{ label: sample.metric, unit: sample.unit }} height={200} query={query} />;
}

