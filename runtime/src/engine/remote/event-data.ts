/** An event holds a token or a few; whoever sends this much without an end sends something else. */
const MOST_EVENT_CHARACTERS = 2 ** 20;

/** Reads the `data:` of server-sent events. The few rules of the format that chat services use. @throws where an event has no end */
export async function* readEventData(body: AsyncIterable<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const bytes of body) {
    pending += decoder.decode(bytes, { stream: true });
    // An event ends with an empty line; lines may end with \r\n. A \r at the very end may be half of one.
    const events = pending.replace(/\r\n/g, '\n').split('\n\n');
    pending = events.pop() ?? '';
    if (pending.length > MOST_EVENT_CHARACTERS) throw new Error('it sent an event of more than 1 MiB');
    for (const event of events) {
      const data = dataOf(event);
      if (data !== '') yield data;
    }
  }
  // A last event without its empty line is kept: some services end that way.
  const data = dataOf(pending);
  if (data !== '') yield data;
}

/** Comments (`: …`) and other fields are skipped. */
function dataOf(event: string): string {
  return event
    .split('\n')
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice('data:'.length).replace(/^ /, '').replace(/\r$/, ''))
    .join('\n');
}
