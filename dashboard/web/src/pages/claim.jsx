// How one claim was decided: from the verdict down to every reading, with the command to do it again.
import { useApi, url } from '../api.js';
import { Bar, BarAxis, BarLegend, scaleOf } from '../parts/bar.jsx';
import { Command, Facts, Link, Notice, Page, RunFlags, RunLink, Table, Waiting } from '../parts/basics.jsx';
import { Chart } from '../parts/chart.jsx';
import { Outcome, Verdict } from '../parts/verdict.jsx';
import { href } from '../route.js';
import { bytes, coordinates, count, decideCommand, duration, fact, interval, number, ofTest, publishedOf, range, time, value } from '../format.js';
import { useMemo } from 'preact/hooks';

export function Claim({ words, query }) {
	const id = words[1];
	const state = useApi(url(`/claims/${encodeURIComponent(id)}`, { run: query.run }));
	const history = useApi(url(`/claims/${encodeURIComponent(id)}/history`, { limit: 200 }));
	if (!state.data) {
		return (
			<Page title={`Claim ${id}`}>
				<Waiting state={state} what={`claim ${id}`} />
			</Page>
		);
	}
	const { claim, run, verdict, reason, tests = [], trials = [], comparability, forecast, evidence } = state.data;
	const command = state.data.command;
	const decide = decideCommand(state.data);
	return (
		<Page
			kicker={
				<>
					<Link to={['paper', claim.paper]}>Paper {claim.paper}</Link>, {claim.source}
				</>
			}
			title={`${claim.id}: ${claim.text}`}
		>
			<p class="lead">
				<Verdict verdict={verdict} />
				{reason && <span>: {reason}.</span>}
				{evidence && evidence !== 'none' && <span class="quiet"> Evidence: {evidence}.</span>}
			</p>
			{forecast && (
				<Notice>
					To decide: {count(forecast.pairs, 'more pair')}
					{forecast.boots !== undefined && `, ${count(forecast.boots, 'boot')}`}
					{forecast.seconds !== undefined && `, about ${duration(forecast.seconds)}`}. {decide && <Command text={decide} />}
				</Notice>
			)}
			<Facts
				rows={[
					['published', publishedText(claim.published)],
					['conditions', claim.conditions],
					[
						'run',
						run && (
							<>
								<RunLink id={run.id} /> <RunFlags run={run} />{' '}
								<span class="quiet">
									{time(run.started)}, profile {run.profile}, {run.cpu}, {run.accelerator}
								</span>
							</>
						),
					],
					['again', command && <Command text={command} />],
					['cost', state.data.wall_s !== undefined && verdict !== 'not-run' && `${duration(state.data.wall_s)} of trials, ${bytes(state.data.disk_bytes)} of disk`],
				]}
			/>
			{claim.combine === 'all' && tests.length > 1 && <p class="quiet">All of these tests must hold; what says most against the claim decides.</p>}
			{tests.map((test, i) => (
				<Test key={i} test={test} index={i} part={partOf(i, state.data)} run={run} query={query} />
			))}
			{tests.length > 0 && tests.some((t) => t.measured !== undefined) && <BarLegend />}
			<Comparability comparability={comparability} />
			<Trials trials={trials} run={run} />
			<History history={history} claim={claim} query={query} current={run?.id} />
		</Page>
	);
}

export function publishedText(published) {
	if (!published) return undefined;
	const figure = published.value !== undefined || published.low !== undefined ? range(published.value, published.low, published.high, published.unit) : '';
	return [figure, published.text].filter(Boolean).join(': ') || undefined;
}

const KINDS = {
	ratio: 'a ratio, paired within blocks',
	slope: 'a change over a range, as a share of the median',
	holds: 'something that must hold in every trial',
	bound: 'a limit',
	order: 'an order',
	absolute: 'an absolute value',
	outcome: 'how trials must end',
	none: 'not tested',
};

// What a test is to the verdict.
function partOf(index, { claim, decided_by = 0 }) {
	if (index === decided_by) return 'decided it';
	return claim.combine === 'all' ? 'must hold, too' : 'beside it';
}

function Test({ test, index, part, run, query }) {
	const shown = ofTest(test);
	const scale = scaleOf([shown.measured, shown.low, shown.high, shown.published, shown.publishedLow, shown.publishedHigh], test.kind === 'ratio' && shown.unit !== '%' ? 1 : test.kind === 'slope' ? 0 : undefined);
	const has = shown.measured !== undefined;
	return (
		<section class="test" aria-label={`Test ${index + 1}`}>
			<h2>
				{test.title || test.note || (index ? `Test ${index + 1}` : 'The claim itself')} <small>{part}</small>
			</h2>
			<p>
				<Verdict verdict={test.verdict} word={test.word} />
				{test.reason && <span>: {test.reason}</span>}
			</p>
			<div class="result">
				{has && (
					<p class="figure">
						{interval(shown.measured, shown.low, shown.high, shown.unit)}
						<small>measured</small>
					</p>
				)}
				{shown.published !== undefined && (
					<p class="figure">
						{publishedOf(shown)}
						<small>published</small>
					</p>
				)}
				{test.ratio_to_published !== undefined && (
					<p class="figure">
						{number(test.ratio_to_published)} ×<small>of the published</small>
					</p>
				)}
				{has && scale && (
					<div class="bars">
						<Bar scale={scale} {...shown} label="measured and published on one axis" />
						<BarAxis scale={scale} unit={shown.unit} />
					</div>
				)}
			</div>
			<p class="quiet">
				{[
					KINDS[test.kind],
					test.experiment && `experiment ${test.experiment}`,
					test.pairs !== undefined && pairsText(test),
					test.p_value !== undefined && `p = ${number(Number(test.p_value.toPrecision(2)))}`,
				]
					.filter(Boolean)
					.join(' · ')}
			</p>
			<TestCharts test={test} index={index} run={run} query={query} />
		</section>
	);
}

function pairsText(test) {
	const what = test.ratios?.length || test.kind === 'ratio' ? 'pair' : 'trial';
	return `${count(test.pairs, what)}${test.pairs_needed ? ` (${test.pairs_needed} needed)` : ''}`;
}

function TestCharts({ test, index, run, query }) {
	const { readings, ratios, categories } = useMemo(() => {
		const selectors = (test.selectors ?? []).filter((s) => s.readings?.length);
		const series = selectors.map((s, i) => ({
			label: `${s.label ?? s.variant}${s.at ? `, ${coordinates(s.at)}` : ''}`,
			points: s.readings.map((r, j) => ({
				x: i + spread(j, s.readings.length),
				y: r.value,
				tip: `trial ${r.trial}${r.pair !== undefined ? `, pair ${r.pair}` : ''}`,
				href: run && href('run', run.id, 'trial', r.trial),
			})),
		}));
		const pairs = [
			{
				label: 'ratio of a pair',
				colour: 0,
				points: (test.ratios ?? []).map((r, i) => ({
					x: i + 1,
					y: r.ratio,
					tip: `pair ${r.pair}: ${value(r.of?.value, selectors[0]?.unit)} (trial ${r.of?.trial}) over ${value(r.to?.value, selectors[1]?.unit)} (trial ${r.to?.trial})`,
					href: run && r.of && href('run', run.id, 'trial', r.of.trial),
				})),
			},
		];
		return { readings: series, ratios: pairs, categories: series.map((s) => s.label) };
	}, [test, run]);
	const axes = useMemo(() => ({ x: { label: 'variant', categories }, pairX: { label: 'pair, in order of time', whole: true } }), [categories]);
	const unit = test.selectors?.find((s) => s.unit)?.unit;
	const metric = test.selectors?.find((s) => s.metric)?.metric ?? 'reading';
	const bands = useMemo(() => (Number.isFinite(test.low) && Number.isFinite(test.high) ? [{ low: test.low, high: test.high, text: '95 % interval of the median' }] : []), [test]);
	const wide = readings.some((s) => s.points.some((p) => p.y > 0)) && span(readings) > 20;
	if (!readings.length) return null;
	return (
		<div class={test.ratios?.length ? 'charts' : undefined}>
			<Chart id={`t${index}`} title={`Readings: ${metric}`} series={readings} x={axes.x} y={{ label: metric, unit, log: wide }} query={query} note="One mark is one trial: the median of its samples. Click it to see them." />
			{test.ratios?.length > 0 && <Chart id={`p${index}`} title="Ratios within pairs" series={ratios} x={axes.pairX} y={{ label: 'ratio', unit: 'x' }} bands={bands} query={query} />}
		</div>
	);
}

function span(series) {
	const values = series.flatMap((s) => s.points.map((p) => p.y)).filter((v) => v > 0);
	return Math.max(...values) / Math.min(...values);
}

// Marks of one category beside each other, in order, so that none hides another.
function spread(index, many) {
	return many < 2 ? 0 : (index / (many - 1) - 0.5) * 0.6;
}

function Comparability({ comparability }) {
	if (!comparability) return null;
	return (
		<section>
			<h2>Is this host comparable?</h2>
			<p>
				{comparability.ok ? 'Yes: absolute values are graded too.' : 'Not for absolute values; ratios and shapes are graded.'} <span class="quiet">{comparability.reason}</span>
			</p>
			{comparability.fields?.length > 0 && (
				<Table caption="Host, field by field" head={['field', 'in the paper', 'here', 'same kind']}>
					{comparability.fields.map((f) => (
						<tr key={f.field}>
							<th scope="row">{f.field}</th>
							<td>{fact(f.paper)}</td>
							<td>{fact(f.here)}</td>
							<td>{f.ok === undefined ? 'not asked' : f.ok ? 'yes' : <b>no</b>}</td>
						</tr>
					))}
				</Table>
			)}
		</section>
	);
}

function Trials({ trials, run }) {
	if (!trials.length) return null;
	const out = trials.filter((t) => t.counts === false);
	return (
		<section>
			<h2>
				Trials and evidence <small>{count(trials.length, 'trial')}{out.length ? `, ${out.length} do not count` : ', all count'}</small>
			</h2>
			<details open={trials.length <= 24 || out.length > 0}>
				<summary>Every trial of it</summary>
				<Table caption="Trials and evidence" className="dense" head={[{ text: 'trial', class: 'num' }, 'variant', { text: 'block', class: 'num' }, 'outcome', 'counts', { text: 'took', class: 'num' }, 'evidence, from outside the mechanism']}>
					{trials.map((t) => (
						<tr key={t.index}>
							<td class="num">{run ? <Link to={['run', run.id, 'trial', t.index]}>{t.index}</Link> : t.index}</td>
							<td>
								{t.variant} <span class="quiet">{t.role}</span>
							</td>
							<td class="num">
								{t.block}.{t.half}
							</td>
							<td>
								<Outcome outcome={t.outcome} />
							</td>
							<td>{t.counts ? 'yes' : `no: ${t.why_not ?? ''}`}</td>
							<td class="num">{duration(t.wall_s)}</td>
							<td class="text">
								<Evidence evidence={t.evidence} />
							</td>
						</tr>
					))}
				</Table>
			</details>
		</section>
	);
}

export function Evidence({ evidence = [] }) {
	if (!evidence.length) return <span class="quiet">none</span>;
	return (
		<ul class="evidence">
			{evidence.map((e) => (
				<li key={e.name}>
					<b>{e.name}</b> {e.ok ? 'holds' : <b class="bad">does not hold</b>}: {e.text ?? value(e.value, e.unit)}
				</li>
			))}
		</ul>
	);
}

function History({ history, claim, query, current }) {
	const rows = history.data?.verdicts ?? [];
	const { series, unit } = useMemo(() => {
		const figured = rows.filter((v) => v.measured !== undefined && v.started_s);
		const by = new Map();
		for (const v of figured) {
			const name = v.verdict;
			if (!by.has(name)) by.set(name, []);
			by.get(name).push({ x: v.started_s, y: v.measured, low: v.low, high: v.high, tip: `${time(v.started)}, ${v.verdict}`, href: href('claim', claim.id, { run: v.run }) });
		}
		const order = ['reproduced', 'direction-only', 'contradicted', 'inconclusive', 'not-comparable'];
		return { series: order.filter((n) => by.has(n)).map((n) => ({ label: n, colour: order.indexOf(n), points: by.get(n) })), unit: figured[0]?.unit };
	}, [history.data]);
	const axis = useMemo(() => ({ label: 'started', time: true }), []);
	if (!rows.length) return null;
	return (
		<section>
			<h2>
				Over the runs <small>{count(history.data.total, 'run')} tried it</small>
			</h2>
			{rows.length > 2 && <Chart id="history" title={`${claim.id} over the runs`} series={series} x={axis} y={{ label: 'measured', unit }} query={query} />}
			<Table caption="Verdicts over the runs" className="dense" head={['started', 'verdict', { text: 'measured [95 % interval]', class: 'num' }, { text: 'pairs', class: 'num' }, 'profile', 'commit', 'run']}>
				{rows.slice(0, 15).map((v) => (
					<tr key={v.run} class={v.run === current ? 'current' : undefined}>
						<td>
							<Link to={['claim', claim.id, { run: v.run }]}>{time(v.started)}</Link>
						</td>
						<td>
							<Verdict verdict={v.verdict} />
						</td>
						<td class="num">{v.measured === undefined ? '–' : interval(v.measured, v.low, v.high, v.unit)}</td>
						<td class="num">{v.pairs ?? '–'}</td>
						<td>{v.profile}</td>
						<td>
							<code>{v.commit}</code>
						</td>
						<td>
							<RunLink id={v.run} />
						</td>
					</tr>
				))}
			</Table>
		</section>
	);
}
