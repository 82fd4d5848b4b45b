// What will be late first: the order of the board, and how near a mark is.

import { now } from './clock.js';

/** @typedef {{ name: string, scope: string, order?: string, post?: string, state: string, due_at: string, limit_at: string, warn_at?: string, held: boolean, missed_rounds: number }} Mark */
/** An instant is read once, however often it is looked at. @param {any} mark */
const limitOf = (mark) => (mark.limit_ms ??= Date.parse(mark.limit_at));
/** @param {any} mark */
const dueOf = (mark) => (mark.due_ms ??= Date.parse(mark.due_at));

/** @typedef {{ kind: 'late'|'soon'|'running'|'held'|'none', mark?: Mark, left: number }} Standing */

/** With less than this left a mark is close, whatever its plan says about warnings. */
const SOON_MS = 30_000;

/** The mark that counts now: the one missed longest, else the next due. @param {{ marks: Mark[] }} card @returns {Standing} */
export function standing(card) {
  const at = now();
  /** @type {Mark | undefined} */
  let late, next, held;
  for (const mark of card.marks) {
    if (mark.held) held ??= mark;
    else if (mark.state === 'missed' || limitOf(mark) <= at) {
      if (!late || mark.limit_at < late.limit_at) late = mark;
    } else if (!next || mark.due_at < next.due_at) next = mark;
  }
  if (late) return { kind: 'late', mark: late, left: limitOf(late) - at };
  if (next) {
    const left = dueOf(next) - at;
    const warned = next.warn_at === undefined && left < 120_000;
    return { kind: left < SOON_MS || warned ? 'soon' : 'running', mark: next, left };
  }
  if (held) return { kind: 'held', mark: held, left: dueOf(held) - at };
  return { kind: 'none', left: Infinity };
}

/** When the next mark that still runs falls due. @param {{ marks: Mark[] }} card */
export function nextDue(card) {
  const at = now();
  let due = Infinity;
  for (const mark of card.marks) {
    const limit = dueOf(mark);
    if (!mark.held && mark.state === 'running' && limit > at && limit < due) due = limit;
  }
  return due;
}

/** A shape beside the colour. */
export const SHAPES = { late: '▲', soon: '◆', running: '●', held: '‖', none: '·' };

/** Those that are late, the bottom line before the rest; then by what falls due first. @param {any} card */
export function rank(card) {
  const { kind, left } = standing(card);
  const bottom = card.classification.lane === 'bottom-line' ? 0 : 1;
  if (kind === 'late') return [0, bottom, left];
  if (kind === 'held' || kind === 'none') return [2, bottom, left];
  return [1, 0, left];
}

/** @param {any} a @param {any} b */
export function byLate(a, b) {
  for (let i = 0; i < 3; i += 1) if (a.rank[i] !== b.rank[i]) return a.rank[i] < b.rank[i] ? -1 : 1;
  return a.id < b.id ? 1 : -1;
}

/** How an order stands, for its colour and shape. @param {any} order */
export function orderStanding(order) {
  switch (order.state) {
    case 'issued':
      return order.delivered_at ? 'delivered' : 'undelivered';
    case 'signed': case 'en-route': case 'on-scene':
      return 'signed';
    case 'first-report': case 'cleared':
      return 'reported';
    default:
      return 'off';
  }
}

/** Red: not yet there. Green: signed. Grey: first report back. */
export const ORDER_SHAPES = { undelivered: '✕', delivered: '◇', signed: '✓', reported: '■', off: '○' };
