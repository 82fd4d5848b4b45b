// Runs the shows of the screen, one after the other; `node run.mjs [name…]` runs some of them.
//
// MUSTER: the program. CHROMIUM: the browser. SCREEN_TOOLS: where the packages of the tests are. PICTURES: where to put the
// pictures of the README, if they are to be taken.

import { mkdirSync } from 'node:fs';
import { launch } from './kit.mjs';

const ALL = ['words', 'story', 'cut', 'tasks', 'roles', 'everybody', 'weight', 'load'];
const wanted = process.argv.length > 2 ? process.argv.slice(2) : ALL;
const { PICTURES } = process.env;
if (PICTURES) mkdirSync(PICTURES, { recursive: true });

/** Takes a picture for the README, where they are asked for. */
async function picture(page, name) {
  if (!PICTURES) return;
  await page.waitForTimeout(700);
  await page.screenshot({ path: `${PICTURES}/${name}.jpg`, type: 'jpeg', quality: 45, scale: 'css' });
}

const browser = await launch();
let failed = 0;
for (const name of wanted) {
  const show = await import(`./${name}.mjs`);
  const faults = [];
  const began = performance.now();
  try {
    const told = await show.run({ browser, faults, picture });
    if (faults.length) throw new Error(`faults in the pages:\n    ${faults.join('\n    ')}`);
    console.log(`ok      ${show.title} (${((performance.now() - began) / 1000).toFixed(1)} s): ${told}`);
  } catch (cause) {
    failed += 1;
    console.log(`FAILED  ${show.title}: ${cause.message}`);
    if (faults.length) console.log(`    ${faults.join('\n    ')}`);
  }
  for (const context of browser.contexts()) await context.close();
}
await browser.close();
process.exitCode = failed ? 1 : 0;
