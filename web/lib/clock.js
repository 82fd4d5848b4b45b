// The clock of the service, which is the only one a mark is measured by: our own may be wrong, and that of a rehearsal
// runs faster.

/** Milliseconds on the wall over which the pace is measured. */
const WINDOW_MS = 20_000;
/** A pace this near to 1 is 1: what differs is how long the answer was under way. */
const NEAR = 0.08;

/** @type {{ theirs: number, ours: number }[]} */
const samples = [];
let pace = 1;

/**
 * The service said its time just now.
 * @param {string} at RFC 3339
 */
export function heard(at) {
  const theirs = Date.parse(at);
  const ours = performance.now();
  if (Number.isNaN(theirs)) return;
  samples.push({ theirs, ours });
  while (samples.length > 2 && ours - samples[0].ours > WINDOW_MS) samples.shift();
  const first = samples[0];
  if (ours - first.ours < 1500) return;
  const measured = (theirs - first.theirs) / (ours - first.ours);
  pace = Math.abs(measured - 1) < NEAR ? 1 : Math.max(0, measured);
}

/** The time of the service, milliseconds since 1970. */
export function now() {
  const last = samples[samples.length - 1];
  if (!last) return Date.now();
  return last.theirs + (performance.now() - last.ours) * pace;
}

/** How many times as fast as the wall the service's clock runs. */
export const paceOf = () => pace;

const ZONE = 'Asia/Shanghai';
const day = new Intl.DateTimeFormat('sv-SE', { timeZone: ZONE, year: 'numeric', month: '2-digit', day: '2-digit' });
const clock = new Intl.DateTimeFormat('sv-SE', { timeZone: ZONE, hour: '2-digit', minute: '2-digit', second: '2-digit' });

/**
 * Local time of day, `16:03:21`.
 * @param {string | number | undefined} at
 */
export const timeOf = (at) => (at === undefined ? '' : clock.format(new Date(at)));

/**
 * Local day, `2026-11-23`.
 * @param {string | number} at
 */
export const dayOf = (at) => day.format(new Date(at));

/**
 * A span as `3:07` or `1:02:03`.
 * @param {number} ms
 */
export function span(ms) {
  const all = Math.max(0, Math.floor(Math.abs(ms) / 1000));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}
