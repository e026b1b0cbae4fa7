// Figures as text, and where axes have their marks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as format from '../src/format.js';
import { logSplits, plainSplits, ticks } from '../src/parts/ticks.js';
import { toCsv } from '../src/parts/files.js';
import { href, parse } from '../src/route.js';

test('numbers have four significant digits, as in fleetlab report', () => {
	const cases = [
		[14978, '14978'], [129.1206, '129.1'], [0.25, '0.25'], [0.00003, '3e-5'], [17.20825, '17.21'], [0, '0'],
		[1e9, '1e+9'], [-1183.4, '−1183'], [999.96, '1000'], [Infinity, '∞'], [NaN, '–'], [undefined, '–'],
	];
	for (const [value, text] of cases) assert.equal(format.number(value), text);
});

test('values carry their unit, intervals only while they are bounded', () => {
	assert.equal(format.value(17.2, 'us'), '17.2 µs');
	assert.equal(format.value(1, 'bool'), 'yes');
	assert.equal(format.value(82688330, 'bytes'), '82.7 MB');
	assert.equal(format.interval(109.557, 77.034, 117.71, 'x'), '109.6 × [77.03, 117.7]');
	assert.equal(format.interval(109.557, -Infinity, Infinity, 'x'), '109.6 ×');
	assert.equal(format.interval(109.557, undefined, undefined, 'x'), '109.6 ×');
	assert.equal(format.interval(-0.0897, -0.397, 0.105, 'growth over the range'), '−8.97 % [−39.7 %, +10.5 %] over the range');
	assert.equal(format.range(undefined, 4000, 5000, 'us'), '4000–5000 µs');
	assert.equal(format.range(116, undefined, undefined, 'us'), '116 µs');
});

test("a claim's figures are those of the test that decided it", () => {
	const tests = [{ measured: 3 }, { measured: 1 }];
	assert.equal(format.decidingTest({ tests, decided_by: 1 }).measured, 1);
	assert.equal(format.decidingTest({ tests }).measured, 3);
	assert.deepEqual(format.decidingTest({}), {});
});

test('durations, sizes, times and changes', () => {
	assert.equal(format.duration(0.4832), '0.48 s');
	assert.equal(format.duration(144), '2 min 24 s');
	assert.equal(format.duration(7265), '2 h 1 min');
	assert.equal(format.memory(33554432), '32 MiB');
	assert.equal(format.time('2026-11-20T23:03:53Z'), '2026-11-20 23:03:53');
	assert.equal(format.change(0.143), '+14.3 %');
	assert.equal(format.change(-0.05), '−5 %');
	assert.equal(format.coordinates('{"ints":8192}'), 'ints = 8192');
	assert.equal(format.coordinates('{broken'), '{broken');
});

test('a slope is shown as per cent, a test that holds as yes', () => {
	const slope = format.ofTest({ kind: 'slope', measured: 0.1757, unit: 'growth over the range' });
	assert.equal(slope.unit, '%');
	assert.ok(Math.abs(slope.measured - 17.57) < 1e-9);
	assert.equal(format.value(1, format.ofTest({ kind: 'holds', measured: 1 }).unit), 'yes');
});

test('a limit is shown as one, the difference of two growths in points', () => {
	assert.equal(format.publishedOf(format.ofTest({ kind: 'bound', published: 0.003, unit: '%', limit: 'at most' })), '≤ 0.003 %');
	assert.equal(format.points(0.0123, -0.005, 0.03), '+1.23 points [−0.5, +3]');
	assert.equal(format.points(-0.2, undefined, undefined), '−20 points');
});

test('what decides a claim is its command again, with a budget for all of its trials', () => {
	const command = 'fleetlab run zerocopy --only D8 --profile paper -p memory_mib=512';
	assert.equal(format.decideCommand({ command, wall_s: 250, forecast: { pairs: 4, seconds: 51 } }), `${command} --until-decided --budget 10m`);
	assert.equal(format.decideCommand({ command, forecast: { pairs: 4 } }), undefined);
	assert.equal(format.decideCommand({ forecast: { seconds: 4 } }), undefined);
});

test('marks of axes are round, inside and few', () => {
	assert.deepEqual(logSplits(13.14, 2400), [100, 1000]);
	assert.deepEqual(logSplits(15, 900), [20, 50, 100, 200, 500]);
	assert.deepEqual(plainSplits(0, 10, 6), [0, 2, 4, 6, 8, 10]);
	assert.deepEqual(ticks({ log: true, low: 16, high: 15000 }), [100, 1000, 10000]);
	for (const [low, high] of [[1e-9, 1e9], [3, 3.0001], [0.2, 0.9]]) {
		const all = logSplits(low, high);
		assert.ok(all.length <= 12, `${all.length} marks in ${low}…${high}`);
		assert.ok(all.every((v) => v >= low * 0.999999 && v <= high * 1.000001));
	}
});

test('CSV is quoted, and a record cannot smuggle a formula into a spreadsheet', () => {
	const text = toCsv(['a', 'b'], [['x,"y"', 1.5], ['=cmd()', -2], ['-1+1', NaN]]);
	assert.equal(text, 'a,b\r\n"x,""y""",1.5\r\n\'=cmd(),-2\r\n\'-1+1,\r\n');
});

test('addresses hold any name', () => {
	const { words, query } = parse(href('run', 'a/b?c#d', { tab: 'host', log: 'trial-0003/g0.console', empty: undefined }));
	assert.deepEqual(words, ['run', 'a/b?c#d']);
	assert.deepEqual(query, { tab: 'host', log: 'trial-0003/g0.console' });
	assert.deepEqual(parse('#/run/%zz').words, ['run', '%zz']);
});
