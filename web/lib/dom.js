// Elements without a framework: `h` makes one, `morph` brings a live tree to the shape of a new one.
//
// Text enters the document only as text nodes and attributes, never as markup; the policy of the pages forbids the other
// way. A view makes its whole tree anew whenever what it shows has changed; `morph` touches only what differs, so focus,
// scroll and selection stay. Listeners are not carried over: what can be pressed says so by `data-do`, and one listener
// at the root of the view hears it.

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {Element} element
 * @param {Record<string, unknown>} attributes
 * @param {any[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(4)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/**
 * An element.
 * @param {string} name such as `div.row.late`
 * @param {Record<string, unknown>} [attributes]
 * @param {...any} children
 * @returns {HTMLElement}
 */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag || 'div');
  if (classes.length) element.className = classes.join(' ');
  fill(element, attributes, children);
  return element;
}

/**
 * An element of a drawing.
 * @param {string} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...any} children
 * @returns {SVGElement}
 */
export function s(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElementNS(SVG, tag || 'g');
  if (classes.length) element.setAttribute('class', classes.join(' '));
  fill(element, attributes, children);
  return element;
}

/** @param {Node} node */
const keyOf = (node) => (node instanceof Element ? node.getAttribute('data-key') : null);

/**
 * Brings `live` to the shape of `next`, which is used up.
 * @param {Element} live
 * @param {Element} next
 */
export function morph(live, next) {
  attributes(live, next);
  children(live, next);
}

/**
 * @param {Element} live
 * @param {Element} next
 */
function attributes(live, next) {
  for (const { name } of [...live.attributes]) {
    // `open` of a dialog or of details is the reader's.
    if (!next.hasAttribute(name) && name !== 'open') live.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
}

/**
 * Brings the children of `live` to those of `next`.
 * @param {Element} live
 * @param {Element | DocumentFragment} next
 */
export function children(live, next) {
  /** @type {Map<string, Element>} */
  const keyed = new Map();
  for (const child of live.children) {
    const key = keyOf(child);
    if (key !== null) keyed.set(key, child);
  }
  let at = live.firstChild;
  for (const wanted of [...next.childNodes]) {
    const key = keyOf(wanted);
    const match = key !== null ? keyed.get(key) : at && keyOf(at) === null && alike(at, wanted) ? at : null;
    if (match && alike(match, wanted)) {
      if (match === at) at = at.nextSibling;
      else live.insertBefore(match, at);
      if (match instanceof Element && wanted instanceof Element) morph(match, wanted);
      else if (match.nodeValue !== wanted.nodeValue) match.nodeValue = wanted.nodeValue;
    } else {
      live.insertBefore(wanted, at);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

/**
 * @param {Node} a
 * @param {Node} b
 */
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName;

/**
 * Shows exactly these children.
 * @param {Element} live
 * @param {...any} wanted
 */
export function show(live, ...wanted) {
  const next = document.createDocumentFragment();
  for (const child of wanted.flat(4)) {
    if (child === null || child === undefined || child === false) continue;
    next.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  children(live, next);
}
