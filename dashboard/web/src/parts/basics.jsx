// Small parts that every page uses: links, states of loading and failure, tables, copying.
import { useEffect, useRef, useState } from 'preact/hooks';
import { href } from '../route.js';
import * as format from '../format.js';

export function Link({ to, children, ...rest }) {
	return (
		<a href={href(...to)} {...rest}>
			{children}
		</a>
	);
}

export function Page({ title, kicker, children, aside }) {
	useEffect(() => {
		document.title = `${typeof title === 'string' ? title : (kicker ?? '')} · fleetlab`;
	}, [title, kicker]);
	return (
		<>
			<header class="page-head">
				<div>
					{kicker && <p class="kicker">{kicker}</p>}
					<h1>{title}</h1>
				</div>
				{aside && <div class="aside">{aside}</div>}
			</header>
			{children}
		</>
	);
}

// What is shown instead of a view whose answer is missing: never a blank page.
export function Waiting({ state, what = 'this' }) {
	if (state.error) return <Problem error={state.error} what={what} />;
	return (
		<p class="waiting" role="status">
			Loading {what} …
		</p>
	);
}

export function Problem({ error, what }) {
	return (
		<div class="notice bad" role="alert">
			<p>
				<b>Cannot show {what}:</b> {error.message}
			</p>
			{error.remedy && <p>Try: {error.remedy}</p>}
			<p class="quiet">
				{error.status ? `Status ${error.status}. ` : ''}
				<Link to={['files']}>Files that are not in the index, and why</Link>
			</p>
		</div>
	);
}

export function Notice({ kind = '', children }) {
	return <div class={`notice ${kind}`}>{children}</div>;
}

export function Command({ text, label = 'command' }) {
	const [copied, set] = useState(false);
	const code = useRef(null);
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
			set(true);
			setTimeout(() => set(false), 1500);
		} catch {
			// Without a secure context there is no clipboard: select it, so that Ctrl+C does.
			getSelection().selectAllChildren(code.current);
		}
	};
	return (
		<span class="command">
			<code ref={code}>{text}</code>
			<button type="button" onClick={copy} aria-label={`Copy the ${label}`}>
				{copied ? 'Copied' : 'Copy'}
			</button>
		</span>
	);
}

// A table may be wider than a phone: then it scrolls by itself, also by the keyboard, and a shadow at
// its edge says so (table.css).
// The caption is for who cannot see the heading above it, unless `titled`.
export function Table({ caption, head, children, className = '', foot, titled }) {
	const box = useRef(null);
	const [scrolls, set] = useState(false);
	useEffect(() => {
		const element = box.current;
		const look = () => set(element.scrollWidth > element.clientWidth + 1);
		look();
		const observer = new ResizeObserver(look);
		observer.observe(element);
		observer.observe(element.firstElementChild); // which may become wider without it
		return () => observer.disconnect();
	}, []);
	const label = typeof caption === 'string' ? caption : 'table';
	return (
		<div class="table-box" ref={box} {...(scrolls ? { tabIndex: 0, role: 'region', 'aria-label': `${label}, scrolls sideways` } : {})}>
			<table class={className}>
				{caption && <caption class={titled ? undefined : 'sr'}>{caption}</caption>}
				{head && (
					<thead>
						<tr>
							{head.map((cell, i) => {
								const { text, ...rest } = typeof cell === 'object' && cell !== null && 'text' in cell ? cell : { text: cell };
								return text === '' ? <td key={i} {...rest} /> : (
									<th key={i} scope="col" {...rest}>
										{text}
									</th>
								);
							})}
						</tr>
					</thead>
				)}
				<tbody>{children}</tbody>
				{foot}
			</table>
		</div>
	);
}

// Name and value pairs.
export function Facts({ rows }) {
	return (
		<dl class="facts">
			{rows
				.filter(([, v]) => v !== undefined && v !== null && v !== false && v !== '')
				.map(([name, v]) => (
					<div key={name}>
						<dt>{name}</dt>
						<dd>{v}</dd>
					</div>
				))}
		</dl>
	);
}

export function Pager({ total, offset, limit, onOffset, what = 'rows' }) {
	if (!total || total <= limit) return <p class="quiet">{format.count(total ?? 0, what.replace(/s$/, ''), what)}</p>;
	const last = Math.min(total, offset + limit);
	return (
		<nav class="pager" aria-label={`Pages of ${what}`}>
			<button type="button" disabled={offset === 0} onClick={() => onOffset(Math.max(0, offset - limit))}>
				← newer
			</button>
			<span>
				{offset + 1}–{last} of {format.count(total, what.replace(/s$/, ''), what)}
			</span>
			<button type="button" disabled={last >= total} onClick={() => onOffset(offset + limit)}>
				older →
			</button>
		</nav>
	);
}

export function RunLink({ id, query = {} }) {
	return (
		<Link to={['run', id, query]} class="id">
			{id}
		</Link>
	);
}

// What must be said of a run wherever it is shown.
export function RunFlags({ run }) {
	if (!run) return null;
	return (
		<>
			{run.synthetic && <span class="flag">synthetic</span>}
			{run.altered && <span class="flag bad">altered</span>}
			{run.complete === false && <span class="flag">{run.state === 'complete' ? 'incomplete' : run.state}</span>}
			{run.place === 'reference' && <span class="flag">reference</span>}
		</>
	);
}

export function Tabs({ tabs, current, to }) {
	return (
		<nav class="tabs" aria-label="Parts of this page">
			{tabs.map(([name, text]) => (
				<a key={name} href={to(name)} aria-current={name === current ? 'page' : undefined}>
					{text}
				</a>
			))}
		</nav>
	);
}
