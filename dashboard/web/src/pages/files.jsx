// Files of the store that are no part of it, each with the reason.
import { useApi, url } from '../api.js';
import { Page, Pager, Table, Waiting } from '../parts/basics.jsx';
import { setQuery } from '../route.js';
import { bytes } from '../format.js';

const PAGE = 100;

export function Files({ query }) {
	const offset = Number(query.offset) || 0;
	const state = useApi(url('/refused', { offset, limit: PAGE }));
	return (
		<Page title="Files that are not in the index" kicker="Store">
			<p class="quiet">Nothing of them is in any other view. A damaged record can be replaced by its copy; a foreign file can stay.</p>
			{!state.data ? (
				<Waiting state={state} what="the list" />
			) : !state.data.total ? (
				<p>None: every file of the store is a record that can be read.</p>
			) : (
				<>
					<Table caption="Refused files" head={['file', 'is', 'why', { text: 'size', class: 'num' }]}>
						{state.data.files.map((file) => (
							<tr key={file.path}>
								<th scope="row">{file.path}</th>
								<td>{file.status}</td>
								<td class="text">{file.reason}</td>
								<td class="num">{bytes(file.bytes)}</td>
							</tr>
						))}
					</Table>
					<Pager total={state.data.total} offset={offset} limit={PAGE} what="files" onOffset={(o) => setQuery({ offset: o || undefined })} />
				</>
			)}
		</Page>
	);
}
