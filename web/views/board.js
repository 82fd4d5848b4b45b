// The board: what will be late first. Rows have one height and are drawn only where they are seen, so a thousand open
// incidents cost what thirty do; while the reader points at the list its order stands still.

import { markName, languageNow, short, t, word } from '../lib/say.js';
import { children, h, show } from '../lib/dom.js';
import { byLate, ORDER_SHAPES, orderStanding, rank, SHAPES, standing } from '../lib/late.js';
import { span, timeOf } from '../lib/clock.js';

const ROW_PX = 58;
/** Rows drawn beyond those that are seen. */
const OVERSCAN = 6;
/** Orders shown as chips on a row. */
const CHIPS = 5;
/** After the reader has moved, the order stands still for so long. */
const STILL_MS = 2500;

const FILTERS = ['all', 'bottom', 'ordinary', 'real', 'drill'];

class Board extends HTMLElement {
  /** @type {any} */
  place;
  /** @type {any[]} */
  #rows = [];
  #filter = 'all';
  #pointed = false;
  #movedAt = 0;
  #made = false;
  #drawn = '';
  /** @type {HTMLElement} */
  #bar = h('div.bar');
  #head = h('div.head', { 'aria-hidden': 'true' });
  #scroll = h('div.rows', { tabindex: '0', role: 'listbox' });
  #tall = h('div.tall', { role: 'presentation' });

  connectedCallback() {
    if (this.#made) return;
    this.#made = true;
    this.#scroll.append(this.#tall);
    this.append(this.#bar, this.#head, this.#scroll);
    this.#scroll.addEventListener('scroll', () => this.#rowsNow(), { passive: true });
    this.#scroll.addEventListener('pointerenter', () => { this.#pointed = true; });
    this.#scroll.addEventListener('pointerleave', () => { this.#pointed = false; });
    this.#scroll.addEventListener('click', (event) => {
      const row = /** @type {Element} */ (event.target).closest('.row');
      if (row) this.place.choose(row.getAttribute('data-id'));
    });
    this.#scroll.addEventListener('dblclick', () => { location.hash = `#/i/${this.place.chosen}`; });
    this.#bar.addEventListener('change', (event) => {
      this.#filter = /** @type {HTMLSelectElement} */ (event.target).value;
      this.#sort(true);
      this.tick();
    });
    new ResizeObserver(() => this.#rowsNow()).observe(this.#scroll);
  }

  draw() {
    this.#drawn = '';
    this.tick();
  }

  tick() {
    this.#sort(false);
    this.#frame();
    this.#rowsNow();
  }

  /** Goes up or down. @param {number} by */
  move(by) {
    const at = this.#rows.findIndex((row) => row.id === this.place.chosen);
    const to = at < 0 ? 0 : Math.min(this.#rows.length - 1, Math.max(0, at + by));
    if (!this.#rows[to]) return;
    this.#movedAt = performance.now();
    this.#see(to);
    this.place.choose(this.#rows[to].id);
  }

  /** @param {number} index */
  #see(index) {
    const [top, seen] = [index * ROW_PX, this.#scroll.clientHeight];
    if (top < this.#scroll.scrollTop) this.#scroll.scrollTop = top;
    else if (top + ROW_PX > this.#scroll.scrollTop + seen) this.#scroll.scrollTop = top + ROW_PX - seen;
  }

  /** @param {any} card */
  #wants(card) {
    const bottom = card.classification.lane === 'bottom-line';
    switch (this.#filter) {
      case 'bottom': return bottom;
      case 'ordinary': return !bottom;
      case 'real': return !card.drill;
      case 'drill': return card.drill;
      default: return true;
    }
  }

  /** @param {boolean} now */
  #sort(now) {
    const cards = this.place.store.cards;
    const wanted = [...cards.values()].filter((card) => this.#wants(card));
    const still = !now && (this.#pointed || performance.now() - this.#movedAt < STILL_MS);
    if (still && this.#rows.length) {
      // Those that are over go, new ones come at the end, nobody changes places.
      const ids = new Set(wanted.map((card) => card.id));
      const held = this.#rows.filter((row) => ids.has(row.id));
      const known = new Set(held.map((row) => row.id));
      this.#rows = [...held, ...wanted.filter((card) => !known.has(card.id)).map((card) => ({ id: card.id, rank: rank(card) }))];
      return;
    }
    this.#rows = wanted.map((card) => ({ id: card.id, rank: rank(card) })).sort(byLate);
  }

  #frame() {
    const key = [languageNow(), this.#filter, this.#pointed, this.place.store.more].join();
    if (key === this.#drawn) return;
    this.#drawn = key;
    show(this.#bar,
      h('label', {}, h('span.visually-hidden', {}, t('board.filter')), h('select', { id: 'board-filter' }, FILTERS.map((name) =>
        h('option', { value: name, selected: name === this.#filter }, t(`board.filter.${name}`))))),
      h('span.quiet', {}, t('board.label')),
      this.#pointed ? h('span.pill', {}, '‖ ', t('board.held')) : null,
      this.place.store.more ? h('span.pill.old', {}, t('board.more')) : null,
      h('span.grow'),
      h('div.legend', { 'aria-label': t('legend.label'), role: 'group' }, Object.entries(ORDER_SHAPES).map(([name, shape]) =>
        h('span', {}, h(`span.chip.${name}`, { 'aria-hidden': 'true' }, shape), ' ', t(`order.${name}`)))));
    show(this.#head, ['mark', 'incident', 'class', 'where', 'orders'].map((name) => h('div', {}, t(`board.col.${name}`))));
    this.#scroll.setAttribute('aria-label', t('board.label'));
  }

  #rowsNow() {
    if (!this.place) return;
    const { store, chosen } = this.place;
    const count = this.#rows.length;
    this.#tall.style.height = `${count * ROW_PX}px`;
    const from = Math.max(0, Math.floor(this.#scroll.scrollTop / ROW_PX) - OVERSCAN);
    const to = Math.min(count, Math.ceil((this.#scroll.scrollTop + this.#scroll.clientHeight) / ROW_PX) + OVERSCAN);
    const next = document.createDocumentFragment();
    for (let i = from; i < to; i += 1) {
      const card = store.cards.get(this.#rows[i].id);
      if (card) next.append(this.#row(card, i, count));
    }
    if (!count) next.append(h('p.empty', { 'data-key': 'empty', role: 'option', 'aria-disabled': 'true', 'aria-selected': 'false' }, t(store.whole ? 'board.empty' : 'live.loading')));
    children(this.#tall, next);
    for (const row of this.#tall.children) {
      const at = row.getAttribute('data-at');
      if (at !== null) /** @type {HTMLElement} */ (row).style.transform = `translateY(${Number(at) * ROW_PX}px)`;
    }
    const here = this.#tall.querySelector('[aria-selected="true"]');
    if (here?.id) this.#scroll.setAttribute('aria-activedescendant', here.id);
    else this.#scroll.removeAttribute('aria-activedescendant');
    void chosen;
  }

  /** @param {any} card @param {number} at @param {number} of */
  #row(card, at, of) {
    const { store, chosen } = this.place;
    const { kind, mark, left } = standing(card);
    const c = card.classification;
    const live = card.orders.filter((/** @type {any} */ o) => o.state !== 'recalled');
    const chips = live.slice(-CHIPS);
    const words = chips.map((/** @type {any} */ o) => `${o.post} ${t(`order.${orderStanding(o)}`)}`).join(', ');
    return h(`div.row.${kind}${card.drill ? '.drill' : ''}`, {
      'data-key': card.id, 'data-id': card.id, 'data-at': at, id: `row-${card.id}`, role: 'option',
      'aria-selected': String(card.id === chosen), 'aria-posinset': at + 1, 'aria-setsize': of,
    },
    h('div', {},
      h(`span.pill.${kind}`, {}, h('span', { 'aria-hidden': 'true' }, SHAPES[kind]), t(`standing.${kind}`, { span: span(left) })),
      h('div.mark-name.clip', {}, mark ? markName(mark.name) : '', mark?.post ? ` · ${mark.post}` : '')),
    h('div', {},
      h('div.title', {},
        card.drill ? h('span.pill.drill', {}, t('drill.mark')) : null,
        h('span.number', {}, short(card.id)), h('span.clip', {}, store.category(c.category, languageNow()))),
      h('div.words.clip', {}, card.words ?? '')),
    h('div', {},
      h('div', {}, h(`span.severity.${c.severity}`, {}, word('severity', c.severity)), ' ', word('ring', c.ring)),
      h('div.words.clip', {}, c.lane === 'bottom-line' ? h('span.pill.bottom', {}, '■ ', t('lane.bottom-line')) : t('lane.ordinary'), ' ', word('level', card.level))),
    h('div', {},
      h('div.clip', {}, store.place(card.place)),
      h('div.words.clip', {}, timeOf(card.received_at), ' · ', word('state', card.state), card.all_call && !card.all_call.ended ? h('span', {}, ' · ', t('deed.all_call')) : null)),
    h('div', {},
      h('div.orders', { role: 'img', 'aria-label': words || t('incident.orders.none') },
        chips.map((/** @type {any} */ o) => h(`span.chip.${orderStanding(o)}`, {}, ORDER_SHAPES[orderStanding(o)]))),
      h('div.words.clip', {}, chips.length ? chips[chips.length - 1].post : '', live.length > CHIPS ? ` +${live.length - CHIPS}` : '')));
  }
}

customElements.define('muster-board', Board);
