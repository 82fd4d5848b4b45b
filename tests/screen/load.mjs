// Show 2: a full board under many changes, with many others looking on. Short by default; `MUSTER_LONG` is the full length.
//
// What is measured: from the answer to an act until the board shows it; the gaps between frames while the list is scrolled; the memory
// of the page at the end against that after the beginning.

import { assert, folder, get, open, post, report, ROOM, sleep, start, until } from './kit.mjs';

export const title = 'a full board under load';

const LONG = Boolean(process.env.MUSTER_LONG);
const [INCIDENTS, CHANGES_S, SECONDS, OPERATORS, PHONES] = LONG ? [1000, 50, 600, 50, 500] : [200, 15, 12, 10, 60];
const SHOWN_MS_MAX = 250 * ROOM;
const FRAME_MS_MAX = 100 * ROOM;

const WORDS = ['老人晕倒 叫不醒', '邻居噪音扰民', '刷单被骗', '路边有人昏迷', '楼道里电动车起火', '有人胸口疼', '烧烤摊有人打架'];

export async function run({ browser, faults }) {
  const data = folder();
  // The board is filled from a few sources at once, faster than the door lets one source in by default.
  process.env.MUSTER_HTTP_RATE_PER_SOURCE = '5000';
  process.env.MUSTER_HTTP_RATE_BURST = '5000';
  process.env.MUSTER_HTTP_STREAM_CLIENTS_MAX = '2000';
  const service = await start(['run', '--data', data.path, '--listen', '127.0.0.1:0', '--playbook', 'config/playbooks/hengyang']);
  const ends = new AbortController();
  try {
    const { base } = service;
    const ids = [];
    const places = (await get(base, '/v1/areas')).areas;
    for (let i = 0; i < INCIDENTS; i += 1) {
      const [lon, lat] = places[i % places.length].centre;
      const at = { lon: lon + (i % 7) * 0.004, lat: lat + (i % 5) * 0.004 };
      ids.push((await report(base, { text: `${WORDS[i % WORDS.length]} ${i}`, place: { position: at } }, `app/citizen-${i}`)).incident);
    }
    const many = [...new Set(ids)];
    for (let i = 0; i < OPERATORS + PHONES; i += 1) {
      const query = i < OPERATORS ? '' : `?post=S-${String((i % 60) + 1).padStart(3, '0')}`;
      fetch(`${base}/v1/stream${query}`, { signal: ends.signal }).then(async (response) => { for await (const _ of response.body) { /* heard */ } }).catch(() => {});
    }
    const page = await open(await browser.newContext({ locale: 'en', viewport: { width: 1600, height: 950 } }), `${base}/`, faults);
    await until('live', () => page.locator('#freshness.fresh').count());
    await until('a full board', async () => Number(await page.locator('.kpi dd').first().textContent()) >= many.length * 0.5, 10_000);
    await page.locator('.rows').evaluate((rows) => {
      globalThis.gaps = [];
      let last = performance.now();
      const frame = (now) => {
        globalThis.gaps.push(now - last);
        last = now;
        rows.scrollTop = (rows.scrollTop + 3) % Math.max(1, rows.scrollHeight - rows.clientHeight);
        requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    const heap = async () => page.evaluate(() => { globalThis.gc?.(); return performance.memory.usedJSHeapSize; });
    const shown = [];
    let first = 0;
    const began = performance.now();
    for (let i = 0; performance.now() - began < SECONDS * 1000; i += 1) {
      const id = many[i % many.length];
      const at = performance.now();
      await post(base, '/v1/commands', 'muster.command', { command: 'link', incident: id, other: many[(i * 7 + 1) % many.length], by: `seat-${i}`, reason: 'load' }, `screen/load-${i}`).catch(() => {});
      if (i % CHANGES_S === 0) {
        const mine = `hold ${i}`;
        await post(base, '/v1/commands', 'muster.command', { command: 'hold', incident: id, by: 'seat', reason: mine }, `screen/hold-${i}`).catch(() => {});
        const asked = performance.now();
        const seen = await page.evaluate((wanted) => new Promise((done) => {
          const limit = performance.now() + 3000;
          const look = () => (globalThis.musterStore?.cards.get(wanted)?.holds.length || performance.now() > limit ? done(performance.now() < limit) : setTimeout(look, 5));
          look();
        }), id);
        if (seen) shown.push(performance.now() - asked);
      }
      if (!first && performance.now() - began > SECONDS * 100) first = await heap();
      const rest = 1000 / CHANGES_S - (performance.now() - at);
      if (rest > 0) await sleep(rest);
    }
    const gaps = (await page.evaluate(() => globalThis.gaps)).slice(10).sort((a, b) => b - a);
    const last = await heap();
    shown.sort((a, b) => a - b);
    const p95 = shown[Math.floor(shown.length * 0.95)] ?? Infinity;
    const told = `${many.length} incidents, ${shown.length} acts shown, p95 ${p95.toFixed(0)} ms; longest frame gap ${gaps[0].toFixed(0)} ms of ${gaps.length}; memory ${(last / first * 100).toFixed(0)} % of that at the beginning`;
    assert(shown.length > 3, `acts were shown: ${told}`);
    assert(p95 <= SHOWN_MS_MAX, told);
    assert(gaps[0] <= FRAME_MS_MAX, told);
    if (LONG) assert(last <= first * 1.2, told);
    return told;
  } finally {
    ends.abort();
    await service.end();
    data.remove();
  }
}
