// The board of posts: who is there, until when, with what load, with which capabilities, and how old their position is.

import { h, show } from '../lib/dom.js';
import { short, t, word } from '../lib/say.js';
import { now, span } from '../lib/clock.js';

/** Rows drawn at once; whoever looks for one post types a part of its name. */
const ROWS_MAX = 400;

class Posts extends HTMLElement {
  /** @type {any} */
  place;
  #find = '';
  #made = false;
  #bar = h('div.bar');
  #body = h('div.scroll.flush', { tabindex: '0', role: 'region' });

  connectedCallback() {
    if (this.#made) return;
    this.#made = true;
    this.className = 'page';
    this.append(this.#bar, this.#body);
    this.#bar.addEventListener('input', (event) => {
      this.#find = /** @type {HTMLInputElement} */ (event.target).value.trim().toLowerCase();
      this.draw();
    });
  }

  tick() { this.draw(); }

  draw() {
    const { store } = this.place;
    const all = [...store.posts.values()];
    const text = (/** @type {any} */ p) => `${p.id} ${p.name ?? ''} ${store.area(p.area)} ${word('kind', p.kind)} ${p.capabilities.join(' ')}`.toLowerCase();
    const found = all.filter((p) => !this.#find || text(p).includes(this.#find))
      .sort((a, b) => b.orders.length - a.orders.length || Number(b.on_duty) - Number(a.on_duty) || (a.id < b.id ? -1 : 1));
    show(this.#bar, h('label', {}, h('span.visually-hidden', {}, t('posts.find')), h('input', { type: 'search', placeholder: t('posts.find'), id: 'posts-find' })),
      h('span.quiet', {}, t('posts.count', { shown: Math.min(found.length, ROWS_MAX), all: all.length })));
    this.#body.setAttribute('aria-label', t('posts.label'));
    show(this.#body, h('table', {}, h('thead', {}, h('tr', {}, ['post', 'kind', 'duty', 'hours', 'load', 'position', 'can', 'strength'].map((c) => h('th', { scope: 'col' }, t(`posts.col.${c}`))))),
      h('tbody', {}, found.slice(0, ROWS_MAX).map((p) => this.#row(p)))));
  }

  /** @param {any} p */
  #row(p) {
    const { store } = this.place;
    const duty = typeof p.duty === 'object' ? Object.keys(p.duty)[0] : p.duty;
    const age = p.fixed_at ? span(now() - Date.parse(p.fixed_at)) : '';
    return h(`tr${p.on_duty ? '' : '.off'}`, { 'data-key': p.id },
      h('td', {}, h('b', {}, p.id), h('div.quiet', {}, p.name ?? '', ' ', store.area(p.area))),
      h('td', {}, word('kind', p.kind)),
      h('td', {}, h(`span.pill${p.on_duty ? '.signed' : ''}`, {}, p.on_duty ? '● ' : '○ ', duty === 'by-hours' ? word('duty', p.on_duty ? 'on' : 'off') : word('duty', duty))),
      h('td.number', {}, p.hours),
      h('td', {}, p.orders.length ? p.orders.map((/** @type {any} */ o) => h('div', {}, h('a', { href: `#/i/${o.incident}` }, short(o.incident)), ' ', word('role', o.role), ' · ', word('state', o.state))) : h('span.quiet', {}, t('posts.free'))),
      h('td.number', {}, !p.fixed_at ? h('span.quiet', {}, t('posts.position.none')) : t(p.position_used ? 'posts.position.age' : 'posts.position.stale', { age })),
      h('td', {}, p.capabilities.join(', ')), h('td.number', {}, p.strength));
  }
}

customElements.define('muster-posts', Posts);
