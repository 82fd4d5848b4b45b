// Both languages say everything: the same keys, the same parts, nothing empty, and every key that the pages use is there.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { assert } from './kit.mjs';

export const title = 'words in both languages';

const WEB = join(import.meta.dirname, '../../web');

export async function run() {
  const { zh } = await import(pathToFileURL(join(WEB, 'words/zh.js')));
  const { en } = await import(pathToFileURL(join(WEB, 'words/en.js')));
  const [a, b] = [Object.keys(zh), Object.keys(en)];
  const lacks = [...a.filter((k) => !(k in en)).map((k) => `en: ${k}`), ...b.filter((k) => !(k in zh)).map((k) => `zh: ${k}`)];
  assert(!lacks.length, `missing: ${lacks}`);
  const parts = (text) => [...text.matchAll(/\{[\w.:]+\}/g)].map((m) => m[0]).sort().join();
  const differ = a.filter((k) => parts(zh[k]) !== parts(en[k]) || !zh[k] || !en[k]);
  assert(!differ.length, `other parts: ${differ.map((k) => `${k}: ${zh[k]} | ${en[k]}`)}`);
  const files = readdirSync(WEB, { recursive: true }).filter((f) => f.endsWith('.js') && !f.startsWith('words'));
  const used = new Set(files.flatMap((f) => [...readFileSync(join(WEB, f), 'utf8').matchAll(/\bt\('([\w.-]+)'/g)].map((m) => m[1])));
  const unknown = [...used].filter((k) => !(k in zh));
  assert(used.size > 100 && !unknown.length, `used and not there: ${unknown}`);
  return `${a.length} keys`;
}
