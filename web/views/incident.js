// An incident with all that is known of it: what may be done, why it is judged so, whom it was given to and why, and what
// happened, line by line.

import { ask, mayCommand } from '../lib/api.js';
import { happened, languageNow, markName, short, t, word } from '../lib/say.js';
import { h, show } from '../lib/dom.js';
import { ORDER_SHAPES, orderStanding, SHAPES, standing } from '../lib/late.js';
import { dayOf, now, span, timeOf } from '../lib/clock.js';
import { DEEDS } from '../deeds.js';

/** Between two readings of the same incident. */
const GAP_MS = 200;
/** Lines of the timeline that are drawn; the newest. */
const LINES_MAX = 500;
const FACTS = ['issued', 'sent', 'delivered', 'signed', 'en_route', 'on_scene', 'first_report', 'cleared'];

class Incident extends HTMLElement {
  /** @type {any} */
  place;
  /** A page of its own. */
  whole = false;
  #id = '';
  /** @type {any} */
  #told = null;
  /** @type {any[]} */
  #lines = [];
  #cut = false;
  #gone = false;
  #dirty = false;
  #reading = false;
  /** @type {any} */
  #rules = null;
  /** @type {(event: Event) => void} */
  #changed = (event) => {
    const { what, ids } = /** @type {CustomEvent} */ (event).detail;
    if (what === 'cards' && (!ids || ids.has(this.#id))) this.#read();
  };

  connectedCallback() {
    this.place.store.addEventListener('change', this.#changed);
    this.setAttribute('role', 'region');
    this.tabIndex = 0;
  }

  disconnectedCallback() {
    this.place.store.removeEventListener('change', this.#changed);
  }

  draw() {
    if (this.place.chosen !== this.#id) {
      this.#id = this.place.chosen;
      this.#told = null;
      this.#lines = [];
      this.#gone = false;
      this.scrollTop = 0;
      this.#read();
    }
    this.#show();
  }

  tick() {
    if (this.#told) this.#show();
  }

  async #read() {
    this.#dirty = true;
    if (this.#reading) return;
    this.#reading = true;
    while (this.#dirty && this.#id) {
      this.#dirty = false;
      const id = this.#id;
      try {
        const after = this.#lines.length ? `&cursor=${this.#lines[this.#lines.length - 1].rev}` : '';
        const [told, timeline] = await Promise.all([
          ask(`/v1/incidents/${id}`), ask(`/v1/incidents/${id}/timeline?limit=1000${after}`),
        ]);
        if (id === this.#id) {
          this.#told = told;
          const newest = this.#lines.length ? this.#lines[this.#lines.length - 1].rev : -1;
          this.#lines.push(...timeline.items.filter((/** @type {any} */ l) => l.rev > newest));
          if (!after) this.#cut = Boolean(timeline.cut);
          this.place.detail = told;
          if (timeline.next) this.#dirty = true;
          this.#show();
        }
      } catch (problem) {
        if (id === this.#id && /** @type {any} */ (problem).status === 404) {
          this.#gone = true;
          this.#show();
        }
      }
      this.#rules ??= await ask('/v1/rules').catch(() => null);
      await new Promise((done) => setTimeout(done, GAP_MS));
    }
    this.#reading = false;
  }

  #show() {
    this.setAttribute('aria-label', this.#id || t('incident.none'));
    if (!this.#id || !this.#told) {
      show(this, h('p.empty', {}, this.#gone ? t('incident.gone') : this.#id ? t('live.loading') : t('incident.none')));
      return;
    }
    const i = this.#told;
    show(this, h(`article.incident${i.drill ? '.drilled' : ''}`, { 'data-key': i.id },
      this.#header(i), this.#deeds(i), this.#why(i), this.#orders(i), this.#links(i), this.#marks(i), this.#reports(i), this.#timeline()));
  }

  /** @param {any} i */
  #header(i) {
    const { store } = this.place;
    const c = i.classification;
    const { kind, mark, left } = standing(store.cards.get(i.id) ?? { marks: [] });
    return h('header', {},
      i.drill ? h('div.pill.drill', {}, '◇ ', t('drill.page')) : null,
      h('div.over', {},
        h(`span.severity.${c.severity}`, {}, word('severity', c.severity)),
        c.lane === 'bottom-line' ? h('span.pill.bottom', {}, '■ ', t('lane.bottom-line')) : h('span.pill', {}, t('lane.ordinary')),
        h('span.pill', {}, word('ring', c.ring)), h('span.pill', {}, t('incident.level'), ' ', word('level', i.level)),
        h('span.pill', {}, word('state', i.state)),
        mark ? h(`span.pill.${kind}`, {}, SHAPES[kind], ' ', markName(mark.name), ' ', t(`standing.${kind}`, { span: span(left) })) : null),
      h('h1', {}, h('span.number', {}, short(i.id)), ' ', store.category(c.category, languageNow())),
      h('div.quiet', {}, store.place(i.place), ' · ', t('incident.received'), ' ', dayOf(i.received_at), ' ', h('time', {}, timeOf(i.received_at)), ' (', t('incident.ago', { span: span(now() - Date.parse(i.received_at)) }), ') · ', h('span.mono', {}, i.id)),
      i.reports[0]?.text ? h('p.words', {}, i.reports[0].text) : null,
      i.closed ? h('div', {}, h('span.pill.reported', {}, t('incident.closed'), ' ', timeOf(i.closed.at), ' ', word('disposition', i.closed.disposition))) : null,
      i.all_call ? h('div.over', {}, h('span.pill.soon', {}, t('incident.all_call'), ' ', t('calls.radius', { m: i.all_call.radius_m })),
        ...['listed', 'called', 'answered', 'coming'].map((k) => h('span', {}, t(`calls.${k}`), ' ', h('b', {}, i.all_call[k]))),
        i.all_call.ended ? h('span.pill', {}, t('calls.ended')) : h('span', {}, t('calls.until'), ' ', timeOf(i.all_call.until))) : null,
      i.holds.length ? h('div', {}, h('span.pill.held', {}, '‖ ', t('incident.holds'), ' ', i.holds.map((/** @type {string} */ m) => (m === 'all' ? t('field.mark.all') : markName(m))).join(', '))) : null,
      this.whole ? h('div', {}, h('button', { 'data-do': 'back' }, '← ', t('incident.back'), ' ', h('kbd', {}, 'Esc')))
        : h('div', {}, h('a', { href: `#/i/${i.id}` }, t('incident.open_page'))));
  }

  /** @param {any} i */
  #deeds(i) {
    if (!mayCommand()) return h('p.quiet', {}, t('deed.may_not'));
    const over = ['closed', 'cancelled', 'duplicate-of'].includes(i.state);
    const names = Object.keys(DEEDS).filter((name) => DEEDS[name].fits(i, over));
    return h('div.deeds', { role: 'group', 'aria-label': t('keys.title') }, names.map((name) => h('button', { 'data-do': name, 'data-key': name },
      t(`deed.${name}`), h('kbd', { 'aria-hidden': 'true' }, DEEDS[name].key))));
  }

  /** @param {any} i */
  #why(i) {
    const c = i.classification;
    const rule = this.#rules?.rules.find((/** @type {any} */ r) => r.id === c.rule);
    const names = new Map((this.#rules?.keywords ?? []).map((/** @type {any} */ k) => [k.id, k]));
    const asks = rule ? Object.entries(rule.when).filter(([, v]) => v !== null && (!Array.isArray(v) || v.length) && v !== '24h').map(([k, v]) =>
      `${word('when', k)}: ${(Array.isArray(v) ? v : [v]).map((x) => (names.get(x)?.words ? `${names.get(x).zh || x}（${names.get(x).words.slice(0, 6).join('、')}…）` : typeof x === 'object' ? JSON.stringify(x) : x)).join(', ')}`) : [];
    return h('section', { 'data-key': 'why' }, h('h2', {}, t('incident.why')), h('dl.pairs', {},
      h('dt', {}, t('incident.why.rule')), h('dd.mono', {}, c.rule, ' → ', c.category, ' ', rule ? word('severity', rule.severity) : ''),
      asks.length ? h('dt', {}, t('incident.why.asks')) : null, asks.length ? h('dd', {}, asks.map((a) => h('div', {}, a))) : null,
      h('dt', {}, t('incident.why.modifiers')), h('dd.mono', {}, c.modifiers.length ? c.modifiers.map((/** @type {any} */ m) => `${m.id} (${word('step', m.step)})`).join(', ') : t('incident.why.none')),
      h('dt', {}, t('incident.why.plan')), h('dd.mono', {}, i.plan),
      h('dt', {}, t('incident.why.playbook')), h('dd.mono', {}, c.playbook),
      i.agencies.length ? h('dt', {}, t('incident.agencies')) : null, i.agencies.length ? h('dd', {}, i.agencies.join(', ')) : null,
      i.waiting_for_a_post ? h('dt', {}, t('incident.needs')) : null,
      i.waiting_for_a_post ? h('dd', {}, i.needs.filter((/** @type {any} */ n) => n.waiting_since).map((/** @type {any} */ n) => `${word('role', n.role)} × ${n.wanted}`).join(', ')) : null));
  }

  /** @param {any} i */
  #orders(i) {
    const orders = [...i.orders].reverse();
    return h('section', { 'data-key': 'orders' }, h('h2', {}, t('incident.orders')),
      orders.length ? orders.map((o) => this.#order(o)) : h('p.quiet', {}, t('incident.orders.none')));
  }

  /** @param {any} o */
  #order(o) {
    const kind = orderStanding(o);
    const post = this.place.store.posts.get(o.post);
    const marks = (o.marks ?? []).filter((/** @type {any} */ m) => ['running', 'missed'].includes(m.state));
    return h(`div.order.${kind}`, { 'data-key': o.id },
      h('div.title', {}, h(`span.chip.${kind}`, { 'aria-hidden': 'true' }, ORDER_SHAPES[kind]), h('span', {}, o.post), post?.name && !o.post.startsWith(post.name) ? h('span.quiet', {}, post.name) : null,
        h('span.pill', {}, word('role', o.role)), h(`span.pill.${kind}`, {}, kind === 'undelivered' || kind === 'delivered' ? t(`order.${kind}`) : word('state', o.state)),
        o.recall ? h('span.quiet', {}, word('recall', o.recall)) : null,
        h('span.quiet.number', {}, short(o.id), ' · ', word('cause', o.cause))),
      h('ol.facts', { 'aria-label': t('incident.facts') }, FACTS.map((fact) => {
        const at = o[`${fact}_at`];
        return h(`li${at ? '.done' : ''}`, {}, t(`fact.${fact}`), h('time', {}, at ? timeOf(at) : '–'));
      })),
      marks.length ? h('div.why', {}, marks.map((/** @type {any} */ m) => h('span.pill', {}, markName(m.name), ' ', word('mark_state', m.state), ' ', timeOf(m.due_at)))) : null,
      this.#weighed(o));
  }

  /** @param {any} o */
  #weighed(o) {
    const w = o.weighed;
    if (!w) return o.by?.kind === 'seat' ? h('div.why', {}, t('incident.orders.named', { by: o.by.id })) : null;
    const rejected = w.rejected.filter((/** @type {any} */ r) => r[0] !== w.runner_up?.[0]);
    return h('div.why', {},
      h('div', {}, h('b', {}, t('incident.orders.why'), ' '), t('incident.orders.chosen', { cost: w.cost_s, travel: w.travel_s }), '; ',
        w.runner_up ? t('incident.orders.runner', { post: w.runner_up[0], more: w.runner_up[1] }) : t('incident.orders.no_runner')),
      w.reasons.length ? h('div', {}, t('incident.orders.reasons'), ': ', w.reasons.map(weighedBy).join(' · ')) : null,
      rejected.length ? h('div', {}, t('incident.orders.rejected'), ': ', rejected.map((/** @type {any} */ r) => `${r[0]} (${weighedBy(r[1])})`).join(', ')) : null,
      w.rejected_counts.length ? h('div', {}, t('incident.orders.counts'), ': ', w.rejected_counts.map((/** @type {any} */ r) => `${weighedBy(r[0])} ${r[1]}`).join(', ')) : null);
  }

  /** @param {any} i */
  #links(i) {
    return h('section', { 'data-key': 'links' }, h('h2', {}, t('incident.links')),
      i.links.length ? i.links.map((/** @type {any} */ l) => h('div.over', { 'data-key': l.other },
        h('a', { href: `#/i/${l.other}` }, short(l.other)), h('span', {}, l.reason),
        l.score === undefined ? null : h('span.pill', {}, t('incident.report.score', { score: l.score })),
        mayCommand() ? h('button', { 'data-do': 'merge', 'data-arg': JSON.stringify({ into: l.other }) }, t('deed.merge'), h('kbd', { 'aria-hidden': 'true' }, 'm')) : null))
        : h('p.quiet', {}, t('incident.links.none')));
  }

  /** @param {any} i */
  #marks(i) {
    if (!i.marks.length) return null;
    return h('section', { 'data-key': 'marks' }, h('h2', {}, t('incident.marks')), h('div.over', {}, i.marks.map((/** @type {any} */ m) =>
      h(`span.pill${m.state === 'missed' || m.state === 'reached-late' ? '.late' : m.state === 'kept' ? '.signed' : ''}`, {}, markName(m.name), ' ', word('mark_state', m.state), ' ', timeOf(m.limit_at)))));
  }

  /** @param {any} i */
  #reports(i) {
    return h('section', { 'data-key': 'reports' }, h('h2', {}, t('incident.reports', { n: i.reports_count })), i.reports.map((/** @type {any} */ r) =>
      h('div.card', { 'data-key': `r${r.n}` }, h('div.quiet', {}, `${r.n} · `, h('time', {}, timeOf(r.received_at)), ' · ', r.source, ' · ',
        r.reason === 'first' ? t('incident.report.first') : `${r.reason} · ${t('incident.report.score', { score: r.score })}`), h('div', {}, r.text ?? ''))));
  }

  #timeline() {
    return h('section', { 'data-key': 'timeline' }, h('h2', {}, t('incident.timeline'), h('span.quiet.number', {}, this.#lines.length)),
      this.#cut ? h('p.quiet', {}, t('incident.timeline.cut')) : null,
      h('ol.timeline', {}, this.#lines.slice(-LINES_MAX).reverse().map((l) => h(`li.${l.what}`, { 'data-key': l.rev, title: l.text },
        h('time', {}, timeOf(l.at)), h('span.by', {}, l.by.kind === 'engine' ? t('by.engine') : l.by.id),
        h('span.what', {}, happened(l))))));
  }
}

/** A reason of the choice in the reader's words; what stands before a colon is a figure. @param {string} reason */
function weighedBy(reason) {
  const [, figure = '', rest = reason] = /^(\+\d+s: )(.*)$/.exec(reason) ?? [];
  return figure + word('weighed', rest);
}

customElements.define('muster-incident', Incident);
