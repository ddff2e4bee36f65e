import type { GenerateEvent } from '../../../runtime/src/engine/engine';
import { EventQueue } from '../../../runtime/src/engine/event-queue';

const text = (text: string): GenerateEvent => ({ type: 'text', text, tokens: 1 });
const end: GenerateEvent = {
  type: 'end',
  finishReason: 'stop',
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 2 },
};

async function collect(queue: EventQueue): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of queue.events(() => undefined)) events.push(event);
  return events;
}

describe('EventQueue', () => {
  it('joins text that was not taken yet, and counts its tokens', async () => {
    const queue = new EventQueue();
    queue.push(text('a'));
    queue.push(text('b'));
    queue.push(end);
    expect(await collect(queue)).toEqual([{ type: 'text', text: 'ab', tokens: 2 }, end]);
  });

  it('delivers each piece to a consumer that keeps up', async () => {
    const queue = new EventQueue();
    const events = collect(queue);
    for (const event of [text('a'), text('b'), end]) {
      queue.push(event);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await events).toHaveLength(3);
  });

  it('delivers what came before a failure, then throws it', async () => {
    const queue = new EventQueue();
    queue.push(text('a'));
    queue.fail(new Error('gone'));
    const seen: GenerateEvent[] = [];
    await expect(
      (async () => {
        for await (const event of queue.events(() => undefined)) seen.push(event);
      })(),
    ).rejects.toThrow('gone');
    expect(seen).toEqual([text('a')]);
  });

  it('throws at once when aborted', async () => {
    const queue = new EventQueue();
    queue.push(text('a'));
    queue.abort(new Error('client left'));
    await expect(collect(queue)).rejects.toThrow('client left');
  });
});
