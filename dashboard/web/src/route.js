// Addresses: everything that a view shows is in the part after '#', as a path with a query, so that
// any view can be bookmarked and sent, and the server needs to know none of them.
import { useEffect, useState } from 'preact/hooks';

export function parse(hash) {
	const text = hash.replace(/^#/, '') || '/';
	const mark = text.indexOf('?');
	const path = mark < 0 ? text : text.slice(0, mark);
	const query = Object.fromEntries(new URLSearchParams(mark < 0 ? '' : text.slice(mark + 1)));
	const words = path.split('/').filter(Boolean).map(decode);
	return { words, query };
}

function decode(word) {
	try {
		return decodeURIComponent(word);
	} catch {
		return word;
	}
}

// href('run', id, {tab: 'host'}); words that are objects are the query, unset values are left out.
export function href(...parts) {
	const words = parts.filter((part) => typeof part !== 'object');
	const query = Object.entries(Object.assign({}, ...parts.filter((part) => typeof part === 'object'))).filter(
		([, v]) => v !== undefined && v !== null && v !== '' && v !== false,
	);
	const tail = query.length ? `?${new URLSearchParams(query.map(([k, v]) => [k, String(v)]))}` : '';
	return `#/${words.map((word) => encodeURIComponent(word)).join('/')}${tail}`;
}

export function useRoute() {
	const [route, set] = useState(() => parse(location.hash));
	useEffect(() => {
		const follow = () => set(parse(location.hash));
		addEventListener('hashchange', follow);
		return () => removeEventListener('hashchange', follow);
	}, []);
	return route;
}

// Changes the query in place: filters and zoom are no steps of the history.
export function setQuery(changes) {
	const { words, query } = parse(location.hash);
	const next = href(...words, { ...query, ...changes });
	if (next === location.hash) return;
	history.replaceState(null, '', next);
	dispatchEvent(new HashChangeEvent('hashchange'));
}
