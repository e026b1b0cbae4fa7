// node first-view.js STORE [TIMES]: how long the first view of a store takes in a browser that
// already runs, with nothing of the pages in its cache, and where the time goes. The browser is
// driven without what watches requests and scripts for tests (playwright), which costs it a
// quarter of the time. FLEETLAB and CHROMIUM as for the tests.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHROMIUM, FLAGS, WAIT_MS, serve } from './test/browser.js';

const [store, times = '11'] = process.argv.slice(2);
if (!store) {
	console.error('usage: node dashboard/web/first-view.js STORE [TIMES]');
	process.exit(1);
}

// Chromium's own protocol: JSON texts over two pipes, each ended by a NUL.
function start(profile) {
	const child = spawn(CHROMIUM, ['--headless', '--no-sandbox', ...FLAGS, `--user-data-dir=${profile}`, '--remote-debugging-pipe', 'about:blank'], {
		stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
	});
	const waiting = new Map();
	let heard = '';
	let last = 0;
	child.stdio[4].on('data', (data) => {
		const texts = (heard + data).split('\0');
		heard = texts.pop();
		for (const { id, result, error } of texts.map((text) => JSON.parse(text))) {
			const { resolve, reject } = waiting.get(id) ?? {};
			if (error) reject?.(new Error(error.message));
			else resolve?.(result);
			waiting.delete(id);
		}
	});
	const send = (method, params = {}, sessionId) =>
		new Promise((resolve, reject) => {
			const id = ++last;
			const late = setTimeout(() => reject(new Error(`chromium does not answer ${method}`)), WAIT_MS);
			waiting.set(id, { resolve: (result) => resolve((clearTimeout(late), result)), reject });
			child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
		});
	const stop = () => new Promise((ended) => (child.once('exit', ended), send('Browser.close').catch(() => child.kill('SIGKILL'))));
	return { send, stop };
}

// What the page's own clock says, in ms from the beginning of the navigation; undefined as long as
// not all is there. The first view is there when the largest text of it has been painted.
async function look() {
	const resource = (end) => performance.getEntriesByType('resource').find((e) => e.name.endsWith(end));
	const paints = await new Promise((resolve) => {
		new PerformanceObserver((list) => resolve(list.getEntries())).observe({ type: 'largest-contentful-paint', buffered: true });
	});
	const view = paints.at(-1);
	const paint = performance.getEntriesByName('first-contentful-paint')[0];
	if (!document.querySelector('.matrix-row')) return undefined;
	return {
		'page is there': performance.getEntriesByType('navigation')[0].responseEnd,
		'script is there': resource(document.scripts[0].src)?.responseEnd,
		'overview is there': resource('/overview')?.responseEnd,
		'first paint': paint.startTime,
		'first view': view.startTime,
		requests: performance.getEntriesByType('resource').filter((e) => e.startTime < view.startTime).length + 1,
	};
}

// In a tab that shows another page of the server, so that no process has to be started for it.
async function visit(browser, url) {
	const { targetId } = await browser.send('Target.createTarget', { url: process.env.COLD ? 'about:blank' : `${server.url}/api/v1/` });
	const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
	const run = async (expression) => (await browser.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true }, sessionId)).result.value;
	await new Promise((resolve) => setTimeout(resolve, 500));
	await browser.send('Network.clearBrowserCache', {}, sessionId);
	await browser.send('Page.navigate', { url }, sessionId);
	for (const until = Date.now() + WAIT_MS; Date.now() < until; ) {
		await new Promise((resolve) => setTimeout(resolve, 700)); // seldom: to look is work too
		const seen = await run(`(${look})()`);
		if (!seen) continue;
		await browser.send('Target.closeTarget', { targetId });
		return seen;
	}
	throw new Error(`${url}: the first view does not come`);
}

const server = await serve(store);
const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
const browser = start(profile);
const seen = [];
try {
	await visit(browser, `${server.url}/#/`); // what the browser itself does but once
	for (let i = 0; i < Number(times); i++) seen.push(await visit(browser, `${server.url}/#/`));
} finally {
	await browser.stop();
	await server.stop();
	rmSync(profile, { recursive: true, force: true });
}
for (const name of Object.keys(seen[0])) {
	const values = seen.map((row) => row[name]).filter((value) => value !== undefined).sort((a, b) => a - b);
	const at = (share) => values[Math.round(share * (values.length - 1))]?.toFixed(0).padStart(4);
	if (values.length) console.log(`${name.padEnd(18)} median ${at(0.5)}, best ${at(0)}, worst ${at(1)}${name === 'requests' ? '' : ' ms'}`);
}
