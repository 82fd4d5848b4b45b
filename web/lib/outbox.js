// What a post has done and the service has not heard yet.
//
// Each act gets its id once, when it is done, and keeps it over every try: the service applies an event of one source and id
// once, so a post may send as often as it likes. Acts go out one by one in the order in which they were done. What the
// service refuses is taken out and told; what nobody answered stays.

import { event, Problem, send } from './api.js';

const NAME = 'muster-post';
const TABLE = 'acts';
/** Between two tries while nobody answers. */
const RETRY_MS = 3000;
/** An act that old says nothing to anybody any more. */
const KEPT_MS = 24 * 3_600_000;

/** @returns {Promise<IDBDatabase>} */
const opened = () => new Promise((done, failed) => {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: 'n', autoIncrement: true });
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const answered = (request) => new Promise((done, failed) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});

export class Outbox extends EventTarget {
  /** What waits, oldest first. @type {{ n: number, at: number, label: string, order?: string, sent: any }[]} */
  waiting = [];
  /** @type {Promise<IDBDatabase>} */
  #base = opened();
  #sending = false;
  /** @type {number | undefined} */
  #timer;

  constructor() {
    super();
    addEventListener('online', () => void this.flush());
    void this.#load().then(() => this.flush());
  }

  async #table(/** @type {IDBTransactionMode} */ mode) {
    return (await this.#base).transaction(TABLE, mode).objectStore(TABLE);
  }

  async #load() {
    const all = await answered((await this.#table('readonly')).getAll());
    this.waiting = all.filter((a) => Date.now() - a.at < KEPT_MS);
    for (const old of all.filter((a) => Date.now() - a.at >= KEPT_MS)) await answered((await this.#table('readwrite')).delete(old.n));
    this.#told('change');
  }

  /**
   * Keeps it and sends it as soon as may be.
   * @param {string} type @param {string} source @param {Record<string, unknown>} data
   * @param {{ label: string, order?: string }} about
   */
  async put(type, source, data, about) {
    const kept = { at: Date.now(), ...about, sent: event(type, source, data) };
    const n = await answered((await this.#table('readwrite')).add(kept));
    this.waiting.push({ n: Number(n), ...kept });
    this.#told('change');
    void this.flush();
  }

  async flush() {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#timer);
    try {
      while (this.waiting.length) {
        const first = this.waiting[0];
        try {
          await send(first.sent);
          // Told before it is gone, so that what was done never looks undone in between.
          this.#told('sent', first);
          await this.#gone(first);
        } catch (problem) {
          if (!(problem instanceof Problem)) throw problem;
          // Nobody there, too much at once, signed out: later. Everything else is an answer.
          if ([0, 401, 408, 429, 502, 503, 504].includes(problem.status)) break;
          await this.#gone(first);
          this.#told('refused', { ...first, why: [problem.message, problem.hint].filter(Boolean).join(' · ') });
        }
      }
    } finally {
      this.#sending = false;
    }
    if (this.waiting.length) this.#timer = setTimeout(() => void this.flush(), RETRY_MS);
  }

  /** @param {{ n: number }} act */
  async #gone(act) {
    await answered((await this.#table('readwrite')).delete(act.n));
    this.waiting = this.waiting.filter((a) => a.n !== act.n);
    this.#told('change');
  }

  /** @param {string} what @param {any} [detail] */
  #told(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
