// Published beside measured on one axis: a dot with its 95 % interval, a diamond (or a band) for
// what the paper says. One scale for all bars of a table, so that rows can be compared.
import { number, unitName } from '../format.js';
import { ticks } from './ticks.js';

const WIDTH = 200;
const PAD = 8;

const finite = (v) => typeof v === 'number' && Number.isFinite(v);

// A scale over all given figures; logarithmic where they span more than a decade and are positive.
export function scaleOf(figures, reference) {
	const values = figures.filter(finite);
	if (finite(reference)) values.push(reference);
	if (!values.length) return null;
	let low = Math.min(...values);
	let high = Math.max(...values);
	const log = low > 0 && high / low > 10;
	if (!log && low > 0 && low < high / 3) low = 0;
	if (low === high) {
		low -= Math.abs(low) * 0.1 || 1;
		high += Math.abs(high) * 0.1 || 1;
	}
	const to = log ? Math.log : (v) => v;
	const from = to(low);
	const span = to(high) - from;
	return { low, high, log, reference, at: (v) => PAD + ((WIDTH - 2 * PAD) * (to(v) - from)) / span };
}

export function Bar({ scale, measured, low, high, published, publishedLow, publishedHigh, label }) {
	if (!scale || (!finite(measured) && !finite(published) && !finite(publishedLow))) return null;
	const x = scale.at;
	const band = finite(publishedLow) && finite(publishedHigh) && publishedLow !== publishedHigh;
	const one = finite(published) ? published : publishedLow;
	return (
		<svg class="bar" viewBox={`0 0 ${WIDTH} 18`} width={WIDTH} height="18" role="img" aria-label={label}>
			{finite(scale.reference) && <line class="reference" x1={x(scale.reference)} x2={x(scale.reference)} y1="0" y2="18" />}
			{band && <rect class="published-band" x={x(publishedLow)} width={Math.max(2, x(publishedHigh) - x(publishedLow))} y="3" height="12" />}
			{!band && finite(one) && <path class="published" d={`M${x(one)} 3l5 6-5 6-5-6z`} />}
			{finite(low) && finite(high) && <path class="whisker" d={`M${x(low)} 9H${x(high)}M${x(low)} 5.5v7M${x(high)} 5.5v7`} />}
			{finite(measured) && <circle class="measured" cx={x(measured)} cy="9" r="3.4" />}
		</svg>
	);
}

export function BarAxis({ scale, unit }) {
	if (!scale) return <span class="sr">drawn</span>;
	return (
		<>
			<span class="sr">drawn on one scale</span>
			<svg class="bar axis" viewBox={`0 0 ${WIDTH} 18`} width={WIDTH} height="18" aria-hidden="true">
				{ticks(scale).map((v, i, all) => {
					const x = scale.at(v);
					const text = `${number(v)}${unit && i === 0 ? ` ${unitName(unit)}` : ''}`;
					// A label that would touch its neighbour is left out, its tick stays.
					const near = i > 0 && x - scale.at(all[i - 1]) < 4 * (text.length + number(all[i - 1]).length) + (i === 1 && unit ? 12 : 0);
					return (
						<g key={v}>
							<line x1={x} x2={x} y1="14" y2="18" />
							{!near && (
								<text x={x} y="11" text-anchor={x < 24 ? 'start' : x > WIDTH - 24 ? 'end' : 'middle'}>
									{text}
								</text>
							)}
						</g>
					);
				})}
			</svg>
		</>
	);
}

export function BarLegend() {
	return (
		<p class="legend">
			<svg viewBox="0 0 34 18" width="34" height="18" aria-hidden="true" class="bar">
				<path class="whisker" d="M4 9H30M4 5.5v7M30 5.5v7" />
				<circle class="measured" cx="17" cy="9" r="3.4" />
			</svg>{' '}
			measured, 95 % interval{' '}
			<svg viewBox="0 0 16 18" width="16" height="18" aria-hidden="true" class="bar">
				<path class="published" d="M8 3l5 6-5 6-5-6z" />
			</svg>{' '}
			published (a band where the paper gives a range)
		</p>
	);
}
