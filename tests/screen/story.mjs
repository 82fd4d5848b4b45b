// Show 1: one incident from the report to its end, in the browser, in both languages.

import { assert, get, open, quietCity, report, ROOM, sleep, until } from './kit.mjs';

export const title = 'the whole story in the browser';

export async function run({ browser, faults }) {
  const city = await quietCity(8);
  try {
    const centre = await open(await browser.newContext({ locale: 'en', viewport: { width: 1600, height: 950 } }), `${city.base}/`, faults);
    await until('the page is live', () => centre.locator('#freshness.fresh').count());
    const told = await report(city.base, { text: '商场冒烟 有明火 有人被困', place: { id: 'lotus-plaza' } });
    const id = told.incident;
    const card = await until('the card', () => centre.locator(`.row[data-id="${id}"]`).count(), 1000 * ROOM);
    assert(card.took <= 1000 * ROOM, `the card took ${card.took} ms`);

    const first = (await get(city.base, `/v1/cards?incident=${id}`)).items[0].orders[0];
    const phones = await browser.newContext({ locale: 'zh-CN', viewport: { width: 412, height: 860 }, hasTouch: true });
    const phone = await open(phones, `${city.base}/post?post=${first.post}`, faults);
    await until('the order on the phone', () => phone.locator('.order h1').count());
    await phone.getByRole('button', { name: '接令签收' }).click();
    await until('signed on the phone', async () => (await phone.locator('#order-state').textContent()) === '已签收');
    await until('signed on the board', () => centre.locator(`.row[data-id="${id}"] .chip.signed`).count());

    // Nobody goes: late on the scene, the next level.
    await until('late on the board', () => centre.locator(`.row.late[data-id="${id}"]`).count(), 15_000);
    await centre.locator(`.row[data-id="${id}"]`).click();
    await until('the level is raised in the timeline', () => centre.locator('.timeline .level-raised').count(), 15_000);

    await centre.mouse.move(10, 10);
    await centre.keyboard.press(':');
    await centre.keyboard.type('call 3000 people trapped');
    await centre.keyboard.press('Enter');
    const call = (await until('the all-call', async () => {
      const chapter = await get(city.base, `/v1/incidents/${id}`);
      return chapter.all_call?.units?.length && chapter.all_call;
    })).value;
    const unit = call.units.find((u) => u.post && u.coming === undefined);
    assert(unit, 'a post is called');
    const helper = await open(phones, `${city.base}/post?post=${unit.post}`, faults);
    await helper.getByRole('button', { name: '我去' }).click();
    await until('answered', async () => (await get(city.base, `/v1/incidents/${id}`)).all_call.coming >= 1);
    await centre.keyboard.press('5');
    await until('answered on the page of all-calls', async () => Number(await centre.locator('.call dd').nth(3).textContent()) >= 1);

    // Ended with a code, by keys alone.
    await centre.keyboard.press('1');
    await centre.locator(`.row[data-id="${id}"]`).click();
    await centre.keyboard.press('c');
    await until('the form', () => centre.locator('dialog[open]').count());
    await sleep(100);
    await centre.keyboard.press('Enter');
    await until('closed', async () => (await get(city.base, `/v1/incidents/${id}`)).state === 'closed');
    await until('gone from the board', async () => !(await centre.locator(`.row[data-id="${id}"]`).count()));
    await centre.goto(`${city.base}/#/i/${id}`);
    await until('in the timeline', async () => (await centre.locator('.timeline .closed').textContent())?.includes('closed: handled'));
    await centre.getByRole('button', { name: 'switch to Chinese' }).click();
    await until('in Chinese', async () => (await centre.locator('.timeline .closed').textContent())?.includes('结案：已处置'));
    await centre.goto(`${city.base}/#/archive/${encodeURIComponent('冒烟')}`);
    await until('found by two characters', () => centre.locator('td a', { hasText: `#${id.split('-').pop()}` }).count());
    return `the card was there after ${card.took.toFixed(0)} ms`;
  } finally {
    await city.end();
  }
}
