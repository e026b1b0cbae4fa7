// Things taken away from a page: CSV text, and a blob as a file.
function field(v) {
	if (typeof v === 'number') return Number.isFinite(v) ? String(v) : '';
	const text = String(v ?? '');
	// A spreadsheet runs what begins like a formula; records are hostile.
	const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
	return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

export function toCsv(columns, rows) {
	return [columns, ...rows].map((row) => row.map(field).join(',')).join('\r\n') + '\r\n';
}

export function download(blob, name) {
	const link = document.createElement('a');
	link.href = URL.createObjectURL(blob);
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
