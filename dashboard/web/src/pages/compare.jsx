// Two runs, or the latest of two hosts, side by side: what differs comes first.
import { useMemo } from 'preact/hooks';
import { useApi, url } from '../api.js';
import { Bar, BarAxis, scaleOf } from '../parts/bar.jsx';
import { Facts, Link, Notice, Page, RunFlags, RunLink, Table, Waiting } from '../parts/basics.jsx';
import { Verdict } from '../parts/verdict.jsx';
import { setQuery } from '../route.js';
import { coordinates, count, interval, number, ofTest, points, time, value } from '../format.js';

export function Compare({ query }) {
	const runs = useApi(url('/runs', { limit: 200 }));
	const hosts = useApi('/hosts');
	const ofHost = (hash) => (hash ? url('/runs', { host: hash, limit: 1, mechanism: query.mechanism }) : null);
	const hostA = useApi(ofHost(query.ha));
	const hostB = useApi(ofHost(query.hb));
	const a = query.a ?? hostA.data?.runs?.[0]?.id;
	const b = query.b ?? hostB.data?.runs?.[0]?.id;
	const state = useApi(a && b ? url('/compare', { a, b, paper: query.paper }) : null);
	const list = runs.data?.runs ?? [];
	return (
		<Page title="Compare" kicker="Two runs or two hosts">
			<form class="filters" aria-label="What to compare" onSubmit={(e) => e.preventDefault()}>
				<PickRun name="a" value={a} list={list} />
				<PickRun name="b" value={b} list={list} />
				<button type="button" disabled={!a || !b} onClick={() => setQuery({ a: b, b: a, ha: undefined, hb: undefined })}>
					Swap
				</button>
			</form>
			{(hosts.data?.hosts?.length ?? 0) > 1 && (
				<form class="filters" aria-label="Which hosts to compare" onSubmit={(e) => e.preventDefault()}>
					<PickHost name="ha" value={query.ha} hosts={hosts.data.hosts} />
					<PickHost name="hb" value={query.hb} hosts={hosts.data.hosts} />
					<span class="quiet">the latest run of each host</span>
				</form>
			)}
			{!a || !b ? (
				<Hint list={list} a={a} b={b} />
			) : a === b ? (
				<Notice>That is one and the same run. Choose another for B.</Notice>
			) : !state.data ? (
				<Waiting state={state} what="the comparison" />
			) : (
				<Comparison data={state.data} a={a} b={b} list={list} />
			)}
		</Page>
	);
}

function Hint({ list, a, b }) {
	if (list.length < 2) return <Notice>A comparison needs two runs; this store has {count(list.length, 'run')}.</Notice>;
	const missing = !a && !b ? 'two runs' : !a ? 'run A' : 'run B';
	const like = list.find((r, i) => i && r.profile === list[0].profile && String(r.mechanisms) === String(list[0].mechanisms)) ?? list[1];
	return (
		<p>
			Choose {missing} above. For example <Link to={['compare', { a: like.id, b: list[0].id }]}>the latest with {like === list[1] ? 'the one before' : 'the one before of its kind'}</Link>.
		</p>
	);
}

function PickRun({ name, value: current, list }) {
	const known = list.some((r) => r.id === current);
	return (
		<label>
			{name.toUpperCase()}{' '}
			<select value={current ?? ''} onChange={(e) => setQuery({ [name]: e.currentTarget.value, [`h${name}`]: undefined })}>
				<option value="">choose a run</option>
				{!known && current && <option value={current}>{current}</option>}
				{list.map((r) => (
					<option key={r.id} value={r.id}>
						{time(r.started)} {r.mechanisms?.join(', ')}, {r.profile}
					</option>
				))}
			</select>
		</label>
	);
}

function PickHost({ name, value: current, hosts }) {
	return (
		<label>
			host {name.slice(1).toUpperCase()}{' '}
			<select value={current ?? ''} onChange={(e) => setQuery({ [name]: e.currentTarget.value, [name.slice(1)]: undefined })}>
				<option value="">choose a host</option>
				{hosts.map((h) => (
					<option key={h.host} value={h.host}>
						{h.fields?.['cpu.model'] ?? 'host'}, {h.fields?.['memory.gib'] ?? '?'} GiB, {h.host.slice(0, 6)} ({count(h.runs, 'run')})
					</option>
				))}
			</select>
		</label>
	);
}

function Comparison({ data, a, b, list }) {
	const { hosts = {}, settings = [], claims = [], metrics = [] } = data;
	const changed = claims.filter((c) => c.a !== c.b);
	const apart = metrics.filter((m) => m.excludes_one);
	const both = metrics.filter((m) => m.ratio !== undefined);
	return (
		<>
			<Facts
				rows={['a', 'b'].map((side, i) => {
					const of = data.runs?.[i] ?? {};
					const id = of.id ?? (side === 'a' ? a : b);
					const run = list.find((r) => r.id === id);
					return [
						side.toUpperCase(),
						<>
							<RunLink id={id} /> <RunFlags run={run ?? of} />{' '}
							<span class="quiet">
								{[run && time(run.started), of.profile, of.accelerator, run && `commit ${run.commit}`].filter(Boolean).join(', ')}
							</span>
						</>,
					];
				})}
			/>
			<p class="lead">
				{count(changed.length, 'verdict')} changed; {apart.length} of {count(both.length, 'metric')} differ beyond their intervals. {hosts.comparable ? 'The hosts are of one kind.' : <b>The hosts differ in what matters: {hosts.reason}</b>}
			</p>
			{hosts.differences?.length > 0 && (
				<section>
					<h2>
						Hosts <small>{count(hosts.differences.length, 'different field')}, what decides first</small>
					</h2>
					<Table caption="Hosts" className="dense" head={['field', 'A', 'B']}>
						{hosts.differences.slice(0, 40).map((d) => (
							<tr key={d.field}>
								<th scope="row">{d.field}</th>
								<td>{d.a}</td>
								<td>{d.b}</td>
							</tr>
						))}
					</Table>
				</section>
			)}
			{settings.length > 0 && (
				<section>
					<h2>
						Settings <small>that differ: figures below may differ for that alone</small>
					</h2>
					<Table caption="Settings" className="dense" head={['setting', 'A', 'B', 'of']}>
						{settings.slice(0, 40).map((s, i) => (
							<tr key={i}>
								<th scope="row">{s.field}</th>
								<td>{s.a}</td>
								<td>{s.b}</td>
								<td>{s.mechanism ? `${s.mechanism}: ${s.experiments?.join(', ')}` : 'the run'}</td>
							</tr>
						))}
					</Table>
				</section>
			)}
			<Claims claims={claims} a={a} b={b} />
			<Metrics metrics={both} only={metrics.length - both.length} />
		</>
	);
}

function measured(test) {
	const shown = ofTest(test ?? {});
	return shown.measured === undefined ? '–' : interval(shown.measured, shown.low, shown.high, shown.unit);
}

// Of two growths the difference: they are shares already.
function apart(claim) {
	if (claim.difference !== undefined) return points(claim.difference, claim.difference_low, claim.difference_high);
	return claim.ratio === undefined ? '–' : interval(claim.ratio, claim.ratio_low, claim.ratio_high, 'x');
}

function Claims({ claims, a, b }) {
	const shown = claims.filter((c) => c.a !== 'not-run' || c.b !== 'not-run');
	if (!shown.length) return null;
	const rank = (c) => (c.a !== c.b ? 0 : c.excludes_one ? 1 : 2);
	const sorted = [...shown].sort((x, y) => rank(x) - rank(y));
	return (
		<section>
			<h2>Claims</h2>
			<Table caption="Claims" className="claims" head={['claim', 'A', { text: 'measured by A', class: 'num' }, 'B', { text: 'measured by B', class: 'num' }, { text: 'B over A', class: 'num' }, 'differs']}>
				{sorted.map((c) => (
					<tr key={c.claim}>
						<th scope="row">
							<Link to={['claim', c.claim, { run: b }]}>{c.claim}</Link>
						</th>
						<td>
							<a href={`#/claim/${encodeURIComponent(c.claim)}?run=${encodeURIComponent(a)}`}>
								<Verdict verdict={c.a} />
							</a>
						</td>
						<td class="num">{measured(c.test_a)}</td>
						<td>
							<a href={`#/claim/${encodeURIComponent(c.claim)}?run=${encodeURIComponent(b)}`}>
								<Verdict verdict={c.b} />
							</a>
						</td>
						<td class="num">{measured(c.test_b)}</td>
						<td class="num">{apart(c)}</td>
						<td>{c.a !== c.b ? <b>verdict</b> : c.excludes_one ? <b>figure</b> : c.bounded ? 'no' : 'not known'}</td>
					</tr>
				))}
			</Table>
		</section>
	);
}

function Metrics({ metrics, only }) {
	// The farthest apart first, those beyond their intervals before all others.
	const sorted = useMemo(() => {
		const far = (m) => (m.ratio > 0 ? Math.abs(Math.log(m.ratio)) : 0);
		return [...metrics].sort((x, y) => Number(Boolean(y.excludes_one)) - Number(Boolean(x.excludes_one)) || far(y) - far(x));
	}, [metrics]);
	const scale = useMemo(() => scaleOf(sorted.slice(0, 200).flatMap((m) => [m.ratio, m.ratio_low, m.ratio_high].filter((v) => v > 0)), 1), [sorted]);
	if (!sorted.length) return <Notice>No metric was measured by both: runs of different mechanisms have nothing in common but their host.</Notice>;
	return (
		<section>
			<h2>
				Metrics <small>runs are not paired, so these intervals are wide</small>
			</h2>
			<Table caption="Metrics" className="dense" head={['metric', 'variant', 'at', { text: 'A', class: 'num' }, { text: 'B', class: 'num' }, { text: 'B over A', class: 'num' }, { text: <BarAxis scale={scale} unit="x" />, class: 'wide' }, 'differs']}>
				{sorted.slice(0, 200).map((m, i) => (
					<tr key={i}>
						<th scope="row">{m.metric}</th>
						<td>
							{m.variant} <span class="quiet">{m.experiment}</span>
						</td>
						<td>{coordinates(m.at)}</td>
						<td class="num">{value(m.a?.median ?? m.a, m.unit)}</td>
						<td class="num">{value(m.b?.median ?? m.b, m.unit)}</td>
						<td class="num">{interval(m.ratio, m.ratio_low, m.ratio_high, 'x')}</td>
						<td class="wide">
							<Bar scale={scale} measured={m.ratio} low={m.ratio_low > 0 ? m.ratio_low : undefined} high={m.ratio_high} label={`B over A ${number(m.ratio)}`} />
						</td>
						<td>{m.excludes_one ? <b>yes</b> : m.bounded === false ? 'not known' : 'no'}</td>
					</tr>
				))}
			</Table>
			{sorted.length > 200 && <p class="quiet">The {sorted.length - 200} that differ least are left out.</p>}
			{only > 0 && <p class="quiet">{count(only, 'metric')} measured by one of them only.</p>}
		</section>
	);
}
