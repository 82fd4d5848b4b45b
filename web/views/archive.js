// Search in what is over and what is not: words of two characters are found; the table that comes out is safe to open.

import { ask } from '../lib/api.js';
import { h, show } from '../lib/dom.js';
import { languageNow, short, t, word } from '../lib/say.js';
import { dayOf, timeOf } from '../lib/clock.js';

class Archive extends HTMLElement {
  /** @type {any} */
  place;
  /** @type {any[]} */
  #items = [];
  /** @type {string | null} */
  #next = null;
  #asked = '';
  #made = '';
  #form = /** @type {HTMLFormElement} */ (h('form.search', { role: 'search' }));
  #body = h('div.scroll', { tabindex: '0', role: 'region' });

  connectedCallback() {
    if (this.#form.parentNode) return;
    this.className = 'page';
    this.append(this.#form, this.#body);
    this.#form.addEventListener('submit', (event) => { event.preventDefault(); void this.#search(false); });
    this.#body.addEventListener('click', (event) => { if (/** @type {HTMLElement} */ (event.target).id === 'archive-more') void this.#search(true); });
  }

  /** @param {string[]} [rest] */
  draw(rest) {
    const { store } = this.place;
    const key = `${languageNow()} ${store.areas.size} ${store.categories.size}`;
    if (key !== this.#made) {
      this.#made = key;
      const options = (/** @type {any[][]} */ list) => [h('option', { value: '' }, t('archive.state.any')), ...list.map(([id, name]) => h('option', { value: id }, name))];
      show(this.#form,
        h('label', {}, t('archive.q'), h('input', { name: 'q', type: 'search', autocomplete: 'off' })),
        h('label', {}, t('archive.area'), h('select', { name: 'area' }, options([...(store.map?.counties ?? []).map((/** @type {any} */ c) => [c.code, c.name]), ...[...store.areas.values()].map((a) => [a.id, a.name])]))),
        h('label', {}, t('archive.category'), h('select', { name: 'category' }, options([...store.categories.values()].map((c) => [c.id, c[languageNow()] || c.id])))),
        h('label', {}, t('archive.post'), h('input', { name: 'post', size: 12 })),
        h('label', {}, t('archive.since'), h('input', { name: 'since', type: 'datetime-local' })),
        h('label', {}, t('archive.until'), h('input', { name: 'until', type: 'datetime-local' })),
        h('label', {}, t('archive.state'), h('select', { name: 'open' }, h('option', { value: '' }, t('archive.state.any')), h('option', { value: 'true' }, t('archive.state.open')), h('option', { value: 'false' }, t('archive.state.over')))),
        h('button.first', {}, t('archive.search')),
        h('a', { id: 'archive-csv', href: '/v1/archive.csv', download: 'muster-archive.csv' }, t('archive.csv')));
      this.#show();
    }
    if (rest?.[0] && rest[0] !== this.#asked) {
      this.#asked = rest[0];
      /** @type {HTMLInputElement} */ (this.#form.elements.namedItem('q')).value = rest[0];
      void this.#search(false);
    } else if (!this.#items.length && !this.#asked && store.whole) {
      this.#asked = ' ';
      void this.#search(false);
    }
  }

  tick() { this.draw(); }

  #query() {
    const given = new URLSearchParams();
    for (const [name, value] of new FormData(this.#form)) {
      const text = String(value).trim();
      // The fields hold the city's time of day.
      if (text) given.set(name, name === 'since' || name === 'until' ? new Date(`${text}:00+08:00`).toISOString() : text);
    }
    return given;
  }

  /** @param {boolean} more */
  async #search(more) {
    const query = this.#query();
    this.#form.querySelector('#archive-csv')?.setAttribute('href', `/v1/archive.csv?${query}`);
    query.set('limit', '100');
    if (more && this.#next) query.set('cursor', this.#next);
    try {
      const told = await ask(`/v1/archive?${query}`);
      this.#items = more ? [...this.#items, ...told.items] : told.items;
      this.#next = told.next;
    } catch (problem) {
      this.place.say(/** @type {Error} */ (problem).message, 'bad');
    }
    this.#show();
  }

  #show() {
    const { store } = this.place;
    this.#body.setAttribute('aria-label', t('archive.label'));
    const kept = store.playbook?.limits.closed_kept;
    show(this.#body, h('p.quiet', { role: 'status' }, this.#items.length ? t('archive.found', { n: this.#items.length }) : t('archive.none'), ' · ', t('archive.note', { kept: kept ?? '24 h' })),
      h('table', {}, h('thead', {}, h('tr', {}, ['incident', 'class', 'where'].map((c) => h('th', { scope: 'col' }, t(`board.col.${c}`))), h('th', { scope: 'col' }, t('incident.words')), h('th', { scope: 'col' }, t('posts.col.post')), h('th', { scope: 'col' }, t('archive.state')))),
        h('tbody', {}, this.#items.map((i) => h('tr', { 'data-key': i.id, class: i.drill ? 'drilled' : null },
          h('td', {}, i.drill ? h('span.pill.drill', {}, t('drill.mark')) : null, ' ', h('a', { href: `#/i/${i.id}` }, short(i.id)), h('div.quiet.number', {}, dayOf(i.received_at), ' ', timeOf(i.received_at))),
          h('td', {}, h(`span.severity.${i.classification.severity}`, {}, word('severity', i.classification.severity)), ' ', store.category(i.classification.category, languageNow())),
          h('td', {}, store.place(i.place)), h('td', {}, i.words), h('td', {}, i.posts.join(', ')),
          h('td', {}, word('state', i.state), i.closed?.disposition ? ` · ${word('disposition', i.closed.disposition)}` : ''))))),
      this.#next ? h('button', { id: 'archive-more' }, t('archive.more')) : null);
  }
}

customElements.define('muster-archive', Archive);
