// The front page: does each claim hold here, what changed, and what runs now.
import { useEffect, useState } from 'preact/hooks';
import { useApi, useLive, url } from '../api.js';
import { Bar, BarAxis, BarLegend, scaleOf } from '../parts/bar.jsx';
import { Command, Facts, Link, Notice, Page, RunFlags, RunLink, Table, Waiting } from '../parts/basics.jsx';
import { Progress } from '../parts/progress.jsx';
import { Tally, Verdict, VerdictMark } from '../parts/verdict.jsx';
import { setQuery } from '../route.js';
import { count, duration, interval, number, ofTest, publishedOf, time } from '../format.js';

export function Overview({ query }) {
	const state = useApi(url('/overview', { host: query.host }));
	const live = useLive();
	const painted = usePainted();
	if (!state.data) {
		return (
			<Page title="Overview">
				<Waiting state={state} what="the overview" />
			</Page>
		);
	}
	const { totals = {}, papers = [], changes = [], hosts = [], indexing = {}, last_run: last, run_before: before } = state.data;
	const current = live.runs.filter((run) => run.state === 'running');
	const interrupted = live.runs.filter((run) => run.state === 'interrupted');
	const empty = !totals.runs;
	return (
		<Page
			title="Does the claim hold here?"
			kicker="Overview"
			aside={
				<>
					<span>
						{count(totals.runs, 'run')}
						{totals.refused ? (
							<>
								, <Link to={['files']}>{count(totals.refused, 'file')} refused</Link>
							</>
						) : null}
					</span>
					{hosts.length > 1 && (
						<label>
							Host{' '}
							<select value={query.host ?? ''} onChange={(e) => setQuery({ host: e.currentTarget.value })}>
								<option value="">all {hosts.length}</option>
								{hosts.map((h) => (
									<option key={h.host} value={h.host}>
										{h.cpu} {h.host.slice(0, 6)} ({h.runs})
									</option>
								))}
							</select>
						</label>
					)}
				</>
			}
		>
			{state.error && <Notice kind="bad">Not up to date: {state.error.message}</Notice>}
			{indexing.trouble && <Notice kind="bad">Newer records may be missing, the index is not up to date: {indexing.trouble}</Notice>}
			{totals.synthetic ? <Notice>This store holds synthetic records: made for tests, not measured.</Notice> : null}
			{indexing.running && (
				<Notice>
					Reading records: {number(indexing.done)} of {number(indexing.total)}. What is below fills up meanwhile.
				</Notice>
			)}
			{current.map((run) => (
				<Progress key={run.id} run={run} />
			))}
			{interrupted.length > 0 && (
				<Notice>
					{count(interrupted.length, 'run')} interrupted: <RunLink id={interrupted[0].id} />{' '}
					{interrupted[0].trouble ? `cannot be told of: ${interrupted[0].trouble}` : `has ${interrupted[0].finished} of ${interrupted[0].planned} trials`}. Go on with{' '}
					<Command text="fleetlab run --resume" />
				</Notice>
			)}
			{empty && <Empty />}
			<section aria-labelledby="matrix">
				<h2 id="matrix" class="sr">
					Papers and claims
				</h2>
				<Matrix papers={papers} />
			</section>
			<div class="columns">
				<section aria-labelledby="last">
					<h2 id="last">Last run</h2>
					{last ? (
						<>
							<p>
								<RunLink id={last.id} /> <RunFlags run={last} />
							</p>
							<Facts
								rows={[
									['started', time(last.started)],
									['ran', `${last.mechanisms?.join(', ')}, profile ${last.profile}`],
									['trials', trialsText(last)],
									['took', duration(last.wall_s)],
									['host', `${last.cpu ?? '–'}, ${last.accelerator ?? '–'}`],
									['commit', <code>{last.commit}</code>],
								]}
							/>
							{before && (
								<p>
									<Link to={['compare', { a: before.id, b: last.id }]}>Compare with the one before, {time(before.started)}</Link>
								</p>
							)}
						</>
					) : (
						<p class="quiet">None yet.</p>
					)}
				</section>
				<section aria-labelledby="changes">
					<h2 id="changes">Verdicts that changed</h2>
					{changes.length ? (
						<ul class="changes">
							{changes.slice(0, 12).map((c) => (
								<li key={c.claim + c.started}>
									<Link to={['claim', c.claim, { run: c.run }]}>
										<b>{c.claim}</b>
									</Link>{' '}
									<Verdict verdict={c.from} /> → <Verdict verdict={c.to} /> <span class="quiet">{time(c.started)}</span>
								</li>
							))}
						</ul>
					) : (
						<p class="quiet">None between the two latest runs of each claim.</p>
					)}
				</section>
			</div>
			{!empty && painted && <Claims papers={papers} />}
		</Page>
	);
}

export function trialsText(run) {
	const rest = ['failed', 'invalid', 'skipped'].filter((name) => run[name]).map((name) => `${run[name]} ${name}`);
	return [`${run.ok ?? 0} of ${run.planned ?? 0} ok`, ...rest].join(', ');
}

// False for the first frame: what is below the first screen does not hold it up.
function usePainted() {
	const [painted, set] = useState(false);
	useEffect(() => set(true), []);
	return painted;
}

function Empty() {
	return (
		<Notice>
			<p>
				<b>No run yet.</b> The claims below are waiting for one. Paper C takes about two minutes on 2 cores, without KVM too:
			</p>
			<p>
				<Command text="fleetlab run shmipc" />
			</p>
			<p>Its progress appears here while it runs. Records of another host are taken in by</p>
			<p>
				<Command text="fleetlab import DIR" />
			</p>
		</Notice>
	);
}

function Matrix({ papers }) {
	return (
		<div class="matrix">
			{papers.map((paper) => (
				<div class="matrix-row" key={paper.id}>
					<div class="matrix-paper">
						<Link to={['paper', paper.id]}>
							<b>{paper.id.length > 2 ? '' : `${paper.id} `}</b>
							{paper.short}
						</Link>
						<Tally verdicts={paper.verdicts} />
					</div>
					<ul class="cells" aria-label={`Claims of ${paper.short}`}>
						{paper.claims.map((claim) => {
							const verdict = claim.latest?.verdict ?? 'not-run';
							return (
								<li key={claim.id}>
									<Link to={['claim', claim.id]} class={`cell c-${verdict}`} title={`${claim.id}: ${claim.text}. ${verdict}${claim.latest?.reason ? `: ${claim.latest.reason}` : ''}`}>
										<VerdictMark verdict={verdict} />
										<span class="cell-id">{claim.id}</span>
										<span class="sr"> {verdict}</span>
										{claim.changed && (
											<span class="changed" aria-label="changed">
												Δ
											</span>
										)}
									</Link>
								</li>
							);
						})}
					</ul>
				</div>
			))}
		</div>
	);
}

// Only ratios have a scale in common: those of one table share it.
function Claims({ papers }) {
	const tried = papers.filter((paper) => paper.claims.some((claim) => claim.latest));
	if (!tried.length) return null;
	const all = tried.flatMap((paper) => paper.claims.map((claim) => claim.latest)).filter((v) => v?.unit === 'x');
	const scale = scaleOf(
		all.flatMap((v) => [v.measured, v.low, v.high, v.published]),
		1,
	);
	return (
		<section aria-labelledby="claims">
			<h2 id="claims">Claims, as last measured</h2>
			<Table
				caption="Claims, as last measured"
				className="claims"
				head={['claim', 'verdict', { text: 'published', class: 'num' }, { text: 'measured [95 % interval]', class: 'num' }, { text: <BarAxis scale={scale} unit="x" />, class: 'wide' }, 'what']}
			>
				{tried.flatMap((paper) =>
					paper.claims
						.filter((claim) => claim.latest)
						.map((claim) => {
							const v = claim.latest;
							const shown = ofTest(v);
							return (
								<tr key={claim.id}>
									<th scope="row">
										<Link to={['claim', claim.id]}>{claim.id}</Link>
									</th>
									<td>
										<Verdict verdict={v.verdict} />
									</td>
									<td class="num">{publishedOf(shown)}</td>
									<td class="num">{shown.measured === undefined ? '–' : interval(shown.measured, shown.low, shown.high, shown.unit)}</td>
									<td class="wide">{v.unit === 'x' && <Bar scale={scale} {...v} label={`measured ${interval(v.measured, v.low, v.high, v.unit)}`} />}</td>
									<td class="text">{claim.text}</td>
								</tr>
							);
						}),
				)}
			</Table>
			<BarLegend />
		</section>
	);
}
