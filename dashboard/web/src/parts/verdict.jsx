// Verdicts: a mark of its own shape, the word, and a colour; never the colour alone.
export const VERDICTS = {
	reproduced: { path: 'M2.5 6.5 5 9l4.5-6', says: 'direction and size hold' },
	'direction-only': { path: 'M2 9 9 3M5 3h4v4', says: 'the direction holds, the size is another' },
	contradicted: { path: 'M3 3l6 6M9 3l-6 6', says: 'the 95 % interval excludes what the paper says' },
	inconclusive: { path: 'M4 4.2a2 2 0 1 1 2.8 1.8Q6 6.5 6 7.4M6 9.3v.2', says: 'too few pairs, or the interval leaves it open' },
	'not-comparable': { path: 'M2.5 4.7h7M2.5 7.5h7M8 2 4 10', says: 'an absolute value on another kind of host' },
	'not-run': { path: 'M3 6h6', says: 'no trial of it' },
};
export const ORDER = Object.keys(VERDICTS);

export function VerdictMark({ verdict }) {
	const known = VERDICTS[verdict] ?? VERDICTS['not-run'];
	return (
		<svg class={`mark v-${verdict}`} viewBox="0 0 12 12" width="14" height="14" aria-hidden="true">
			<rect width="12" height="12" rx="2.5" />
			<path d={known.path} />
		</svg>
	);
}

export function Verdict({ verdict, word }) {
	const text = verdict ?? 'not-run';
	return (
		<span class="verdict" title={VERDICTS[text]?.says}>
			<VerdictMark verdict={text} />
			<span>
				{text}
				{word ? ` (${word})` : ''}
			</span>
		</span>
	);
}

export function Outcome({ outcome }) {
	const mark = { ok: 'reproduced', failed: 'contradicted', invalid: 'inconclusive', skipped: 'not-run' }[outcome] ?? 'not-run';
	return (
		<span class="verdict">
			<VerdictMark verdict={mark} />
			<span>{outcome}</span>
		</span>
	);
}

// How many claims have which verdict, in a fixed order.
export function Tally({ verdicts = {} }) {
	return (
		<span class="tally">
			{ORDER.filter((name) => verdicts[name]).map((name) => (
				<span key={name} class="verdict" title={VERDICTS[name].says}>
					<VerdictMark verdict={name} />
					<span>
						<b>{verdicts[name]}</b> {name}
					</span>
				</span>
			))}
		</span>
	);
}
