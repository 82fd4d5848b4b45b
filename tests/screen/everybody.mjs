// Show 4: axe finds nothing on any page, in either language and theme; keys alone suffice; naughty strings stay text; the
// policy is never broken.

import { readFileSync } from 'node:fs';
import { assert, breaches, get, open, post, quietCity, report, require, sleep, until } from './kit.mjs';

export const title = 'for everybody, and against naughty strings';

/** Language and theme; the short form takes each once, and not every page in both. */
const LONG = Boolean(process.env.MUSTER_LONG);
const LOOKS = LONG ? [['en', 'night'], ['en', 'day'], ['zh-CN', 'night'], ['zh-CN', 'day']] : [['en', 'night'], ['zh-CN', 'day']];
const VIEWS = ['board', 'map', 'posts', 'desks', 'calls', 'archive', 'handover', 'playbook', 'wall'];
const NAUGHTY = [
  '<script>window.broken = 1</script>', '<img src=x onerror="window.broken = 1">', '"><svg onload=window.broken=1>',
  '{{constructor.constructor("window.broken=1")()}}', '${window.broken=1}', "'; DROP TABLE incidents; --", '=cmd|calc!A1',
  '\u202Eabc\u202C 左右', '👩‍👩‍👧 Z̴̡̛a̶lgo', '着火'.repeat(60), 'javascript:window.broken=1', '%00 \u0000'.replace('\u0000', ''),
];

export async function run({ browser, faults }) {
  const city = await quietCity(8);
  try {
    for (const text of NAUGHTY) await report(city.base, { text: `冒烟 ${text}`, place: { position: { lon: 112.55 + Math.random() / 10, lat: 26.88 } } });
    const drill = await report(city.base, { text: '商场冒烟 演练', status: 'exercise', place: { id: 'lotus-plaza' } });
    const source = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
    let checked = 0;
    const found = [];
    for (const [locale, theme] of LOOKS) {
      // The checker itself is put into the page, which the policy forbids to everybody else.
      const context = await browser.newContext({ locale, viewport: { width: 1600, height: 950 }, bypassCSP: true });
      await context.addInitScript((kept) => localStorage.setItem('muster.theme', kept), theme);
      const page = await open(context, `${city.base}/#/i/${drill.incident}`, faults);
      await until('live', () => page.locator('#freshness.fresh').count());
      const look = async (where) => {
        await page.evaluate(source);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
        const told = violations.map((v) => `${v.id} (${v.nodes.length}): ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary?.slice(0, 200)}`);
        found.push(...told.map((v) => `${where}, ${locale}, ${theme}: ${v}`));
        checked += 1;
      };
      await until('the incident', () => page.locator('.timeline li').count());
      await sleep(300);
      await look('the incident');
      for (const view of locale === 'en' || LONG ? VIEWS : VIEWS.filter((_, i) => i % 3 === 0)) {
        await page.evaluate((name) => { location.hash = `#/${name}`; }, view);
        await sleep(500);
        await look(view);
      }
      await page.evaluate(() => { location.hash = '#/board'; });
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('p');
      await until('the form', () => page.locator('dialog[open]').count());
      await look('a form');
      await page.keyboard.press('Escape');
      await page.goto(`${city.base}/post?post=S-001`);
      await until('the phone', () => page.locator('main').count());
      await sleep(500);
      await look('the phone');
      await page.goto(`${city.base}/sign-in`);
      await sleep(300);
      await look('signing in');
      await context.close();
    }

    assert(!found.length, `axe finds ${found.length}:\n    ${found.join('\n    ')}`);

    // With the policy in force: text stays text, on every page and in every field.
    const context = await browser.newContext({ locale: 'en', viewport: { width: 1600, height: 950 } });
    const page = await open(context, `${city.base}/`, faults);
    await until('live', () => page.locator('#freshness.fresh').count());
    await until('its words stand there', async () => (await page.locator('.row .words').allTextContents()).some((t) => t.includes('<script>')));
    for (const view of VIEWS.filter((v) => v !== 'wall')) {
      await page.evaluate((name) => { location.hash = `#/${name}`; }, view);
      await sleep(150);
      for (const field of await page.locator('input:visible:not([type=checkbox]):not([type=datetime-local]), textarea:visible').all()) {
        await field.fill(NAUGHTY[1]);
        await field.press('Enter').catch(() => {});
      }
    }
    await post(city.base, '/v1/commands', 'muster.command', { command: 'hold', incident: drill.incident, by: '<b>seat</b>', reason: NAUGHTY[0] }, 'screen/naughty');
    await page.evaluate((id) => { location.hash = `#/i/${id}`; }, drill.incident);
    await until('the seat is text', async () => (await page.locator('.timeline .by').allTextContents()).includes('<b>seat</b>'));
    assert((await page.evaluate(() => globalThis.broken)) === undefined, 'a string has become script');
    assert(!(await page.locator('main script, main img, main b:has-text("seat")').count()), 'a string has become markup');
    const csv = await (await fetch(`${city.base}/v1/archive.csv`)).text();
    assert(!/(^|,)"?[=+@-]/m.test(csv), 'a cell of the table is a formula');

    // Keys alone: from the board through every deed that fits, each form opened and left.
    await page.evaluate(() => { location.hash = '#/board'; });
    await page.keyboard.press('Escape');
    await page.evaluate(() => /** @type {any} */ (document.activeElement)?.blur());
    await page.keyboard.press('n');
    await page.keyboard.press('j');
    await sleep(400);
    const opened = [];
    for (const key of 'pscahdxlmgo') {
      await page.keyboard.press(key);
      const dialog = page.locator('dialog[open]');
      if (await dialog.count()) {
        opened.push(await dialog.getAttribute('aria-label'));
        assert(await page.evaluate(() => document.querySelector('dialog[open]')?.contains(document.activeElement)), `${key}: the focus is in the form`);
        await page.keyboard.press('Escape');
        await until('closed again', async () => !(await dialog.count()));
      }
    }
    assert(opened.length >= 8, `forms by keys: ${opened}`);
    // One of them to its end.
    const chosen = await page.locator('.row[aria-selected=true]').getAttribute('data-id');
    await page.keyboard.press('h');
    await page.keyboard.type('road blocked');
    await page.keyboard.press('Enter');
    await until('held', async () => (await get(city.base, `/v1/cards?incident=${chosen}`)).items[0].holds.length);
    assert((await breaches(city.base)) === 0, 'a browser told of a breach of the policy');
    // And a breach is counted, or the line above says nothing.
    await page.evaluate(() => { const s = document.createElement('style'); s.textContent = 'body{}'; document.head.append(s); });
    await until('a breach is counted', async () => (await breaches(city.base)) > 0);
    faults.splice(0, faults.length, ...faults.filter((f) => !/Content Security Policy|inline style/i.test(f)));
    return `${checked} looks by axe, ${opened.length} forms by keys`;
  } finally {
    await city.end();
  }
}
