// The command centre: the frame around the views, the keys and the command line.

import { mayCommand, seat, session, signedIn, signOut, sitAt } from './lib/api.js';
import { now, paceOf, span, timeOf } from './lib/clock.js';
import { h, show } from './lib/dom.js';
import { nextDue, orderStanding, SHAPES, standing } from './lib/late.js';
import { languageNow, markName, short, t, turn, word } from './lib/say.js';
import { beep, flash, soundOn, turnSound } from './lib/sound.js';
import { Store } from './lib/store.js';
import { themeNow, turnTheme } from './lib/theme.js';
import { DEEDS, openDeed } from './deeds.js';
import { runLine, suggestions } from './line.js';
import './views/board.js';
import './views/incident.js';
import './views/map.js';
import './views/posts.js';
import './views/desks.js';
import './views/calls.js';
import './views/archive.js';
import './views/handover.js';
import './views/playbook.js';

/** The pages in the order of their keys. */
const VIEWS = ['board', 'map', 'posts', 'desks', 'calls', 'archive', 'handover', 'playbook'];
const KEYS_KEPT_AS = 'muster.single-keys';
const TICK_MS = 500;

const store = new Store();
// For whoever measures from outside how soon a change is known here.
/** @type {any} */ (globalThis).musterStore = store;
/** What every view may use. */
const place = {
  store,
  /** The incident the reader is at. */
  chosen: '',
  /** The incident that will be late next. @type {string | undefined} */
  next: /** @type {string | undefined} */ (undefined),
  /** The incident the reader is at, as fully as it was read. @type {any} */
  detail: null,
  /** @param {string} id */
  choose(id) {
    if (place.chosen === id) return;
    place.chosen = id;
    redraw();
  },
  /** @param {string} text @param {'good'|'bad'|''} [kind] */
  say(text, kind = '') {
    said.textContent = text;
    said.className = kind;
  },
};

const app = /** @type {HTMLElement} */ (document.querySelector('#app'));
const top_ = h('header.top');
const strip = h('section.strip');
const main = h('main', { id: 'content', tabindex: '-1' });
const foot = h('footer.line');
const input = /** @type {HTMLInputElement} */ (h('input', { id: 'line', list: 'line-words', autocomplete: 'off', spellcheck: 'false' }));
const words = h('datalist', { id: 'line-words' });
const said = h('output', { for: 'line', role: 'status' });
/** @type {any} */
let view = null;
let shown = '';

async function begin() {
  try {
    await signedIn();
  } catch {
    // The stream will say that nobody answers; who we are is asked again when it is back.
  }
  if (session.role === 'none') return void location.replace('/sign-in');
  app.append(h('a.skip', { href: '#content' }), top_, strip, main, foot);
  foot.append(h('label', { for: 'line' }, ':'), input, words, said);
  input.addEventListener('keydown', lineKey);
  input.addEventListener('input', () => show(words, suggestions(input.value, place).map((/** @type {string} */ value) => h('option', { value }))));
  addEventListener('hashchange', route);
  addEventListener('muster:language', () => { shown = ''; route(); frame(); });
  addEventListener('muster:signed-out', () => location.replace('/sign-in'));
  document.addEventListener('click', pressed);
  document.addEventListener('keydown', keyed);
  store.addEventListener('change', () => frameSoon());
  store.addEventListener('line', (event) => loud(/** @type {CustomEvent} */ (event).detail));
  store.stream.addEventListener('back', () => void signedIn().catch(() => {}));
  setInterval(frame, TICK_MS);
  route();
  frame();
}

/** @param {any} line */
function loud(line) {
  if (line.what !== 'opened' || line.detail.classification.lane !== 'bottom-line' || line.drill) return;
  beep(3);
  flash(short(line.incident));
}

let asked = false;
function frameSoon() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; frame(); });
}

/** Everything that changes by itself. */
function frame() {
  drawTop();
  drawStrip();
  view?.tick?.();
}

function redraw() {
  view?.draw?.();
  frame();
}

const at = () => location.hash.slice(2).split('/').map(decodeURIComponent);

function route() {
  const [name = '', ...rest] = at();
  const wall = name === 'wall';
  document.body.classList.toggle('wall', wall);
  const known = name === 'i' || wall || VIEWS.includes(name) ? name : 'board';
  if (known === 'i') place.chosen = rest[0] ?? '';
  const key = known;
  if (key !== shown) {
    shown = key;
    const made = { board: boardPage, i: incidentPage, wall: wallPage }[known];
    const root = made ? made() : make(`muster-${known}`);
    main.replaceChildren(root);
  }
  view?.draw?.(rest);
  document.title = `${t(known === 'i' ? 'app.centre' : `nav.${known}`)} · Muster`;
  frame();
}

/** @param {string} tag */
function make(tag) {
  const element = /** @type {any} */ (document.createElement(tag));
  element.place = place;
  view = element;
  return element;
}

function boardPage() {
  const board = make('muster-board');
  const incident = /** @type {any} */ (document.createElement('muster-incident'));
  incident.place = place;
  view = { draw: () => { board.draw(); incident.draw(); }, tick: () => { board.tick(); incident.tick(); }, move: board.move.bind(board) };
  return h('div.split', {}, board, incident);
}

function incidentPage() {
  const incident = make('muster-incident');
  incident.whole = true;
  return incident;
}

function wallPage() {
  const board = make('muster-board');
  const map = /** @type {any} */ (document.createElement('muster-map'));
  map.place = place;
  view = { draw: () => { board.draw(); map.draw(); }, tick: () => { board.tick(); map.tick(); }, move: board.move.bind(board) };
  return h('div.wall', {}, board, map);
}

function drawTop() {
  const stream = store.stream;
  const age = Math.floor(stream.age / 1000);
  const [state, text] = !store.whole ? ['old', t('live.loading')]
    : !stream.live ? ['lost', t('live.lost', { age })]
      : age > 20 ? ['old', t('live.old', { age })] : ['fresh', t('live.fresh')];
  const pace = paceOf();
  const here = at()[0] || 'board';
  show(top_,
    h('div.brand', {}, h('img', { src: new URL('./icon.svg', import.meta.url).pathname, alt: '' }), 'Muster',
      h('small', {}, store.playbook?.head.title ?? '')),
    h('nav', { 'aria-label': t('nav.label') }, VIEWS.map((name, i) => h('a', {
      href: `#/${name}`, 'aria-current': here === name || (name === 'board' && here === 'i') ? 'page' : null,
    }, t(`nav.${name}`), h('kbd', { 'aria-hidden': 'true' }, i + 1)))),
    h('div.state', {},
      Math.abs(pace - 1) > 0.05 && store.whole ? h('span.pill', { title: t('live.pace', { pace: '' }) }, t('live.pace', { pace: pace.toFixed(pace < 10 ? 1 : 0) })) : null,
      h(`span.pill.${state}`, { role: 'status', id: 'freshness' }, state === 'fresh' ? '●' : '▲', ' ', text),
      h('time.clock', {}, timeOf(now()))),
    h('div.state.controls', {},
      h('button', { 'data-do': 'sound', 'aria-pressed': String(soundOn()) }, t(soundOn() ? 'top.sound.on' : 'top.sound.off')),
      h('button', { 'data-do': 'theme' }, t(`theme.${themeNow() === 'night' ? 'day' : 'night'}`)),
      h('button', { 'data-do': 'language', 'aria-label': `${t('top.language')} ${t('top.language.label')}`, lang: languageNow() === 'zh' ? 'en' : 'zh-CN' }, t('top.language')),
      h('button', { 'data-do': 'help' }, t('nav.help'), ' ', h('kbd', { 'aria-hidden': 'true' }, '?')),
      session.role === 'open' ? h('button', { 'data-do': 'seat', title: t('role_name.open') }, seat())
        : h('button', { 'data-do': 'sign-out', title: t('top.sign_out') }, session.principal, ' · ', word('role_name', session.role))));
  const skip = app.querySelector('.skip');
  if (skip) skip.textContent = t('app.skip');
  input.placeholder = t('line.hint');
  input.setAttribute('aria-label', t('line.label'));
  input.disabled = !mayCommand() && session.role !== 'viewer';
}

function drawStrip() {
  const cards = [...store.cards.values()];
  let late = 0, waiting = 0, unsigned = 0, calls = 0;
  /** @type {any} */
  let next = null;
  let due = Infinity;
  for (const card of cards) {
    if (standing(card).kind === 'late') late += 1;
    if (card.waiting_for_a_post) waiting += 1;
    if (card.all_call && !card.all_call.ended) calls += 1;
    for (const order of card.orders) if (['undelivered', 'delivered'].includes(orderStanding(order))) unsigned += 1;
    const at = nextDue(card);
    if (at < due) [due, next] = [at, card];
  }
  place.next = next?.id;
  const kpi = (/** @type {string} */ name, /** @type {number} */ value, /** @type {string} */ kind) =>
    h(`div.kpi${value && kind ? `.${kind}` : ''}`, {}, h('dt', {}, t(`kpi.${name}`)), h('dd', {}, value));
  const mark = next && next.marks.find((/** @type {any} */ m) => Date.parse(m.due_at) === due);
  show(strip,
    h('dl', {}, kpi('open', cards.length, ''), kpi('late', late, 'alarm'), kpi('unsigned', unsigned, 'warn'),
      kpi('waiting', waiting, 'alarm'), kpi('calls', calls, 'warn'), kpi('notices', store.notices.size, 'warn')),
    h('div.next', {}, h('div.quiet', {}, t('kpi.next'), ' ', h('kbd', { 'aria-hidden': 'true' }, 'n')),
      next ? h('button', { 'data-do': 'next' },
        h(`span.pill.${due - now() < 30000 ? 'soon' : 'running'}`, {}, SHAPES[due - now() < 30000 ? 'soon' : 'running'], ' ', span(due - now())),
        h('span', {}, short(next.id)), h('span.clip', {}, markNameOf(mark), ' · ', store.category(next.classification.category, languageNow()), ' · ', store.place(next.place)))
        : h('span', {}, t('kpi.none'))));
}

/** @param {any} mark */
const markNameOf = (mark) => (mark ? markName(mark.name) : '');

/** One listener for whatever can be pressed. @param {MouseEvent} event */
function pressed(event) {
  const from = /** @type {Element} */ (event.target);
  const button = from.closest?.('[data-do]');
  if (!button) return;
  act(button.getAttribute('data-do') ?? '', button.getAttribute('data-arg') ?? '');
}

/** @param {string} what @param {string} arg */
function act(what, arg) {
  switch (what) {
    case 'language': return turn();
    case 'theme': turnTheme(); return frame();
    case 'sound': turnSound(); return frame();
    case 'help': return help();
    case 'seat': return askSeat();
    case 'sign-out': return void signOut().finally(() => location.replace('/sign-in'));
    case 'next': if (place.next) { place.choose(place.next); if (!['board', 'i', ''].includes(at()[0] ?? '')) location.hash = '#/board'; else if (at()[0] === 'i') location.hash = `#/i/${place.next}`; } return;
    case 'choose': return place.choose(arg);
    case 'open': return void (location.hash = `#/i/${arg || place.chosen}`);
    case 'back': return void (location.hash = '#/board');
    default:
      if (DEEDS[what]) return void openDeed(what, place, arg ? JSON.parse(arg) : {});
  }
}

/** Single keys, which a reader may turn off (WCAG 2.1.4). */
const singleKeys = () => localStorage.getItem(KEYS_KEPT_AS) !== 'off';

/** @param {KeyboardEvent} event */
function keyed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const field = /** @type {Element} */ (event.target).closest?.('input, textarea, select');
  if (event.key === 'Escape') {
    if (field) /** @type {HTMLElement} */ (field).blur();
    else if (['i', 'wall'].includes(at()[0] ?? '')) location.hash = '#/board';
    return;
  }
  if (field) return;
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    if (view?.move) { event.preventDefault(); view.move(event.key === 'ArrowDown' ? 1 : -1); }
    return;
  }
  if (!singleKeys()) return;
  if (event.key === ':' || event.key === '/') { event.preventDefault(); input.focus(); return; }
  if (event.key === '?') return help();
  if (/^[1-8]$/.test(event.key)) return void (location.hash = `#/${VIEWS[Number(event.key) - 1]}`);
  if (event.key === 'j' || event.key === 'k') return void view?.move?.(event.key === 'j' ? 1 : -1);
  if (event.key === 'n') { event.preventDefault(); return act('next', ''); }
  if (event.key === 'w') return void (location.hash = at()[0] === 'wall' ? '#/board' : '#/wall');
  if (event.key === 'Enter' && !/** @type {Element} */ (event.target).closest?.('a, button, summary')) return act('open', '');
  const deed = Object.entries(DEEDS).find(([, d]) => d.key === event.key);
  if (deed) { event.preventDefault(); act(deed[0], ''); }
}

/** @param {KeyboardEvent} event */
function lineKey(event) {
  if (event.key !== 'Enter') return;
  event.preventDefault();
  const text = input.value.trim().replace(/^[:/]/, '');
  input.value = '';
  // The keys act again.
  input.blur();
  if (text) runLine(text, place, act);
}

/** @param {string} title @param {...any} content */
function box(title, ...content) {
  const dialog = /** @type {HTMLDialogElement} */ (h('dialog', { 'aria-label': title }, h('h1', {}, title), ...content));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

function help() {
  const rows = [
    ['↑ ↓ j k', t('keys.move')], ['Enter', t('keys.open')], ['n', t('keys.late')], [': /', t('keys.line')],
    ['1 – 8', t('keys.views')], ['w', t('nav.wall')], ['Esc', t('keys.escape')], ['?', t('keys.help')],
    ...Object.entries(DEEDS).map(([name, deed]) => [deed.key, `${t(`deed.${name}`)}  ·  :${deed.line}`]),
  ];
  const check = /** @type {HTMLInputElement} */ (h('input', { type: 'checkbox', checked: singleKeys() }));
  check.addEventListener('change', () => localStorage.setItem(KEYS_KEPT_AS, check.checked ? 'on' : 'off'));
  const close = h('button.first', { autofocus: true }, t('deed.back'));
  const dialog = box(t('keys.title'),
    h('p', {}, h('label', {}, check, ' ', t('keys.single'))),
    h('table', {}, h('tbody', {}, rows.map(([key, text]) => h('tr', {}, h('td', {}, h('kbd', {}, key)), h('td', {}, text))))),
    h('p', {}, h('a', { href: '#/wall' }, t('wall.label'))), close);
  close.addEventListener('click', () => dialog.close());
  dialog.querySelector('a')?.addEventListener('click', () => dialog.close());
}

function askSeat() {
  const field = /** @type {HTMLInputElement} */ (h('input', { value: seat(), 'aria-label': t('top.seat'), autofocus: true, maxlength: 64 }));
  const send = h('button.first', {}, t('deed.send'));
  const dialog = box(t('top.seat'), h('form.deed', { method: 'dialog' }, h('label', {}, t('top.seat'), field), h('div.buttons', {}, send)));
  dialog.addEventListener('close', () => { if (field.value.trim()) sitAt(field.value.trim()); frame(); });
}

void begin();
