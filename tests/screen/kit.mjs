// A server of our own, a browser, and the patience to wait for what must come.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { MUSTER, SCREEN_TOOLS, CHROMIUM } = process.env;
/** Packages of the tests, which are no part of the repository. */
export const require = createRequire(`${SCREEN_TOOLS}/`);
const { chromium } = require('playwright-core');

/** Bounds of time hold as they stand at full length, on a machine that does nothing else; otherwise with so much room. */
export const ROOM = process.env.MUSTER_LONG ? 1 : 5;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export function assert(holds, what) {
  if (!holds) throw new Error(what);
}

/** Waits until it holds and tells how long that took. */
export async function until(what, holds, ms = 5000) {
  const began = performance.now();
  let last;
  while (performance.now() - began < ms) {
    try {
      last = await holds();
      if (last) return { took: performance.now() - began, value: last };
    } catch (cause) {
      last = cause;
    }
    await sleep(20);
  }
  throw new Error(`${what}: not within ${ms} ms (last: ${last})`);
}

/** Starts the program, with more in its environment, and waits for its address. */
export async function start(args, more = {}) {
  const child = spawn(MUSTER, args, { env: { ...process.env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (text) => { said += text; });
  child.stderr.on('data', (text) => { said += text; });
  const base = (await until('the program says its address', () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${said}`);
    return /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
  }, 60_000)).value;
  await until('the service is ready', async () => (await fetch(`${base}/readyz`)).ok, 30_000);
  return { base, child, said: () => said, end: (signal = 'SIGTERM') => new Promise((done) => { child.once('exit', done); child.kill(signal); }) };
}

/** A quiet city whose clock runs so many times as fast as the wall. */
export const quietCity = (speed) =>
  start(['demo', '--speed', String(speed), '--script', 'tests/screen/quiet-city.toml', '--end']);

/** `muster run` on a folder of its own. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), 'muster-screen-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });

/** A page that tells whatever went wrong in it. `GET /v1/session` may be missing where access control is off. */
export async function open(context, url, faults) {
  const page = await context.newPage();
  page.on('pageerror', (cause) => faults.push(`${url}: ${cause.message}`));
  page.on('console', (line) => {
    const text = `${line.text()} ${line.location().url}`;
    if (line.type() === 'error' && !/\/v1\/session|ERR_CONNECTION|ERR_INTERNET|ERR_INCOMPLETE|ERR_EMPTY|ERR_FAILED|status of 404.*\/v1\//.test(text)) faults.push(`${url}: ${text}`);
  });
  await page.goto(url);
  return page;
}

let n = 0;
export async function post(base, door, type, data, source = '110/desk-3') {
  n += 1;
  const event = { specversion: '1.0', type, source, id: `screen-${process.pid}-${n}`, data };
  const response = await fetch(base + door, { method: 'POST', headers: { 'content-type': 'application/cloudevents+json' }, body: JSON.stringify(event) });
  const told = await response.json();
  assert(response.ok, `${door}: ${JSON.stringify(told)}`);
  return told;
}

export const report = (base, data, source) => post(base, '/v1/reports', 'muster.report', data, source);
export const get = async (base, path) => (await fetch(base + path)).json();

/** Breaches of the policy that browsers told the service. */
export async function breaches(base) {
  const text = await (await fetch(`${base}/metrics`)).text();
  return Number(/^muster_csp_reports_total (\d+)/m.exec(text)?.[1] ?? NaN);
}
