// What moves: a real run seen while it goes on, and a real fleet.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { FLEETLAB, launch, open, serve } from './browser.js';
import { emptyStore, fleetlab } from './store.js';

const RUN_MS = 90000;
let browser;
let store;
let server;

before(async () => {
	store = emptyStore();
	[server, browser] = await Promise.all([serve(store), launch()]);
});

after(async () => {
	await browser?.close();
	await server?.stop();
});

// Resolves to the exit status; 'killed' when it has not ended in time.
function ended(child) {
	return new Promise((resolve) => {
		const late = setTimeout(() => child.kill('SIGKILL'), RUN_MS);
		child.once('exit', (code) => {
			clearTimeout(late);
			resolve(code ?? 'killed');
		});
	});
}

test('a run in progress is seen on the front page, its trials arrive on its own, and then its verdicts', { timeout: RUN_MS + 30000 }, async () => {
	const { page, wrong } = await open(browser.context, server.url, '/#/');
	await page.waitForSelector('main:has-text("No run yet")');
	// Each of the 30 readings of a trial takes 10 ms: long enough to be watched.
	const run = spawn(FLEETLAB, ['run', 'null', '-e', 'effect', '--profile', 'smoke', '-p', 'base_us=10000', '-p', 'readings=30', '--results', store], { stdio: 'ignore' });
	const end = ended(run);
	await page.waitForSelector('.progress', { timeout: RUN_MS });
	await page.waitForSelector('.live-now');
	await page.locator('.progress a.id').click();
	await page.waitForSelector('h1');
	// How many rows the table had, at each of its changes.
	await page.evaluate(() => {
		window.seen = new Set();
		new MutationObserver(() => window.seen.add(document.querySelectorAll('main table tbody tr').length)).observe(document.body, { childList: true, subtree: true });
	});
	await page.waitForSelector('.notice:has-text("has just ended")', { timeout: RUN_MS });
	const seen = await page.evaluate(() => [...window.seen]);
	assert.ok(seen.length >= 3, `the table was seen with ${seen} rows`);
	assert.equal(await end, 0);
	await page.getByRole('link', { name: 'Claims' }).click();
	// What was graded while the run went on gives way to the record's verdict.
	await page.locator('tr', { hasText: 'N1' }).filter({ hasText: /inconclusive|reproduced/ }).first().waitFor();
	await page.waitForSelector('.live-now', { state: 'detached' }); // with the next event of the store
	await page.goto(`${server.url}/#/`);
	await page.waitForSelector('h2:has-text("Last run") ~ p a.id');
	assert.deepEqual(wrong, []);
});

test('an interrupted run says how to go on', { timeout: RUN_MS + 30000 }, async () => {
	const { page, wrong } = await open(browser.context, server.url, '/#/');
	const run = spawn(FLEETLAB, ['run', 'null', '-e', 'effect', '--profile', 'smoke', '-p', 'base_us=100000', '-p', 'readings=50', '--results', store], { stdio: 'ignore' });
	const end = ended(run);
	await page.waitForSelector('.progress', { timeout: RUN_MS });
	run.kill('SIGKILL');
	await end;
	await page.waitForSelector('.notice:has-text("interrupted") code:has-text("--resume")', { timeout: RUN_MS });
	assert.deepEqual(wrong, []);
});

test('a run whose journal cannot be followed says why', async () => {
	const id = '20991231T235959Z-3f9a1c'; // the newest
	const lines = [{ run: { plan: { trials: [] } } }, { trial: { index: 0, outcome: 'failed', reason: 'x'.repeat(100000) } }];
	mkdirSync(`${store}/runs/${id}`);
	writeFileSync(`${store}/runs/${id}/journal.jsonl`, lines.map((line) => JSON.stringify(line) + '\n').join(''));
	const { page, wrong } = await open(browser.context, server.url, '/#/');
	await page.locator('.notice', { hasText: id }).filter({ hasText: 'too large to be told' }).waitFor();
	assert.deepEqual(wrong, []);
	rmSync(`${store}/runs/${id}`, { recursive: true });
});

test('a running fleet: its guests, their memory and CPU, and its end', { timeout: RUN_MS + 60000 }, async () => {
	const name = `dash${process.pid}`;
	await fleetlab('fleet', 'up', '2', '--name', name);
	try {
		const { page, wrong } = await open(browser.context, server.url, '/#/fleet');
		await page.locator('main a', { hasText: name }).click();
		await page.waitForSelector('main:has-text("2 of 2 alive")');
		const told = await page.evaluate(async (path) => (await fetch(path)).json(), `/api/v1/fleets/${name}`);
		if (told.guests[0].cpu_s !== undefined) await page.waitForSelector('td:has-text("%")');
		assert.equal(told.guests[0].balloon_bytes, told.guests[0].memory_bytes);
		const text = await page.textContent('main table');
		assert.match(text, /g0/);
		assert.match(text, /MiB/);
		const column = await page.locator('main table').first().locator('thead th, thead td').allTextContents();
		const cells = await page.locator('main table').first().locator('tbody tr').first().locator('th, td').allTextContents();
		assert.match(cells[column.indexOf('balloon')], /^\d+ MiB$/);
		assert.deepEqual(wrong, []);
		await fleetlab('fleet', 'down', '--name', name);
		await page.waitForSelector('.notice:has-text("does not answer any more")');
	} finally {
		await fleetlab('fleet', 'down', '--name', name).catch(() => {});
	}
});
