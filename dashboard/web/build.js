// Bundles the pages: node build.js OUT. OUT/files.S is the list of all files, for the binary to embed
// (harness/base/embedded.S); those in OUT/assets have names that change with their content. Must
// never need the network, nor write anything into a page that its policy forbids (inline scripts
// and styles).
import { build } from 'esbuild';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = 'src/main.jsx';
const STYLE = 'src/style/index.css';
const here = dirname(fileURLToPath(import.meta.url));
if (!process.argv[2]) {
	console.error('usage: node build.js OUT');
	process.exit(1);
}
const out = resolve(process.argv[2]);
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
const { metafile } = await build({
	absWorkingDir: here,
	entryPoints: { app: MAIN, style: STYLE },
	outdir: out,
	entryNames: 'assets/[name]-[hash]',
	chunkNames: 'assets/[name]-[hash]',
	bundle: true,
	splitting: true,
	minify: true,
	metafile: true,
	format: 'esm',
	target: ['chrome100', 'firefox100', 'safari15'],
	jsx: 'automatic',
	jsxImportSource: 'preact',
	legalComments: 'eof',
	charset: 'utf8',
	logLevel: 'warning',
});

const outputs = Object.entries(metafile.outputs).map(([path, about]) => ({ ...about, path: relative(out, join(here, path)) }));
const of = (source) => outputs.find((output) => output.entryPoint === source);
// What the pages share with the shell is in one file with it, and the entry only loads that.
const app = outputs.find((output) => output.path.endsWith('.js') && Object.hasOwn(output.inputs, MAIN) && output.inputs[MAIN].bytesInOutput);
const page = readFileSync(join(here, 'src/index.html'), 'utf8')
	.replace('style.css', of(STYLE).path)
	.replace('app.js', app.path);
writeFileSync(join(out, 'index.html'), page);
copyFileSync(join(here, 'src/icon.svg'), join(out, 'icon.svg'));
const files = ['index.html', 'icon.svg', ...outputs.filter((output) => output === app || output !== of(MAIN)).map((output) => output.path)];
writeFileSync(join(out, 'files.S'), files.map((file) => `EMBED("web/${file}", "${join(process.argv[2], file)}")\n`).join(''));
