// Show 5: how much the first look at the board costs.

import { assert, open, quietCity, ROOM, until } from './kit.mjs';

export const title = 'the weight of the first load';
const BYTES_MAX = 200 * 1024;
const USABLE_MS_MAX = 1000 * ROOM;

export async function run({ browser, faults }) {
  const city = await quietCity(1);
  try {
    const context = await browser.newContext({ locale: 'en', viewport: { width: 1600, height: 950 } });
    const page = await context.newPage();
    const wire = await context.newCDPSession(page);
    await wire.send('Network.enable');
    let bytes = 0;
    wire.on('Network.loadingFinished', (event) => { bytes += event.encodedDataLength; });
    // Once to warm the service, then as a browser that has never been here.
    await (await open(await browser.newContext(), `${city.base}/`, faults)).waitForSelector('.rows');
    const began = performance.now();
    await page.goto(`${city.base}/`);
    await page.waitForSelector('#freshness.fresh');
    await page.waitForSelector('.rows [data-key]');
    const took = performance.now() - began;
    await until('the rest has come', async () => bytes > 0 && page.evaluate(() => document.readyState === 'complete'));
    const all = await page.evaluate(() => performance.getEntriesByType('resource').map((r) => [new URL(r.name).pathname, r.transferSize]));
    const own = all.filter(([path]) => path.startsWith('/app/')).reduce((sum, [, size]) => sum + size, 0);
    assert(bytes <= BYTES_MAX, `${bytes} bytes: ${JSON.stringify(all)}`);
    assert(took <= USABLE_MS_MAX, `usable after ${took.toFixed(0)} ms`);
    return `${(bytes / 1024).toFixed(0)} KB in all, ${(own / 1024).toFixed(0)} KB of it pages; usable after ${took.toFixed(0)} ms`;
  } finally {
    await city.end();
  }
}
