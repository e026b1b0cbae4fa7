// A metric over the nights: change points, what A/A reads, what else was new; and how the watch does
// in its drills.
import { useMemo } from 'preact/hooks';
import { useApi, url } from '../api.js';
import { Link, Notice, Page, RunLink, Table, Waiting } from '../parts/basics.jsx';
import { Chart } from '../parts/chart.jsx';
import { href, setQuery } from '../route.js';
import { change, coordinates, count, day, interval, number, time, value } from '../format.js';
import { Drills } from './nights.jsx';

const NAMES = ['mechanism', 'experiment', 'variant', 'metric', 'at', 'unit'];
const MOST = 10000; // points that the server gives at once

export function Trends({ query }) {
	const all = useApi('/series');
	const hosts = useApi('/hosts');
	const list = all.data?.series ?? [];
	const chosen = useMemo(() => choose(list, query), [all.data, ...NAMES.map((n) => query[n])]);
	if (!all.data) {
		return (
			<Page title="Trends">
				<Waiting state={all} what="the series" />
			</Page>
		);
	}
	if (!list.length) {
		return (
			<Page title="Trends">
				<Notice>No readings yet. A trend needs runs: nightly ones, by <code>fleetlab nightly</code>, or any of one profile.</Notice>
				<Drills />
			</Page>
		);
	}
	return (
		<Page title="Trends" kicker="Every metric over the nights">
			<Pickers list={list} chosen={chosen} hosts={hosts.data?.hosts ?? []} query={query} />
			{chosen && <Trend chosen={chosen} query={query} />}
			<Drills />
		</Page>
	);
}

// The series that the address names, or the nearest to it there is.
function choose(list, query) {
	const wanted = NAMES.filter((name) => query[name] !== undefined);
	let best = list.find((s) => s.unit && s.unit !== 'bool' && s.better) ?? list[0];
	let most = 0;
	for (const s of list) {
		let fits = 0;
		for (const name of wanted) {
			if ((s[name] ?? '') !== query[name]) break;
			fits++;
		}
		if (fits > most) {
			most = fits;
			best = s;
		}
	}
	return best;
}

function Pickers({ list, chosen, hosts, query }) {
	let rest = list;
	const pickers = ['mechanism', 'experiment', 'metric', 'variant', 'at'].map((name) => {
		const values = [...new Set(rest.map((s) => s[name] ?? ''))];
		rest = rest.filter((s) => (s[name] ?? '') === (chosen[name] ?? ''));
		if (values.length < 2 && name === 'at') return null;
		const pick = (v) => {
			const wanted = { ...chosen, [name]: v };
			const order = ['mechanism', 'experiment', 'metric', 'variant', 'at'];
			// What was chosen to the right stays where the new choice has it too.
			let next = list;
			for (const n of order) {
				const same = next.filter((s) => (s[n] ?? '') === (wanted[n] ?? ''));
				if (same.length) next = same;
			}
			setQuery({ ...Object.fromEntries(NAMES.map((n) => [n, next[0][n]])), 'trend-zoom': undefined });
		};
		return (
			<label key={name}>
				{name}{' '}
				<select value={chosen[name] ?? ''} onChange={(e) => pick(e.currentTarget.value)}>
					{values.map((v) => (
						<option key={v} value={v}>
							{name === 'at' ? coordinates(v) || 'none' : v}
						</option>
					))}
				</select>
			</label>
		);
	});
	return (
		<form class="filters" aria-label="Which series" onSubmit={(e) => e.preventDefault()}>
			{pickers}
			{hosts.length > 1 && (
				<label>
					host{' '}
					<select value={query.host ?? ''} onChange={(e) => setQuery({ host: e.currentTarget.value })}>
						<option value="">all</option>
						{hosts.map((h) => (
							<option key={h.host} value={h.host}>
								{h.fields?.['cpu.model'] ?? ''} {h.host.slice(0, 6)}
							</option>
						))}
					</select>
				</label>
			)}
			<label>
				profile{' '}
				<select value={query.profile ?? ''} onChange={(e) => setQuery({ profile: e.currentTarget.value })}>
					<option value="">all</option>
					{['smoke', 'quick', 'paper', 'nightly'].map((p) => (
						<option key={p}>{p}</option>
					))}
				</select>
			</label>
		</form>
	);
}

function Trend({ chosen, query }) {
	const state = useApi(url('/trends', { ...Object.fromEntries(NAMES.map((n) => [n, chosen[n]])), host: query.host, profile: query.profile, limit: query.all ? MOST : undefined }));
	const data = state.data;
	const made = useMemo(() => {
		if (!data) return null;
		const points = data.points ?? [];
		const hosts = new Set(points.map((p) => p.host)).size > 1;
		const many = new Set(points.map((p) => p.settings)).size > 1;
		const by = new Map();
		points.forEach((p) => {
			const name = [hosts && hostName(p.host), many && `settings ${String(p.settings).slice(0, 6)}`].filter(Boolean).join(', ') || chosen.variant;
			if (!by.has(name)) by.set(name, []);
			by.get(name).push({
				x: p.started_s,
				y: p.median,
				low: p.low,
				high: p.high,
				href: href('run', p.run),
				tip: `${time(new Date(p.started_s * 1000).toISOString())}, ${count(p.n, 'trial')}${hosts ? `, ${hostName(p.host)}` : ''}\ncommit ${p.commit}, Linux ${p.kernel}, QEMU ${p.qemu}`,
			});
		});
		const of = (mark) => (hosts ? ` (${hostName(mark.host)})` : '');
		const marks = [
			...(data.annotations ?? []).map((a) => ({ x: a.started_s, text: points.length > 60 && (data.annotations.length > 12) ? '' : `${a.what} ${short(a.to)}${of(a)}`, kind: 'new' })),
			...(data.changes ?? []).map((c) => ({ x: c.started_s, text: `${change(c.effect)}${of(c)}`, kind: 'change' })),
		];
		const last = points.length ? median(points.slice(-20).map((p) => p.median)) : undefined;
		const from = data.changes?.length ? data.changes[data.changes.length - 1].after : last;
		// What A/A reads is of one host; around which of several levels it lies cannot be told.
		const bands = data.noise && from !== undefined && !hosts ? [{ low: from * data.noise.ratio_low, high: from * data.noise.ratio_high, text: `A/A noise, ${count(data.noise.nights, 'night')}` }] : [];
		return { hosts, series: [...by].map(([label, list], i) => ({ label, points: list, colour: i, line: list.length < 400 })), marks, bands };
	}, [data, chosen]);
	const x = useMemo(() => ({ label: 'started (UTC)', time: true }), []);
	if (!data) return <Waiting state={state} what="the trend" />;
	const changes = data.changes ?? [];
	const title = `${chosen.metric}, ${chosen.variant}${chosen.at ? `, ${coordinates(chosen.at)}` : ''}`;
	return (
		<section>
			<h2>
				{title}{' '}
				<small>
					{chosen.mechanism} {chosen.experiment}; {count(data.total, 'run')}
					{data.better ? `; ${data.better} is better` : ''}
				</small>
			</h2>
			{state.error && <Notice kind="bad">Not up to date: {state.error.message}</Notice>}
			<Chart id="trend" title={title} series={made.series} x={x} y={{ label: chosen.metric, unit: data.unit }} marks={made.marks} bands={made.bands} query={query} height={340} note="Solid lines: change points. Dashed: a new commit, kernel, QEMU, microcode or settings. A mark is a run: click it." />
			{made.hosts && (
				<Notice>
					These are runs of several hosts. Each is judged by its own runs only: that two hosts differ is no change. One alone: choose it above.
				</Notice>
			)}
			{data.points?.length < data.total && (
				<p>
					These are the latest {data.points.length} of {count(data.total, 'run')}.{' '}
					{!query.all && (
						<button type="button" onClick={() => setQuery({ all: 1, 'trend-zoom': undefined })}>
							The latest {Math.min(MOST, data.total)}
						</button>
					)}
				</p>
			)}
			<h2>
				Change points <small>{changes.length ? changes.length : 'none found'}</small>
			</h2>
			{changes.length > 0 && (
				<Table caption="Change points" className="dense" head={['since', 'run', ...(made.hosts ? ['host'] : []), { text: 'before', class: 'num' }, { text: 'after', class: 'num' }, { text: 'effect', class: 'num' }, 'is', { text: 'p', class: 'num' }, 'new the same night']}>
					{[...changes].reverse().map((c) => (
						<tr key={c.index}>
							<td>{day(c.started_s)}</td>
							<td>
								<RunLink id={c.run} />
							</td>
							{made.hosts && <td>{hostName(c.host)}</td>}
							<td class="num">{value(c.before, data.unit)}</td>
							<td class="num">{value(c.after, data.unit)}</td>
							<td class="num">
								{change(c.effect)}
								{c.low !== undefined && ` [${change(c.low)}, ${change(c.high)}]`}
							</td>
							<td>{data.better ? ((c.effect > 0) === (data.better === 'higher') ? 'better' : <b class="bad">worse</b>) : ''}</td>
							<td class="num">{c.p_value === undefined ? '–' : number(Number(c.p_value.toPrecision(2)))}</td>
							<td>{c.coincides?.length ? c.coincides.join(', ') : 'nothing known'}</td>
						</tr>
					))}
				</Table>
			)}
			{(data.annotations?.length ?? 0) > 0 && (
				<details>
					<summary>{count(data.annotations.length, 'thing')} that were new</summary>
					<Table caption="What was new" className="dense" head={['since', 'what', 'from', 'to', 'run', ...(made.hosts ? ['host'] : [])]}>
						{[...data.annotations].reverse().slice(0, 200).map((a, i) => (
							<tr key={i}>
								<td>{day(a.started_s)}</td>
								<td>{a.what}</td>
								<td>{a.from}</td>
								<td>{a.to}</td>
								<td>
									<RunLink id={a.run} />
								</td>
								{made.hosts && <td>{hostName(a.host)}</td>}
							</tr>
						))}
					</Table>
				</details>
			)}
			{data.noise && (
				<p class="quiet">
					A/A on the host of the nights: a variant against itself reads {interval(1, data.noise.ratio_low, data.noise.ratio_high, 'x')} over {count(data.noise.nights, 'night')}.{' '}
					<Link to={['compare']}>Compare two runs</Link>
				</p>
			)}
		</section>
	);
}

// As in the list of hosts to choose from.
const hostName = (hash) => `host ${String(hash).slice(0, 6)}`;
const short = (text) => String(text ?? '').slice(0, 18);

function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)];
}
