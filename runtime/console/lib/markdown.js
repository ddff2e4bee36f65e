// @ts-check

/**
 * The little Markdown that an answer needs to be readable: fenced code, `code` and **strong**. Everything else stays
 * the text that the model wrote. Nothing here makes HTML; views turn the parts into DOM text nodes.
 *
 * @typedef {{ type: 'text', text: string } | { type: 'code', language: string, text: string }} Block
 * @typedef {{ type: 'text' | 'code' | 'strong', text: string }} Inline
 */

const fence = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;

/**
 * @param {string} source may be half an answer: a fence that is still open runs to the end
 * @returns {Block[]}
 */
export function parseBlocks(source) {
  /** @type {Block[]} */
  const blocks = [];
  /** @type {string[]} */
  let lines = [];
  let open = '';
  let language = '';

  const flush = () => {
    const text = lines.join('\n');
    if (open) blocks.push({ type: 'code', language, text });
    else if (text.trim() !== '') blocks.push({ type: 'text', text: text.replace(/^\n+|\s+$/g, '') });
    lines = [];
  };

  for (const line of source.replace(/\r\n?/g, '\n').split('\n')) {
    const [, mark = '', word = ''] = fence.exec(line) ?? [];
    if (open ? word === '' && mark.startsWith(open) : mark) {
      flush();
      open = open ? '' : mark;
      language = open ? word : '';
    } else lines.push(line);
  }
  flush();
  return blocks;
}

const inline = /(`+)(.+?)\1(?!`)|\*\*(\S(?:.*?\S)?)\*\*/g;

/**
 * @param {string} text a text block
 * @returns {Inline[]}
 */
export function parseInline(text) {
  /** @type {Inline[]} */
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(inline)) {
    if (match.index > end) parts.push({ type: 'text', text: text.slice(end, match.index) });
    const [whole, , code, strong] = match;
    parts.push(code === undefined ? { type: 'strong', text: strong ?? '' } : { type: 'code', text: code });
    end = match.index + whole.length;
  }
  if (end < text.length) parts.push({ type: 'text', text: text.slice(end) });
  return parts;
}
