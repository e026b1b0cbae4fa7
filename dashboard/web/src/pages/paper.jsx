// One paper: its tables and figures with our readings beside the published values, sweeps drawn,
// and every cell a link to how it was decided.
import { useMemo } from 'preact/hooks';
import { useApi, url } from '../api.js';
import { Bar, BarAxis, BarLegend, scaleOf } from '../parts/bar.jsx';
import { Command, Facts, Link, Notice, Page, RunFlags, RunLink, Table, Waiting } from '../parts/basics.jsx';
import { Chart } from '../parts/chart.jsx';
import { Tally, Verdict, VerdictMark } from '../parts/verdict.jsx';
import { setQuery } from '../route.js';
import { decidingTest, interval, number, ofTest, publishedOf, range, time, unitName, value } from '../format.js';

export function Paper({ words, query }) {
	const id = words[1];
	const state = useApi(url(`/papers/${encodeURIComponent(id)}`, { run: query.run }));
	if (!state.data) {
		return (
			<Page title={`Paper ${id}`}>
				<Waiting state={state} what={`paper ${id}`} />
			</Page>
		);
	}
	const { paper, run, tables = [], also = [], claims = [], comparable, emulated = [], runs = [] } = state.data;
	const verdicts = {};
	for (const claim of claims) verdicts[claim.verdict] = (verdicts[claim.verdict] ?? 0) + 1;
	const graded = claims.length - (verdicts['not-run'] ?? 0);
	return (
		<Page
			kicker={`Paper ${id}: ${paper.short}`}
			title={paper.title}
			aside={
				runs.length > 1 && (
					<label>
						Run{' '}
						<select value={query.run ?? ''} onChange={(e) => setQuery({ run: e.currentTarget.value })}>
							<option value="">the one that graded most</option>
							{query.run && !runs.some((r) => r.id === query.run) && <option value={query.run}>{query.run}</option>}
							{runs.map((r) => (
								<option key={r.id} value={r.id}>
									{time(r.started)}, {r.profile}
									{r.complete ? '' : ', incomplete'}
								</option>
							))}
						</select>
					</label>
				)
			}
		>
			<p class="quiet">
				{paper.authors?.join(', ')}
				{paper.original_title && <span lang="ja"> · {paper.original_title}</span>}
			</p>
			<p class="lead">{paper.idea}</p>
			{run ? (
				<Facts
					rows={[
						['run', <><RunLink id={run.id} /> <RunFlags run={run} /> <span class="quiet">{time(run.started)}, profile {run.profile}</span></>],
						['why this run', !query.run && run.id !== runs[0]?.id && `of those with this mechanism it graded the most claims, ${graded} of ${claims.length}; another can be chosen above`],
						['host', `${run.cpu}, ${run.accelerator}${comparable?.ok === false ? `: ${comparable.reason}` : ''}`],
						['verdicts', <Tally verdicts={verdicts} />],
					]}
				/>
			) : paper.implemented ? (
				<Notice>
					No run has this mechanism ({paper.mechanism}) yet: <Command text={`fleetlab run ${paper.mechanism}`} />
				</Notice>
			) : (
				<Notice>This build does not have the mechanism ({paper.mechanism}), and no record of another build that has it is here.</Notice>
			)}
			{tables.map((table) => (
				<PaperTable key={table.id} table={table} run={run} claims={claims} />
			))}
			{tables.length > 0 && run && <BarLegend />}
			<Claims claims={claims} run={run} emulated={emulated} />
			<Also also={also} query={query} />
			<Setup paper={paper} />
		</Page>
	);
}

// What is not real in what a table or chart is made of stands beside each of them.
function Emulated({ texts = [] }) {
	return texts.length > 0 && <p class="quiet">Emulated: {[...new Set(texts)].join('; ')}.</p>;
}

// Of a table's cells the units differ: those with the same one share a scale.
function PaperTable({ table, run, claims }) {
	const many = table.columns.length > 1;
	const scales = useMemo(() => {
		const by = {};
		for (const row of table.rows)
			for (const cell of row.cells) {
				const list = (by[cell.unit] ??= []);
				list.push(cell.value, cell.low, cell.high);
				for (const o of cell.ours ?? []) if (o.unit === cell.unit) list.push(o.median, o.low, o.high);
			}
		return Object.fromEntries(Object.entries(by).map(([unit, list]) => [unit, scaleOf(list, unit === 'x' ? 1 : undefined)]));
	}, [table]);
	const units = Object.keys(scales);
	const common = units.length === 1 ? units[0] : undefined;
	const verdicts = Object.fromEntries(claims.map((claim) => [claim.id, claim.verdict]));
	return (
		<section>
			<h2>
				{table.id} <small>{table.title}</small>
			</h2>
			<Emulated texts={table.emulated} />
			<Table
				caption={`${table.id}: ${table.title}`}
				className="paper"
				head={['', ...(many ? [''] : []), { text: 'published', class: 'num' }, { text: 'measured [95 % interval]', class: 'num' }, { text: 'trials', class: 'num' }, { text: common ? <BarAxis scale={scales[common]} unit={common} /> : 'side by side', class: 'wide' }, 'claim']}
			>
				{table.rows.flatMap((row, i) =>
					row.cells.flatMap((cell, j) => {
						const ours = cell.ours ?? [];
						const single = ours.length === 1;
						const published = range(cell.value, cell.low, cell.high, cell.unit);
						const first = (
							<tr key={`${i}.${j}`}>
								<th scope="row">{j === 0 ? row.label : <span class="sr">{row.label}</span>}</th>
								{many && <td>{table.columns[j]}</td>}
								<td class="num">{published}</td>
								<Measured ours={single ? ours[0] : undefined} cell={cell} scale={scales[cell.unit]} run={run} none={!ours.length} row={row} />
								<td>
									{row.claim && j === 0 && (
										<Link to={['claim', row.claim, run ? { run: run.id } : {}]} class="verdict">
											<VerdictMark verdict={verdicts[row.claim] ?? 'not-run'} />
											{row.claim}
											<span class="sr"> {verdicts[row.claim] ?? 'not-run'}</span>
										</Link>
									)}
								</td>
							</tr>
						);
						if (single) return [first];
						return [
							first,
							...ours.map((o, k) => (
								<tr key={`${i}.${j}.${k}`} class="ours">
									<th scope="row">{labelOf(o)}</th>
									{many && <td />}
									<td />
									<Measured ours={o} cell={cell} scale={scales[cell.unit]} run={run} row={row} />
									<td />
								</tr>
							)),
						];
					}),
				)}
			</Table>
		</section>
	);
}

// Without a run the server has no label for a reading.
function labelOf(ours) {
	if (ours.label) return ours.label;
	return ours.variant ?? ([ours.of?.variant, ours.to?.variant].filter(Boolean).join(' over ') || ours.metric || 'reading');
}

function Measured({ ours, cell, scale, run, none, row }) {
	if (!ours) {
		return (
			<>
				<td class="num quiet">{none ? 'no reading stands beside it' : ''}</td>
				<td />
				<td class="wide">{scale && <Bar scale={scale} published={cell.value} publishedLow={cell.low} publishedHigh={cell.high} label="published" />}</td>
			</>
		);
	}
	const text = ours.median === undefined ? '–' : interval(ours.median, ours.low, ours.high, ours.unit ?? cell.unit);
	const to = row.claim ? ['claim', row.claim, run ? { run: run.id } : {}] : run && ['run', run.id, { tab: 'series' }];
	return (
		<>
			<td class="num">{to && ours.median !== undefined ? <Link to={to}>{text}</Link> : text}</td>
			<td class="num">{ours.trials || ''}</td>
			<td class="wide">
				{scale && (
					<Bar scale={scale} measured={ours.unit === cell.unit ? ours.median : undefined} low={ours.unit === cell.unit ? ours.low : undefined} high={ours.unit === cell.unit ? ours.high : undefined} published={cell.value} publishedLow={cell.low} publishedHigh={cell.high} label={`${ours.label ?? 'measured'} ${text}`} />
				)}
			</td>
		</>
	);
}

function Claims({ claims, run, emulated }) {
	if (!claims.length) return null;
	return (
		<section>
			<h2>Claims</h2>
			<Emulated texts={emulated} />
			<Table caption="Claims" className="claims" head={['claim', 'verdict', { text: 'published', class: 'num' }, { text: 'measured [95 % interval]', class: 'num' }, 'what, and why this verdict']}>
				{claims.map((claim) => {
					const test = decidingTest(claim);
					const shown = ofTest(test);
					return (
						<tr key={claim.id}>
							<th scope="row">
								<Link to={['claim', claim.id, run ? { run: run.id } : {}]}>{claim.id}</Link>
							</th>
							<td>
								<Verdict verdict={claim.verdict} word={test.word} />
							</td>
							<td class="num">{publishedOf(shown)}</td>
							<td class="num">{shown.measured === undefined ? '–' : interval(shown.measured, shown.low, shown.high, shown.unit)}</td>
							<td class="text">
								{claim.text} <span class="quiet">({claim.source}); {claim.reason}</span>
							</td>
						</tr>
					);
				})}
			</Table>
		</section>
	);
}

// What was measured beyond tables and claims: sweeps as charts, single figures as a table.
function Also({ also, query }) {
	const sweeps = also.filter((t) => t.coordinate);
	const singles = also.filter((t) => !t.coordinate);
	if (!also.length) return null;
	return (
		<section>
			<h2>Measured beside them</h2>
			<Emulated texts={sweeps.flatMap((t) => t.emulated ?? [])} />
			<div class="charts">
				{sweeps.map((table) => (
					<Sweep key={`${table.experiment} ${table.metric}`} table={table} query={query} />
				))}
			</div>
			{singles.map((table) => (
				<Single key={table.experiment} table={table} />
			))}
		</section>
	);
}

function Sweep({ table, query }) {
	const id = `${table.experiment}-${table.metric}`.replace(/[^a-z0-9-]/gi, '_');
	const { series, numeric, labels } = useMemo(() => {
		const numbers = table.rows.every((row) => Number.isFinite(Number(row.label)));
		return {
			numeric: numbers,
			labels: table.rows.map((row) => row.label),
			series: table.variants.map((variant) => ({
				label: variant,
				line: true,
				points: table.rows
					.map((row, i) => ({ row, i, cell: row.cells[variant] }))
					.filter(({ cell }) => cell?.median !== undefined)
					.map(({ row, i, cell }) => ({ x: numbers ? Number(row.label) : i, y: cell.median, low: cell.low, high: cell.high, tip: `${table.coordinate} = ${row.label}, ${cell.trials} trials` })),
			})),
		};
	}, [table]);
	const x = useMemo(() => {
		const values = labels.map(Number);
		const log = numeric && Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 10;
		return { label: `${table.coordinate}${log ? ' (log)' : ''}`, log, ...(numeric ? {} : { categories: labels }) };
	}, [table]);
	const values = series.flatMap((s) => s.points.map((p) => p.y)).filter((v) => v > 0);
	const unit = table.unit || table.rows[0]?.unit;
	return <Chart id={id} title={`${table.experiment}: ${table.metric}`} series={series} x={x} y={{ label: table.metric, unit, log: values.length > 1 && Math.max(...values) / Math.min(...values) > 20 }} query={query} height={260} />;
}

function Single({ table }) {
	return (
		<>
			<h3>{table.experiment}</h3>
			<Emulated texts={table.emulated} />
			<Table caption={`Single figures of ${table.experiment}`} className="dense" head={['', ...table.variants.map((v) => ({ text: v, class: 'num' })), { text: 'trials', class: 'num' }]}>
				{table.rows.map((row) => (
					<tr key={row.label}>
						<th scope="row">
							{row.label} <span class="quiet">{unitName(row.unit)}</span>
						</th>
						{table.variants.map((v) => {
							const cell = row.cells[v];
							return (
								<td key={v} class="num">
									{!cell ? '' : row.unit === 'bool' || row.unit === 'bytes' ? value(cell.median, row.unit) : interval(cell.median, cell.low, cell.high, '')}
								</td>
							);
						})}
						<td class="num">{row.trials ? (row.trials[0] === row.trials[1] ? row.trials[1] : `${row.trials[0]}–${row.trials[1]}`) : ''}</td>
					</tr>
				))}
			</Table>
		</>
	);
}

function Setup({ paper }) {
	const rows = Object.entries(paper.setup ?? {});
	if (!rows.length) return null;
	return (
		<section>
			<h2>The paper's own set-up</h2>
			<Facts rows={rows.map(([name, v]) => [name.replace(/_/g, ' '), typeof v === 'object' ? `${number(v.value)} ${v.unit}` : v])} />
		</section>
	);
}

