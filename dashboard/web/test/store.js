// Stores for the tests, made in scratch directories from the reference records.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FLEETLAB } from './browser.js';

const REFERENCE = new URL('../../../results/reference', import.meta.url).pathname;
export const fleetlab = (...words) => promisify(execFile)(FLEETLAB, words, { maxBuffer: 1 << 26 });

export function emptyStore() {
	return mkdtempSync(join(process.env.SCRATCH ?? tmpdir(), 'store-'));
}

export function referenceStore() {
	const dir = emptyStore();
	cpSync(REFERENCE, join(dir, 'reference'), { recursive: true });
	return dir;
}

// The oldest reference run of paper C: its claims and figures are in README.
export const RUN_C = readdirSync(REFERENCE)
	.filter((name) => name.endsWith('.json'))
	.sort()
	.map((name) => name.replace('.json', ''))
	.find((id) => JSON.parse(readFileSync(join(REFERENCE, `${id}.json`), 'utf8')).plan.mechanisms.includes('shmipc'));

export const ALTERED = '20250101T000000Z-aaaaaa';
export const HOSTILE = '<img src=x onerror=alert(1)>';

// A record cut short, a file that is none, and one that was changed after it was written, full of
// what would be harmful were it taken for HTML.
export function addBroken(dir) {
	const text = readFileSync(join(REFERENCE, `${RUN_C}.json`), 'utf8');
	const record = JSON.parse(text);
	mkdirSync(join(dir, 'runs'), { recursive: true });
	writeFileSync(join(dir, 'runs', '20250102T000000Z-cccccc.json'), text.slice(0, 5000));
	writeFileSync(join(dir, 'runs', 'notes.json'), '{"shopping": ["milk"]}');
	record.id = ALTERED;
	record.started = '2025-01-01T00:00:00Z';
	record.command = ['run', HOSTILE];
	record.build.commit = HOSTILE;
	record.host.qemu.version = HOSTILE;
	record.trials[0].outcome = 'failed';
	record.trials[0].reason = HOSTILE;
	record.trials[1].evidence[0].text = HOSTILE;
	record.trials[2].samples[0].values[0] = 1e6;
	writeFileSync(join(dir, 'runs', `${ALTERED}.json`), JSON.stringify(record));
}
