// The stream of the service, with its health: a page must say within seconds that it no longer hears.
//
// The browser comes back by itself with the id of the last event, so nothing is missed; where the service answers that too
// much was missed (`muster.resync`), or refused us for a while, we read everything anew. A line that is cut without a word
// is found by asking, since a quiet stream says something only every so often.

import { ask } from './api.js';
import { heard } from './clock.js';

const KINDS = ['timeline', 'notice', 'order', 'call', 'agency', 'forward'];

/** After so long a silence we ask whether anybody is there, and again every so often. */
const QUIET_MS = 2500;
/** Unanswered for so long: lost. */
const LOST_MS = 4000;
/** After so long without an answer the line is thrown away, for it may never be told that it is dead. */
const REOPEN_MS = 6000;

export class Stream extends EventTarget {
  /** @type {EventSource | null} */
  #source = null;
  /** When something was last heard, by our own clock. */
  #heard = performance.now();
  /** Since when nobody answers. @type {number | null} */
  #silentSince = performance.now();
  #lastId = '';
  #query;
  #asking = false;
  #everReady = false;

  /** @param {string} [query] a filter such as `post=P-1` */
  constructor(query = '') {
    super();
    this.#query = query;
    this.#open();
    setInterval(() => this.#watch(), 500);
    addEventListener('online', () => this.#reopen());
  }

  /** Whether we hear. */
  get live() {
    return this.#silentSince === null;
  }

  /** Milliseconds since we last knew that the picture is whole. */
  get age() {
    return performance.now() - this.#heard;
  }

  #open() {
    const last = this.#lastId ? `last_event_id=${encodeURIComponent(this.#lastId)}` : '';
    const query = [this.#query, last].filter(Boolean).join('&');
    const source = new EventSource(`/v1/stream${query ? `?${query}` : ''}`);
    this.#source = source;
    const told = (/** @type {MessageEvent} */ event) => {
      if (event.lastEventId) this.#lastId = event.lastEventId;
      this.#alive();
      return JSON.parse(event.data);
    };
    source.addEventListener('muster.ready', (event) => {
      const returned = this.#everReady;
      this.#everReady = true;
      told(event);
      this.dispatchEvent(new CustomEvent(returned ? 'back' : 'ready'));
    });
    source.addEventListener('muster.heartbeat', (event) => heard(told(event).at));
    source.addEventListener('muster.resync', (event) => {
      told(event);
      this.dispatchEvent(new CustomEvent('resync'));
    });
    for (const kind of KINDS) {
      source.addEventListener(`muster.${kind}`, (event) => {
        const detail = told(/** @type {MessageEvent} */ (event));
        this.dispatchEvent(new CustomEvent(kind, { detail }));
      });
    }
    source.onerror = () => {
      this.#lost();
      // The browser gives up for good when it was answered with an error.
      if (source.readyState === EventSource.CLOSED && this.#source === source) setTimeout(() => this.#reopen(), 1500);
    };
  }

  #reopen() {
    this.#source?.close();
    this.#open();
  }

  #alive() {
    this.#heard = performance.now();
    if (this.#silentSince === null) return;
    this.#silentSince = null;
    this.dispatchEvent(new CustomEvent('health'));
  }

  #lost() {
    if (this.#silentSince !== null) return;
    this.#silentSince = performance.now();
    this.dispatchEvent(new CustomEvent('health'));
  }

  async #watch() {
    if (this.#asking || this.age < QUIET_MS) return;
    this.#asking = true;
    try {
      await ask('/livez', { signal: AbortSignal.timeout(LOST_MS - QUIET_MS) });
      // Somebody is there; whether we hear is another matter.
      if (this.#source?.readyState === EventSource.OPEN) this.#alive();
      else this.#lost();
    } catch {
      this.#lost();
      if (this.age > REOPEN_MS) {
        this.#reopen();
        await new Promise((done) => setTimeout(done, 1000));
      }
    } finally {
      this.#asking = false;
    }
  }
}
