// @ts-check

/** Levels of the service's log, in the order in which the filter offers them. */
export const levels = /** @type {const} */ (['INF', 'WRN', 'ERR', 'SEC']);

/** @typedef {typeof levels[number]} Level */

/**
 * @typedef {object} LogLine
 * @property {Level} level a continuation (a stack trace, say) has the level of the line it continues
 * @property {string} time as in the log, empty for a continuation
 * @property {string} text
 * @property {boolean} continuation
 */

const shape = /^\[(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})\] \[(INF|WRN|ERR|SEC)\] (.*)$/s;

/**
 * @param {string} line as written: `[YYYY-MM-DD HH:MM:SS] [LVL] text`
 * @param {Level} before the level of the line before it
 * @returns {LogLine}
 */
export function parseLogLine(line, before = 'INF') {
  const match = shape.exec(line);
  if (!match) return { level: before, time: '', text: line, continuation: true };
  const [, time = '', level, text = ''] = match;
  return { level: /** @type {Level} */ (level), time, text, continuation: false };
}

/**
 * How far a log's tail has moved on between two looks at it.
 *
 * @param {readonly string[]} before
 * @param {readonly string[]} now
 * @returns {{ dropped: number, added: readonly string[] }} `dropped` lines left at the start, `added` came at the end
 */
export function tailChange(before, now) {
  for (let dropped = 0; dropped < before.length; dropped++) {
    const kept = before.length - dropped;
    if (kept > now.length) continue;
    if (before.slice(dropped).every((line, i) => line === now[i])) return { dropped, added: now.slice(kept) };
  }
  return { dropped: before.length, added: now };
}

/**
 * @param {LogLine} line
 * @param {{ levels: ReadonlySet<Level>, text: string }} filter `text` is looked for without regard to case
 */
export function isShown(line, filter) {
  return filter.levels.has(line.level) && line.text.toLowerCase().includes(filter.text.trim().toLowerCase());
}
