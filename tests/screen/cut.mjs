// Show 3: the service is killed and comes back; the page says so, misses nothing and doubles nothing; what the phone did
// meanwhile arrives once.

import { createServer } from 'node:net';
import { assert, folder, get, open, report, sleep, start, until } from './kit.mjs';

export const title = 'cut off and back again';

const free = () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => done(port)); });
});

export async function run({ browser, faults }) {
  const data = folder();
  const port = await free();
  const args = ['run', '--data', data.path, '--listen', `127.0.0.1:${port}`, '--playbook', 'config/playbooks/hengyang'];
  let service = await start(args);
  try {
    const { base } = service;
    const centre = await open(await browser.newContext({ locale: 'en', viewport: { width: 1600, height: 950 } }), `${base}/`, faults);
    await until('live', () => centre.locator('#freshness.fresh').count());
    const { incident } = await report(base, { text: '有人持刀', place: { id: 'lotus-plaza' } });
    const order = (await get(base, `/v1/cards?incident=${incident}`)).items[0].orders[0];
    const phone = await open(await browser.newContext({ locale: 'en', viewport: { width: 412, height: 860 } }), `${base}/post?post=${order.post}`, faults);
    await until('the order on the phone', () => phone.locator('.order h1').count());
    await phone.evaluate(() => navigator.serviceWorker.ready.then(() => true));

    await service.end('SIGKILL');
    const said = await until('the centre says that the stream is lost', () => centre.locator('#freshness.lost').count(), 5000);
    await until('so does the phone', () => phone.locator('#health .lost').count(), 5000);
    await phone.getByRole('button', { name: 'accept and sign' }).click();
    await until('shown as signed', async () => (await phone.locator('#order-state').textContent()) === 'signed');
    await phone.getByRole('button', { name: 'en route', exact: true }).click();
    await until('shown as not yet sent', async () => (await phone.locator('#queue').textContent())?.includes('2'));
    // The page is there without the service, and so is what was done.
    await phone.reload();
    await until('still waiting after a reload', async () => (await phone.locator('#queue').textContent())?.includes('2'));
    await until('still shown as done', async () => (await phone.locator('#order-state').textContent()) === 'en route');
    await sleep(Number(process.env.MUSTER_LONG ? 30_000 : 3000));

    service = await start(args);
    const other = await report(base, { text: '老人晕倒 叫不醒', place: { position: { lon: 112.61, lat: 26.9 } } });
    await until('live again', () => centre.locator('#freshness.fresh').count(), 10_000);
    await until('nothing is missed', () => centre.locator(`.row[data-id="${other.incident}"]`).count());
    await until('all is sent', async () => !(await phone.locator('#queue').count()), 15_000);
    const now = (await get(base, `/v1/cards?incident=${incident}`)).items[0].orders.find((o) => o.id === order.id);
    assert(now.state === 'en-route', `the order is ${now.state}`);
    const lines = (await get(base, `/v1/incidents/${incident}/timeline?limit=1000`)).items;
    const acted = lines.filter((l) => l.what === 'acted' && l.detail.order === order.id).map((l) => l.detail.act);
    assert(acted.join() === 'signed,en_route', `each act once, in order: ${acted}`);
    const rows = await centre.locator('.row').evaluateAll((list) => list.map((r) => r.getAttribute('data-id')));
    assert(new Set(rows).size === rows.length && rows.length === 2, `nothing doubled: ${rows}`);
    return `said so after ${said.took.toFixed(0)} ms`;
  } finally {
    if (service.child.exitCode === null) await service.end();
    data.remove();
  }
}
