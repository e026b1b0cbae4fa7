// Ten thousand runs: the first view stays small and quick, and every page is still of use. The store is
// made by the scenario (STORE_10000), beside the other tests.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open, serve } from './browser.js';

const MOST_REQUESTS = 4; // the page, its script, style and icon
const MOST_BYTES = 60000;
const store = process.env.STORE_10000;
let browser;
let server;

before(async () => {
	[server, browser] = await Promise.all([serve(store), launch()]);
});

after(async () => {
	await browser?.close();
	await server?.stop();
});

test('ten thousand runs are all there', async () => {
	const { page } = await open(browser.context, server.url, '/#/runs');
	await page.waitForSelector('main:has-text("of 10\u202f000 runs")', { timeout: 60000 });
	await page.getByRole('button', { name: 'older' }).click();
	await page.waitForFunction(() => location.hash.includes('offset=50'));
	await page.waitForSelector('main:has-text("51–100")');
	await page.close();
});

// How long it takes is measured by first-view.js.
test('the first view needs little, however many runs there are', async () => {
	const { page, wrong } = await open(browser.context, server.url, '/#/');
	await page.waitForSelector('.matrix-row');
	const needed = await page.evaluate(
		() =>
			new Promise((resolve) => {
				const look = (list) => {
					const painted = list.getEntriesByName('first-contentful-paint')[0];
					if (!painted) return;
					const entries = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
					resolve(entries.filter((entry) => entry.startTime < painted.startTime).map(({ name, encodedBodySize }) => ({ name, encodedBodySize })));
				};
				new PerformanceObserver(look).observe({ type: 'paint', buffered: true });
			}),
	);
	assert.ok(needed.length <= MOST_REQUESTS, JSON.stringify(needed));
	assert.ok(!needed.some(({ name }) => name.includes('/api/')), JSON.stringify(needed));
	const bytes = needed.reduce((all, { encodedBodySize }) => all + encodedBodySize, 0);
	assert.ok(bytes > 0 && bytes < MOST_BYTES, `${bytes} bytes`);
	assert.deepEqual(wrong, []);
	await page.close();
});

test('a trend of ten thousand nights is drawn: the latest, then all', async () => {
	const { page, wrong } = await open(browser.context, server.url, '/#/trends?mechanism=shmipc&experiment=roundtrip&variant=shm-polling&metric=roundtrip');
	await page.waitForSelector('.chart canvas', { timeout: 60000 });
	await page.getByRole('button', { name: 'The latest 10000' }).click();
	await page.waitForSelector('main:has-text("These are")', { state: 'detached', timeout: 60000 });
	await page.waitForSelector('.chart canvas');
	assert.deepEqual(wrong, []);
	await page.close();
});
