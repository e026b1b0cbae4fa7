// The one place where numbers, times and units become text. The rules are those of
// harness/report/figures.c, so that a page and `fleetlab report` show the same figures.

const known = (value) => typeof value === 'number' && !Number.isNaN(value);

// "14978", "129.1", "0.25", "3e-05": four significant digits, integers whole.
export function number(value) {
	if (!known(value)) return '–';
	if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
	const size = Math.abs(value);
	if (size === 0) return '0';
	let text;
	if (size >= 1000 && size < 1e9) text = value.toFixed(0);
	else if (size < 1e-4 || size >= 1e9) text = value.toExponential(3).replace(/\.?0+e/, 'e');
	else text = String(Number(value.toPrecision(4)));
	return text.replace(/^-/, '−');
}

// What a slope is measured in: a share, shown as per cent.
const GROWTH = 'growth over the range';

const shown = { us: 'µs', x: '×', bytes: 'B', bool: '' };

export function unitName(unit) {
	return unit === undefined || unit === null ? '' : (shown[unit] ?? unit);
}

// Bytes, seconds and booleans in the form that people read, all else with its unit.
export function value(v, unit) {
	if (!known(v)) return '–';
	if (unit === 'bool' && (v === 0 || v === 1)) return v ? 'yes' : 'no';
	if (unit === 'bytes' && Math.abs(v) >= 1000) return bytes(v);
	if (unit === GROWTH) return `${change(v)} over the range`;
	const name = unitName(unit);
	return name ? `${number(v)} ${name}` : number(v);
}

// "84.1 µs [81, 90.2]"; without the interval while it is unbounded.
export function interval(middle, low, high, unit) {
	const text = value(middle, unit);
	if (!known(middle) || !Number.isFinite(low) || !Number.isFinite(high) || unit === 'bool') return text;
	if (unit === 'bytes') return `${text} [${bytes(low)}, ${bytes(high)}]`;
	if (unit === GROWTH) return `${change(middle)} [${change(low)}, ${change(high)}] over the range`;
	return `${text} [${number(low)}, ${number(high)}]`;
}

export function bytes(count) {
	if (!known(count)) return '–';
	const units = ['B', 'kB', 'MB', 'GB', 'TB'];
	let unit = 0;
	let size = count;
	while (Math.abs(size) >= 1000 && unit + 1 < units.length) {
		size /= 1000;
		unit++;
	}
	return `${unit ? Number(size.toPrecision(3)) : Math.round(size)} ${units[unit]}`;
}

// Powers of two, as memory and caches are sized.
export function memory(count) {
	if (!known(count)) return '–';
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let unit = 0;
	let size = count;
	while (size >= 1024 && unit + 1 < units.length) {
		size /= 1024;
		unit++;
	}
	return `${Number(size.toPrecision(3))} ${units[unit]}`;
}

// "2 min 24 s", "0.48 s".
export function duration(seconds) {
	if (!known(seconds)) return '–';
	if (seconds < 1) return `${Number(seconds.toPrecision(2))} s`;
	if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
	const whole = Math.round(seconds);
	if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
	return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function count(n, one, many = `${one}s`) {
	return `${known(n) ? String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f') : 0} ${n === 1 ? one : many}`;
}

// "+12.3 %": a relative change, 0.123.
export function change(effect) {
	if (!known(effect)) return '–';
	const percent = Number((100 * effect).toPrecision(3));
	return `${percent > 0 ? '+' : percent < 0 ? '−' : '±'}${Math.abs(percent)} %`;
}

// "+1.2 points [−0.5, +2.9]": the difference of two shares, 0.012, in percentage points.
export function points(difference, low, high) {
	const text = (v) => change(v).replace(/ %$/, '');
	const middle = `${text(difference)} points`;
	return known(low) && known(high) ? `${middle} [${text(low)}, ${text(high)}]` : middle;
}

// Records are in UTC, and so is all that is shown: "2026-11-20 23:03:53".
export function time(text) {
	if (typeof text !== 'string') return '–';
	const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)/.exec(text);
	return parts ? `${parts[1]} ${parts[2]}` : text;
}

export function day(seconds) {
	return known(seconds) ? new Date(seconds * 1000).toISOString().slice(0, 10) : '–';
}

export function moment(seconds) {
	return known(seconds) ? time(new Date(seconds * 1000).toISOString()) : '–';
}

// "ints = 8192, clients = 4" of coordinates, which come as an object or as JSON text.
export function coordinates(at) {
	if (!at) return '';
	let object = at;
	if (typeof at === 'string') {
		try {
			object = JSON.parse(at);
		} catch {
			return at;
		}
	}
	return Object.entries(object)
		.map(([name, v]) => `${name} = ${v}`)
		.join(', ');
}

// What stands for a value of any type in a table of facts.
export function fact(v) {
	if (v === undefined || v === null) return '–';
	if (v === true) return 'yes';
	if (v === false) return 'no';
	if (typeof v === 'number') return Number.isInteger(v) ? String(v) : number(v);
	return typeof v === 'object' ? JSON.stringify(v) : String(v);
}

// How a test's figures are shown: a slope as per cent of the median.
export function ofTest(test) {
	const percent = test.kind === 'slope' || ((!test.unit || test.unit === 'x') && test.shown_in === '%');
	const scale = percent ? 100 : 1;
	const times = (v) => (known(v) ? scale * v : undefined);
	return {
		unit: percent ? '%' : test.kind === 'holds' ? 'bool' : test.unit,
		measured: times(test.measured),
		low: times(test.low),
		high: times(test.high),
		published: times(test.published),
		publishedLow: times(test.published_low),
		publishedHigh: times(test.published_high),
		limit: { 'at most': '≤ ', 'at least': '≥ ' }[test.limit] ?? '',
	};
}

// What measures a claim until it is decided: a run of its own begins anew, so that its budget is for
// the trials there are and for those still wanted, rounded up to 5 minutes.
export function decideCommand({ command, forecast, wall_s: spent = 0 }) {
	if (!command || !known(forecast?.seconds)) return undefined;
	const minutes = 5 * Math.ceil((spent + forecast.seconds) / 300);
	return `${command} --until-decided --budget ${minutes}m`;
}

// The test that gave a claim its verdict and reason: whose figures belong beside them.
export function decidingTest(claim) {
	return claim.tests?.[claim.decided_by ?? 0] ?? {};
}

// What is published for a test, or the limit that it asks for; of ofTest()'s figures.
export function publishedOf(shown) {
	return shown.limit + range(shown.published, shown.publishedLow, shown.publishedHigh, shown.unit);
}

export function range(middle, low, high, unit) {
	if (known(low) && known(high) && low !== high) return `${number(low)}–${value(high, unit)}`;
	return value(middle ?? low, unit);
}
