// The queues of the five desks: what a person must take, the most pressing first, and below it what each desk heard last.

import { ask, mayCommand } from '../lib/api.js';
import { h, show } from '../lib/dom.js';
import { short, t, word } from '../lib/say.js';
import { now, span, timeOf } from '../lib/clock.js';

const DESKS = ['intelligence', 'command', 'duty', 'public-information', 'supervision'];
/** Notices of a desk that need nobody. */
const NEWEST = 40;

class Desks extends HTMLElement {
  /** @type {any} */
  place;
  /** @type {Map<string, any[]>} */
  #newest = new Map();
  #readAt = 0;

  connectedCallback() { this.className = 'scroll'; }

  tick() {
    this.draw();
    if (performance.now() - this.#readAt < 2500) return;
    this.#readAt = performance.now();
    for (const desk of DESKS) {
      ask(`/v1/notices?desk=${desk}&limit=${NEWEST}`).then((told) => { this.#newest.set(desk, told.items); this.draw(); }, () => {});
    }
  }

  draw() {
    const waiting = [...this.place.store.notices.values()].sort((a, b) => (a.take_by < b.take_by ? -1 : 1));
    show(this, h('h1.visually-hidden', {}, t('desks.label')), h('div.columns', {}, DESKS.map((desk) => {
      const mine = waiting.filter((n) => n.desk === desk);
      const rest = (this.#newest.get(desk) ?? []).filter((n) => !n.take_by || n.taken);
      return h('section.column', { 'data-key': desk, 'aria-label': word('desk', desk) },
        h('h2', {}, word('desk', desk), h(`span.pill${mine.length ? '.soon' : ''}`, {}, t('desks.waiting'), ' ', mine.length)),
        h('div.scroll', { tabindex: '0', role: 'group', 'aria-label': `${word('desk', desk)} ${t('desks.waiting')}` },
          mine.map((n) => this.#notice(n, true)), mine.length ? null : h('p.quiet', {}, t('desks.none')),
          h('h3.quiet', {}, t('desks.newest')), rest.map((n) => this.#notice(n, false))));
    })));
  }

  /** @param {any} n @param {boolean} waits */
  #notice(n, waits) {
    const left = n.take_by ? Date.parse(n.take_by) - now() : 0;
    const kind = !waits ? '' : left < 0 ? '.late' : '.soon';
    return h(`div.card${kind}${n.drill ? '.drilled' : ''}`, { 'data-key': n.id },
      h('div', {}, n.drill ? h('span.pill.drill', {}, t('drill.mark')) : null, n.severity ? h(`span.severity.${n.severity}`, {}, word('severity', n.severity)) : null, ' ', h('b', {}, word('notice', n.kind)), ' ',
        n.incident ? h('a', { href: `#/i/${n.incident}` }, short(n.incident)) : null, ' ', h('time.quiet', {}, timeOf(n.at))),
      h('div.quiet', {}, n.text),
      waits ? h('div', {}, h(`span.pill${kind}`, {}, t(left < 0 ? 'desks.take_late' : 'desks.take_by', { span: span(left) })), ' ',
        mayCommand() ? h('button', { 'data-do': 'take', 'data-arg': JSON.stringify({ notice: n.id }) }, t('deed.take')) : null) : null);
  }
}

customElements.define('muster-desks', Desks);
