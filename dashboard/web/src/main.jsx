// The shell of all pages: which view an address shows, navigation, and what every page must have.
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { listen, useApi, useLive } from './api.js';
import { Link, Notice, Waiting } from './parts/basics.jsx';
import { useRoute } from './route.js';
import { Overview } from './pages/overview.jsx';

// The front page comes with the shell; all others are loaded together when the first of them is
// asked for.
const PAGES = { '': Overview };
for (const name of ['Paper', 'Claim', 'Run', 'Runs', 'Trends', 'Compare', 'Fleet', 'Files']) PAGES[name.toLowerCase()] = later(name);

let pages; // once they are there
const load = () =>
	import('./pages/others.js').then(
		(module) => (pages = module),
		() => {
			// The browser's own words name a file.
			throw Object.assign(new Error('the server does not answer, or has become another that lacks this page’s files'), {
				remedy: 'is fleetlab serve still running? If so, load the page anew',
			});
		},
	);

function later(name) {
	return function Later(props) {
		const [state, set] = useState({});
		useEffect(() => {
			if (!pages) load().then(() => set({}), (error) => set({ error }));
		}, []);
		if (!pages) return <Waiting state={state} what="the page" />;
		const View = pages[name];
		return <View {...props} />;
	};
}

const NAVIGATION = [
	['', 'Overview'],
	['runs', 'Runs'],
	['trends', 'Trends'],
	['compare', 'Compare'],
	['fleet', 'Fleet'],
];

const BELONGS = { paper: '', claim: '', run: 'runs', files: 'runs' };

function Live() {
	const live = useLive();
	const running = live.runs.filter((run) => run.state === 'running');
	if (!running.length) return null;
	const run = running[0];
	return (
		<Link to={['run', run.id]} class="live-now">
			<span class="pulse" aria-hidden="true" /> running {run.finished}/{run.planned}
		</Link>
	);
}

function Missing({ words }) {
	return (
		<Notice kind="bad">
			<p>
				There is no page <code>{words.join('/')}</code>. <Link to={[]}>Overview</Link>
			</p>
		</Notice>
	);
}

function App() {
	const { words, query } = useRoute();
	const about = useApi('/');
	const main = useRef(null);
	const name = words[0] ?? '';
	const View = Object.hasOwn(PAGES, name) ? PAGES[name] : Missing;
	const place = `${name}/${words[1] ?? ''}`;
	const first = useRef(true);

	// What is shown first does not wait for what comes later.
	useEffect(() => {
		const idle = window.requestIdleCallback ?? setTimeout;
		idle(listen);
		idle(() => load().catch(() => {}));
	}, []);

	// A new page begins at its top, and a screen reader is told.
	useEffect(() => {
		if (first.current) {
			first.current = false;
			return;
		}
		scrollTo(0, 0);
		main.current?.focus({ preventScroll: true });
	}, [place]);

	const skip = (event) => {
		event.preventDefault();
		main.current.focus();
	};
	return (
		<>
			<a class="skip" href="#main" onClick={skip}>
				Skip to the content
			</a>
			<header class="top">
				<Link to={[]} class="brand">
					fleetlab
				</Link>
				<nav aria-label="Pages">
					{NAVIGATION.map(([page, text]) => (
						<Link key={page} to={page ? [page] : []} aria-current={(BELONGS[name] ?? name) === page ? 'page' : undefined}>
							{text}
						</Link>
					))}
				</nav>
				<Live />
			</header>
			<main id="main" tabIndex={-1} ref={main}>
				<View key={place} words={words} query={query} />
			</main>
			<footer>
				{about.data && (
					<span>
						fleetlab {about.data.version}, commit <code>{about.data.commit}</code>
					</span>
				)}
				<span>Times are UTC; intervals are 95 %, over trials.</span>
			</footer>
		</>
	);
}

render(<App />, document.getElementById('app'));
