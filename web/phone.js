// The post's phone: the order in large type, and what the post does about it, with gloves on and in a dead spot.
//
// What is done is shown at once as done, marked as not yet sent until the service has it. The position is shared only while
// the post is on duty and says so; the page shows that it is.

import { ask, session, signedIn } from './lib/api.js';
import { now, span, timeOf } from './lib/clock.js';
import { h, show } from './lib/dom.js';
import { Outbox } from './lib/outbox.js';
import { languageNow, markName, short, t, turn, word } from './lib/say.js';
import { Stream } from './lib/stream.js';
import { beep, soundOn, turnSound } from './lib/sound.js';
import { themeNow, turnTheme } from './lib/theme.js';

const POST = 'muster.post';
const SHARE = 'muster.share';
const SEEN = 'muster.seen-orders';
const HELD = 'muster.post-picture';
/** Positions are sent at most so often. */
const FIX_MS = 15_000;
const TICK_MS = 500;
/** The picture is read anew so often even when nothing is told. */
const READ_MS = 20_000;

const ASKED = ['busy', 'far', 'vehicle', 'other'];
const HOLDS = ['road', 'place', 'crowd', 'vehicle', 'other'];
/** What may follow a state. @type {Record<string, string[]>} */
const NEXT = {
  issued: ['signed', 'declined'], signed: ['en_route', 'on_scene', 'hold', 'declined'], 'en-route': ['on_scene', 'hold'],
  'on-scene': ['first_report', 'cleared', 'hold'], 'first-report': ['cleared', 'hold'], expired: ['signed'],
};
/** @type {Record<string, string>} */
const STATE_AFTER = { signed: 'signed', en_route: 'en-route', on_scene: 'on-scene', first_report: 'first-report', cleared: 'cleared', declined: 'declined' };

const app = /** @type {HTMLElement} */ (document.querySelector('#app'));
const outbox = new Outbox();
/** @type {Stream | null} */
let stream = null;
let post = '';
/** What the service last said of this post. @type {any} */
let picture = null;
/** @type {any[]} */
let told = [];
/** @type {number | null} */
let watching = null;
let fixedAt = 0;
/** @type {'off'|'on'|'none'} */
let sharing = 'off';
let unknown = false;

const source = () => session.source ?? `terminal/${post}`;

async function begin() {
  try {
    await signedIn();
  } catch {
    // Without a signal the page works with what it has.
  }
  if (session.role === 'none') return void location.replace('/sign-in?to=post');
  post = session.post || new URLSearchParams(location.search).get('post') || localStorage.getItem(POST) || '';
  document.addEventListener('click', pressed);
  addEventListener('muster:language', draw);
  for (const what of ['change', 'sent', 'refused']) outbox.addEventListener(what, draw);
  outbox.addEventListener('sent', (event) => {
    const { order, sent } = /** @type {CustomEvent} */ (event).detail;
    if (order && STATE_AFTER[sent.data.act]) applied.set(order, { state: STATE_AFTER[sent.data.act], at: performance.now() });
    void read();
  });
  outbox.addEventListener('refused', (event) => say(t('phone.refused', { why: /** @type {CustomEvent} */ (event).detail.why }), 'bad'));
  addEventListener('online', draw);
  addEventListener('offline', draw);
  setInterval(draw, TICK_MS);
  setInterval(() => void read(), READ_MS);
  worker();
  if (post) start(post);
  draw();
}

function worker() {
  if (!('serviceWorker' in navigator)) return;
  const types = /** @type {any} */ (window).trustedTypes;
  const address = '/post-worker.js';
  const url = types ? types.createPolicy('muster-worker', { createScriptURL: (/** @type {string} */ u) => (u === address ? u : '') }).createScriptURL(address) : address;
  navigator.serviceWorker.register(url, { scope: '/post' }).catch(() => {});
}

/** @param {string} id */
function start(id) {
  post = id.trim();
  localStorage.setItem(POST, post);
  const kept = JSON.parse(localStorage.getItem(HELD) ?? 'null');
  if (kept?.id === post) picture = kept;
  stream ??= listen(new Stream(`post=${encodeURIComponent(post)}`));
  void read();
  if (localStorage.getItem(SHARE) === 'on') share(true);
}

/** @param {Stream} s */
function listen(s) {
  for (const what of ['ready', 'back', 'resync', 'order', 'timeline', 'call']) s.addEventListener(what, () => void read());
  s.addEventListener('back', () => void outbox.flush());
  s.addEventListener('health', () => { if (s.live) void outbox.flush(); draw(); });
  return s;
}

let reading = false;
let again = false;
async function read() {
  if (!post) return;
  if (reading) { again = true; return; }
  reading = true;
  do {
    again = false;
    try {
      const before = picture;
      const asked = performance.now();
      picture = await ask(`/v1/posts/${encodeURIComponent(post)}`);
      unknown = false;
      for (const [order, { at }] of applied) if (at < asked) applied.delete(order);
      localStorage.setItem(HELD, JSON.stringify(picture));
      alarm(before);
    } catch (problem) {
      if (/** @type {any} */ (problem).status === 404) unknown = true;
    }
  } while (again);
  reading = false;
  if (picture && !picture.on_duty && watching !== null) share(false);
  draw();
}

/** @param {any} before */
function alarm(before) {
  const seen = new Set(JSON.parse(localStorage.getItem(SEEN) ?? '[]'));
  const fresh = picture.orders.filter((/** @type {any} */ o) => o.state === 'issued' && !seen.has(o.id));
  const gone = (before?.orders ?? []).filter((/** @type {any} */ o) => o.state !== 'cleared' && !done(o.id, 'cleared') && !done(o.id, 'declined') && !picture.orders.some((/** @type {any} */ n) => n.id === o.id));
  for (const o of fresh) seen.add(o.id);
  localStorage.setItem(SEEN, JSON.stringify([...seen].slice(-100)));
  const called = picture.calls.some((/** @type {any} */ c) => !(before?.calls ?? []).some((/** @type {any} */ b) => b.incident === c.incident && b.n === c.n));
  if (fresh.length || called) {
    vibrate([400, 150, 400, 150, 700]);
    beep(4);
  }
  for (const o of gone) if (!acted.has(o.id)) { say(`${t('phone.recalled')} ${short(o.id)}`, 'bad'); vibrate(300); }
}

/** Incidents whose all-call this post has answered, sent or not. @type {Set<string>} */
const answeredCalls = new Set();

/** All-calls that call this post and wait for its answer. */
const calls = () => (picture?.calls ?? []).filter((/** @type {any} */ c) => Date.parse(c.until) > now() && !answeredCalls.has(`${c.incident}/${c.n}`));

/** @param {any} c */
const callBox = (c) => h(`section.order.call${c.drill ? '.drill' : ''}`, { 'data-key': `call-${c.incident}` },
  h('div.line', {}, h('span.pill.soon', {}, '◆ ', t('phone.call')), h('span.number', {}, short(c.incident))),
  h('p.where', {}, t('phone.call.text', { m: c.distance_m, until: timeOf(c.until) })),
  h('div.acts', {}, h('button.big.first', { 'data-do': 'coming', 'data-arg': c.incident }, t('phone.call.coming')), h('button.big', { 'data-do': 'not-coming', 'data-arg': c.incident }, t('phone.call.not'))));

/** @param {string} incident @param {boolean} coming */
function answer(incident, coming) {
  for (const c of calls()) if (c.incident === incident) answeredCalls.add(`${c.incident}/${c.n}`);
  const what = coming ? 'signed' : 'declined';
  void outbox.put('muster.act', source(), { incident, post, act: what, done_at: new Date(now()).toISOString() }, { label: what });
}

/** What the service has taken and the picture does not show yet, by order. @type {Map<string, { state: string, at: number }>} */
const applied = new Map();

/** Orders this post has ended itself. @type {Set<string>} */
const acted = new Set();
const done = (/** @type {string} */ order, /** @type {string} */ act) => outbox.waiting.some((a) => a.order === order && a.sent.data.act === act);

/** Shakes the phone, once somebody has touched it: before that a browser does not let us. @param {number | number[]} pattern */
function vibrate(pattern) {
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(pattern);
}

/** @param {string} text @param {string} [kind] */
function say(text, kind = '') {
  told = [{ text, kind, at: Date.now() }, ...told].slice(0, 3);
  draw();
}

/** The orders as they stand once everything that waits has been sent. */
function orders() {
  return (picture?.orders ?? []).map((/** @type {any} */ o) => {
    const mine = outbox.waiting.filter((a) => a.order === o.id);
    const last = mine.filter((a) => STATE_AFTER[a.sent.data.act]).pop();
    return { ...o, state: last ? STATE_AFTER[last.sent.data.act] : (applied.get(o.id)?.state ?? o.state), unsent: mine.length };
  }).filter((/** @type {any} */ o) => !['cleared', 'declined', 'recalled'].includes(o.state));
}

function draw() {
  document.title = `${post || t('app.phone')} · Muster`;
  show(app, head(), post && !unknown ? (picture ? body() : h('main', { 'data-key': 'wait' }, h('p.empty', {}, t('live.loading')))) : choose());
}

function head() {
  const cut = !navigator.onLine ? t('phone.offline') : stream && !stream.live ? t('phone.lost') : '';
  return h('header.bar', { 'data-key': 'head' },
    h('div.who', {}, h('b', {}, post || 'Muster'), picture?.name && !post.startsWith(picture.name) ? h('span', {}, picture.name) : null),
    h('div.tools', {},
      h('button', { 'data-do': 'theme' }, t(`theme.${themeNow() === 'night' ? 'day' : 'night'}`)),
      h('button', { 'data-do': 'language', 'aria-label': `${t('top.language')} ${t('top.language.label')}`, lang: languageNow() === 'zh' ? 'en' : 'zh-CN' }, t('top.language'))),
    h('div.health', { role: 'status', id: 'health' },
      cut ? h('span.pill.lost', {}, '▲ ', cut) : post ? h('span.pill.fresh', {}, '● ', t('live.fresh')) : null,
      outbox.waiting.length ? h('span.pill.old', { id: 'queue' }, '◆ ', t('phone.queue', { n: outbox.waiting.length })) : null,
      post ? h('time.number', {}, timeOf(now())) : null));
}

function choose() {
  return h('main', { 'data-key': 'choose' }, h('form.choose', { id: 'choose' }, h('h1', {}, t('phone.choose')),
    unknown ? h('p.bad', { role: 'alert' }, t('phone.unknown')) : null,
    h('label', {}, t('phone.post'), h('input', { name: 'post', required: true, autocapitalize: 'characters', autocomplete: 'off', placeholder: 'S-001' })),
    h('button.first.big', { type: 'button', 'data-do': 'start' }, t('phone.start'))));
}

function body() {
  const list = orders();
  const current = list[0];
  return h('main', { 'data-key': 'main' },
    told.map((m) => h(`div.told.${m.kind || 'good'}`, { role: 'alert', 'data-key': m.at }, h('span', {}, m.text), h('button', { 'data-do': 'dismiss', 'data-arg': m.at }, t('phone.dismiss')))),
    calls().map(callBox),
    current ? order(current) : h('section.free', { 'data-key': 'free' }, h('h1', {}, t('phone.free')), h('p', {}, t('phone.free.hint'))),
    list.length > 1 ? h('section.more', { 'data-key': 'more' }, h('h2', {}, t('phone.next', { n: list.length - 1 })), list.slice(1).map((/** @type {any} */ o) =>
      h('p', { 'data-key': o.id }, h(`span.severity.${o.severity}`, {}, word('severity', o.severity)), ' ', short(o.id), ' ', o.names.site ?? o.names.area ?? '', ' · ', word('state', o.state)))) : null,
    outbox.waiting.length ? h('section.queue', { 'data-key': 'queue' }, h('h2', {}, t('phone.queue', { n: outbox.waiting.length })),
      h('ul', {}, outbox.waiting.map((a) => h('li', { 'data-key': a.n }, h('span.pill.old', {}, '◆ ', t('phone.queue.one')), ' ', timeOf(a.at), ' ', a.order ? short(a.order) : '', ' ', label(a))))) : null,
    duty());
}

/** @param {any} a */
const label = (a) => (a.sent.data.act ? word('act', a.sent.data.act) : a.sent.data.command ? t('phone.hold') : '');

/** @param {any} o */
function order(o) {
  const where = [o.names.site, o.names.area].filter(Boolean).join(' · ');
  const point = o.place.position;
  const mark = (o.marks ?? []).filter((/** @type {any} */ m) => ['running', 'missed'].includes(m.state)).sort((/** @type {any} */ a, /** @type {any} */ b) => (a.due_at < b.due_at ? -1 : 1))[0];
  const left = mark ? Date.parse(mark.limit_at) - now() : 0;
  // A hold is a command, and a post that signs in may give none.
  const acts = (NEXT[o.state] ?? []).filter((act) => act !== 'hold' || session.role !== 'post');
  return h(`section.order${o.drill ? '.drill' : ''}`, { 'data-key': o.id, 'aria-label': short(o.id) },
    o.drill ? h('div.pill.drill', {}, '◇ ', t('drill.page')) : null,
    h('div.line', {}, h(`span.severity.${o.severity}`, {}, word('severity', o.severity)), o.lane === 'bottom-line' ? h('span.pill.bottom', {}, '■ ', t('lane.bottom-line')) : null,
      h('span.pill', {}, word('role', o.role)), h('span.number', {}, short(o.id))),
    h('h1', {}, o.title?.[languageNow()] || o.category.split('/').pop()),
    h('p.where', {}, where || '—'),
    point ? h('p.number.quiet', {}, `${point.lat.toFixed(5)}, ${point.lon.toFixed(5)}`) : null,
    o.words ? h('p.words', {}, o.words) : null,
    mark ? h(`p.mark.pill.${left < 0 ? 'late' : left < 30_000 ? 'soon' : 'running'}`, {}, left < 0 ? '▲ ' : left < 30_000 ? '◆ ' : '● ',
      t(left < 0 ? 'phone.late' : 'phone.mark_by', { mark: markName(mark.name), span: span(left) })) : null,
    h('p.state', { role: 'status' }, t('phone.state'), ' ', h('b', { id: 'order-state' }, word('state', o.state)), o.unsent ? h('span.pill.old', {}, '◆ ', t('phone.queue.one')) : null),
    h('div.acts', {}, acts.map((act, i) => h(`button.big${i === 0 ? '.first' : ''}${act === 'declined' || act === 'hold' ? '.other' : ''}`, { 'data-do': 'act', 'data-arg': act, 'data-key': act },
      act === 'signed' ? t('phone.accept') : act === 'declined' ? t('phone.decline') : act === 'hold' ? t('phone.hold') : t(`phone.${act}`)))));
}

function duty() {
  const on = picture.on_duty;
  return h('section.duty', { 'data-key': 'duty' },
    h('p', {}, h(`span.pill${on ? '.signed' : ''}`, {}, on ? '● ' : '○ ', t(on ? 'phone.on_duty' : 'phone.off_duty')), ' ',
      h(`span.pill${sharing === 'on' && on ? '.soon' : ''}`, { id: 'sharing' }, sharing === 'on' && on ? '◉ ' : '○ ', t(sharing === 'none' ? 'phone.no_position' : sharing === 'on' && on ? 'phone.sharing' : 'phone.not_sharing'))),
    h('div.tools', {},
      h('button', { 'data-do': on ? 'off_duty' : 'on_duty' }, t(on ? 'phone.go_off_duty' : 'phone.go_on_duty')),
      h('button', { 'data-do': 'share', 'aria-pressed': String(sharing === 'on'), disabled: !on }, t('phone.share')),
      h('button', { 'data-do': 'alerts', 'aria-pressed': String(soundOn()) }, t(soundOn() ? 'phone.alerts.on' : 'phone.alerts')),
      session.post ? null : h('button', { 'data-do': 'change' }, t('phone.change'))));
}

/** @param {MouseEvent} event */
function pressed(event) {
  const button = /** @type {Element} */ (event.target).closest?.('[data-do]');
  if (!button) return;
  const arg = button.getAttribute('data-arg') ?? '';
  switch (button.getAttribute('data-do')) {
    case 'language': return turn();
    case 'theme': turnTheme(); return draw();
    case 'alerts': turnSound(); vibrate(80); return draw();
    case 'dismiss': told = told.filter((m) => String(m.at) !== arg); return draw();
    case 'start': {
      const field = /** @type {HTMLInputElement} */ (app.querySelector('input[name=post]'));
      if (field.value.trim()) start(field.value);
      return draw();
    }
    case 'change': localStorage.removeItem(POST); localStorage.removeItem(HELD); return void location.replace('/post');
    case 'share': return share(sharing !== 'on');
    case 'on_duty': return void duties('on_duty');
    case 'off_duty': return void duties('off_duty');
    case 'coming': return answer(arg, true);
    case 'not-coming': return answer(arg, false);
    case 'act': return act(arg);
  }
}

/** @param {string} what */
function act(what) {
  const current = orders()[0];
  if (!current) return;
  if (what === 'declined') return ask_(t('phone.decline.why'), ASKED, true, (reason) => put(current, 'declined', { reason }));
  if (what === 'hold') return ask_(t('phone.hold.why'), HOLDS, true, (reason) => void outbox.put('muster.command', source(), { command: 'hold', incident: current.incident, by: source(), reason: `${post}: ${reason}` }, { label: 'hold', order: current.id }));
  if (what === 'first_report') return ask_(t('phone.report.words'), [], false, (text) => put(current, 'first_report', text ? { report: { text } } : {}));
  put(current, what, {});
}

/** @param {any} o @param {string} what @param {Record<string, unknown>} more */
function put(o, what, more) {
  vibrate(60);
  if (what === 'cleared' || what === 'declined') acted.add(o.id);
  const data = { order: o.id, post, act: what, done_at: new Date(now()).toISOString(), ...more };
  void outbox.put('muster.act', source(), data, { label: what, order: o.id });
}

/** @param {string} what */
async function duties(what) {
  if (what === 'off_duty') share(false);
  await outbox.put('muster.act', source(), { post, act: what, done_at: new Date(now()).toISOString() }, { label: what });
}

/** Asks for a reason: large buttons, and words of one's own. @param {string} title @param {string[]} reasons @param {boolean} required @param {(reason: string) => void} then */
function ask_(title, reasons, required, then) {
  const field = /** @type {HTMLInputElement} */ (h('input', { name: 'reason', maxlength: 500, 'aria-label': title, autocomplete: 'off', required }));
  const cancel = h('button.big', { type: 'button' }, t('deed.back'));
  const form = /** @type {HTMLFormElement} */ (h('form.ask', {}, h('h1', {}, title),
    h('div.acts', {}, reasons.map((r) => h('button.big', { type: 'button', value: t(`phone.reason.${r}`) }, t(`phone.reason.${r}`)))),
    field, h('div.acts', {}, h('button.first.big', {}, t('deed.send')), cancel)));
  const dialog = /** @type {HTMLDialogElement} */ (h('dialog', { 'aria-label': title }, form));
  const end = (/** @type {string} */ reason) => { dialog.close(); then(reason); };
  form.addEventListener('submit', (event) => { event.preventDefault(); end(field.value.trim()); });
  form.addEventListener('click', (event) => { const b = /** @type {HTMLButtonElement} */ (event.target); if (b.value) end(b.value); });
  cancel.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Shares the position, or no longer. @param {boolean} on */
function share(on) {
  localStorage.setItem(SHARE, on ? 'on' : 'off');
  if (watching !== null) navigator.geolocation.clearWatch(watching);
  watching = null;
  sharing = 'off';
  if (on && picture?.on_duty && 'geolocation' in navigator) {
    sharing = 'on';
    watching = navigator.geolocation.watchPosition((fix) => void moved(fix), () => { sharing = 'none'; draw(); }, { enableHighAccuracy: true, maximumAge: 5000 });
  }
  draw();
}

/** @param {GeolocationPosition} fix */
async function moved(fix) {
  if (!picture?.on_duty || performance.now() - fixedAt < FIX_MS) return;
  fixedAt = performance.now();
  sharing = 'on';
  const { event, send } = await import('./lib/api.js');
  const { longitude: lon, latitude: lat, accuracy: accuracy_m } = fix.coords;
  // Where the post was a while ago is of no use: a position that cannot be sent is not kept.
  send(event('muster.position', source(), { post, position: { lon, lat, accuracy_m }, fixed_at: new Date(now()).toISOString() })).catch(() => {});
}

void begin();
