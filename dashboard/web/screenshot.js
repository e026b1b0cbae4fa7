// node screenshot.js OUT.png: the picture in README, of the reference records, in a real browser.
// FLEETLAB and CHROMIUM as for the tests.
import { statSync } from 'node:fs';
import { launch, open, serve } from './test/browser.js';
import { referenceStore } from './test/store.js';

const MOST_BYTES = 200000;
const out = process.argv[2];
if (!out) {
	console.error('usage: node dashboard/web/screenshot.js docs/dashboard.png');
	process.exit(1);
}
const server = await serve(referenceStore());
const browser = await launch({ viewport: { width: 1200, height: 1300 } });
const { page } = await open(browser.context, server.url, '/#/');
await page.waitForSelector('.claims tbody tr');
await page.screenshot({ path: out });
await browser.close();
await server.stop();
const size = statSync(out).size;
if (size > MOST_BYTES) throw new Error(`${out} has ${size} bytes, more than ${MOST_BYTES}`);
console.log(`${out}: ${size} bytes`);
