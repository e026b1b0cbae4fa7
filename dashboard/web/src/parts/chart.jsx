// A chart of points with intervals on uPlot: hover and arrow keys tell values, a drag zooms, and
// each can be taken away as CSV, PNG or read as a table. Shapes and dashes differ beside colours;
// colours come from the style sheet, so that dark mode has its own.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { setQuery } from '../route.js';
import { moment, day, number, unitName, value } from '../format.js';
import { download, toCsv } from './files.js';
import { logSplits } from './ticks.js';

const SHAPES = ['circle', 'square', 'triangle', 'diamond', 'cross', 'down', 'plus', 'bar'];
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3], [12, 4], [4, 2, 1, 2], [1, 3], [10, 2]];
const COLOURS = 8;
const NEAR_PX = 28;
const CHARACTER_PX = 8; // of an axis, with some room
const NONE = []; // one for all renders: a new one would draw the chart anew

const DAY_S = 86400;

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const finite = (v) => typeof v === 'number' && Number.isFinite(v);

function shapePath(shape, x, y, r) {
	const path = new Path2D();
	if (shape === 'circle') path.arc(x, y, r, 0, 2 * Math.PI);
	else if (shape === 'square') path.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
	else if (shape === 'bar') path.rect(x - r, y - r * 0.4, r * 2, r * 0.8);
	else if (shape === 'cross' || shape === 'plus') {
		const d = shape === 'cross' ? r * 0.8 : 0;
		path.moveTo(x - (d || r), y - d);
		path.lineTo(x + (d || r), y + d);
		path.moveTo(x + (d ? -d : 0), y + (d || r));
		path.lineTo(x + (d ? d : 0), y - (d || r));
	} else {
		const corners = {
			triangle: [[0, -1.15], [1.05, 0.85], [-1.05, 0.85]],
			down: [[0, 1.15], [1.05, -0.85], [-1.05, -0.85]],
			diamond: [[0, -1.25], [1.1, 0], [0, 1.25], [-1.1, 0]],
		}[shape];
		corners.forEach(([dx, dy], i) => path[i ? 'lineTo' : 'moveTo'](x + dx * r, y + dy * r));
		path.closePath();
	}
	return path;
}

function drawMark(context, shape, colour, x, y, r, hollow) {
	const path = shapePath(shape, x, y, r);
	context.strokeStyle = colour;
	context.lineWidth = Math.max(1.4, r * 0.36);
	if (shape === 'cross' || shape === 'plus') context.stroke(path);
	else if (hollow) {
		context.fillStyle = css('--page');
		context.fill(path);
		context.stroke(path);
	} else {
		context.fillStyle = colour;
		context.fill(path);
	}
}

// uPlot wants one sorted x for all series; nulls where a series has no point there.
function align(series) {
	const xs = [...new Set(series.flatMap((s) => s.points.map((p) => p.x)))].sort((a, b) => a - b);
	const place = new Map(xs.map((x, i) => [x, i]));
	const rows = series.map((s) => {
		const row = new Array(xs.length).fill(null);
		for (const p of s.points) row[place.get(p.x)] = p.y;
		return row;
	});
	return [xs, ...rows];
}

function extent(series, bands, log) {
	let low = Infinity;
	let high = -Infinity;
	const take = (v) => {
		if (!finite(v) || (log && v <= 0)) return;
		low = Math.min(low, v);
		high = Math.max(high, v);
	};
	for (const s of series) for (const p of s.points) [p.y, p.low, p.high].forEach(take);
	for (const band of bands) [band.low, band.high].forEach(take);
	if (low > high) return [log ? 1 : 0, log ? 10 : 1];
	if (log) return [low / 1.25, high * 1.25];
	const pad = (high - low || Math.abs(high) || 1) * 0.08;
	return [low >= 0 && low - pad < 0 ? 0 : low - pad, high + pad];
}

// Texts of marks stand below one another where they would overlap; what finds no room is left to the
// page, which lists what they say.
const MARK_ROWS = 8;

function freeRow(taken, from, to) {
	let row = 0;
	while (taken[row]?.some((t) => from < t.to && to > t.from)) row++;
	(taken[row] ??= []).push({ from, to });
	return row;
}

function xRange(x, series, marks) {
	const xs = series.flatMap((s) => s.points.map((p) => p.x)).concat(x.time ? marks.map((m) => m.x) : []);
	if (x.categories) return [-0.6, x.categories.length - 0.4];
	if (!xs.length) return [0, 1];
	const low = Math.min(...xs);
	const high = Math.max(...xs);
	if (x.log && low > 0) return [low / 1.15, high * 1.15];
	const pad = x.time ? Math.max(0.03 * (high - low), 3600) : (high - low || 1) * 0.03;
	return [low - pad, high + pad];
}

function axisNumber(v) {
	const size = Math.abs(v);
	return size >= 1e6 || (size > 0 && size < 1e-3) ? v.toExponential(1).replace('.0e', 'e').replace('+', '') : number(v);
}

/*
 * series: [{label, points: [{x, y, low, high, tip, href, hollow}], line, colour (index)}]
 * x: {label, time, log, categories: [text]}    y: {label, unit}
 * marks: [{x, text, kind}] vertical lines      bands: [{low, high, text}] horizontal ranges
 */
export function Chart({ id, title, series, x, y, marks = NONE, bands = NONE, query = {}, height = 280, note }) {
	const box = useRef(null);
	const plot = useRef(null);
	const tip = useRef(null);
	const [table, showTable] = useState(false);
	const [told, tell] = useState('');
	const [off, setOff] = useState({});
	const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
	const mayLog = series.some((s) => s.points.some((p) => p.y > 0)) && !series.some((s) => s.points.some((p) => p.y <= 0));
	const log = mayLog && (query[`${id}-log`] === '1' || (query[`${id}-log`] === undefined && Boolean(y.log)));
	const zoom = parseZoom(query[`${id}-zoom`]);
	const unit = unitName(y.unit);
	const yLabel = unit ? `${y.label} (${unit}${log ? ', log' : ''})` : `${y.label}${log ? ' (log)' : ''}`;
	const shown = useMemo(() => series.map((s, i) => ({ ...s, index: s.colour ?? i })).filter((s) => !off[s.label]), [series, off]);

	useEffect(() => {
		const media = matchMedia('(prefers-color-scheme: dark)');
		const follow = () => setDark(media.matches);
		media.addEventListener('change', follow);
		return () => media.removeEventListener('change', follow);
	}, []);

	useEffect(() => {
		if (!shown.length) return undefined;
		const look = {
			ink: css('--ink-2'),
			grid: css('--line'),
			band: css('--band'),
			mark: css('--mark'),
			colours: Array.from({ length: COLOURS }, (_, i) => css(`--series-${i}`)),
		};
		const all = extent(shown, bands, log);
		const element = box.current;
		const bubble = tip.current;
		const width = () => Math.max(220, element.clientWidth);
		let hover = null; // {series, point}, and whether the keyboard chose it

		const position = (u, p) => [u.valToPos(p.x, 'x'), u.valToPos(p.y, 'y')];
		const showTip = (u) => {
			bubble.hidden = !hover;
			if (!hover) return;
			const [left, top] = position(u, hover.point);
			bubble.textContent = describe(hover.series, hover.point, x, y);
			const room = element.clientWidth - bubble.offsetWidth - 4;
			bubble.style.left = `${Math.max(0, Math.min(u.over.offsetLeft + left + 12, room))}px`;
			bubble.style.top = `${Math.max(0, u.over.offsetTop + top - bubble.offsetHeight - 10)}px`;
		};
		const draw = (u) => {
			const c = u.ctx;
			const ratio = devicePixelRatio || 1;
			const { left, top, width: w, height: h } = u.bbox;
			c.save();
			c.beginPath();
			c.rect(left, top, w, h);
			c.clip();
			for (const s of shown) {
				const colour = look.colours[s.index % COLOURS];
				const r = (s.points.length > 300 ? 2.2 : s.points.length > 60 ? 3 : 4) * ratio;
				for (const p of s.points) {
					if (!finite(p.y) || (log && p.y <= 0)) continue;
					const px = u.valToPos(p.x, 'x', true);
					if (px < left - 20 || px > left + w + 20) continue;
					const py = u.valToPos(p.y, 'y', true);
					if (finite(p.low) && finite(p.high)) {
						c.strokeStyle = colour;
						c.globalAlpha = s.points.length > 40 ? 0.4 : 1;
						c.lineWidth = 1.3 * ratio;
						const low = u.valToPos(log ? Math.max(p.low, all[0]) : p.low, 'y', true);
						const high = u.valToPos(p.high, 'y', true);
						const cap = s.points.length > 100 ? 0 : 4 * ratio;
						c.beginPath();
						c.moveTo(px, low);
						c.lineTo(px, high);
						c.moveTo(px - cap, low);
						c.lineTo(px + cap, low);
						c.moveTo(px - cap, high);
						c.lineTo(px + cap, high);
						c.stroke();
						c.globalAlpha = 1;
					}
					drawMark(c, SHAPES[s.index % SHAPES.length], colour, px, py, r, p.hollow);
				}
			}
			if (hover) {
				c.strokeStyle = look.ink;
				c.lineWidth = 1.5 * ratio;
				c.beginPath();
				c.arc(u.valToPos(hover.point.x, 'x', true), u.valToPos(hover.point.y, 'y', true), 8 * ratio, 0, 2 * Math.PI);
				c.stroke();
			}
			c.restore();
		};
		const behind = (u) => {
			const c = u.ctx;
			const ratio = devicePixelRatio || 1;
			const { left, top, width: w, height: h } = u.bbox;
			c.save();
			c.beginPath();
			c.rect(left, top, w, h);
			c.clip();
			c.font = `${11 * ratio}px system-ui, sans-serif`;
			c.textAlign = 'left';
			c.textBaseline = 'alphabetic';
			for (const band of bands) {
				const a = u.valToPos(band.high, 'y', true);
				const b = u.valToPos(log ? Math.max(band.low, all[0]) : band.low, 'y', true);
				c.fillStyle = look.band;
				c.fillRect(left, a, w, Math.max(b - a, 2 * ratio));
				c.fillStyle = look.ink;
				if (band.text) c.fillText(band.text, left + 6 * ratio, Math.max(a - 4 * ratio, top + 12 * ratio));
			}
			const taken = []; // of each line of texts: where there are some
			marks.forEach((m) => {
				const px = Math.round(u.valToPos(m.x, 'x', true));
				c.strokeStyle = m.kind === 'change' ? look.mark : look.ink;
				c.lineWidth = (m.kind === 'change' ? 2 : 1) * ratio;
				c.setLineDash(m.kind === 'change' ? [] : [3 * ratio, 3 * ratio]);
				c.beginPath();
				c.moveTo(px, top);
				c.lineTo(px, top + h);
				c.stroke();
				c.setLineDash([]);
				if (!m.text) return;
				c.fillStyle = m.kind === 'change' ? look.mark : look.ink;
				const wide = c.measureText(m.text).width;
				const from = px + 5 * ratio + wide > left + w ? px - wide - 5 * ratio : px + 5 * ratio;
				const row = freeRow(taken, from, from + wide + 5 * ratio);
				if (row < MARK_ROWS) c.fillText(m.text, from, top + (12 + 14 * row) * ratio);
			});
			c.restore();
		};
		const nearest = (u) => {
			const { left, top } = u.cursor;
			if (left < 0) return null;
			let best = null;
			let least = NEAR_PX ** 2;
			for (const s of shown)
				for (const p of s.points) {
					if (!finite(p.y)) continue;
					const [px, py] = position(u, p);
					const d = (px - left) ** 2 + (py - top) ** 2;
					if (d < least) {
						least = d;
						best = { series: s, point: p };
					}
				}
			return best;
		};
		const axis = { stroke: look.ink, grid: { stroke: look.grid, width: 1 }, ticks: { stroke: look.grid, width: 1 }, font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif' };
		const data = align(shown);
		const options = {
			width: width(),
			height,
			padding: [10, 12, 0, 0],
			legend: { show: false },
			cursor: { points: { show: false }, drag: { x: true, y: true, uni: 30 }, x: false, y: false },
			scales: {
				x: { time: false, distr: x.log ? 3 : 1, range: () => zoom?.x ?? xRange(x, shown, marks) },
				y: { distr: log ? 3 : 1, range: () => zoom?.y ?? all },
			},
			axes: [
				{
					...axis,
					label: x.label,
					labelSize: 18,
					labelGap: 2,
					size: 30,
					space: x.time ? 80 : 50,
					...(x.categories
						? {
								splits: () => x.categories.map((_, i) => i),
								values: (u, splits) => splits.map((i) => shorten(x.categories[i] ?? '', u.bbox.width / (devicePixelRatio || 1) / (x.categories.length + 0.2) / CHARACTER_PX)),
								grid: { show: false },
							}
						: x.time
							? { splits: dates, values: (_, splits) => splits.map(splits.length > 1 && splits[1] - splits[0] < DAY_S ? (t) => moment(t).slice(5, 16) : day) }
							: { ...(x.whole ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 1e5] } : {}), ...(x.log ? { splits: (_, i, min, max) => logSplits(min, max), filter: (_, splits) => splits } : {}), values: (_, splits) => splits.map((v) => (v === null ? '' : axisNumber(v))) }),
				},
				{ ...axis, label: yLabel, labelSize: 20, size: 62, ...(log ? { splits: (_, i, min, max) => logSplits(min, max), filter: (_, splits) => splits } : {}), values: (_, splits) => splits.map((v) => (v === null ? '' : axisNumber(v))) },
			],
			series: [
				{},
				...shown.map((s) => ({
					label: s.label,
					stroke: s.line ? look.colours[s.index % COLOURS] : 'transparent',
					width: s.line ? 1.4 : 0,
					dash: DASHES[s.index % DASHES.length],
					paths: s.line ? undefined : () => null,
					spanGaps: true,
					points: { show: false },
				})),
			],
			hooks: {
				drawAxes: [behind],
				draw: [draw],
				setCursor: [
					(u) => {
						if (u.cursor.left < 0 && hover?.byKey) return;
						const now = nearest(u);
						if (now?.point === hover?.point) return;
						hover = now;
						u.over.classList.toggle('has-link', Boolean(hover?.point.href));
						u.redraw(false, false);
						showTip(u);
					},
				],
				setSelect: [
					(u) => {
						const { left, top, width: w, height: h } = u.select;
						if (w < 4 && h < 4) return;
						const whole = (dim, size) => dim < 4 || dim >= size - 1;
						const xs = whole(w, u.over.clientWidth) ? u.scales.x : { min: u.posToVal(left, 'x'), max: u.posToVal(left + w, 'x') };
						const ys = whole(h, u.over.clientHeight) ? u.scales.y : { min: u.posToVal(top + h, 'y'), max: u.posToVal(top, 'y') };
						setQuery({ [`${id}-zoom`]: [xs.min, xs.max, ys.min, ys.max].map((v) => Number(v.toPrecision(9))).join(',') });
					},
				],
			},
		};
		options.cursor.bind = { dblclick: () => () => setQuery({ [`${id}-zoom`]: undefined }) };
		const u = new uPlot(options, data, element);
		plot.current = u;
		const click = () => {
			if (hover?.point.href) location.hash = hover.point.href.replace(/^#/, '');
		};
		u.over.addEventListener('click', click);
		const observer = new ResizeObserver(() => u.setSize({ width: width(), height }));
		observer.observe(element);

		const ordered = shown.flatMap((s) => s.points.filter((p) => finite(p.y)).map((p) => ({ series: s, point: p })));
		const keys = (event) => {
			const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
			if (event.key === 'Escape') {
				hover = null;
			} else if (event.key === 'Enter' && hover?.point.href) {
				click();
				return;
			} else if (step === undefined || !ordered.length) {
				return;
			} else {
				const now = hover ? ordered.findIndex((o) => o.point === hover.point) : step > 0 ? -1 : ordered.length;
				hover = { ...ordered[Math.max(0, Math.min(ordered.length - 1, now + step))], byKey: true };
				tell(describe(hover.series, hover.point, x, y));
				event.preventDefault();
			}
			u.redraw(false, false);
			showTip(u);
		};
		element.addEventListener('keydown', keys);
		const leave = () => {
			hover = null;
			u.redraw(false, false);
			showTip(u);
		};
		element.addEventListener('blur', leave);
		return () => {
			observer.disconnect();
			element.removeEventListener('keydown', keys);
			element.removeEventListener('blur', leave);
			bubble.hidden = true;
			u.destroy();
			plot.current = null;
		};
	}, [shown, log, query[`${id}-zoom`], dark, height, marks, bands]);

	const columns = [x.label, ...(series.length > 1 ? ['series'] : []), yLabel, 'low', 'high', 'note'];
	const rows = series.flatMap((s) =>
		s.points.map((p) => [xText(p.x, x), ...(series.length > 1 ? [s.label] : []), p.y, finite(p.low) ? p.low : '', finite(p.high) ? p.high : '', p.tip ?? '']),
	);
	const name = `${title} ${id}`.toLowerCase().replace(/[^a-z0-9.]+/g, '-').replace(/^-|-$/g, '');
	const savePng = () => {
		const canvas = plot.current.ctx.canvas;
		const ratio = devicePixelRatio || 1;
		const copy = document.createElement('canvas');
		const rowHeight = 20 * ratio;
		copy.width = canvas.width;
		copy.height = canvas.height + rowHeight * (1 + shown.length) + 12 * ratio;
		const c = copy.getContext('2d');
		c.fillStyle = css('--page');
		c.fillRect(0, 0, copy.width, copy.height);
		c.fillStyle = css('--ink');
		c.font = `600 ${13 * ratio}px system-ui, sans-serif`;
		c.fillText(title, 10 * ratio, 16 * ratio);
		c.drawImage(canvas, 0, rowHeight);
		c.font = `${12 * ratio}px system-ui, sans-serif`;
		shown.forEach((s, i) => {
			const at = canvas.height + rowHeight * (i + 1.6);
			drawMark(c, SHAPES[s.index % SHAPES.length], css(`--series-${s.index % COLOURS}`), 18 * ratio, at - 4 * ratio, 4 * ratio);
			c.fillStyle = css('--ink');
			c.fillText(s.label, 30 * ratio, at);
		});
		copy.toBlob((blob) => download(blob, `${name}.png`), 'image/png');
	};
	if (!series.some((s) => s.points.length)) return null;
	return (
		<figure class="chart" id={`chart-${id}`}>
			<figcaption>
				<b>{title}</b>
				<span class="tools">
					{mayLog && (
						<label>
							<input type="checkbox" checked={log} onChange={(e) => setQuery({ [`${id}-log`]: e.currentTarget.checked ? '1' : y.log ? '0' : undefined, [`${id}-zoom`]: undefined })} /> log
						</label>
					)}
					{zoom && (
						<button type="button" onClick={() => setQuery({ [`${id}-zoom`]: undefined })}>
							Whole range
						</button>
					)}
					<button type="button" aria-pressed={table} onClick={() => showTable(!table)}>
						Table
					</button>
					<button type="button" onClick={() => download(new Blob([toCsv(columns, rows)], { type: 'text/csv' }), `${name}.csv`)}>
						CSV
					</button>
					<button type="button" onClick={savePng}>
						PNG
					</button>
				</span>
			</figcaption>
			<div class="plot" ref={box} tabIndex={0} role="group" aria-label={`Chart: ${title}; ${yLabel} by ${x.label}. Arrow keys go from point to point.`}>
				<div class="tip" ref={tip} hidden />
			</div>
			<p class="sr" role="status">
				{told}
			</p>
			{series.length > 1 && (
				<ul class="keys">
					{series.map((s, i) => (
						<li key={s.label}>
							<button type="button" aria-pressed={!off[s.label]} onClick={() => setOff({ ...off, [s.label]: !off[s.label] })} title="show or hide">
								<Key index={s.colour ?? i} line={s.line} />
								{s.label}
							</button>
						</li>
					))}
				</ul>
			)}
			{note && <p class="quiet">{note}</p>}
			{table && (
				<div class="table-box chart-table" tabIndex={0} role="region" aria-label={`Data of ${title}`}>
					<table>
						<thead>
							<tr>
								{columns.map((c) => (
									<th key={c} scope="col">
										{c}
									</th>
								))}
							</tr>
						</thead>
						<tbody>
							{rows.slice(0, 2000).map((row, i) => (
								<tr key={i}>
									{row.map((cell, j) => (
										<td key={j} class={typeof cell === 'number' ? 'num' : undefined}>
											{typeof cell === 'number' ? number(cell) : cell}
										</td>
									))}
								</tr>
							))}
						</tbody>
					</table>
				</div>
			)}
		</figure>
	);
}

function Key({ index, line }) {
	const shape = {
		circle: <circle cx="12" cy="6" r="4" />,
		square: <rect x="8.4" y="2.4" width="7.2" height="7.2" />,
		triangle: <path d="M12 1.4l4.2 8h-8.4z" />,
		down: <path d="M12 10.6l4.2-8h-8.4z" />,
		diamond: <path d="M12 1l4.4 5-4.4 5-4.4-5z" />,
		cross: <path class="stroked" d="M8.8 2.8l6.4 6.4M15.2 2.8 8.8 9.2" />,
		plus: <path class="stroked" d="M8 6h8M12 2v8" />,
		bar: <rect x="8" y="4.4" width="8" height="3.2" />,
	}[SHAPES[index % SHAPES.length]];
	return (
		<svg class={`key s-${index % COLOURS}`} viewBox="0 0 24 12" width="24" height="12" aria-hidden="true">
			{line && <line x1="0" x2="24" y1="6" y2="6" stroke-dasharray={DASHES[index % DASHES.length].join(' ') || undefined} />}
			{shape}
		</svg>
	);
}

function parseZoom(text) {
	const parts = (text ?? '').split(',').map(Number);
	if (parts.length !== 4 || !parts.every(Number.isFinite) || parts[0] >= parts[1] || parts[2] >= parts[3]) return null;
	return { x: parts.slice(0, 2), y: parts.slice(2) };
}

function xText(v, x) {
	if (x.categories) return x.categories[Math.round(v)] ?? '';
	return x.time ? moment(v) : number(v);
}

function describe(s, p, x, y) {
	const interval = finite(p.low) && finite(p.high) ? ` [${number(p.low)}, ${number(p.high)}]` : '';
	return [`${s.label}: ${value(p.y, y.unit)}${interval}`, p.tip ?? `${x.label} ${xText(p.x, x)}`].filter(Boolean).join('\n');
}

// Whole days, or hours within few of them, so that a label never repeats.
function dates(u, _, min, max) {
	const room = Math.max(2, Math.floor(u.bbox.width / (devicePixelRatio || 1) / 95));
	const least = (max - min) / room;
	const step = least > DAY_S / 2 ? Math.ceil(least / DAY_S) * DAY_S : [300, 900, 1800, 3600, 7200, 14400, 21600, 43200].find((s) => s >= least);
	const all = [];
	for (let t = Math.ceil(min / step) * step; t <= max; t += step) all.push(t);
	return all;
}

function shorten(text, most) {
	return text.length <= most ? text : `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}
