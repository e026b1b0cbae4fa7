// Consoles and logs of a run's trials; a long one is read in parts.
import { useMemo, useState } from 'preact/hooks';
import { apiHref, askText, useApi, url } from '../api.js';
import { Waiting } from '../parts/basics.jsx';
import { href } from '../route.js';
import { bytes } from '../format.js';

const PART = 1 << 20;

export function Logs({ id, query }) {
	const state = useApi(`/runs/${encodeURIComponent(id)}/logs`);
	const [filter, set] = useState('');
	const shown = useMemo(() => (state.data?.logs ?? []).filter((log) => log.name.includes(filter)), [state.data, filter]);
	if (!state.data) return <Waiting state={state} what="the logs" />;
	if (!state.data.logs.length) return <p class="quiet">This store has no console logs of this run: a record alone was imported, or committed.</p>;
	const current = state.data.logs.find((log) => log.name === query.log);
	return (
		<div class="logs">
			<nav aria-label="Logs">
				<input type="search" placeholder="filter" aria-label="Filter the logs by name" value={filter} onInput={(e) => set(e.currentTarget.value)} />
				<ul>
					{shown.slice(0, 400).map((log) => (
						<li key={log.name}>
							<a href={href('run', id, { tab: 'logs', log: log.name })} aria-current={log.name === query.log ? 'page' : undefined}>
								{log.name}
							</a>{' '}
							<span class="quiet">{bytes(log.bytes)}</span>
						</li>
					))}
				</ul>
				{shown.length > 400 && <p class="quiet">and {shown.length - 400} more: filter by name</p>}
			</nav>
			{query.log ? <Log key={query.log} id={id} name={query.log} size={current?.bytes ?? 0} /> : <p class="quiet">Choose one.</p>}
		</div>
	);
}

function Log({ id, name, size }) {
	const [offset, move] = useState(0);
	const path = `/runs/${encodeURIComponent(id)}/logs/${name.split('/').map(encodeURIComponent).join('/')}`;
	const state = useApi(url(path, { offset: offset || undefined }), askText);
	return (
		<section class="log" aria-label={`Log ${name}`}>
			<p>
				<b>{name}</b> <a href={apiHref(path)}>as text</a>{' '}
				{size > PART && (
					<>
						<button type="button" disabled={!offset} onClick={() => move(Math.max(0, offset - PART))}>
							before
						</button>
						<button type="button" disabled={offset + PART >= size} onClick={() => move(offset + PART)}>
							after
						</button>
					</>
				)}
			</p>
			{state.data === undefined ? <Waiting state={state} what="the log" /> : <pre tabIndex={0}>{readable(state.data) || '(empty)'}</pre>}
		</section>
	);
}

// A serial console speaks in escape sequences; guests can write anything.
function readable(text) {
	return text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, '').replace(/\r\n?/g, '\n').replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, '·');
}
