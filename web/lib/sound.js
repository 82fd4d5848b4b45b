// Sound and a flashing title, once the reader has allowed it: a browser plays nothing before somebody has pressed something.

import { t } from './say.js';

const KEPT_AS = 'muster.sound';
/** @type {AudioContext | null} */
let context = null;
let on = localStorage.getItem(KEPT_AS) === 'on';

export const soundOn = () => on;

export function turnSound() {
  on = !on;
  localStorage.setItem(KEPT_AS, on ? 'on' : 'off');
  if (on) {
    context ??= new AudioContext();
    beep(1);
  }
}

// What was allowed before is allowed again with the first press.
addEventListener('pointerdown', () => on && (context ??= new AudioContext()), { once: true });
addEventListener('keydown', () => on && (context ??= new AudioContext()), { once: true });

/** So many short tones. @param {number} times */
export function beep(times) {
  if (!on || !context) return;
  for (let i = 0; i < times; i += 1) {
    const tone = context.createOscillator();
    const level = context.createGain();
    const from = context.currentTime + i * 0.28;
    tone.frequency.value = i % 2 ? 660 : 880;
    level.gain.setValueAtTime(0.0001, from);
    level.gain.exponentialRampToValueAtTime(0.25, from + 0.02);
    level.gain.exponentialRampToValueAtTime(0.0001, from + 0.22);
    tone.connect(level).connect(context.destination);
    tone.start(from);
    tone.stop(from + 0.25);
  }
}

/** @type {number | undefined} */
let flashing;

/** Flashes the title until somebody looks. @param {string} what */
export function flash(what) {
  if (!on) return;
  const title = document.title;
  clearInterval(flashing);
  let times = 0;
  flashing = setInterval(() => {
    times += 1;
    const over = times > 60 || (document.hasFocus() && times > 4);
    document.title = !over && times % 2 ? `● ${t('sound.bottom_line')} ${what}` : title.replace(/^● .*/, 'Muster');
    if (over) clearInterval(flashing);
  }, 700);
}
