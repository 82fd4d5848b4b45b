// The command line: a word, then what it needs. A word may be cut short as long as it is clear which is meant.

import { performLine } from './deeds.js';
import { t } from './lib/say.js';

/** Each word with how it reads what follows. @type {Record<string, (rest: string, words: string[], place: any, act: (what: string, arg: string) => void) => void>} */
const WORDS = {
  next: (_, __, ___, act) => act('next', ''),
  open: (rest, _, place) => { const id = incident(rest, place); if (id) { place.choose(id); location.hash = `#/i/${id}`; } else place.say(t('deed.no_incident'), 'bad'); },
  find: (rest) => { location.hash = `#/archive/${encodeURIComponent(rest)}`; },
  go: (rest) => { location.hash = `#/${rest}`; },
  post: (_, [post = '', role], place) => performLine('next_post', post ? { post, role: role ?? 'first' } : {}, place),
  sign: (rest, words, place) => {
    const named = order(words[0], place);
    performLine('sign', { ...(named ? { order: named } : {}), act: 'signed', words: named ? words.slice(1).join(' ') : rest }, place);
  },
  call: (rest, words, place) => {
    const radius = /^\d+$/.test(words[0] ?? '');
    performLine('all_call', { radius: radius ? words[0] : '', reason: radius ? words.slice(1).join(' ') : rest }, place);
  },
  recall: (rest, words, place) => performLine('recall', orderAnd(rest, words, place), place),
  down: (rest, words, place) => performLine('stand_down', orderAnd(rest, words, place), place),
  hold: (reason, _, place) => performLine('hold', { reason }, place),
  close: (_, words, place) => performLine('close', words[0] ? { disposition: words[0], reason: words.slice(1).join(' ') } : {}, place),
  class: (_, words, place) => {
    const severity = words.find((w) => /^(I|II|III|IV)$/i.test(w))?.toUpperCase() ?? '';
    performLine('reclassify', { severity, category: words.find((w) => w.includes('/')) ?? '' }, place);
  },
  place: (rest, words, place) => performLine('place', words.length === 2 && words.every((w) => Number.isFinite(Number(w))) ? { lon: words[0], lat: words[1], site: '' } : { site: rest }, place),
  merge: (rest, _, place) => performLine('merge', { into: incident(rest, place) ?? rest }, place),
  link: (rest, _, place) => performLine('link', { other: incident(rest, place) ?? rest }, place),
  split: (reports, _, place) => performLine('split', { reports }, place),
  confirm: (reason, _, place) => performLine('confirm', { reason }, place),
  refute: (_, [disposition], place) => performLine('refute', disposition ? { disposition } : {}, place),
  controlled: (reason, _, place) => performLine('controlled', { reason }, place),
  reopen: (reason, _, place) => performLine('reopen', { reason }, place),
  take: (_, __, place) => performLine('take', {}, place),
  new: (text, _, place) => performLine('create', { text }, place),
};

/** An incident by its number or its id. @param {string} text @param {any} place */
function incident(text, place) {
  const wanted = text.replace(/^#/, '');
  if (!wanted) return place.chosen;
  const ids = [...place.store.cards.keys()];
  return ids.find((id) => id === wanted) ?? ids.filter((id) => id.endsWith(`-${wanted}`)).pop() ?? (/^\d+-\d{8}-\d+$/.test(wanted) ? wanted : undefined);
}

/** An order by its number within the incident. @param {string | undefined} text @param {any} place */
function order(text, place) {
  const n = /^#?(?:\d+-)?(\d+)$/.exec(text ?? '')?.[1];
  return n ? `${place.chosen}-${n}` : undefined;
}

/** @param {string} rest @param {string[]} words @param {any} place */
function orderAnd(rest, words, place) {
  const named = order(words[0], place);
  return { ...(named ? { order: named } : {}), reason: named ? words.slice(1).join(' ') : rest };
}

/** @param {string} text @param {any} place @param {(what: string, arg: string) => void} act */
export function runLine(text, place, act) {
  const [head = '', ...words] = text.split(/\s+/);
  const meant = Object.keys(WORDS).filter((w) => w === head.toLowerCase());
  const choices = meant.length ? meant : Object.keys(WORDS).filter((w) => w.startsWith(head.toLowerCase()));
  if (!choices.length) return place.say(t('line.unknown', { word: head }), 'bad');
  if (choices.length > 1) return place.say(t('line.ambiguous', { word: head, choices: choices.join(', ') }), 'bad');
  WORDS[choices[0]](words.join(' '), words, place, act);
}

/** What could stand there. @param {string} typed @param {any} place */
export function suggestions(typed, place) {
  const text = typed.replace(/^[:/]/, '');
  const [head, rest] = text.split(/\s+(.*)/s);
  if (rest === undefined) return Object.keys(WORDS).filter((w) => w.startsWith(head));
  if (head === 'close') return (place.store.playbook?.dispositions ?? []).map((/** @type {any} */ d) => `close ${d.code}`);
  if (head === 'open' || head === 'merge' || head === 'link') return [...place.store.cards.keys()].slice(0, 40).map((id) => `${head} ${id.split('-').pop()}`);
  return [];
}
