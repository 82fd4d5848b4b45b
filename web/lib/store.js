// What the page knows: the open incidents as cards, kept true by the stream.
//
// The stream says *that* something happened with an incident; what it came to is read, many at once, at most every so often.
// So a page never folds events by itself, and a repeat or a gap cannot leave it wrong: what it shows is always what the
// service answered last.

import { all, ask } from './api.js';
import { Stream } from './stream.js';

/** Between two readings: 50 changes a second become at most so many requests. */
const GAP_MS = 120;
/** So many cards are asked for at once. */
const AT_ONCE = 200;
/** The posts are read anew so often, for positions and duty, which the stream does not tell. */
const POSTS_MS = 5000;
/** Lines of the newest happenings that are kept. */
const NEWS_KEPT = 200;

export class Store extends EventTarget {
  /** Open incidents by id. @type {Map<string, any>} */
  cards = new Map();
  /** Posts by id. @type {Map<string, any>} */
  posts = new Map();
  /** Notices that wait for a person, by id. @type {Map<string, any>} */
  notices = new Map();
  /** The newest happenings, newest first. @type {any[]} */
  news = [];
  /** @type {any} */
  map = null;
  /** @type {any} */
  playbook = null;
  /** @type {Map<string, any>} */
  areas = new Map();
  /** @type {Map<string, any>} */
  categories = new Map();
  /** Whether everything was read once. */
  whole = false;
  /** Counts changes, for whoever draws only what is new. */
  changes = 0;
  /** There are more open incidents than are shown. */
  more = false;
  stream = new Stream();

  /** Incidents that changed since they were read. @type {Set<string>} */
  #dirty = new Set();
  #reading = false;
  #noticesDirty = false;
  /** Touched since everything was last asked for: that answer may be older than what was read meanwhile. @type {Set<string>} */
  #sinceAll = new Set();

  constructor() {
    super();
    const stream = this.stream;
    stream.addEventListener('ready', () => this.#all());
    stream.addEventListener('back', () => this.#all());
    stream.addEventListener('resync', () => this.#all());
    stream.addEventListener('health', () => this.#changed('health'));
    stream.addEventListener('timeline', (event) => this.#line(/** @type {CustomEvent} */ (event).detail));
    stream.addEventListener('notice', (event) => {
      this.#noticesDirty = true;
      this.#touch(/** @type {CustomEvent} */ (event).detail.incident);
      this.dispatchEvent(new CustomEvent('notice', { detail: /** @type {CustomEvent} */ (event).detail }));
    });
    stream.addEventListener('order', (event) => this.#touch(/** @type {CustomEvent} */ (event).detail.incident));
    stream.addEventListener('call', (event) => this.#touch(/** @type {CustomEvent} */ (event).detail.incident));
    setInterval(() => this.#posts(), POSTS_MS);
    this.#fixed();
  }

  /** What does not change while the playbook is in force. */
  async #fixed() {
    for (;;) {
      try {
        const [map, playbook] = await Promise.all([ask('/v1/areas'), ask('/v1/playbook')]);
        this.map = map;
        this.playbook = playbook;
        this.areas = new Map(map.areas.map((/** @type {any} */ a) => [a.id, a]));
        this.categories = new Map(playbook.categories.map((/** @type {any} */ c) => [c.id, c]));
        this.#changed('map');
        return;
      } catch {
        await new Promise((done) => setTimeout(done, 2000));
      }
    }
  }

  /** Reads everything anew. */
  async #all() {
    this.#sinceAll.clear();
    try {
      const told = await ask('/v1/cards?limit=1000');
      /** @type {Map<string, any>} */
      const cards = new Map();
      for (const card of told.items) cards.set(card.id, card);
      for (const id of this.#sinceAll) this.#dirty.add(id);
      this.cards = cards;
      this.more = told.more;
      this.whole = true;
      this.#noticesDirty = true;
      this.#changed('cards');
      this.#read();
      this.#posts();
    } catch {
      setTimeout(() => this.#all(), 2000);
    }
  }

  /** @param {any} line */
  #line(line) {
    this.news.unshift(line);
    this.news.length = Math.min(this.news.length, NEWS_KEPT);
    if (line.what === 'notice-taken' || line.what === 'notice-passed') this.#noticesDirty = true;
    this.#touch(line.incident);
    this.dispatchEvent(new CustomEvent('line', { detail: line }));
  }

  /** @param {string | undefined} incident */
  #touch(incident) {
    if (incident) {
      this.#dirty.add(incident);
      this.#sinceAll.add(incident);
    }
    this.#read();
  }

  async #read() {
    if (this.#reading || !this.whole) return;
    this.#reading = true;
    try {
      while (this.#dirty.size || this.#noticesDirty) {
        const ids = [...this.#dirty].slice(0, AT_ONCE);
        for (const id of ids) this.#dirty.delete(id);
        try {
          await Promise.all([this.#readCards(ids), this.#readNotices()]);
        } catch {
          for (const id of ids) this.#dirty.add(id);
          await new Promise((done) => setTimeout(done, 1000));
        }
        await new Promise((done) => setTimeout(done, GAP_MS));
      }
    } finally {
      this.#reading = false;
    }
  }

  /** @param {string[]} ids */
  async #readCards(ids) {
    if (!ids.length) return;
    const told = await ask(`/v1/cards?incident=${ids.map(encodeURIComponent).join(',')}`);
    for (const id of told.gone) this.cards.delete(id);
    for (const card of told.items) {
      if (isOpen(card)) this.cards.set(card.id, card);
      else this.cards.delete(card.id);
    }
    this.#changed('cards', new Set(ids));
  }

  async #readNotices() {
    if (!this.#noticesDirty) return;
    this.#noticesDirty = false;
    try {
      const items = await all('/v1/notices?waiting=true', 1000);
      this.notices = new Map(items.map((n) => [n.id, n]));
      this.#changed('notices');
    } catch (problem) {
      this.#noticesDirty = true;
      throw problem;
    }
  }

  async #posts() {
    if (document.hidden && this.posts.size) return;
    try {
      const items = await all('/v1/posts');
      this.posts = new Map(items.map((p) => [p.id, p]));
      this.#changed('posts');
    } catch {
      // The next round comes soon, and the state of the stream says that nobody answers.
    }
  }

  /** @param {string} what @param {Set<string>} [ids] */
  #changed(what, ids) {
    this.changes += 1;
    this.dispatchEvent(new CustomEvent('change', { detail: { what, ids } }));
  }

  /** An area's name. @param {string | undefined} id */
  area(id) {
    return id ? (this.areas.get(id)?.name ?? id) : '';
  }

  /** A category in the reader's language. @param {string} id @param {string} language */
  category(id, language) {
    return this.categories.get(id)?.[language] ?? id.split('/').pop() ?? id;
  }

  /** Where an incident is, in words. @param {any} place */
  place(place) {
    const site = place.site && this.map?.sites.find((/** @type {any} */ s) => s.id === place.site)?.name;
    const county = this.map?.counties.find((/** @type {any} */ c) => c.code === place.county)?.name;
    return [site ?? this.area(place.area), county].filter(Boolean).join(' · ');
  }
}

/** @param {any} card */
export const isOpen = (card) => !['closed', 'cancelled', 'duplicate-of'].includes(card.state);

/** Metres between two points. @param {{lon:number,lat:number}} a @param {{lon:number,lat:number}} b */
export function metres(a, b) {
  const rad = Math.PI / 180;
  const x = (b.lon - a.lon) * rad * Math.cos(((a.lat + b.lat) / 2) * rad);
  const y = (b.lat - a.lat) * rad;
  return Math.hypot(x, y) * 6371008.8;
}
