// Asks the server: one cache for all views, kept fresh by the server's own events, so that going
// back is instant and a page never shows what is out of date for long.
import { useEffect, useState } from 'preact/hooks';

const BASE = '/api/v1';
const KEPT = 60; // answers

const cache = new Map(); // path → {data, error, generation}
let generation = 0; // of what the cache has, counted here
let seen; // the server's generation that is the newest one here
const watchers = new Set();

// The page comes with the answers that its first view needs.
const given = document.getElementById('answers')?.textContent;
if (given) {
	const answers = JSON.parse(given);
	for (const [path, data] of Object.entries(answers)) cache.set(path, { data, generation });
	seen = answers['/overview']?.generation;
}

export function url(path, query = {}) {
	const words = Object.entries(query)
		.filter(([, v]) => v !== undefined && v !== null && v !== '')
		.map(([k, v]) => `${encodeURIComponent(k)}=${encodeURIComponent(v)}`);
	return words.length ? `${path}${path.includes('?') ? '&' : '?'}${words.join('&')}` : path;
}

// Paths as the API gives them ("samples") begin with its own base.
const full = (path) => (path.startsWith('/api/') ? path : BASE + path);

class ApiError extends Error {
	constructor(status, message, remedy) {
		super(message);
		this.status = status;
		this.remedy = remedy;
	}
}

async function answer(path, text) {
	let response;
	try {
		response = await fetch(full(path), { headers: { Accept: text ? 'text/plain' : 'application/json' } });
	} catch {
		throw new ApiError(0, 'the server does not answer', 'is fleetlab serve still running?');
	}
	if (response.status === 401) {
		location.assign('/login');
		throw new ApiError(401, 'a token is wanted', 'log in');
	}
	if (!response.ok) {
		const said = await response.json().catch(() => ({}));
		throw new ApiError(response.status, said.error?.message ?? `the server answered ${response.status}`, said.error?.remedy);
	}
	return text ? response.text() : response.json();
}

export const ask = (path) => answer(path, false);
export const askText = (path) => answer(path, true);

function remember(path, entry) {
	cache.delete(path);
	cache.set(path, entry);
	if (cache.size > KEPT) cache.delete(cache.keys().next().value);
}

// One request for a path at a time, whoever asks; resolves when the cache has its answer.
const under = new Map();
function request(path, fetcher) {
	if (!under.has(path)) {
		const asked = generation;
		under.set(
			path,
			fetcher(path)
				.then((data) => remember(path, { data, generation: asked }))
				.catch((error) => remember(path, { data: cache.get(path)?.data, error, generation: asked }))
				.finally(() => under.delete(path)),
		);
	}
	return under.get(path);
}

// {data, error}; both undefined while the first answer is under way. `path` null asks nothing.
// The old answer stays while a newer one is fetched.
export function useApi(path, fetcher = ask) {
	const [, render] = useState(0);
	const entry = path ? cache.get(path) : undefined;

	// At once, not when the page has been painted: the first view waits for it.
	if (path && !entry) request(path, fetcher);
	useEffect(() => {
		if (!path) return undefined;
		let gone = false;
		const load = () =>
			request(path, fetcher).finally(() => {
				if (gone) return;
				render((n) => n + 1);
				if (cache.get(path)?.generation < generation) load(); // asked before the last change
			});
		const known = cache.get(path);
		if (!known || known.error || known.generation !== generation) load();
		else if (known !== entry) render((n) => n + 1);
		watchers.add(load);
		return () => {
			gone = true;
			watchers.delete(load);
		};
	}, [path]);
	return entry ?? {};
}

// ---- events ----

const live = { runs: [] };
const liveWatchers = new Set();

function tell() {
	for (const watcher of liveWatchers) watcher();
}

// Asks anew whatever is on the page, once for a burst of changes.
let pending = 0;
function changed() {
	clearTimeout(pending);
	pending = setTimeout(() => {
		generation++;
		for (const load of [...watchers]) load();
	}, 150);
}

// An event source while the page is seen: a browser has six connections to a server for all of its
// tabs, and hidden ones must not hold them. Returns how to stop.
function stream(path, handlers) {
	let source;
	const start = () => {
		if (source || document.visibilityState !== 'visible') return;
		source = new EventSource(BASE + path);
		for (const [name, handler] of Object.entries(handlers)) {
			source.addEventListener(name, (event) => handler(event.data === undefined ? undefined : JSON.parse(event.data)));
		}
	};
	const stop = () => {
		source?.close();
		source = undefined;
	};
	const look = () => (document.visibilityState === 'visible' ? start() : stop());
	document.addEventListener('visibilitychange', look);
	start();
	return () => {
		document.removeEventListener('visibilitychange', look);
		stop();
	};
}

export function listen() {
	stream('/events', {
		index: (data) => {
			if (seen !== undefined && data.generation !== seen) changed();
			seen = data.generation;
		},
		live: (data) => {
			live.runs = data.runs ?? [];
			tell();
		},
	});
	ask('/live')
		.then((said) => {
			live.runs = said.runs ?? [];
			tell();
		})
		.catch(() => {});
}

export function useLive() {
	const [, render] = useState(0);
	useEffect(() => {
		const watcher = () => render((n) => n + 1);
		liveWatchers.add(watcher);
		return () => liveWatchers.delete(watcher);
	}, []);
	return live;
}

// Follows one run from its journal; calls back with the event's name and its data. Returns how to
// stop.
export function follow(run, callback) {
	const names = ['run', 'trial', 'state', 'end'];
	const stop = stream(
		`/runs/${encodeURIComponent(run)}/events`,
		Object.fromEntries(
			names.map((name) => [
				name,
				(data) => {
					callback(name, data);
					if (name === 'end') stop();
				},
			]),
		),
	);
	return stop;
}

export const apiHref = full;
