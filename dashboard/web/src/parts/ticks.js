// Where an axis has its marks: round numbers, and no more than fit.

// Multiples of 1, 2 or 5 times a power of ten, at most `most` of them and one.
export function plainSplits(min, max, most) {
	const span = max - min;
	if (!(span > 0)) return [min];
	const power = 10 ** Math.floor(Math.log10(span / most));
	const step = [1, 2, 5, 10].map((n) => n * power).find((s) => span / s <= most) ?? 10 * power;
	const all = [];
	for (let v = Math.ceil(min / step - 1e-9) * step; v <= max + step * 1e-9; v += step) all.push(Number(v.toPrecision(12)));
	return all;
}

// Decades; with 2 and 5 between where there are few of them, plain steps within one.
export function logSplits(min, max) {
	const decades = Math.log10(max / min);
	if (decades < 0.7) return plainSplits(min, max, 6);
	const factors = decades < 2 ? [1, 2, 5] : [1];
	const every = Math.max(1, Math.ceil(decades / 7));
	const all = [];
	for (let p = Math.floor(Math.log10(min)); p <= Math.ceil(Math.log10(max)); p++) {
		if (p % every) continue;
		for (const f of factors) {
			const v = Number((f * 10 ** p).toPrecision(6));
			if (v >= min && v <= max) all.push(v);
		}
	}
	return all;
}

// Of a bar's scale, which is small.
export function ticks(scale) {
	if (!scale.log) return plainSplits(scale.low, scale.high, 3.5);
	const all = [];
	for (let p = Math.ceil(Math.log10(scale.low) - 1e-9); 10 ** p <= scale.high * 1.0001; p++) all.push(Number((10 ** p).toPrecision(6)));
	if (all.length < 2) return [scale.low, scale.high];
	const step = Math.ceil(all.length / 4);
	return all.filter((_, i) => i % step === 0);
}
