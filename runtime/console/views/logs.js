// @ts-check

import { byId, el, scrollToEnd, setText } from '../dom.js';
import { count } from '../lib/format.js';
import { isShown, levels, parseLogLine, tailChange } from '../lib/log.js';

/** @typedef {import('../lib/log.js').LogLine} LogLine */

const names = { INF: 'Information', WRN: 'Warnings', ERR: 'Errors', SEC: 'Security' };

const list = byId('log', HTMLElement);
const text = byId('log-text', HTMLInputElement);
const follow = byId('log-follow', HTMLInputElement);
const total = byId('log-count', HTMLElement);

/** @type {readonly string[]} */
let tail = [];
/** @type {{ line: LogLine, row: HTMLElement }[]} oldest first */
let rows = [];
/** @type {Set<typeof levels[number]>} */
const chosen = new Set(levels);

export function startLogs() {
  for (const level of levels) {
    const box = el('input', { type: 'checkbox', checked: true });
    box.addEventListener('change', () => {
      if (box.checked) chosen.add(level);
      else chosen.delete(level);
      applyFilter();
    });
    byId('log-levels', HTMLElement).append(
      el('label', { class: `check level ${level}`, title: names[level] }, box, ` ${level}`),
    );
  }
  byId('log-filter', HTMLFormElement).addEventListener('submit', (event) => event.preventDefault());
  text.addEventListener('input', applyFilter);
  follow.addEventListener('change', followEnd);
}

/** @param {readonly string[]} lines the log's last lines, oldest first */
export function showLog(lines) {
  const { dropped, added } = tailChange(tail, lines);
  tail = lines;
  for (const { row } of rows.splice(0, dropped)) row.remove();
  for (const raw of added) {
    const line = parseLogLine(raw, rows.at(-1)?.line.level);
    const row = rowOf(line);
    rows.push({ line, row });
    list.append(row);
  }
  if (dropped || added.length) applyFilter();
}

export function clearLog() {
  showLog([]);
}

/** To be called when the view comes into sight: what is hidden cannot be scrolled. */
export function followEnd() {
  if (follow.checked) scrollToEnd(list);
}

function applyFilter() {
  const filter = { levels: chosen, text: text.value };
  let shown = 0;
  for (const { line, row } of rows) {
    row.hidden = !isShown(line, filter);
    if (!row.hidden) shown++;
  }
  setText(
    total,
    shown === rows.length
      ? `The last ${count(shown)} lines`
      : `${count(shown)} of the last ${count(rows.length)} lines`,
  );
  followEnd();
}

/** @param {LogLine} line */
function rowOf({ level, time, text, continuation }) {
  return el(
    'div',
    { class: `line ${level}` },
    el('span', { class: 'time' }, time),
    el('span', { class: 'level' }, continuation ? '' : level),
    el('span', { class: 'text' }, text),
  );
}
