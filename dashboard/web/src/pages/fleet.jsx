// Fleets that run now: guests, memory, CPU, balloon, links. Asked again every second; rates are
// differences of two answers.
import { useEffect, useState } from 'preact/hooks';
import { ask } from '../api.js';
import { Command, Facts, Link, Notice, Page, Problem, Table } from '../parts/basics.jsx';
import { bytes, count, duration, memory, number } from '../format.js';

const EVERY_MS = 1000;
const KEPT = 60; // answers drawn behind each other

// Polls while the page is seen; keeps what the last answers said.
function usePoll(path) {
	const [state, set] = useState({ history: [] });
	useEffect(() => {
		let timer;
		let gone = false;
		set({ history: [] });
		const next = async () => {
			if (document.visibilityState === 'visible') {
				try {
					const data = await ask(path);
					if (gone) return;
					set((old) => ({ data, history: data.stale ? old.history : [...old.history, { at: performance.now() / 1000, data }].slice(-KEPT) }));
				} catch (error) {
					if (gone) return;
					set((old) => ({ ...old, error }));
				}
			}
			timer = setTimeout(next, EVERY_MS);
		};
		next();
		return () => {
			gone = true;
			clearTimeout(timer);
		};
	}, [path]);
	return state;
}

export function Fleet({ words }) {
	return words[1] ? <One name={words[1]} /> : <All />;
}

function All() {
	const { data, error } = usePoll('/fleets');
	const fleets = data?.fleets;
	return (
		<Page title="Fleets" kicker="Running now">
			{!fleets ? (
				error ? <Problem error={error} what="the fleets" /> : <p class="waiting">Loading the fleets …</p>
			) : !fleets.length ? (
				<Notice>
					<p>No fleet is running on this host. A run's own guests are not among them: they live in labs of their own.</p>
					<p>
						<Command text="fleetlab fleet up 8" />
					</p>
				</Notice>
			) : (
				<Table caption="Fleets" head={['fleet', 'image', 'accelerator', { text: 'guests alive', class: 'num' }, { text: 'memory (PSS)', class: 'num' }]}>
					{fleets.map((fleet) => (
						<tr key={fleet.name}>
							<th scope="row">
								<Link to={['fleet', fleet.name]}>{fleet.name}</Link> {fleet.stale && <span class="flag bad">{age(fleet)}</span>}
							</th>
							{fleet.guests === undefined ? (
								<td colSpan={4}>
									<span class="bad">{fleet.trouble}</span>
								</td>
							) : (
								<>
									<td>{fleet.image ?? '–'}</td>
									<td>{fleet.accelerator ?? '–'}</td>
									<td class="num">
										{fleet.alive} of {fleet.guests}
									</td>
									<td class="num">{memory(fleet.pss_bytes)}</td>
								</>
							)}
						</tr>
					))}
				</Table>
			)}
		</Page>
	);
}

const age = (fleet) => `${duration(Math.ceil(fleet.age_s))} ago`;
const sum = (guests, field) => guests.reduce((all, g) => all + (g[field] ?? 0), 0);

function One({ name }) {
	const { data, error, history } = usePoll(`/fleets/${encodeURIComponent(name)}`);
	const crumbs = <Link to={['fleet']}>Fleets</Link>;
	if (!data) {
		return (
			<Page kicker={crumbs} title={`Fleet ${name}`}>
				{error ? <Problem error={error} what={`fleet ${name}`} /> : <p class="waiting">Loading fleet {name} …</p>}
			</Page>
		);
	}
	const guests = data.guests ?? [];
	const before = history[history.length - 2];
	const now = history[history.length - 1];
	const seconds = before ? now.at - before.at : undefined;
	const past = (guest) => before?.data.guests?.find((g) => g.name === guest.name);
	const rate = (guest, read) => {
		const old = past(guest);
		const a = old && read(old);
		const b = read(guest);
		return old && seconds && b >= a ? (b - a) / seconds : undefined;
	};
	const cpuOf = (guest) => rate(guest, (g) => g.cpu_s);
	const most = Math.max(...guests.map((g) => g.memory_bytes ?? 0), 1);
	const cpuAll = guests.map(cpuOf).filter((v) => v !== undefined);
	return (
		<Page kicker={crumbs} title={`Fleet ${name}`}>
			{error && <Notice kind="bad">It does not answer any more: {error.message}</Notice>}
			{!error && data.stale && (
				<Notice kind="bad">
					What is below is from {age(data)}{data.trouble ? `: ${data.trouble}` : ''}.
				</Notice>
			)}
			<Facts
				rows={[
					['guests', `${guests.filter((g) => g.alive).length} of ${guests.length} alive`],
					['image', data.image],
					['accelerator', data.accelerator],
					['memory', `${memory(sum(guests, 'pss_bytes'))} of the host (PSS)${sum(guests, 'memory_bytes') ? `, for ${memory(sum(guests, 'memory_bytes'))} of guests' RAM` : ''}`],
					['CPU', cpuAll.length ? `${number(cpuAll.reduce((a, b) => a + b, 0))} CPUs in the last second` : undefined],
				]}
			/>
			<Table
				caption="Guests"
				className="dense"
				head={['guest', 'address', { text: 'ready after', class: 'num' }, { text: 'RAM', class: 'num' }, { text: 'of the host: PSS', class: 'num' }, { text: 'balloon', class: 'num' }, { text: 'CPU', class: 'num' }, 'CPU, last minute', { text: 'received', class: 'num' }, { text: 'sent', class: 'num' }, { text: 'vCPUs', class: 'num' }]}
			>
				{guests.map((g) => {
					const cpu = cpuOf(g);
					return (
						<tr key={g.name}>
							<th scope="row">
								{g.name} {g.alive === false && <span class="flag bad">ended</span>}
							</th>
							<td>{g.address ?? g.addresses?.join(', ') ?? '–'}</td>
							<td class="num">{g.ready_s === undefined ? '–' : duration(g.ready_s)}</td>
							<td class="num">{memory(g.memory_bytes)}</td>
							<td class="num">
								{memory(g.pss_bytes)} <Meter part={g.pss_bytes} whole={Math.max(most, g.pss_bytes ?? 0)} />
							</td>
							<td class="num">{g.balloon_bytes === undefined ? '–' : memory(g.balloon_bytes)}</td>
							<td class="num">{cpu === undefined ? '–' : `${number(Number((100 * cpu).toFixed(1)))} %`}</td>
							<td>
								<Spark values={cpuHistory(history, g.name)} most={g.vcpus ?? 1} />
							</td>
							<td class="num">{linkRate(g, past(g), seconds, 'rx_bytes')}</td>
							<td class="num">{linkRate(g, past(g), seconds, 'tx_bytes')}</td>
							<td class="num">{g.vcpus ?? '–'}</td>
						</tr>
					);
				})}
			</Table>
			<p class="quiet">The bar is PSS as a part of the largest guest's RAM. CPU is of one processor; received and sent are by the guests' ports on the lab's bridge.</p>
			<Links guests={guests} />
		</Page>
	);
}

function Links({ guests }) {
	const links = guests.flatMap((g) => (g.links ?? []).map((link) => ({ guest: g.name, ...link })));
	if (!links.length) return null;
	return (
		<section>
			<h2>
				Links <small>{count(links.length, 'port')}, since they were made</small>
			</h2>
			<Table caption="Links" className="dense" head={['guest', 'port', { text: 'received', class: 'num' }, { text: 'packets', class: 'num' }, { text: 'sent', class: 'num' }, { text: 'packets', class: 'num' }]}>
				{links.map((link) => (
					<tr key={`${link.guest} ${link.name}`}>
						<th scope="row">{link.guest}</th>
						<td>{link.name}</td>
						<td class="num">{bytes(link.rx_bytes)}</td>
						<td class="num">{number(link.rx_packets)}</td>
						<td class="num">{bytes(link.tx_bytes)}</td>
						<td class="num">{number(link.tx_packets)}</td>
					</tr>
				))}
			</Table>
		</section>
	);
}

function linkRate(guest, old, seconds, field) {
	if (!guest.links?.length) return '–';
	if (!old?.links || !seconds) return '–';
	const per = (sum(guest.links, field) - sum(old.links, field)) / seconds;
	return per >= 0 ? `${bytes(per)}/s` : '–';
}

function cpuHistory(history, name) {
	const values = [];
	for (let i = 1; i < history.length; i++) {
		const a = history[i - 1].data.guests?.find((g) => g.name === name);
		const b = history[i].data.guests?.find((g) => g.name === name);
		values.push(a && b && b.cpu_s >= a.cpu_s ? (b.cpu_s - a.cpu_s) / (history[i].at - history[i - 1].at) : null);
	}
	return values;
}

function Meter({ part = 0, whole }) {
	return (
		<svg class="meter" viewBox="0 0 60 8" width="60" height="8" aria-hidden="true">
			<rect width="60" height="8" />
			<rect class="part" width={Math.min(60, (60 * part) / whole)} height="8" />
		</svg>
	);
}

function Spark({ values, most }) {
	const top = Math.max(most, ...values.filter((v) => v !== null));
	const points = values.map((v, i) => (v === null ? '' : `${((KEPT - values.length + i) * 90) / (KEPT - 1)},${19 - (18 * v) / top}`)).filter(Boolean);
	return (
		<svg class="spark" viewBox="0 0 90 20" width="90" height="20" aria-hidden="true">
			<polyline points={points.join(' ')} />
		</svg>
	);
}
