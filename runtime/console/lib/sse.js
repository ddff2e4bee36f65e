// @ts-check

/**
 * Reads server-sent events out of text that arrives in arbitrary pieces. Comments, event names and ids are passed
 * over: the chat API sends only `data`.
 *
 * @returns {(chunk: string) => string[]} call it with each piece; it returns the data of the events that piece completed
 */
export function createEventReader() {
  let rest = '';
  return (chunk) => {
    rest += chunk;
    // A chunk may end between the \r and the \n of one line end: leave that \r for the next call.
    const held = rest.endsWith('\r') ? '\r' : '';
    const events = rest
      .slice(0, rest.length - held.length)
      .replace(/\r\n?/g, '\n')
      .split('\n\n');
    rest = (events.pop() ?? '') + held;
    return events.map(dataOf).filter((data) => data !== undefined);
  };
}

/** @param {string} event */
function dataOf(event) {
  const lines = event.split('\n').filter((line) => line.startsWith('data:'));
  return lines.length === 0 ? undefined : lines.map((line) => line.slice(5).replace(/^ /, '')).join('\n');
}
