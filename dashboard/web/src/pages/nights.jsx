// How the nightly watch does: what it told each night, and in drills (a slowdown made on purpose) how
// many it caught, how fast, and its false alarms.
import { useState } from 'preact/hooks';
import { useApi } from '../api.js';
import { RunLink, Table } from '../parts/basics.jsx';
import { change, count, duration, number, time } from '../format.js';

export function Drills() {
	const state = useApi('/nights?limit=200');
	if (!state.data) return null;
	const nights = state.data.nights ?? [];
	const ledger = nights.find((night) => night.ledger)?.ledger;
	const drills = nights.filter((night) => night.drill);
	return (
		<>
			<section>
				<h2>
					Drills <small>a slowdown made on purpose: does the watch see it?</small>
				</h2>
				{ledger && ledger.drills > 0 ? (
					<Ledger ledger={ledger} />
				) : (
					<p class="quiet">
						None yet. <code>fleetlab nightly --drill</code> slows one variant down; here stands how many of those were caught, how fast, and the false alarms.
					</p>
				)}
				{drills.length > 0 && (
					<Table caption="Drills" className="dense" head={['night', 'what was slowed', { text: 'by', class: 'num' }, 'state', { text: 'after', class: 'num' }, 'caught by', { text: 'false alarms', class: 'num' }]}>
						{drills.slice(0, 40).map((night) => (
							<tr key={night.id}>
								<td>{time(night.started)}</td>
								<td>
									{night.drill.mechanism} {night.drill.experiment}, {night.drill.variant}
								</td>
								<td class="num">{number(night.drill.slowdown)} ×</td>
								<td>
									{night.drill.state}
									{night.drill.reason && <span class="quiet">; {night.drill.reason}</span>}
								</td>
								<td class="num">{night.drill.delay_nights === undefined ? '–' : count(night.drill.delay_nights, 'night')}</td>
								<td class="text">{night.drill.caught_by ?? '–'}</td>
								<td class="num">{night.drill.false_alarms?.length ?? 0}</td>
							</tr>
						))}
					</Table>
				)}
			</section>
			{nights.length > 0 && <Nights nights={nights} total={state.data.total} />}
		</>
	);
}

function Ledger({ ledger }) {
	const figure = (text, name) => (
		<p class="figure">
			{text}
			<small>{name}</small>
		</p>
	);
	const share = (v) => (v === undefined ? '–' : `${number(Number((100 * v).toPrecision(3)))} %`);
	return (
		<div class="result">
			{figure(`${ledger.caught} of ${ledger.caught + ledger.missed}`, 'drills caught')}
			{figure(ledger.delay_median === undefined ? '–' : count(ledger.delay_median, 'night'), 'until told, median')}
			{figure(ledger.false_alarms, `false alarms among ${count(ledger.controls, 'control')}`)}
			{figure(share(ledger.recall), 'recall')}
			{figure(share(ledger.precision), 'precision')}
			{ledger.open > 0 && figure(ledger.open, 'open')}
		</div>
	);
}

function Nights({ nights, total }) {
	const [most, show] = useState(14);
	return (
		<section>
			<h2>
				Nights <small>{count(total, 'night')}</small>
			</h2>
			<Table caption="Nights" className="dense" head={['night', 'state', { text: 'took', class: 'num' }, { text: 'metrics', class: 'num' }, 'told', 'new on the host', 'runs']}>
				{nights.slice(0, most).map((night) => {
					const alerts = (night.notable ?? []).filter((m) => m.verdict?.alert);
					const t = night.totals ?? {};
					return (
						<tr key={night.id}>
							<td>{time(night.started)}</td>
							<td>
								{night.state}
								{night.forced && <span class="flag bad" title="the host was in use, and it ran because it was told to">FORCED</span>}
								{night.reason && <span class="quiet">; {night.reason}</span>}
							</td>
							<td class="num">{duration(t.wall_s)}</td>
							<td class="num">{t.metrics ?? '–'}</td>
							<td class="text">
								{alerts.length
									? alerts.map((m) => (
											<p key={m.name}>
												<b>{m.name}</b>: {change(m.verdict.effect)}, {m.verdict.direction ?? ''}; {m.verdict.attribution?.text ?? m.verdict.reason}
											</p>
										))
									: night.state === 'complete' ? (t.learning === t.metrics ? 'still learning' : 'nothing') : '–'}
							</td>
							<td>{night.host?.changed?.length ? night.host.changed.slice(0, 3).map((c) => c.field).join(', ') : '–'}</td>
							<td>
								{(night.runs ?? [])
									.filter((r) => r.purpose === 'measure')
									.slice(0, 2)
									.map((r) => (
										<RunLink key={r.id} id={r.id} />
									))}
							</td>
						</tr>
					);
				})}
			</Table>
			{nights.length > most && (
				<button type="button" onClick={() => show(nights.length)}>
					The other {nights.length - most}
				</button>
			)}
		</section>
	);
}
