// Words in the reader's language. A key that is missing is shown as it is; a test compares the keys of both languages.

import { zh } from '../words/zh.js';
import { en } from '../words/en.js';
import { timeOf } from './clock.js';

/** @type {Record<string, Record<string, string>>} */
const LANGUAGES = { zh, en };
const KEPT_AS = 'muster.language';

let language = localStorage.getItem(KEPT_AS) ?? (navigator.language.startsWith('zh') ? 'zh' : 'en');
if (!(language in LANGUAGES)) language = 'zh';

/** `zh` or `en`. */
export const languageNow = () => language;

/** The other language. */
export function turn() {
  language = language === 'zh' ? 'en' : 'zh';
  localStorage.setItem(KEPT_AS, language);
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  dispatchEvent(new CustomEvent('muster:language'));
}

document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';

/**
 * @param {string} key
 * @param {Record<string, unknown>} [parts]
 * @returns {string}
 */
export function t(key, parts = {}) {
  const text = LANGUAGES[language][key];
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(parts[name] ?? ''));
}

/**
 * A word of the service in the reader's language, or as it stands: `word('role', 'first')`.
 * @param {string} family
 * @param {unknown} value
 */
export function word(family, value) {
  if (value === undefined || value === null) return '';
  const found = LANGUAGES[language][`${family}.${value}`];
  return found ?? String(value);
}

/** A mark's name: plans name their own, so the ending counts (`on-scene-2`). @param {string} name */
export function markName(name) {
  const known = LANGUAGES[language][`mark.${name}`];
  if (known) return known;
  const [, stem, rest] = /^(.*?)-(\d+|urgent|general|not-urgent)$/.exec(name) ?? [];
  const stemmed = stem && LANGUAGES[language][`mark.${stem}`];
  return stemmed ? `${stemmed} ${rest}` : name;
}

/**
 * A line of the timeline in words. What has no sentence here is told in the service's own.
 * @param {{ what: string, text: string, detail: Record<string, any> }} line
 */
export function happened(line) {
  const key = `what.${line.what}`;
  const text = LANGUAGES[language][key];
  if (text === undefined) return line.text;
  return text.replace(/\{([\w.]+)(?::(\w+))?\}/g, (_, path, family) => {
    let value = path.split('.').reduce((/** @type {any} */ at, /** @type {string} */ name) => at?.[name], line.detail);
    if (value === undefined || value === null || value === '') return family === 'why' ? '' : '—';
    if (family === 'mark') return markName(String(value));
    if (family === 'time') return timeOf(value);
    if (family === 'short') return short(String(value));
    if (family === 'why') return ` · ${word('why', value)}`;
    if (typeof value === 'object') value = value.post ?? value.team ?? Object.keys(value)[0];
    return family ? word(family, value) : String(value);
  });
}

/** An id as it is said in the room, without command area and date. @param {string} id */
export const short = (id) => {
  const parts = id.split('-');
  return parts.length > 2 ? `#${parts.slice(2).join('-')}` : id;
};
