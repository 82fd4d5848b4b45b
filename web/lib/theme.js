// Day and night. Night is the default: a control room is dim.

const KEPT_AS = 'muster.theme';
let theme = localStorage.getItem(KEPT_AS) === 'day' ? 'day' : 'night';
document.documentElement.dataset.theme = theme;

export const themeNow = () => theme;

export function turnTheme() {
  theme = theme === 'day' ? 'night' : 'day';
  localStorage.setItem(KEPT_AS, theme);
  document.documentElement.dataset.theme = theme;
}
