// Show 4, the roles: each sees in the pages what it may, and the service refuses the rest.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { assert, folder, open, start, until } from './kit.mjs';

export const title = 'each role sees what is its own';

export async function run({ browser, faults }) {
  const data = folder();
  const tokens = join(data.path, 'tokens.toml');
  const access = { MUSTER_ACCESS_TOKENS: tokens, MUSTER_ACCESS_AUDIT: join(data.path, 'audit.jsonl') };
  const made = (id, ...more) => /mst_\S+/.exec(execFileSync(process.env.MUSTER, ['token', 'new', id, ...more], { env: { ...process.env, ...access }, stdio: ['ignore', 'pipe', 'ignore'] }).toString())[0];
  const secrets = {
    operator: made('desk-1', '--role', 'operator', '--area', '*'), viewer: made('wall-1', '--role', 'viewer', '--area', '*'),
    post: made('S-001', '--role', 'post'), producer: made('call-110', '--role', 'producer', '--source', '110/desk-3'),
  };
  const service = await start(['run', '--data', join(data.path, 'journal'), '--listen', '127.0.0.1:0', '--playbook', 'config/playbooks/hengyang'], access);
  try {
    const { base } = service;
    const body = { specversion: '1.0', type: 'muster.report', source: '110/desk-3', id: 'r1', data: { text: '商场冒烟 有明火', place: { id: 'lotus-plaza' } } };
    const told = await (await fetch(`${base}/v1/reports`, { method: 'POST', headers: { 'content-type': 'application/cloudevents+json', authorization: `Bearer ${secrets.producer}` }, body: JSON.stringify(body) })).json();
    assert(told.incident, JSON.stringify(told));
    const signIn = async (role, where) => {
      const page = await open(await browser.newContext({ locale: 'en', viewport: { width: 1500, height: 900 } }), `${base}${where}`, faults);
      await page.waitForURL(/sign-in/);
      await page.locator('input[name=token]').fill(secrets[role]);
      await page.keyboard.press('Enter');
      return page;
    };
    const operator = await signIn('operator', '/');
    await operator.locator(`.row[data-id="${told.incident}"]`).click();
    await operator.locator('.deeds button').first().waitFor();
    await operator.keyboard.press('h');
    await operator.keyboard.type('road blocked');
    await operator.keyboard.press('Enter');
    await until('the seat is the principal', async () => (await operator.locator('.timeline .held .by').allTextContents()).includes('desk-1'));
    const viewer = await signIn('viewer', '/');
    await viewer.locator(`.row[data-id="${told.incident}"]`).click();
    await until('the viewer may only look', async () => (await viewer.locator('muster-incident').textContent())?.includes('only look'));
    assert(!(await viewer.locator('.deeds').count()), 'no deed is offered');
    const refused = await viewer.evaluate(async () => {
      const session = await (await fetch('/v1/session')).json();
      const command = { specversion: '1.0', type: 'muster.command', source: 'x', id: 'x', data: { command: 'controlled', incident: 'x', by: 'x' } };
      const ask = (headers) => fetch('/v1/commands', { method: 'POST', headers: { 'content-type': 'application/cloudevents+json', ...headers }, body: JSON.stringify(command) });
      return [(await ask({ 'muster-csrf': session.csrf })).status, document.cookie];
    });
    assert(refused[0] === 403 && refused[1] === '', `the service refuses, and no script reads the cookie: ${refused}`);
    const phone = await signIn('post', '/post');
    await phone.getByRole('button', { name: 'accept and sign' }).click();
    await until('signed by its own post', async () => (await phone.locator('#order-state').textContent()) === 'signed' && !(await phone.locator('#queue').count()));
    assert(!(await phone.getByRole('button', { name: 'change post' }).count()), 'a post that signed in stays itself');
    faults.splice(0, faults.length, ...faults.filter((f) => !/40[13]/.test(f)));
    return 'operator, viewer, post';
  } finally {
    await service.end();
    data.remove();
  }
}
