// Show 6: five tasks of a new operator, each in at most three actions. An action is a key, or a text with the Enter that ends it.

import { assert, get, open, quietCity, report, sleep, until } from './kit.mjs';

export const title = 'five tasks in at most three actions';

export async function run({ browser, faults }) {
  const city = await quietCity(4);
  try {
    const { base } = city;
    const { incident } = await report(base, { text: '商场冒烟 有明火', place: { id: 'lotus-plaza' } });
    await report(base, { text: '老人晕倒 叫不醒', place: { position: { lon: 112.62, lat: 26.945 } } });
    const page = await open(await browser.newContext({ locale: 'en', viewport: { width: 1600, height: 950 } }), `${base}/`, faults);
    await until('live', () => page.locator('#freshness.fresh').count());
    await until('both cards', async () => (await page.locator('.row').count()) === 2);
    let actions = 0;
    const told = [];
    const key = async (name) => { actions += 1; await page.keyboard.press(name); await sleep(120); };
    const text = async (words) => { actions += 1; await page.keyboard.type(words); await page.keyboard.press('Enter'); };
    const chosen = () => page.locator('.row[aria-selected=true]').getAttribute('data-id');
    const card = async () => (await get(base, `/v1/cards?incident=${incident}`)).items[0];
    const task = async (name, does) => {
      actions = 0;
      await does();
      assert(actions <= 3, `${name}: ${actions} actions`);
      told.push(`${name} ${actions}`);
    };
    await task('find what will be late next', async () => {
      await key('n');
      await until('the next to be late is chosen', async () => (await chosen()) === incident);
    });
    await task('say why that post was chosen', async () => {
      await key('n');
      await until('why, and why not the runner-up', async () => /the least; (runner-up|no other)/.test(await page.locator('.order .why').last().textContent()));
    });
    await task('call the next post', async () => {
      const before = (await card()).orders.length;
      await key('n');
      await until('its posts are known', async () => (await page.evaluate(() => globalThis.musterStore.posts.size)) > 0);
      await key('p');
      await until('the form with the next post', () => page.locator('dialog[open] input[type=radio]:checked').count());
      await key('Enter');
      await until('one order more', async () => (await card()).orders.length > before);
    });
    await page.evaluate((id) => { location.hash = `#/i/${id}`; }, incident);
    await task('hold with a reason', async () => {
      await key('h');
      await text('road blocked');
      await until('held', async () => (await card()).holds.length > 0);
      await until('the form is gone', async () => (await page.locator('dialog[open]').count()) === 0);
    });
    await task('close with a code', async () => {
      await key('c');
      await until('the form with the codes', () => page.locator('dialog[open] select').count());
      await key('Enter');
      await until('closed', async () => (await card()).state === 'closed');
    });
    return told.join(', ');
  } finally {
    await city.end();
  }
}
