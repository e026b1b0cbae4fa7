// One run: what it found, its trials, its host, its logs; and, while it is under way, how far it is.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { apiHref, follow, useApi, url } from '../api.js';
import { Command, Facts, Link, Notice, Page, RunFlags, Tabs, Table, Waiting } from '../parts/basics.jsx';
import { Progress } from '../parts/progress.jsx';
import { Outcome, Tally, Verdict } from '../parts/verdict.jsx';
import { href } from '../route.js';
import { bytes, coordinates, count, decidingTest, duration, interval, ofTest, publishedOf, time, value } from '../format.js';
import { Host } from './run_host.jsx';
import { Logs } from './run_logs.jsx';
import { Trial, Trials } from './run_trials.jsx';

export function Run({ words, query }) {
	const id = words[1];
	const state = useApi(`/runs/${encodeURIComponent(id)}`);
	const live = useFollow(id, state.data?.live ?? (state.error ? undefined : null));
	if (words[2] === 'trial') return <Trial run={id} index={words[3]} query={query} />;
	const data = state.data;
	if (!data) {
		return (
			<Page title={`Run ${id}`}>
				<Waiting state={state} what={`run ${id}`} />
			</Page>
		);
	}
	const run = data.run ?? {};
	const under = live.ended ? undefined : (live.progress ?? data.live);
	const tab = query.tab ?? (under ? 'trials' : 'claims');
	const counts = { trials: run.planned ?? data.live?.planned };
	const tabs = [
		['claims', 'Claims'],
		['trials', `Trials${counts.trials ? ` ${counts.trials}` : ''}`],
		['series', 'Series'],
		['host', 'Host'],
		['logs', `Logs${data.logs ? ` ${data.logs}` : ''}`],
	];
	return (
		<Page kicker="Run" title={id} aside={!under && <Downloads id={id} />}>
			{state.error && <Notice kind="bad">Not up to date: {state.error.message}</Notice>}
			{under && <Progress run={under} alone />}
			{live.ended && <Notice>This run has just ended; its record is below.</Notice>}
			{(run.notes?.length > 0 || run.altered) && (
				<Notice kind="bad">
					<p>
						<b>{run.altered ? 'This record was changed after it was written.' : 'About this record:'}</b>
					</p>
					{run.notes?.length > 0 && (
						<ul>
							{run.notes.map((note) => (
								<li key={note}>{note}</li>
							))}
						</ul>
					)}
				</Notice>
			)}
			{data.emulated?.length > 0 && <p class="quiet">Emulated: {data.emulated.join('; ')}.</p>}
			<Summary run={run} plan={data.plan} live={data.live} />
			<Tabs tabs={tabs} current={tab} to={(name) => href('run', id, { tab: name })} />
			{tab === 'claims' && <Claims id={id} data={data} />}
			{tab === 'trials' && <Trials id={id} query={query} live={live} under={under} total={counts.trials} data={data} />}
			{tab === 'series' && <Series id={id} query={query} />}
			{tab === 'host' && <Host id={id} facts={data.facts} run={run} />}
			{tab === 'logs' && <Logs id={id} query={query} />}
		</Page>
	);
}

// Trials as they end, from the server's events; nothing while the run has a record.
function useFollow(id, live) {
	const [state, set] = useState({ trials: [] });
	const wanted = Boolean(live);
	useEffect(() => {
		if (!wanted) return undefined;
		set({ trials: [] });
		return follow(id, (name, data) => {
			set((old) => {
				if (name === 'trial') {
					return { ...old, progress: data.progress, trials: [...old.trials.filter((t) => t.index !== data.trial.index), data.trial] };
				}
				if (name === 'end') return { ...old, ended: true };
				return { ...old, progress: data };
			});
		});
	}, [id, wanted]);
	return state;
}

function Downloads({ id }) {
	const at = (name) => apiHref(`/runs/${encodeURIComponent(id)}/${name}`);
	return (
		<nav class="downloads" aria-label="Take it away">
			{[
				['report.md', 'Markdown'],
				['report.csv', 'CSV'],
				['report.xml', 'JUnit'],
				['record.json', 'Record'],
			].map(([name, text]) => (
				<a key={name} href={at(name)}>
					{text}
				</a>
			))}
			<Link to={['compare', { b: id }]}>Compare</Link>
		</nav>
	);
}

function Summary({ run, plan = {}, live = {} }) {
	const command = run.command ?? live.command;
	return (
		<Facts
			rows={[
				['started', run.started ?? live.started ? <>{time(run.started ?? live.started)} <RunFlags run={run} /></> : undefined],
				['mechanisms', (plan.mechanisms ?? run.mechanisms ?? live.mechanisms)?.join(', ')],
				['profile', plan.profile ?? run.profile ?? live.profile],
				['trials', run.planned !== undefined ? <Counts run={run} /> : undefined],
				['took', run.wall_s !== undefined ? `${duration(run.wall_s)} in trials (planned ${duration(plan.expected_s)}), ${bytes(run.disk_bytes)} of disk` : `planned ${duration(plan.expected_s)}, ${bytes(plan.expected_disk_bytes)} of disk`],
				['budget', plan.budget_s ? duration(plan.budget_s) : undefined],
				['seed', plan.seed],
				['commit', run.commit && <code>{run.commit}</code>],
				['host', run.cpu && <>{run.cpu}, Linux {run.kernel}, QEMU {run.qemu}, accelerator {run.accelerator}</>],
				['command', command && <Command text={`fleetlab ${command.join(' ')}`} />],
			]}
		/>
	);
}

function Counts({ run }) {
	return (
		<span class="tally">
			{['ok', 'failed', 'invalid', 'skipped']
				.filter((name) => run[name])
				.map((name) => (
					<span key={name}>
						<b>{run[name]}</b> <Outcome outcome={name} />
					</span>
				))}
			<span class="quiet">of {run.planned} planned</span>
		</span>
	);
}

function Claims({ id, data }) {
	const claims = data.claims ?? [];
	const verdicts = {};
	for (const claim of claims) verdicts[claim.verdict] = (verdicts[claim.verdict] ?? 0) + 1;
	if (!claims.length && !data.aa?.length) {
		return <p class="quiet">{data.live ? 'Claims are graded when the run ends.' : 'This run has no claims.'}</p>;
	}
	return (
		<>
			{claims.length > 0 && (
				<p>
					<Tally verdicts={verdicts} />
				</p>
			)}
			{claims.length > 0 && (
				<Table caption="Claims of this run" className="claims" head={['claim', 'verdict', { text: 'published', class: 'num' }, { text: 'measured [95 % interval]', class: 'num' }, 'what, and why']}>
					{claims.map((claim) => {
						const shown = ofTest(decidingTest(claim));
						return (
							<tr key={claim.id}>
								<th scope="row">
									<Link to={['claim', claim.id, { run: id }]}>{claim.id}</Link>
								</th>
								<td>
									<Verdict verdict={claim.verdict} />
								</td>
								<td class="num">{publishedOf(shown)}</td>
								<td class="num">{shown.measured === undefined ? '–' : interval(shown.measured, shown.low, shown.high, shown.unit)}</td>
								<td class="text">
									{claim.text}
									{claim.reason && <span class="quiet">; {claim.reason}</span>}
								</td>
							</tr>
						);
					})}
				</Table>
			)}
			{data.aa?.length > 0 && <Aa rows={data.aa} />}
			{data.not_run?.length > 0 && (
				<p class="quiet">
					Not in this run:{' '}
					{data.not_run.map((p) => `${p.short} (${p.why})`).join(', ')}.
				</p>
			)}
			{data.outliers?.length > 0 && <Outliers id={id} outliers={data.outliers} />}
		</>
	);
}

function Aa({ rows }) {
	return (
		<section>
			<h2>
				A/A: a variant against itself <small>{rows.filter((r) => r.differs).length} of {rows.length} differ</small>
			</h2>
			<Table caption="A/A" className="dense" head={['variant', 'metric', { text: 'pairs', class: 'num' }, { text: 'B over A', class: 'num' }, { text: 'p', class: 'num' }, 'differs']}>
				{rows.map((r, i) => (
					<tr key={i}>
						<td>
							{r.mechanism} {r.experiment}, {r.variant}
						</td>
						<td>
							{r.metric} {coordinates(r.at)}
						</td>
						<td class="num">{r.pairs}</td>
						<td class="num">{interval(r.median, r.low, r.high, 'x')}</td>
						<td class="num">{r.p_value === undefined ? '–' : Number(r.p_value.toPrecision(2))}</td>
						<td>{r.differs ? <b>yes</b> : 'no'}</td>
					</tr>
				))}
			</Table>
		</section>
	);
}

function Outliers({ id, outliers }) {
	return (
		<details>
			<summary>{count(outliers.length, 'trial')} with readings that stand apart (flagged, never dropped)</summary>
			<Table caption="Outliers" className="dense" head={[{ text: 'trial', class: 'num' }, 'variant', 'readings']}>
				{outliers.map((o) => (
					<tr key={o.index}>
						<td class="num">
							<Link to={['run', id, 'trial', o.index]}>{o.index}</Link>
						</td>
						<td>
							{o.experiment}, {o.variant}
						</td>
						<td class="text">
							{o.readings
								.slice(0, 4)
								.map((r) => `${r.metric}${r.at ? ` at ${coordinates(r.at)}` : ''}: ${value(r.value, r.unit)}, ${r.reason}`)
								.join('; ')}
							{o.readings.length > 4 && ` and ${o.readings.length - 4} more`}
						</td>
					</tr>
				))}
			</Table>
		</details>
	);
}

function Series({ id, query }) {
	const state = useApi(`/runs/${encodeURIComponent(id)}/series`);
	const groups = useMemo(() => {
		const by = new Map();
		for (const s of state.data?.series ?? []) {
			const key = `${s.mechanism} ${s.experiment}`;
			if (!by.has(key)) by.set(key, []);
			by.get(key).push(s);
		}
		return [...by];
	}, [state.data]);
	if (!state.data) return <Waiting state={state} what="the series" />;
	if (!groups.length) return <p class="quiet">No readings yet.</p>;
	return groups.map(([name, rows]) => (
		<section key={name}>
			<h2>{name}</h2>
			<Table caption={`Series of ${name}`} className="dense" head={['metric', 'variant', 'at', { text: 'median [95 % interval]', class: 'num' }, { text: 'trials', class: 'num' }, '']}>
				{rows.map((s, i) => (
					<tr key={i}>
						<th scope="row">{s.metric}</th>
						<td>{s.variant}</td>
						<td>{coordinates(s.at)}</td>
						<td class="num">{interval(s.median, s.low, s.high, s.unit)}</td>
						<td class="num">{s.trials}</td>
						<td>
							<Link to={['trends', { mechanism: s.mechanism, experiment: s.experiment, variant: s.variant, metric: s.metric, at: s.at ? JSON.stringify(sorted(s.at)) : undefined, unit: s.unit }]}>trend</Link>
						</td>
					</tr>
				))}
			</Table>
		</section>
	));
}

// The index names coordinates by JSON text with sorted keys.
export function sorted(at) {
	return typeof at === 'string' ? JSON.parse(at) : Object.fromEntries(Object.entries(at).sort(([a], [b]) => (a < b ? -1 : 1)));
}
