// The map: drawn from the playbook's own outlines, without a tile from outside.
//
// Longitude and latitude become metres east and north of the middle of the city: at the size of a city nobody sees the
// difference to a real projection. What has to keep its size on the screen is scaled against the zoom.

import { children, h, s, show } from '../lib/dom.js';
import { languageNow, short, t, word } from '../lib/say.js';
import { now, span } from '../lib/clock.js';
import { SHAPES, standing } from '../lib/late.js';

const EARTH_M = 6371008.8;
const RAD = Math.PI / 180;

/** What moves is drawn at most so often, and where nothing was told at least so often: standings change with time. */
const DRAW_MS = [1000, 3000];
/** Beyond the edge of the picture by this share of its width, nothing is drawn. */
const MARGIN = 0.1;

class CityMap extends HTMLElement {
  /** @type {any} */
  place;
  /** @type {any} */
  #ground = null;
  #middle = { lon: 0, lat: 0 };
  #view = { x: 0, y: 0, w: 100_000 };
  #home = { x: 0, y: 0, w: 100_000 };
  #layers = { posts: true, rings: true, areas: false };
  /** @type {{ x: number, y: number } | null} */
  #grip = null;
  #drawn = '';
  #changes = -1;
  #forced = true;
  #movedAt = -1e9;
  #svg = s('svg', { role: 'group', preserveAspectRatio: 'xMidYMid meet' });
  #land = s('g');
  #moving = s('g');
  #controls = h('div.controls', { role: 'group' });

  connectedCallback() {
    if (this.#ground || this.#svg.parentNode) return;
    this.#svg.append(this.#land, this.#moving);
    this.append(/** @type {any} */ (this.#svg), this.#controls);
    this.#svg.addEventListener('wheel', (event) => { event.preventDefault(); this.#zoom(/** @type {WheelEvent} */ (event).deltaY > 0 ? 1.25 : 0.8); }, { passive: false });
    this.#svg.addEventListener('pointerdown', (event) => { this.#grip = { x: event.clientX, y: event.clientY }; });
    this.#svg.addEventListener('pointermove', (event) => this.#drag(event));
    addEventListener('pointerup', () => {
      if (this.#grip) this.draw();
      this.#grip = null;
    });
    this.#controls.addEventListener('change', (event) => {
      const box = /** @type {HTMLInputElement} */ (event.target);
      /** @type {any} */ (this.#layers)[box.name] = box.checked;
      this.draw();
    });
    this.#controls.addEventListener('click', (event) => {
      const what = /** @type {Element} */ (event.target).closest('button')?.name;
      if (what === 'in') this.#zoom(0.6);
      else if (what === 'out') this.#zoom(1.6);
      else if (what === 'home') { this.#view = { ...this.#home }; this.draw(); }
    });
  }

  /** @param {[number, number]} point */
  #xy([lon, lat]) {
    const { lon: lon0, lat: lat0 } = this.#middle;
    return [(lon - lon0) * RAD * Math.cos(lat0 * RAD) * EARTH_M, -(lat - lat0) * RAD * EARTH_M];
  }

  /** @param {[number, number][]} line */
  #path(line) {
    return line.map((p, i) => `${i ? 'L' : 'M'}${this.#xy(p).map((v) => v.toFixed(0)).join(' ')}`).join('');
  }

  #zoom(/** @type {number} */ by) {
    const v = this.#view;
    const w = Math.min(this.#home.w * 1.5, Math.max(1500, v.w * by));
    this.#view = { x: v.x, y: v.y, w };
    this.draw();
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    if (!this.#grip) return;
    const scale = this.#view.w / this.#svg.clientWidth;
    this.#view.x -= (event.clientX - this.#grip.x) * scale;
    this.#view.y -= (event.clientY - this.#grip.y) * scale;
    this.#grip = { x: event.clientX, y: event.clientY };
    this.#box();
  }

  #box() {
    const { x, y, w } = this.#view;
    const height = w * (this.#svg.clientHeight / Math.max(1, this.#svg.clientWidth));
    this.#svg.setAttribute('viewBox', `${x - w / 2} ${y - height / 2} ${w} ${height}`);
  }

  draw() {
    const map = this.place.store.map;
    if (!map) return;
    if (!this.#ground) this.#begin(map);
    this.#drawn = '';
    this.#forced = true;
    this.#draw();
  }

  tick() {
    if (!this.#ground) this.draw();
    else this.#draw();
  }

  /** @param {any} map */
  #begin(map) {
    this.#ground = map;
    const all = map.counties.flatMap((/** @type {any} */ c) => c.outline).concat(map.areas.map((/** @type {any} */ a) => a.centre));
    const lons = all.map((/** @type {number[]} */ p) => p[0]);
    const lats = all.map((/** @type {number[]} */ p) => p[1]);
    const [west, east, south, north] = [Math.min(...lons), Math.max(...lons), Math.min(...lats), Math.max(...lats)];
    this.#middle = { lon: (west + east) / 2, lat: (south + north) / 2 };
    const [right, bottom] = this.#xy([east, south]);
    // The city proper is where most happens: the mean of the rings of the centre.
    const inner = map.zones.filter((/** @type {any} */ z) => z.ring === '3' && z.centre);
    const ratio = Math.max(0.4, this.clientHeight / Math.max(1, this.clientWidth));
    this.#home = { x: 0, y: 0, w: Math.max(right * 2.1, (bottom * 2.1) / ratio) };
    this.#view = { ...this.#home };
    if (inner.length) {
      const points = inner.map((/** @type {any} */ z) => this.#xy(z.centre));
      const mean = (/** @type {number} */ i) => points.map((/** @type {number[]} */ p) => p[i]).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b)[Math.floor(points.length / 2)];
      this.#view = { x: mean(0), y: mean(1), w: Math.min(this.#home.w, 26_000) };
    }
  }

  #draw() {
    this.#box();
    const unit = this.#view.w / Math.max(1, this.#svg.clientWidth);
    const key = [languageNow(), JSON.stringify(this.#layers), Math.round(Math.log2(unit) * 4)].join();
    if (key !== this.#drawn) {
      this.#drawn = key;
      this.#drawGround(unit);
    }
    const since = performance.now() - this.#movedAt;
    const told = this.#changes !== this.place.store.changes;
    if (this.#forced || since > DRAW_MS[told ? 0 : 1]) {
      this.#forced = false;
      this.#movedAt = performance.now();
      this.#changes = this.place.store.changes;
      this.#drawMoving(unit);
    }
  }

  /** @param {number} unit metres of one pixel */
  #drawGround(unit) {
    const map = this.#ground;
    this.#svg.setAttribute('aria-label', t('map.description'));
    this.#controls.setAttribute('aria-label', t('map.label'));
    show(this.#controls,
      h('div.zoom', {}, h('button', { name: 'in', 'aria-label': t('map.in') }, '+'), h('button', { name: 'out', 'aria-label': t('map.out') }, '−'), h('button', { name: 'home' }, t('map.home'))),
      Object.entries(this.#layers).map(([name, on]) => h('label', {}, h('input', { type: 'checkbox', name, checked: on }), t(`map.layer.${name}`))),
      h('ul.legend', { style: null, 'aria-label': t('map.legend') },
        h('li', {}, h('span.pill.late', {}, SHAPES.late, ' ', t('kpi.late'))), h('li', {}, h('span.pill.soon', {}, SHAPES.soon, ' ', t('kpi.next')))));
    const named = unit < 60;
    const next = document.createDocumentFragment();
    for (const c of map.counties) {
      if (!c.outline.length) continue;
      next.append(s('path.county', { d: `${this.#path(c.outline)}Z` }));
    }
    for (const b of map.barriers) next.append(s('path.river', { d: this.#path(b.line) }));
    if (this.#layers.rings) {
      for (const z of map.zones) {
        if (z.centre) {
          const [cx, cy] = this.#xy(z.centre);
          next.append(s('circle.zone', { cx, cy, r: z.radius_m }, s('title', {}, `${z.name} ${word('ring', z.ring)}`)));
        } else if (z.outline.length) next.append(s('path.zone', { d: `${this.#path(z.outline)}Z` }));
      }
      if (named) for (const site of map.sites) {
        const [cx, cy] = this.#xy(site.position);
        next.append(s('circle.site', { cx, cy, r: site.radius_m }, s('title', {}, `${site.name} ${word('ring', '1')}`)));
      }
    }
    for (const c of map.counties) {
      if (!c.outline.length || unit < 30) continue;
      const points = c.outline.map((/** @type {[number, number]} */ p) => this.#xy(p));
      const mean = (/** @type {number} */ i) => points.reduce((/** @type {number} */ sum, /** @type {number[]} */ p) => sum + p[i], 0) / points.length;
      next.append(s('text.county-name', { x: mean(0), y: mean(1), 'font-size': 14 * unit }, c.name));
    }
    if (this.#layers.areas || named) for (const a of map.areas) {
      const [x, y] = this.#xy(a.centre);
      if (this.#layers.areas) next.append(s('circle.area-dot', { cx: x, cy: y, r: 3 * unit }));
      if (named) next.append(s('text.area-name', { x, y: y - 6 * unit, 'font-size': 11 * unit }, a.name));
    }
    children(/** @type {any} */ (this.#land), next);
  }

  /** @param {number} unit */
  #drawMoving(unit) {
    const { store, chosen } = this.place;
    const next = document.createDocumentFragment();
    const { x: x0, y: y0, w } = this.#view;
    const tall = w * (this.#svg.clientHeight / Math.max(1, this.#svg.clientWidth));
    const seen = (/** @type {number} */ x, /** @type {number} */ y) => Math.abs(x - x0) < w * (0.5 + MARGIN) && Math.abs(y - y0) < tall * 0.5 + w * MARGIN;
    const at = (/** @type {any} */ p) => this.#xy(p.position && p.position_used ? [p.position.lon, p.position.lat] : [p.base.lon, p.base.lat]);
    if (this.#layers.posts) for (const p of store.posts.values()) {
      const [cx, cy] = at(p);
      const kind = !p.on_duty ? 'off' : p.orders.length ? 'busy' : 'free';
      if ((kind === 'off' && unit > 40) || !seen(cx, cy)) continue;
      const age = p.fixed_at ? t('map.age', { age: span(now() - Date.parse(p.fixed_at)) }) : t('posts.position.none');
      next.append(s(`circle.post-dot.${kind}${p.position && !p.position_used ? '.stale' : ''}`, { 'data-key': p.id, cx, cy, r: (kind === 'busy' ? 4.5 : 3.2) * unit },
        s('title', {}, `${p.id} ${p.name ?? ''} · ${t(`map.post.${kind}`)} · ${age}`)));
    }
    for (const p of store.posts.values()) for (const o of p.orders) {
      const card = store.cards.get(o.incident);
      const to = o.role === 'cover' ? null : card?.place.position;
      const [x1, y1] = at(p);
      if (o.role === 'cover') {
        const area = store.areas.get(p.area);
        if (area) {
          const [x2, y2] = this.#xy(area.centre);
          next.append(s('path.move', { 'data-key': `move-${o.id}`, d: `M${x1} ${y1}L${x2} ${y2}` }, s('title', {}, `${t('map.moved')} ${p.id}`)));
        }
      } else if (to && (card.id === chosen || unit < 12)) {
        const [x2, y2] = this.#xy([to.lon, to.lat]);
        next.append(s('path.way', { 'data-key': `way-${o.id}`, d: `M${x1} ${y1}L${x2} ${y2}` }));
      }
    }
    const cards = [...store.cards.values()].filter((c) => c.place.position);
    for (const card of cards) {
      const [x, y] = this.#xy([card.place.position.lon, card.place.position.lat]);
      if (!seen(x, y)) continue;
      const { kind } = standing(card);
      next.append(s(`a.pin.${kind}${card.drill ? '.drill' : ''}${card.id === chosen ? '.chosen' : ''}`, {
        'data-key': card.id, 'data-do': 'choose', 'data-arg': card.id, href: `#/i/${card.id}`,
        'aria-label': `${short(card.id)} ${store.category(card.classification.category, languageNow())} ${t(`standing.${kind}`, { span: '' })}`,
        transform: `translate(${x.toFixed(0)} ${y.toFixed(0)}) scale(${unit.toFixed(3)})`,
      },
      s('circle.ring', { r: 14 }), s('path.body', { d: shape(kind) }),
      kind !== 'none' || card.id === chosen ? s('text', { x: 11, y: 4, 'font-size': 12 }, card.drill ? '◇ ' : '', short(card.id)) : null));
    }
    children(/** @type {any} */ (this.#moving), next);
  }
}

/** The same shapes as beside the countdown. @param {string} kind */
function shape(kind) {
  if (kind === 'late') return 'M0-10L10 8H-10Z';
  if (kind === 'soon') return 'M0-10L9 0L0 10L-9 0Z';
  if (kind === 'held') return 'M-6-8h4v16h-4zM2-8h4v16h-4z';
  return 'M-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0Z';
}

customElements.define('muster-map', CityMap);
