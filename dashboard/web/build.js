// Bundles the pages: node build.js OUT. Four files of fixed names, which the binary embeds.
// Must never need the network, nor write anything into a page that its policy forbids (inline
// scripts and styles).
import { build } from 'esbuild';
import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2];
if (!out) {
	console.error('usage: node build.js OUT');
	process.exit(1);
}
mkdirSync(out, { recursive: true });
await build({
	absWorkingDir: here,
	entryPoints: { app: 'src/main.jsx' },
	outdir: join(process.cwd(), out),
	bundle: true,
	minify: true,
	format: 'iife',
	target: ['chrome100', 'firefox100', 'safari15'],
	jsx: 'automatic',
	jsxImportSource: 'preact',
	legalComments: 'eof',
	charset: 'utf8',
	logLevel: 'warning',
});
for (const file of ['index.html', 'icon.svg']) copyFileSync(join(here, 'src', file), join(out, file));
