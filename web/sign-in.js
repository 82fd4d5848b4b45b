// Signing in: a token opens a session that no script can read.

import { session, signedIn, signIn, signOut } from './lib/api.js';
import { h, show } from './lib/dom.js';
import { languageNow, t, turn, word } from './lib/say.js';
import { themeNow, turnTheme } from './lib/theme.js';

const app = /** @type {HTMLElement} */ (document.querySelector('#app'));
let wrong = '';

function draw() {
  document.title = `${t('sign_in.title')} · Muster`;
  const inside = !['none', 'open'].includes(session.role);
  show(app,
    h('header.bar', {}, h('div.who', {}, h('b', {}, 'Muster')), h('div.tools', {},
      h('button', { 'data-do': 'theme' }, t(`theme.${themeNow() === 'night' ? 'day' : 'night'}`)),
      h('button', { 'data-do': 'language', 'aria-label': `${t('top.language')} ${t('top.language.label')}`, lang: languageNow() === 'zh' ? 'en' : 'zh-CN' }, t('top.language')))),
    h('main', {}, h('form.choose', {},
      h('h1', {}, t('sign_in.title')),
      session.role === 'open' ? h('p', {}, t('sign_in.open')) : null,
      inside ? h('p', {}, t('sign_in.role', { principal: session.principal, role: word('role_name', session.role) })) : null,
      session.role === 'none' ? h('label', {}, t('sign_in.token'), h('input', { name: 'token', type: 'password', autocomplete: 'current-password', required: true, autofocus: true })) : null,
      h('p.bad', { role: 'alert' }, wrong),
      session.role === 'none' ? h('button.first.big', {}, t('sign_in.send')) : null,
      session.role !== 'none' ? h('p', {}, h('a', { href: '/' }, t('sign_in.centre'))) : null,
      session.role !== 'none' ? h('p', {}, h('a', { href: '/post' }, t('sign_in.phone'))) : null,
      inside ? h('button', { type: 'button', 'data-do': 'out' }, t('top.sign_out')) : null)));
}

app.addEventListener('submit', async (event) => {
  event.preventDefault();
  const token = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get('token') ?? '').trim();
  try {
    await signIn(token);
    location.replace(session.role === 'post' || new URLSearchParams(location.search).get('to') === 'post' ? '/post' : '/');
  } catch (problem) {
    wrong = t(/** @type {any} */ (problem).status ? 'sign_in.failed' : 'sign_in.unreachable');
    draw();
  }
});

app.addEventListener('click', (event) => {
  switch (/** @type {Element} */ (event.target).closest?.('[data-do]')?.getAttribute('data-do')) {
    case 'language': turn(); return draw();
    case 'theme': turnTheme(); return draw();
    case 'out': return void signOut().finally(() => location.reload());
  }
});

signedIn().catch(() => { wrong = t('sign_in.unreachable'); }).finally(draw);
