// Starts what the tests drive: fleetlab serve on a free port of loopback, and Debian's chromium.
// Must never wait without a deadline, nor reach for another host.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

export const FLEETLAB = process.env.FLEETLAB ?? new URL('../../../build/release/fleetlab', import.meta.url).pathname;
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const WAIT_MS = 15000;

export const FLAGS = [
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
	'--disable-dev-shm-usage',
];

// {url, stop()}: a server of the store in `results`, once it has said its address.
export function serve(results, extra = []) {
	const child = spawn(FLEETLAB, ['serve', '--results', results, '--listen', '127.0.0.1:0', ...extra], { stdio: ['ignore', 'pipe', 'pipe'] });
	let said = '';
	return new Promise((resolve, reject) => {
		const late = setTimeout(() => reject(new Error(`fleetlab serve said no address: ${said}`)), WAIT_MS);
		const hear = (data) => {
			said += data;
			const address = /https?:\/\/[0-9.]+:\d+/.exec(said);
			if (!address) return;
			clearTimeout(late);
			resolve({
				url: address[0],
				stop: () =>
					new Promise((ended) => {
						child.once('exit', ended);
						child.kill('SIGTERM');
					}),
			});
		};
		child.stdout.on('data', hear);
		child.stderr.on('data', hear);
		child.once('exit', (code) => reject(new Error(`fleetlab serve ended with ${code}: ${said}`)));
	});
}

// A context of its own on a fresh profile.
export async function launch(options = {}) {
	const profile = mkdtempSync(join(tmpdir(), 'chromium-'));
	const context = await chromium.launchPersistentContext(profile, {
		executablePath: CHROMIUM,
		headless: true,
		chromiumSandbox: false,
		args: FLAGS,
		acceptDownloads: true,
		viewport: { width: 1280, height: 900 },
		...options,
	});
	context.setDefaultTimeout(WAIT_MS);
	return {
		context,
		close: async () => {
			await context.close();
			rmSync(profile, { recursive: true, force: true });
		},
	};
}

// A page that keeps what went wrong on it: console errors, exceptions, refused by the policy, and
// requests to anywhere but `url`.
export async function open(context, url, path = '') {
	const page = await context.newPage();
	const wrong = [];
	page.on('console', (message) => {
		if (message.type() === 'error' || message.type() === 'warning') wrong.push(`console: ${message.text()}`);
	});
	page.on('pageerror', (error) => wrong.push(`exception: ${error.message}`));
	page.on('request', (request) => {
		if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url())) wrong.push(`request to ${request.url()}`);
	});
	await page.goto(url + path);
	return { page, wrong };
}
