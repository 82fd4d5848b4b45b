// All-calls under way, with their counts as they come in.

import { mayCommand } from '../lib/api.js';
import { h, show } from '../lib/dom.js';
import { languageNow, short, t } from '../lib/say.js';
import { now, span, timeOf } from '../lib/clock.js';

class Calls extends HTMLElement {
  /** @type {any} */
  place;

  connectedCallback() { this.className = 'scroll'; }

  tick() { this.draw(); }

  draw() {
    const { store } = this.place;
    const cards = [...store.cards.values()].filter((c) => c.all_call)
      .sort((a, b) => Number(Boolean(a.all_call.ended)) - Number(Boolean(b.all_call.ended)) || (a.id < b.id ? 1 : -1));
    show(this, h('h1', {}, t('calls.label')), cards.length ? h('div.calls', {}, cards.map((c) => this.#call(c))) : h('p.empty', {}, t('calls.none')));
  }

  /** @param {any} c */
  #call(c) {
    const { store } = this.place;
    const a = c.all_call;
    const left = Date.parse(a.until) - now();
    return h(`section.card.call${a.ended ? '' : '.soon'}${c.drill ? '.drilled' : ''}`, { 'data-key': c.id },
      h('div', {}, c.drill ? h('span.pill.drill', {}, t('drill.mark')) : null, ' ', h('a', { href: `#/i/${c.id}` }, short(c.id)), ' ', h('b', {}, store.category(c.classification.category, languageNow())), h('div.quiet', {}, store.place(c.place))),
      h('div', {}, a.ended ? h('span.pill', {}, t('calls.ended')) : h('span.pill.soon', {}, '◆ ', t('calls.until'), ' ', timeOf(a.until), ' · ', span(left)), ' ', t('calls.radius', { m: a.radius_m }), ' · ', a.reason),
      h('dl.counts', {}, ['listed', 'called', 'answered', 'coming'].map((k) => h('div', {}, h('dt', {}, t(`calls.${k}`)), h('dd.number', {}, a[k])))),
      h('progress', { max: a.called || 1, value: a.answered, 'aria-label': t('calls.answered') }),
      !a.ended && mayCommand() ? h('div', {}, h('button', { 'data-do': 'choose', 'data-arg': c.id }, t('keys.open')), ' ', h('a', { href: `#/i/${c.id}` }, t('incident.open_page'))) : null);
  }
}

customElements.define('muster-calls', Calls);
