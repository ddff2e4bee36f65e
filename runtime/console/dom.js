// @ts-check

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type what the page is known to hold under this id
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (element instanceof type) return element;
  throw new Error(`index.html should hold a ${type.name} with the id ${id}`);
}

/**
 * An element with attributes and children. Strings become text nodes, never markup.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean | (() => void)>} [attributes] `onclick` and the like take a function;
 *   false leaves an attribute out
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.replace(/^on/, ''), value);
    else if (value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/**
 * Sets a text only where it changed, so that live regions are not read out again and a selection survives.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Whether a scrolled element shows its end, give or take a line.
 *
 * @param {HTMLElement} element
 */
export const atEnd = (element) => element.scrollHeight - element.scrollTop - element.clientHeight < 40;

/** @param {HTMLElement} element */
export const scrollToEnd = (element) => element.scrollTo({ top: element.scrollHeight });
