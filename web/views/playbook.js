// The playbook in force: which version, what it holds, its rings, plans with their marks, and rules in their order. What
// changed is told by the hash, and by the versions that this browser has seen before.

import { ask } from '../lib/api.js';
import { h, show } from '../lib/dom.js';
import { languageNow, markName, t, word } from '../lib/say.js';
import { dayOf, timeOf } from '../lib/clock.js';

const SEEN = 'muster.playbooks';
/** Rules drawn at once. */
const ROWS_MAX = 300;

class PlaybookPage extends HTMLElement {
  /** @type {any} */
  place;
  /** @type {any} */
  #rules = null;
  #find = '';
  #drawn = '';
  #bar = h('div.bar');
  #body = h('div.scroll', { tabindex: '0', role: 'region' });

  connectedCallback() {
    if (this.#bar.parentNode) return;
    this.className = 'page';
    this.append(this.#bar, this.#body);
    this.#bar.addEventListener('input', (event) => { this.#find = /** @type {HTMLInputElement} */ (event.target).value.trim().toLowerCase(); this.#drawn = ''; this.draw(); });
    ask('/v1/rules').then((told) => { this.#rules = told; this.#drawn = ''; this.draw(); }, () => {});
  }

  tick() { this.draw(); }

  draw() {
    const p = this.place.store.playbook;
    const key = `${languageNow()} ${p?.hash} ${Boolean(this.#rules)}`;
    if (!p || key === this.#drawn) return;
    this.#drawn = key;
    const seen = remember(p);
    show(this.#bar, h('h1', {}, t('playbook.label'), ' · ', p.head.title), h('label', {}, h('span.visually-hidden', {}, t('playbook.find')), h('input', { type: 'search', placeholder: t('playbook.find') })));
    this.#body.setAttribute('aria-label', t('playbook.label'));
    const plans = [...p.plans].sort((a, b) => (a.id < b.id ? -1 : 1));
    show(this.#body,
      h('dl.pairs', {},
        h('dt', {}, t('playbook.version')), h('dd', {}, p.head.version), h('dt', {}, t('playbook.changed')), h('dd.mono', {}, p.hash),
        h('dt', {}, t('playbook.set')), h('dd', {}, p.head.set ?? ''),
        h('dt', {}, t('playbook.rings')), h('dd', {}, Object.entries(p.rings).map(([k, v]) => `${word('ring', { one: '1', three: '3', five: '5' }[k] ?? k)} ${v}`).join(' · ')),
        h('dt', {}, t('playbook.census')), h('dd.mono', {}, flat(p.census)),
        h('dt', {}, t('playbook.seen')), h('dd', {}, seen.map((s) => h('div.mono', {}, `${s.version} ${s.hash} · ${dayOf(s.at)} ${timeOf(s.at)}`)))),
      h('h2', {}, t('playbook.plans')),
      plans.map((plan) => h('details', { 'data-key': plan.id }, h('summary', {}, h('b.mono', {}, plan.id)), h('table', {}, h('thead', {}, h('tr', {}, h('th', {}, t('field.mark')), h('th', {}, t('playbook.limit')), h('th', {}, t('playbook.miss')))),
        h('tbody', {}, (plan.mark ?? []).map((/** @type {any} */ m) => h('tr', {}, h('td', {}, markName(m.name)), h('td.mono', {}, typeof m.limit === 'string' ? m.limit : JSON.stringify(m.limit)), h('td.mono', {}, (m.on_miss ?? []).join(', ')))))))),
      h('h2', {}, t('playbook.rules'), ' ', this.#rules?.rules.length ?? ''),
      h('table', {}, h('tbody', {}, this.#lines(this.#rules?.rules ?? []).slice(0, ROWS_MAX).map((r) => h('tr', { 'data-key': r.id }, h('td.mono', {}, r.id), h('td', {}, h(`span.severity.${r.severity}`, {}, word('severity', r.severity)), ' ', this.place.store.category(r.category, languageNow())), h('td.mono', {}, r.plan), h('td.mono.quiet', {}, flat(r.when)))))),
      h('h2', {}, t('playbook.modifiers')),
      h('table', {}, h('tbody', {}, (this.#rules?.modifiers ?? []).map((/** @type {any} */ m) => h('tr', { 'data-key': m.id }, h('td.mono', {}, m.id), h('td.mono', {}, m.effect), h('td.mono.quiet', {}, flat(m.when)))))));
  }

  /** @param {any[]} rules */
  #lines(rules) {
    return rules.filter((r) => !this.#find || `${r.id} ${r.category} ${r.plan} ${this.place.store.category(r.category, 'zh')}`.toLowerCase().includes(this.#find));
  }
}

/** What was given, in one line. @param {any} value @returns {string} */
const flat = (value) => Object.entries(value ?? {}).filter(([, v]) => v !== null && v !== '24h' && (!Array.isArray(v) || v.length))
  .map(([k, v]) => `${k}=${Array.isArray(v) ? v.map((x) => (typeof x === 'object' ? JSON.stringify(x) : x)).join('|') : typeof v === 'object' ? JSON.stringify(v) : v}`).join('  ');

/** @param {any} p @returns {{ hash: string, version: string, at: number }[]} */
function remember(p) {
  const seen = JSON.parse(localStorage.getItem(SEEN) ?? '[]');
  if (!seen.some((/** @type {any} */ s) => s.hash === p.hash)) seen.push({ hash: p.hash, version: p.head.version, at: Date.now() });
  localStorage.setItem(SEEN, JSON.stringify(seen.slice(-20)));
  return seen.slice(-20).reverse();
}

customElements.define('muster-playbook', PlaybookPage);
