// Every page in a real browser, with real records: what it says, that it can be used by keyboard, on
// a phone, in the dark and by a screen reader, and that nothing is asked of another host.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { launch, open, serve } from './browser.js';
import { number, ofTest } from '../src/format.js';
import { addBroken, addNight, ALTERED, emptyStore, fleetlab, HOSTILE, moveRuns, referenceStore, RUN_C, RUN_D } from './store.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
let browser;
let store;
let server;
let nights;
let nightServer;

const PAGES = {
	overview: '#/',
	'paper C': '#/paper/C',
	'paper D': '#/paper/D',
	'paper without a run': '#/paper/E',
	'claim C1': '#/claim/C1',
	'claim D2a': '#/claim/D2a',
	'claim not run': '#/claim/A1',
	'run, claims': `#/run/${RUN_C}`,
	'run, trials': `#/run/${RUN_C}?tab=trials`,
	'run, series': `#/run/${RUN_C}?tab=series`,
	'run, host': `#/run/${RUN_C}?tab=host`,
	'run, logs': `#/run/${RUN_C}?tab=logs`,
	trial: `#/run/${RUN_C}/trial/4`,
	runs: '#/runs',
	trends: '#/trends?mechanism=shmipc&experiment=roundtrip&metric=roundtrip',
	'compare, nothing chosen': '#/compare',
	compare: `#/compare?a=${ALTERED}&b=${RUN_C}`,
	fleet: '#/fleet',
	files: '#/files',
};

before(async () => {
	store = referenceStore();
	addBroken(store);
	nights = emptyStore();
	await fleetlab('synthetic', '60', nights);
	addNight(nights);
	[server, nightServer, browser] = await Promise.all([serve(store), serve(nights), launch()]);
});

after(async () => {
	await browser?.close();
	await Promise.all([server?.stop(), nightServer?.stop()]);
});

const settled = (page) => page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('.waiting'));

// A page, whose `wrong` must be empty at the end of the test.
async function visit(path, use, { base = server.url, ...media } = {}) {
	const { page, wrong } = await open(browser.context, base, `/${path}`);
	try {
		if (media.colorScheme) await page.emulateMedia(media);
		if (media.viewport) await page.setViewportSize(media.viewport);
		await settled(page);
		await use(page);
		assert.deepEqual(wrong, []);
	} finally {
		await page.close();
	}
}

async function accessible(page) {
	await page.evaluate(AXE);
	const result = await page.evaluate(() => axe.run({ resultTypes: ['violations'] }));
	assert.deepEqual(
		result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3)}`),
		[],
	);
}

describe('every page', () => {
	for (const [name, path] of Object.entries(PAGES)) {
		test(`${name}: no error, accessible, no sideways scroll on a phone`, () =>
			visit(path, async (page) => {
				assert.ok((await page.textContent('h1')).length > 2);
				assert.equal(await page.locator('[role=alert]').count(), 0);
				await accessible(page);
				await page.setViewportSize({ width: 360, height: 740 });
				await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth);
			}));
	}

	test('in the dark: dark, and readable', async () => {
		for (const path of ['#/', '#/claim/C1', `#/run/${RUN_C}?tab=host`]) {
			await visit(
				path,
				async (page) => {
					const [r, g, b] = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor.match(/\d+/g).map(Number));
					assert.ok(r + g + b < 150, `background ${r}, ${g}, ${b}`);
					await accessible(page);
				},
				{ colorScheme: 'dark' },
			);
		}
	});
});

describe('what they say', () => {
	test('overview: a matrix of all claims, each with its verdict in words, and the last run', () =>
		visit('#/', async (page) => {
			assert.equal(await page.locator('.matrix-row').count(), 6);
			assert.ok((await page.locator('.cell').count()) > 40);
			const cell = page.locator('.cell', { hasText: 'C1' });
			assert.match(await cell.textContent(), /reproduced|direction-only|contradicted|inconclusive|not-comparable/);
			assert.match(await page.textContent('main'), /2 files refused/);
			await cell.click();
			await page.waitForSelector('h1:has-text("C1: shared memory is faster")');
			assert.match(page.url(), /#\/claim\/C1$/);
		}));

	test('claim: figures of the report, the command, pairs, evidence, comparability', () =>
		visit(`#/claim/C1?run=${RUN_C}`, async (page) => {
			const text = await page.textContent('main');
			assert.match(text, /109\.6 × \[77\.03, 117\.7\]/);
			assert.match(text, /129\.1 ×/);
			assert.match(text, /8 pairs \(6 needed\)/);
			assert.match(text, /not-comparable/);
			assert.match(await page.locator('.command code').first().textContent(), /^fleetlab run .*--only C1/);
			assert.equal(await page.locator('table:has-text("i7-3770") tbody tr').count(), 2);
			assert.ok((await page.locator('.evidence li').count()) > 20);
		}));

	test('run, paper, claim: the figures beside a verdict are those of the test that decided', async () => {
		const answer = await fetch(`${server.url}/api/v1/runs/${RUN_D}`);
		const claim = (await answer.json()).claims.find((c) => c.decided_by > 0 && c.tests[0].measured !== undefined && c.tests[c.decided_by].measured !== undefined);
		const [first, decided] = [claim.tests[0], claim.tests[claim.decided_by]].map((t) => number(ofTest(t).measured));
		assert.notEqual(first, decided);
		for (const path of [`#/run/${RUN_D}`, `#/paper/${claim.paper}?run=${RUN_D}`])
			await visit(path, async (page) => {
				const cells = await page.locator('table.claims tbody tr', { has: page.locator(`a:text-is("${claim.id}")`) }).locator('td').allTextContents();
				assert.ok(cells[2].startsWith(decided), `${path}: ${cells[2]}`);
				assert.equal(cells[0].includes(claim.verdict), true);
			});
		await visit(`#/claim/${claim.id}?run=${RUN_D}`, async (page) => {
			assert.match(await page.locator('section.test').nth(claim.decided_by).locator('h2').textContent(), /decided it$/);
			assert.match(await page.locator('section.test').first().locator('h2').textContent(), /must hold, too$/);
		});
	});

	test('overview: a published limit is shown as one', () =>
		visit('#/', async (page) => {
			const published = async (id) => page.locator('table.claims tbody tr', { has: page.locator(`a:text-is("${id}")`) }).locator('td').nth(1).textContent();
			assert.equal(await published('D5'), '≤ 0.003 %');
			assert.match(await published('D7'), /^≤ /);
			assert.match(await published('C1'), /^129\.1 ×$/);
		}));

	test('paper: the run that graded most is shown, and it is said where newer ones did not', () =>
		visit('#/paper/D', async (page) => {
			const shown = await page.locator('main a.id').first().textContent();
			const verdicts = await page.locator('table.claims tbody td:nth-child(2)').allTextContents();
			const graded = verdicts.filter((v) => v !== 'not-run').length;
			assert.ok(graded > 1);
			assert.ok((await page.locator('table.paper td.num a').count()) > 1);
			assert.match(await page.textContent('main .facts'), new RegExp(`${shown}.*it graded the most claims, ${graded} of ${verdicts.length};`));
		}));

	test('commands that are offered are whole, and none is for what this build lacks', async () => {
		await visit('#/claim/D8', async (page) => {
			const again = await page.locator('.facts .command code').textContent();
			const decide = await page.locator('.notice .command code').textContent();
			assert.match(again, /^fleetlab run zerocopy --only D8 --profile .* -p /);
			assert.ok(decide.startsWith(`${again} --until-decided --budget `), decide);
		});
		for (const path of ['#/paper/E', '#/claim/E1'])
			await visit(path, async (page) => assert.equal(await page.locator('main .command').count(), 0));
	});

	test('compare: the difference of two growths, not their ratio', () =>
		visit('#/compare?a=20261129T134012Z-ec1777&b=20261129T134515Z-22c8ce', async (page) => {
			const cells = page.locator('table.claims tbody tr', { has: page.locator('a:text-is("D3a")') }).locator('td');
			assert.match(await cells.nth(4).textContent(), /^[+−±][0-9.]+ points \[/);
		}));

	test('on a phone a table that is wider has a shadow, and can be scrolled by keyboard', async () => {
		for (const path of ['#/', '#/runs', '#/compare?a=20261129T134012Z-ec1777&b=20261129T134515Z-22c8ce'])
			await visit(
				path,
				async (page) => {
					await page.waitForSelector('.table-box[role=region]');
					const boxes = await page.locator('.table-box').evaluateAll((list) =>
						list.map((box) => ({ wider: box.scrollWidth > box.clientWidth + 1, tab: box.tabIndex, shadow: getComputedStyle(box).backgroundImage !== 'none' })),
					);
					for (const box of boxes) assert.deepEqual([box.tab === 0, box.shadow], [box.wider, box.wider], path);
					await accessible(page);
				},
				{ viewport: { width: 390, height: 844 } },
			);
	});

	test('paper: published beside measured, each measured cell a link to its claim', () =>
		visit(`#/paper/C?run=${RUN_C}`, async (page) => {
			const row = page.locator('tr', { hasText: 'shm-polling' }).first();
			assert.match(await row.textContent(), /17\.21 µs \[16\.56, 21\.09\]/);
			assert.equal(await row.locator('svg.bar').count(), 1);
			await row.locator('a').first().click();
			await page.waitForSelector('h1:has-text("C1")');
		}));

	test('run: host topology as nested boxes, knobs, downloads that work', () =>
		visit(`#/run/${RUN_C}?tab=host`, async (page) => {
			assert.equal(await page.locator('.n-package .n-cache .n-core .n-pu').count(), 2);
			assert.match(await page.textContent('main'), /ksm_pages_to_scan/);
			for (const link of await page.locator('.downloads a[href^="/api"]').all()) {
				const status = await page.evaluate(async (path) => (await fetch(path)).status, await link.getAttribute('href'));
				assert.equal(status, 200);
			}
		}));

	test('run: trials are filtered, and the filter is in the address', () =>
		visit(`#/run/${RUN_C}?tab=trials`, async (page) => {
			await page.getByLabel('variant').selectOption('shm-doorbell');
			await page.waitForFunction(() => location.hash.includes('variant=shm-doorbell'));
			await page.waitForFunction(() => ![...document.querySelectorAll('tbody tr')].some((row) => !row.textContent.includes('shm-doorbell')));
		}));

	test('trial: samples, parameters read back, evidence', () =>
		visit(`#/run/${RUN_C}/trial/4`, async (page) => {
			await page.waitForSelector('.chart canvas');
			assert.match(await page.textContent('main'), /region_pages/);
		}));

	test('trends: the known change of synthetic nights is marked, with the commit that came with it', () =>
		visit(
			'#/trends?mechanism=shmipc&experiment=roundtrip&variant=shm-polling&metric=roundtrip',
			async (page) => {
				await page.waitForSelector('.chart canvas');
				const row = page.locator('table:has-text("effect") tbody tr').first();
				assert.match(await row.textContent(), /\+1\d.*worse.*commit/);
				await page.waitForSelector('h2:has-text("Nights")');
				const text = await page.textContent('main');
				assert.match(text, /completeFORCED/);
				assert.match(text, /3 of 4drills caught/);
				assert.match(text, /1 nightuntil told, median/);
				assert.match(text, /2false alarms among 28 controls/);
				assert.match(text, /\+14\.3 %, worse; new commit/);
				await accessible(page);
			},
			{ base: nightServer.url },
		));

	test('trends: without a choice it is of a metric that can get better or worse', () =>
		visit('#/trends', async (page) => {
			await page.waitForSelector('.chart canvas');
			const { series } = await page.evaluate(async () => (await fetch('/api/v1/series')).json());
			const metric = (await page.locator('main h2').first().textContent()).split(',')[0];
			const shown = series.filter((s) => s.metric === metric);
			assert.ok(shown.length > 0 && shown.every((s) => s.better && s.unit && s.unit !== 'bool'));
		}));

	test('trends: hosts are told apart', async () => {
		const two = emptyStore();
		await fleetlab('synthetic', '60', two);
		moveRuns(two, 24);
		const both = await serve(two);
		try {
			await visit(
				'#/trends?mechanism=shmipc&experiment=roundtrip&variant=shm-polling&metric=roundtrip',
				async (page) => {
					await page.waitForSelector('.chart canvas');
					const text = await page.textContent('main');
					assert.match(text, /runs of several hosts/);
					assert.match(text, /2 things that were new/);
					const row = page.locator('table:has-text("effect") tbody tr').first();
					assert.match(await row.textContent(), /host [0-9a-f]{6}.*worse.*commit/);
					await accessible(page);
				},
				{ base: both.url },
			);
		} finally {
			await both.stop();
		}
	});

	test('compare: what differs comes first', () =>
		visit(
			'#/compare',
			async (page) => {
				const runs = await page.evaluate(async () => (await (await fetch('/api/v1/runs?limit=1000')).json()).runs.map((r) => r.id));
				await page.goto(`${nightServer.url}/#/compare?a=${runs[runs.length - 1]}&b=${runs[0]}`);
				await page.waitForSelector('h2:has-text("Metrics")');
				const differs = await page.locator('section:has(h2:has-text("Metrics")) tbody tr td:last-child').allTextContents();
				assert.deepEqual(differs, [...differs].sort((a, b) => Number(b === 'yes') - Number(a === 'yes')));
			},
			{ base: nightServer.url },
		));
});

describe('charts', () => {
	const CHART = '#chart-t0';

	test('hover and arrow keys tell values', () =>
		visit('#/claim/C1', async (page) => {
			const plot = page.locator(`${CHART} .plot`);
			await plot.scrollIntoViewIfNeeded();
			await plot.focus();
			await page.keyboard.press('ArrowRight');
			const told = await page.locator(`${CHART} [role=status]`).textContent();
			assert.match(told, /tcp-naive.*µs.*trial \d+/s);
			assert.equal(await page.locator(`${CHART} .tip`).textContent(), told);
			await page.keyboard.press('Escape');
			assert.ok(await page.locator(`${CHART} .tip`).isHidden());
			// A net of points over the plot, finer than the reach of a mark.
			const box = await page.locator(`${CHART} .u-over`).boundingBox();
			let seen = false;
			for (let y = 10; y < box.height && !seen; y += 30) {
				for (let x = 10; x < box.width && !seen; x += 30) {
					await page.mouse.move(box.x + x, box.y + y);
					seen = await page.locator(`${CHART} .tip`).isVisible();
				}
			}
			assert.ok(seen);
			assert.match(await page.locator(`${CHART} .tip`).textContent(), /µs/);
		}));

	test('zoom and log scale are in the address, and can be undone', () =>
		visit('#/claim/C1', async (page) => {
			const over = page.locator(`${CHART} .u-over`);
			await over.scrollIntoViewIfNeeded();
			const box = await over.boundingBox();
			await page.mouse.move(box.x + box.width * 0.1, box.y + box.height * 0.5);
			await page.mouse.down();
			await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.5, { steps: 4 });
			await page.mouse.up();
			await page.waitForFunction(() => location.hash.includes('t0-zoom='));
			await page.reload();
			await settled(page);
			await page.locator(CHART).getByRole('button', { name: 'Whole range' }).click();
			await page.waitForFunction(() => !location.hash.includes('t0-zoom='));
			await page.locator(CHART).getByRole('checkbox', { name: 'log' }).uncheck();
			await page.waitForFunction(() => location.hash.includes('t0-log=0'));
		}));

	test('CSV, PNG and table', () =>
		visit('#/claim/C1', async (page) => {
			const get = async (name) => {
				const [download] = await Promise.all([page.waitForEvent('download'), page.locator(CHART).getByRole('button', { name }).click()]);
				assert.match(download.suggestedFilename(), new RegExp(`\\.${name.toLowerCase()}$`));
				return download.path();
			};
			const csv = readFileSync(await get('CSV'), 'utf8').trim().split('\r\n');
			assert.equal(csv.length, 1 + 16);
			assert.match(csv[0], /^variant,series,"?roundtrip \(µs, log\)/);
			const png = await get('PNG');
			assert.deepEqual([...readFileSync(png).subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
			assert.ok(statSync(png).size > 4000);
			await page.locator(CHART).getByRole('button', { name: 'Table' }).click();
			assert.equal(await page.locator(`${CHART} tbody tr`).count(), 16);
		}));
});

// In one browser all pages count as seen: what a tab in the background is told is told here.
const setSeen = (page, state) =>
	page.evaluate((value) => {
		Object.defineProperty(document, 'visibilityState', { value, configurable: true });
		Object.defineProperty(document, 'hidden', { value: value !== 'visible', configurable: true });
		document.dispatchEvent(new Event('visibilitychange'));
	}, state);

describe('many tabs', () => {
	test('eight of them are shown: hidden ones hold no connection, and catch up when they are seen again', async () => {
		const growing = referenceStore();
		const one = await serve(growing);
		const pages = [];
		try {
			for (let i = 0; i < 8; i++) {
				if (i) await setSeen(pages[i - 1].page, 'hidden');
				const opened = open(browser.context, one.url, '/#/runs');
				pages.push(await opened);
				const { page } = pages[i];
				await page.waitForSelector('main tbody tr');
				await page.waitForFunction(() => performance.getEntriesByType('resource').some((r) => r.name.endsWith('/api/v1/live')));
			}
			const { page } = pages[0];
			const before = await page.locator('main tbody tr').count();
			addBroken(growing); // with a record that can be read
			await pages[7].page.waitForFunction((n) => document.querySelectorAll('main tbody tr').length > n, before);
			assert.equal(await page.locator('main tbody tr').count(), before);
			await setSeen(page, 'visible');
			await page.waitForFunction((n) => document.querySelectorAll('main tbody tr').length > n, before);
			for (const { wrong } of pages) assert.deepEqual(wrong, []);
		} finally {
			for (const { page } of pages) await page.close();
			await one.stop();
		}
	});
});

describe('by keyboard', () => {
	test('the skip link is first, and leads to the content', () =>
		visit('#/', async (page) => {
			await page.keyboard.press('Tab');
			assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
			await page.keyboard.press('Enter');
			assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
			await page.keyboard.press('Tab');
			assert.ok(await page.evaluate(() => document.querySelector('main').contains(document.activeElement)));
			assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none');
		}));

	test('a link followed by Enter gives a new page whose content has the focus', () =>
		visit('#/', async (page) => {
			await page.locator('.cell', { hasText: 'C1' }).focus();
			await page.keyboard.press('Enter');
			await page.waitForSelector('h1:has-text("C1:")');
			assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
			assert.match(await page.title(), /C1/);
			await page.goBack();
			await page.waitForSelector('.matrix');
		}));
});

describe('when something is wrong', () => {
	test('an empty store says how to begin', async () => {
		const empty = await serve(emptyStore());
		try {
			for (const [path, text] of [['#/', 'fleetlab run shmipc'], ['#/runs', 'fleetlab run shmipc'], ['#/trends', 'No readings yet'], ['#/paper/C', 'No run has this mechanism'], ['#/claim/C1', 'not-run']]) {
				await visit(path, async (page) => {
					await page.waitForSelector(`main:has-text("${text}")`);
					await accessible(page);
				}, { base: empty.url });
			}
		} finally {
			await empty.stop();
		}
	});

	test('refused files are listed with the reason', () =>
		visit('#/files', async (page) => {
			const text = await page.textContent('main table');
			assert.match(text, /20250102T000000Z-cccccc\.json.*damaged/);
			assert.match(text, /notes\.json(damaged|foreign)/);
		}));

	test('an altered record says so, and its markup stays text', () =>
		visit(`#/run/${ALTERED}?tab=trials`, async (page) => {
			const text = await page.textContent('main');
			assert.match(text, /changed after it was written/);
			assert.ok(text.includes(HOSTILE));
			assert.equal(await page.locator('main img').count(), 0);
			for (const tab of ['claims', 'host']) {
				await page.goto(`${server.url}/#/run/${ALTERED}?tab=${tab}`);
				await settled(page);
			}
			await page.goto(`${server.url}/#/run/${ALTERED}/trial/1`);
			await page.waitForSelector('.evidence');
			assert.equal(await page.locator('main img').count(), 0);
		}));

	test('unknown pages, runs and claims are told, with a way on', async () => {
		for (const [path, message] of [['#/nonsense', 'There is no page'], ['#/run/20200101T000000Z-000000', 'Cannot show run'], ['#/claim/Z9', 'Cannot show claim Z9'], [`#/run/${RUN_C}/trial/999`, 'Cannot show trial 999'], ['#/fleet/nobody', 'Cannot show fleet']]) {
			const { page } = await open(browser.context, server.url, `/${path}`);
			await page.waitForSelector(`main:has-text("${message}")`);
			assert.ok((await page.locator('main a').count()) > 0);
			await page.close();
		}
	});

	test('a server that has gone is told, and what was shown stays', async () => {
		const short = await serve(referenceStore());
		const { page } = await open(browser.context, short.url, '/#/');
		await page.waitForSelector('.matrix');
		await short.stop();
		await page.evaluate(() => (location.hash = '#/paper/C'));
		await page.waitForSelector('[role=alert]:has-text("does not answer")');
		await page.goBack();
		await page.waitForSelector('.matrix');
		await page.close();
	});
});
