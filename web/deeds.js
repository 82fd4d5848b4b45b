// What an operator may do with an incident. Each deed has a key, a word of the command line, a form, and the command it
// becomes; the service decides whether it may be done and says why not.

import { command, mayCommand } from './lib/api.js';
import { h } from './lib/dom.js';
import { orderStanding } from './lib/late.js';
import { languageNow, markName, short, t, word } from './lib/say.js';
import { metres } from './lib/store.js';

/** @typedef {{ key: string, line: string, fits: (incident: any, over: boolean) => boolean, fields: (c: any, place: any, given: any) => any[], data: (v: Record<string, string>, c: any) => Record<string, unknown> }} Deed */

const open = (/** @type {any} */ _, /** @type {boolean} */ over) => !over;
const live = (/** @type {any} */ o) => !['cleared', 'declined', 'expired', 'recalled'].includes(o.state);
const ROLES = ['first', 'reinforce', 'cordon', 'cover'];
const ACTS = ['signed', 'en_route', 'on_scene', 'first_report', 'cleared', 'declined'];
const SEVERITIES = ['I', 'II', 'III', 'IV'];
/** So many posts are offered as the next one. */
const OFFERED = 8;

const reason = (required = false) => ({ name: 'reason', kind: 'text', required });
const some = (/** @type {Record<string, unknown>} */ data) => Object.fromEntries(Object.entries(data).filter(([, v]) => v !== '' && v !== undefined));

/** Free posts by their distance, the runner-up of the newest order before all others. @param {any} c @param {any} place */
export function nextPosts(c, place) {
  const where = c.place.position;
  const bound = new Set(c.orders.filter(live).map((/** @type {any} */ o) => o.post));
  const newest = (place.detail?.id === c.id ? place.detail.orders : []).filter((/** @type {any} */ o) => o.weighed?.runner_up).pop();
  const runner = newest?.weighed.runner_up[0];
  const free = [...place.store.posts.values()].filter((p) => p.on_duty && !p.orders.length && !bound.has(p.id));
  const far = (/** @type {any} */ p) => (where ? metres(where, p.position_used && p.position ? p.position : p.base) : 0);
  return free.map((p) => ({ post: p, far: far(p), runner: p.id === runner }))
    .sort((a, b) => Number(b.runner) - Number(a.runner) || a.far - b.far).slice(0, OFFERED);
}

const orderField = (/** @type {any} */ c, /** @type {(o: any) => boolean} */ wants, /** @type {any[]} */ extra = []) => ({
  name: 'order', kind: 'select', required: !extra.length, choices: [...extra, ...c.orders.filter(wants).reverse().map((/** @type {any} */ o) =>
    [o.id, `${short(o.id)} ${o.post} ${word('state', o.state)}`])],
});

/** @type {Record<string, Deed>} */
export const DEEDS = {
  next_post: {
    key: 'p', line: 'post [P-001] [role]', fits: open,
    fields: (c, place, given) => [
      { name: 'post', kind: 'radio', required: true, choices: nextPosts(c, place).map(({ post, far, runner }) =>
        [post.id, `${post.id} ${post.name ?? ''}`, `${word('kind', post.kind)}${c.place.position ? ` · ${(far / 1000).toFixed(1)} km` : ''}${runner ? ` · ${t('incident.orders.runner', { post: '', more: '' }).replace(/[，,].*/, '')}` : ''}`]), value: given.post },
      { name: 'role', kind: 'select', choices: ROLES.map((r) => [r, word('role', r)]) }, reason()],
    data: (v, c) => ({ command: 'order', incident: c.id, ...some({ post: v.post, role: v.role, reason: v.reason }) }),
  },
  sign: {
    key: 's', line: 'sign [order] words', fits: (i, over) => !over && i.orders.some(live),
    fields: (c) => [
      orderField({ orders: [...c.orders].sort((a, b) => Number(orderStanding(b) === 'undelivered') - Number(orderStanding(a) === 'undelivered')).reverse() }, live),
      { name: 'act', kind: 'select', choices: ACTS.map((a) => [a, word('act', a)]) },
      { name: 'words', kind: 'text', required: true }],
    data: (v, c) => ({ command: 'sign_on_behalf', incident: c.id, order: v.order, act: v.act || 'signed', words: v.words }),
  },
  all_call: {
    key: 'a', line: 'call [metres] reason', fits: open,
    fields: (c) => [{ name: 'reason', kind: 'text', required: true }, { name: 'radius', kind: 'number', value: '' },
      ...(c.drill ? [{ name: 'volunteers', kind: 'check' }] : [])],
    data: (v, c) => ({ command: 'all_call', incident: c.id, reason: v.reason, volunteers: v.volunteers === 'on',
      ...(v.radius ? { radius_m: Number(v.radius) } : {}) }),
  },
  recall: {
    key: 'r', line: 'recall [order]', fits: (i, over) => !over && (i.orders.some(live) || (i.all_call && !i.all_call.ended)),
    fields: (c) => [orderField(c, live, /** @type {any} */ (c.all_call && !c.all_call.ended ? [['', t('field.all_call_end')]] : [])), reason()],
    data: (v, c) => ({ command: 'recall', incident: c.id, ...some({ order: v.order, reason: v.reason }) }),
  },
  hold: {
    key: 'h', line: 'hold reason', fits: open,
    fields: (c) => [{ name: 'reason', kind: 'text', required: true },
      { name: 'mark', kind: 'select', choices: [['', t('field.mark.all')], ...[...new Set(c.marks.map((/** @type {any} */ m) => m.name))].map((m) => [m, markName(String(m))])] }],
    data: (v, c) => ({ command: 'hold', incident: c.id, ...some({ reason: v.reason, mark: v.mark }) }),
  },
  close: {
    key: 'c', line: 'close code [reason]', fits: open,
    fields: (c, place) => [
      { name: 'disposition', kind: 'select', required: true, choices: (place.store.playbook?.dispositions ?? []).map((/** @type {any} */ d) => [d.code, `${d[languageNow()] ?? d.code} · ${d.code}`]), value: c.drill ? 'drill-ended' : 'handled' },
      { name: 'prevention', kind: 'check' }, reason()],
    data: (v, c) => ({ command: 'close', incident: c.id, disposition: v.disposition, prevention: v.prevention === 'on', ...some({ reason: v.reason }) }),
  },
  stand_down: {
    key: 'd', line: 'down [order]', fits: (i, over) => !over && i.orders.some(live),
    fields: (c) => [orderField(c, live), reason()],
    data: (v, c) => ({ command: 'stand_down', incident: c.id, ...some({ order: v.order, reason: v.reason }) }),
  },
  reclassify: {
    key: 'x', line: 'class [category] [severity]', fits: open,
    fields: (c, place) => [
      { name: 'category', kind: 'select', choices: [['', t('field.unchanged')], ...[...place.store.categories.values()].map((/** @type {any} */ k) => [k.id, `${k[languageNow()] || ''} ${k.id}`])] },
      { name: 'severity', kind: 'select', choices: [['', t('field.unchanged')], ...SEVERITIES.map((s) => [s, word('severity', s)])] }, reason()],
    data: (v, c) => ({ command: 'reclassify', incident: c.id, ...some({ category: v.category, severity: v.severity, reason: v.reason }) }),
  },
  place: {
    key: 'l', line: 'place site | lon lat', fits: open,
    fields: (c, place) => [
      { name: 'site', kind: 'select', choices: [['', '—'], ...(place.store.map?.sites ?? []).map((/** @type {any} */ s) => [s.id, s.name])] },
      { name: 'lon', kind: 'number', step: 'any', value: c.place.position?.lon ?? '' }, { name: 'lat', kind: 'number', step: 'any', value: c.place.position?.lat ?? '' }, reason()],
    data: (v, c) => ({ command: 'correct_place', incident: c.id, place: v.site ? { id: v.site } : { position: { lon: Number(v.lon), lat: Number(v.lat) } }, ...some({ reason: v.reason }) }),
  },
  merge: {
    key: 'm', line: 'merge incident', fits: (_, over) => !over,
    fields: (c, place, given) => [otherField('into', c, place, given.into)],
    data: (v, c) => ({ command: 'merge', incident: c.id, into: v.into }),
  },
  split: {
    key: 'u', line: 'split 2,3', fits: (i, over) => !over && (i.reports_count ?? i.reports) > 1,
    fields: () => [{ name: 'reports', kind: 'text', required: true, pattern: '[0-9, ]+' }, reason()],
    data: (v, c) => ({ command: 'split', incident: c.id, reports: v.reports.split(/[ ,]+/).filter(Boolean).map(Number), ...some({ reason: v.reason }) }),
  },
  link: {
    key: 'g', line: 'link incident', fits: open,
    fields: (c, place, given) => [otherField('other', c, place, given.other), reason()],
    data: (v, c) => ({ command: 'link', incident: c.id, other: v.other, ...some({ reason: v.reason }) }),
  },
  confirm: {
    key: 'f', line: 'confirm', fits: (i, over) => !over && ['received', 'verifying', 'dispatching'].includes(i.state),
    fields: () => [reason()], data: (v, c) => ({ command: 'confirm', incident: c.id, ...some({ reason: v.reason }) }),
  },
  refute: {
    key: 'y', line: 'refute [code]', fits: (i, over) => !over && ['received', 'verifying', 'dispatching'].includes(i.state),
    fields: (c, place) => [{ name: 'disposition', kind: 'select', choices: (place.store.playbook?.dispositions ?? []).filter((/** @type {any} */ d) => d.refuted).map((/** @type {any} */ d) => [d.code, d[languageNow()] ?? d.code]) }, reason()],
    data: (v, c) => ({ command: 'refute', incident: c.id, ...some({ disposition: v.disposition, reason: v.reason }) }),
  },
  controlled: {
    key: 'o', line: 'controlled', fits: (i, over) => !over && ['dispatching', 'handling'].includes(i.state),
    fields: () => [reason()], data: (v, c) => ({ command: 'controlled', incident: c.id, ...some({ reason: v.reason }) }),
  },
  reopen: {
    key: 'e', line: 'reopen', fits: (_, over) => over,
    fields: () => [reason()], data: (v, c) => ({ command: 'reopen', incident: c.id, ...some({ reason: v.reason }) }),
  },
  create: {
    key: 'i', line: 'new words', fits: () => false,
    fields: (c, place) => [{ name: 'text', kind: 'text', required: true },
      { name: 'site', kind: 'select', choices: [['', '—'], ...(place.store.map?.sites ?? []).map((/** @type {any} */ s) => [s.id, s.name])] },
      { name: 'lon', kind: 'number', step: 'any' }, { name: 'lat', kind: 'number', step: 'any' }],
    data: (v) => ({ command: 'create', report: { text: v.text, ...(v.site ? { place: { id: v.site } } : v.lon && v.lat ? { place: { position: { lon: Number(v.lon), lat: Number(v.lat) } } } : {}) } }),
  },
  take: {
    key: 't', line: 'take', fits: () => false,
    fields: (c, place, given) => [{ name: 'notice', kind: 'select', required: true, value: given.notice, choices: [...place.store.notices.values()]
      .sort((a, b) => Number(b.incident === place.chosen) - Number(a.incident === place.chosen)).map((/** @type {any} */ n) => [n.id, `${word('desk', n.desk)} ${word('notice', n.kind)} ${n.incident ? short(n.incident) : ''}`]) }],
    data: (v) => ({ command: 'take_notice', notice: v.notice }),
  },
};

/** Another incident, those it is suggested with first. @param {string} name @param {any} c @param {any} place @param {string} [value] */
function otherField(name, c, place, value) {
  const linked = new Set((c.links ?? []).map((/** @type {any} */ l) => l.other));
  const others = [...place.store.cards.values()].filter((o) => o.id !== c.id)
    .sort((a, b) => Number(linked.has(b.id)) - Number(linked.has(a.id)) || (a.id < b.id ? 1 : -1)).slice(0, 300);
  const known = others.map((o) => [o.id, `${short(o.id)} ${place.store.category(o.classification.category, languageNow())} ${place.store.place(o.place)}`]);
  const missing = [...linked].filter((id) => !others.some((o) => o.id === id)).map((id) => [id, short(String(id))]);
  return { name, kind: 'select', required: true, choices: [...missing, ...known], value };
}

/** The incident a deed is about, as fully as we know it. @param {any} place */
function subject(place) {
  const card = place.store.cards.get(place.chosen);
  const detail = place.detail?.id === place.chosen ? place.detail : null;
  if (!card && !detail) return null;
  return { ...card, ...detail, marks: card?.marks ?? detail?.marks ?? [], orders: card?.orders ?? detail?.orders ?? [], links: detail?.links ?? card?.links ?? [] };
}

const WITHOUT_INCIDENT = ['create', 'take'];

/** Does it, and says what came of it. @param {string} name @param {Record<string, string>} values @param {any} place @param {any} about */
export async function perform(name, values, place, about) {
  const data = DEEDS[name].data(values, about);
  try {
    const told = await command(data);
    const incident = told?.incident ?? about?.id ?? '';
    place.say(told?.state === 'waiting' ? t('deed.kept') : t('deed.done', { deed: t(`deed.${name}`), incident: incident ? short(incident) : '' }), 'good');
    if (name === 'create' && told?.incident) place.choose(told.incident);
    return null;
  } catch (problem) {
    const p = /** @type {any} */ (problem);
    const why = p.status === 0 ? t('deed.unanswered') : t('deed.failed', { why: [p.message, p.hint].filter(Boolean).join(' · ') });
    place.say(why, 'bad');
    return why;
  }
}

/** Does it from the command line, without a form. @param {string} name @param {Record<string, string>} values @param {any} place */
export function performLine(name, values, place) {
  const about = subject(place);
  if (!about && !WITHOUT_INCIDENT.includes(name)) return place.say(t('deed.no_incident'), 'bad');
  const fields = DEEDS[name].fields(about ?? { orders: [], marks: [] }, place, values);
  const lacks = fields.find((f) => f.required && !values[f.name] && !defaultOf(f));
  if (lacks) return openDeed(name, place, values);
  const filled = Object.fromEntries(fields.map((f) => [f.name, values[f.name] ?? (f.kind === 'check' ? '' : defaultOf(f))]));
  return perform(name, filled, place, about);
}

/** @param {any} field */
const defaultOf = (field) => field.value ?? (field.required ? field.choices?.[0]?.[0] : '') ?? '';

/** Asks for what is needed, then does it. @param {string} name @param {any} place @param {any} given */
export function openDeed(name, place, given) {
  if (!mayCommand()) return place.say(t('deed.may_not'), 'bad');
  const about = subject(place);
  if (!about && !WITHOUT_INCIDENT.includes(name)) return place.say(t('deed.no_incident'), 'bad');
  const over = about && ['closed', 'cancelled', 'duplicate-of'].includes(about.state);
  if (!WITHOUT_INCIDENT.includes(name) && !DEEDS[name].fits(about, over)) return place.say(t('deed.nothing'), 'bad');
  const fields = DEEDS[name].fields(about ?? { orders: [], marks: [] }, place, given);
  if (fields.some((f) => f.required && f.choices && !f.choices.length)) return place.say(t('deed.nothing'), 'bad');
  const title = `${t(`deed.${name}`)}${about && !WITHOUT_INCIDENT.includes(name) ? ` ${short(about.id)}` : ''}`;
  const wrong = h('p.wrong', { role: 'alert' });
  const cancel = h('button', { type: 'button' }, t('deed.back'));
  const send = /** @type {HTMLButtonElement} */ (h('button.first', { type: 'submit' }, t('deed.send')));
  const form = /** @type {HTMLFormElement} */ (h('form.deed', {}, fields.map((f, i) => control(f, given[f.name], i === 0)), wrong, h('div.buttons', {}, cancel, send)));
  const dialog = /** @type {HTMLDialogElement} */ (h('dialog', { 'aria-label': title, class: about?.drill ? 'drilled' : null }, h('h1', {}, title), form));
  dialog.addEventListener('close', () => dialog.remove());
  cancel.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    const values = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(form)));
    const why = await perform(name, values, place, about);
    send.disabled = false;
    if (why === null) dialog.close();
    else wrong.textContent = why;
  });
  // Enter sends from every field that is no list and no longer text.
  form.addEventListener('keydown', (event) => {
    const at = /** @type {Element} */ (event.target);
    if (event.key === 'Enter' && (at.matches('select, input[type=radio], input[type=checkbox]'))) { event.preventDefault(); form.requestSubmit(); }
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {any} f @param {string | undefined} given @param {boolean} first */
function control(f, given, first) {
  const label = `${t(`field.${f.name}`)}${f.required ? ' *' : ''}`;
  const value = given ?? f.value ?? '';
  const common = { name: f.name, required: f.required, autofocus: first };
  switch (f.kind) {
    case 'select':
      return h('label', {}, label, h('select', common, f.choices.map((/** @type {string[]} */ [id, text]) => h('option', { value: id, selected: id === value }, text))));
    case 'radio':
      return h('fieldset.choices', {}, h('legend', {}, label), f.choices.map((/** @type {string[]} */ [id, text, small], /** @type {number} */ i) =>
        h('label', {}, h('input', { type: 'radio', name: f.name, value: id, required: f.required, checked: value ? id === value : i === 0, autofocus: first && i === 0 }), h('span', {}, text, ' ', h('small', {}, small)))));
    case 'check':
      return h('label.check', {}, h('input', { type: 'checkbox', name: f.name }), label);
    case 'number':
      return h('label', {}, label, h('input', { ...common, type: 'number', step: f.step ?? '1', value }));
    default:
      return h('label', {}, label, h('input', { ...common, value, autocomplete: 'off', maxlength: 500, pattern: f.pattern }));
  }
}
