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

// A reference run of paper D in which other tests than a claim's first have decided.
export const RUN_D = '20261129T134515Z-22c8ce';

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

// The oldest of the runs are of another host, which has more cores.
export function moveRuns(dir, count) {
	const runs = join(dir, 'runs');
	for (const name of readdirSync(runs).sort().slice(0, count)) {
		const record = JSON.parse(readFileSync(join(runs, name), 'utf8'));
		record.host.cpu.cores = 16;
		writeFileSync(join(runs, name), JSON.stringify(record));
	}
}

// A night as fleetlab nightly writes it (results/schema/night.schema.json), with a drill and an alert.
export function addNight(dir) {
	const verdict = { state: 'confirmed', kind: 'change', reason: 'a change point', alert: true, nights: 40, effect: 0.143, direction: 'worse', attribution: { text: 'new commit (build.commit: a → b)', changes: [] } };
	const night = {
		schema: 'fleetlab.night/1',
		id: '20260101T030000Z-abcdef',
		started: '2026-01-01T03:00:00Z',
		state: 'complete',
		forced: true,
		reason: '',
		host: { changed: [{ kind: 'kernel', field: 'kernel.release', before: '6.1', after: '6.2' }] },
		runs: [{ id: '20260101T030001Z-000001', purpose: 'measure', state: 'complete' }],
		metrics: [{ name: 'shmipc roundtrip shm-polling roundtrip', mechanism: 'shmipc', experiment: 'roundtrip', variant: 'shm-polling', metric: 'roundtrip', value: 0.01, pairs: 8, verdict }],
		drill: { id: '20260101T030000Z-abcdef', mechanism: 'shmipc', experiment: 'roundtrip', variant: 'udp', slowdown: 1.3, night: 1, state: 'caught', reason: '', delay_nights: 1, caught_by: 'shmipc roundtrip udp', controls: 7, false_alarms: [], metrics: [], memory: {} },
		ledger: { drills: 4, caught: 3, missed: 1, open: 0, false_alarms: 2, controls: 28, delays: [0, 1, 1], delay_median: 1, precision: 0.6, recall: 0.75 },
		totals: { metrics: 1, learning: 0, quiet: 0, suspect: 0, confirmed: 1, recovered: 0, regressions: 1, improvements: 0, changes: 0, wall_s: 700 },
	};
	mkdirSync(join(dir, 'nightly'), { recursive: true });
	writeFileSync(join(dir, 'nightly', `${night.id}.json`), JSON.stringify(night));
}
