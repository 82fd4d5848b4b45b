// The public routes, as a page calls them. Whoever may not is told so by the service; a page only hides what would fail.

import { heard } from './clock.js';

/** @typedef {{ principal: string, role: string, areas: string[], post?: string, source?: string, csrf?: string }} Session */

/** @type {Session} */
const OPEN = { principal: '', role: 'open', areas: [] };

/** @type {Session} */
export let session = OPEN;

/** What went wrong, as the service tells it (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status 0 where nobody answered
   * @param {{ detail?: string, title?: string, field?: string, hint?: string, type?: string }} told
   */
  constructor(status, told) {
    super(told.detail ?? told.title ?? `HTTP ${status}`);
    this.status = status;
    this.field = told.field;
    this.hint = told.hint;
    this.code = told.type?.split(':').pop();
  }
}

/** Milliseconds until a request counts as unanswered. */
const ANSWER_MS = 8000;

/**
 * @param {string} path
 * @param {RequestInit} [how]
 * @returns {Promise<any>}
 */
export async function ask(path, how = {}) {
  let response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS), ...how });
  } catch (cause) {
    throw new Problem(0, { detail: String(cause) });
  }
  const text = await response.text();
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    // An answer that is no JSON has nothing more to say than its status.
  }
  if (response.status === 401 && session.role !== 'open') dispatchEvent(new CustomEvent('muster:signed-out'));
  if (!response.ok) throw new Problem(response.status, told ?? { detail: text.slice(0, 200) });
  if (told?.now) heard(told.now);
  return told;
}

/** Every page of a list, at most so many entries. @param {string} path @param {number} [most] */
export async function all(path, most = 5000) {
  const items = [];
  let cursor = '';
  do {
    const page = await ask(path + (path.includes('?') ? '&' : '?') + 'limit=1000' + cursor);
    items.push(...page.items);
    cursor = page.next ? `&cursor=${encodeURIComponent(page.next)}` : '';
  } while (cursor && items.length < most);
  return items;
}

/** Who we are. Where nobody keeps the door, everybody may do everything. */
export async function signedIn() {
  try {
    session = await ask('/v1/session');
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status === 404) session = OPEN;
    else if (problem.status === 401 || problem.status === 403) session = { ...OPEN, role: 'none' };
    else throw problem;
  }
  return session;
}

/** @param {string} token */
export async function signIn(token) {
  session = await ask('/v1/session', json({ token }));
  return session;
}

export async function signOut() {
  await ask('/v1/session', { method: 'DELETE', headers: guard() });
}

/** What an unsafe request shows, so that no other page can make it. @returns {Record<string, string>} */
const guard = () => (session.csrf ? { 'muster-csrf': session.csrf } : {});

/**
 * @param {unknown} body
 * @param {string} [kind]
 * @returns {RequestInit}
 */
const json = (body, kind = 'application/json') => ({
  method: 'POST',
  headers: { 'content-type': kind, ...guard() },
  body: JSON.stringify(body),
});

/** An event for one of the doors. @param {string} type @param {string} source @param {object} data */
export const event = (type, source, data) => ({
  specversion: '1.0', type, source, id: crypto.randomUUID(), time: new Date().toISOString(), data,
});

/** Where each type of event goes in. @type {Record<string, string>} */
const DOORS = {
  'muster.report': '/v1/reports', 'muster.act': '/v1/acts', 'muster.position': '/v1/positions',
  'muster.command': '/v1/commands',
};

/** Sends an event; the same event twice is applied once. @param {{ type: string }} sent */
export const send = (sent) => ask(DOORS[sent.type], json(sent, 'application/cloudevents+json'));

const SEAT = 'muster.seat';

/** The name under which this screen commands. */
export const seat = () => (session.role !== 'open' && session.principal) || localStorage.getItem(SEAT) || 'command/seat-1';

/** @param {string} name */
export const sitAt = (name) => localStorage.setItem(SEAT, name);

/** Orders something. @param {Record<string, unknown>} data */
export const command = (data) => send(event('muster.command', session.source ?? `screen/${seat()}`, { by: seat(), ...data }));

/** Whether whoever is signed in may command. */
export const mayCommand = () => ['open', 'operator', 'supervisor'].includes(session.role);
