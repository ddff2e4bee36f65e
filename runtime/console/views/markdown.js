// @ts-check

import { el } from '../dom.js';
import { parseBlocks, parseInline } from '../lib/markdown.js';

/** @typedef {import('../lib/markdown.js').Block} Block */

/** @type {WeakMap<Element, string>} what each element was made from */
const madeFrom = new WeakMap();

/**
 * Shows Markdown in an element. Blocks that did not change since the last call keep their nodes, so that what the
 * reader selected in a growing answer stays selected.
 *
 * @param {HTMLElement} container
 * @param {string} source
 */
export function renderMarkdown(container, source) {
  const blocks = parseBlocks(source);
  blocks.forEach((block, i) => {
    const wanted = JSON.stringify(block);
    const present = container.children[i];
    if (present && madeFrom.get(present) === wanted) return;
    const element = block.type === 'code' ? codeBlock(block) : textBlock(block);
    madeFrom.set(element, wanted);
    if (present) present.replaceWith(element);
    else container.append(element);
  });
  while (container.children.length > blocks.length) container.lastElementChild?.remove();
}

/** @param {Block} block */
function textBlock({ text }) {
  const parts = parseInline(text).map((part) =>
    part.type === 'text' ? part.text : el(part.type === 'code' ? 'code' : 'strong', {}, part.text),
  );
  return el('p', {}, ...parts);
}

/** @param {Extract<Block, { type: 'code' }>} block */
function codeBlock({ language, text }) {
  const copy = el('button', { type: 'button', class: 'quiet small', onclick: () => void copyCode() }, 'Copy');
  const copyCode = async () => {
    copy.textContent = await navigator.clipboard.writeText(text).then(
      () => 'Copied',
      () => 'Not allowed',
    );
    setTimeout(() => (copy.textContent = 'Copy'), 2000);
  };
  return el(
    'figure',
    { class: 'code' },
    el('figcaption', {}, el('span', {}, language || 'code'), copy),
    el('pre', { tabindex: '0', 'aria-label': language ? `${language} code` : 'code' }, el('code', {}, text)),
  );
}
