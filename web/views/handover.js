// The shift's hand-over: what is open, late, held, closed and out of service since the shift began, as a text to hand on.

import { all } from '../lib/api.js';
import { h, show } from '../lib/dom.js';
import { languageNow, markName, short, t, word } from '../lib/say.js';
import { dayOf, now, timeOf } from '../lib/clock.js';
import { standing } from '../lib/late.js';
import { isOpen } from '../lib/store.js';

const NOTE = 'muster.handover.note';
const SINCE = 'muster.handover.since';
/** A shift is so long where nobody says otherwise. */
const SHIFT_MS = 12 * 3_600_000;

class Handover extends HTMLElement {
  /** @type {any} */
  place;
  /** @type {any[]} */
  #since = [];
  #readAt = -1e9;
  #from = 0;
  #bar = h('div.bar');
  #body = h('div.scroll', { tabindex: '0', role: 'region' });

  connectedCallback() {
    if (this.#bar.parentNode) return;
    this.className = 'page';
    this.append(this.#bar, this.#body);
    this.#bar.addEventListener('change', (event) => {
      const field = /** @type {HTMLInputElement} */ (event.target);
      this.#from = Date.parse(`${field.value}:00+08:00`) || this.#from;
      localStorage.setItem(SINCE, String(this.#from));
      this.#readAt = -1e9;
      this.tick();
    });
    this.#body.addEventListener('input', (event) => {
      const field = /** @type {HTMLTextAreaElement} */ (event.target);
      if (field.id === 'handover-note') localStorage.setItem(NOTE, field.value);
    });
    this.addEventListener('click', (event) => {
      const name = /** @type {HTMLButtonElement} */ (event.target).name;
      if (name === 'print') print();
      if (name === 'copy') void navigator.clipboard.writeText(this.#text()).then(() => this.place.say(t('handover.copied'), 'good'), () => {});
    });
  }

  tick() {
    if (performance.now() - this.#readAt > 10_000 && this.place.store.whole) {
      this.#readAt = performance.now();
      const kept = Number(localStorage.getItem(SINCE));
      if (!this.#from) this.#from = kept && now() - kept < 24 * 3_600_000 && kept < now() ? kept : now() - SHIFT_MS;
      all(`/v1/archive?since=${encodeURIComponent(new Date(this.#from).toISOString())}`).then((items) => { this.#since = items; this.draw(); }, () => {});
    }
    this.draw();
  }

  #parts() {
    const { store } = this.place;
    const open = [...store.cards.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const line = (/** @type {any} */ i) => `${short(i.id)} ${i.drill ? `[${t('drill.mark')}] ` : ''}${word('severity', i.classification.severity)} ${store.category(i.classification.category, languageNow())} · ${store.place(i.place)} · ${word('state', i.state)}`;
    return {
      open: open.map(line),
      late: open.filter((c) => standing(c).kind === 'late').map((c) => `${line(c)} · ${markName(standing(c).mark?.name ?? '')}`),
      held: open.filter((c) => c.holds.length).map((c) => `${line(c)} · ${c.holds.join(', ')}`),
      notices: [...store.notices.values()].map((n) => `${word('desk', n.desk)} · ${word('notice', n.kind)} · ${n.incident ? short(n.incident) : ''} ${n.text}`),
      closed: this.#since.filter((i) => !isOpen(i)).map((i) => `${line(i)} · ${word('disposition', i.closed?.disposition)}`),
      out: [...store.posts.values()].filter((p) => typeof p.duty === 'object' || p.duty === 'out-of-service').map((p) => `${p.id} ${p.name ?? ''}`),
    };
  }

  #text() {
    const parts = this.#parts();
    const bottom = this.#since.filter((i) => i.classification.lane === 'bottom-line').length;
    const head = `${t('handover.label')} ${dayOf(this.#from)} ${timeOf(this.#from)} – ${dayOf(now())} ${timeOf(now())}\n${t('handover.received')} ${this.#since.length}, ${t('handover.bottom')} ${bottom}`;
    const body = Object.entries(parts).map(([name, lines]) => `\n${t(`handover.${name}`)} (${lines.length})\n${lines.map((l) => `  ${l}`).join('\n')}`).join('\n');
    const note = localStorage.getItem(NOTE);
    return `${head}\n${body}\n${note ? `\n${t('handover.note')}\n${note}\n` : ''}`;
  }

  draw() {
    const local = this.#from ? `${dayOf(this.#from)}T${timeOf(this.#from).slice(0, 5)}` : '';
    show(this.#bar, h('h1', {}, t('handover.label')), h('label', {}, t('handover.since'), ' ', h('input', { type: 'datetime-local', value: local })),
      h('span.grow'), h('button', { name: 'copy' }, t('handover.copy')), h('button', { name: 'print' }, t('handover.print')));
    this.#body.setAttribute('aria-label', t('handover.label'));
    show(this.#body, h('label', {}, t('handover.note'), h('textarea', { id: 'handover-note', rows: 4, maxlength: 4000 }, localStorage.getItem(NOTE) ?? '')),
      h('p.quiet', {}, t('handover.note.kept')), h('h2', {}, t('handover.text')), h('div.print', {}, this.#text()));
  }
}

customElements.define('muster-handover', Handover);
