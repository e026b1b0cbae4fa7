// The host of a run: topology as nested boxes, and its fingerprint field by field.
import { useApi } from '../api.js';
import { Facts, Table, Waiting } from '../parts/basics.jsx';
import { fact, memory } from '../format.js';

export function Host({ id, facts, run }) {
	const state = useApi(`/runs/${encodeURIComponent(id)}/topology`);
	return (
		<>
			<section>
				<h2>Topology</h2>
				{state.data ? <Topology topology={state.data} /> : <Waiting state={state} what="the topology" />}
			</section>
			{run.fingerprint && <Facts rows={[['machine', <code>{run.host}</code>], ['fingerprint', <code>{run.fingerprint}</code>]]} />}
			<Fingerprint facts={facts} />
		</>
	);
}

function Topology({ topology }) {
	return (
		<figure class="topology">
			{topology.tree && <Node node={topology.tree} />}
			<figcaption class="quiet">{topology.summary}</figcaption>
		</figure>
	);
}

const NAMES = { PU: 'thread', NUMANode: 'NUMA node', L1Cache: 'L1', L2Cache: 'L2', L3Cache: 'L3', L4Cache: 'L4' };

function Node({ node }) {
	const kind = node.type.toLowerCase().replace(/[^a-z0-9]/g, '');
	const cache = /cache$/i.test(node.type);
	const children = node.children ?? [];
	return (
		<div class={`node n-${cache ? 'cache' : kind}`}>
			<span class="node-name">
				{NAMES[node.type] ?? node.type}
				{node.index !== undefined && !cache ? ` ${node.index}` : ''}
				{node.bytes ? ` ${memory(node.bytes)}` : ''}
				{node.name ? ` ${node.name}` : ''}
			</span>
			{node.memory?.length > 0 && (
				<div class="nodes">
					{node.memory.map((m, i) => (
						<Node key={`m${i}`} node={m} />
					))}
				</div>
			)}
			{children.length > 0 && (
				<div class="nodes">
					{children.map((child, i) => (
						<Node key={i} node={child} />
					))}
				</div>
			)}
		</div>
	);
}

// "kernel.release" and its like, in groups of their first word.
function flatten(prefix, v, out) {
	if (v && typeof v === 'object' && !Array.isArray(v)) {
		for (const [name, inner] of Object.entries(v)) flatten(prefix ? `${prefix}.${name}` : name, inner, out);
	} else {
		out.push([prefix, v]);
	}
	return out;
}

function Fingerprint({ facts = {} }) {
	const groups = Object.entries(facts).filter(([name]) => name !== 'topology');
	const scalars = groups.filter(([, v]) => !v || typeof v !== 'object');
	const objects = groups.filter(([, v]) => v && typeof v === 'object');
	const first = ['accelerator', 'cpu', 'memory', 'kernel', 'qemu', 'knobs'];
	const rank = (name) => (first.indexOf(name) + 1 || 99);
	objects.sort(([a], [b]) => rank(a) - rank(b));
	return (
		<section>
			<h2>Fingerprint</h2>
			<div class="groups">
				{[...objects, ...(scalars.length ? [['more', Object.fromEntries(scalars)]] : [])].map(([name, v]) => (
					<Table key={name} caption={name === 'knobs' ? 'knobs, as they were' : name} className="dense" titled>
						{flatten('', v, []).map(([field, inner]) => (
							<tr key={field}>
								<th scope="row">{field}</th>
								<td>{/_bytes$/.test(field) && typeof inner === 'number' ? memory(inner) : fact(inner)}</td>
							</tr>
						))}
					</Table>
				))}
			</div>
		</section>
	);
}
