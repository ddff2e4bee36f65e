/** Chats one after the other for as long as something is done to the service. */
import assert from 'node:assert/strict';
import { answers } from './endpoint';
import type { Subject } from './subject';

const PAUSE_MS = 250;

/** Has work done while `key` is used all the time; fails where a single chat was refused. Returns how many there were. */
export async function whileAsked(
  subject: Subject,
  key: string,
  work: () => Promise<void>,
): Promise<{ asked: number; slowestSeconds: number }> {
  let refused = 0;
  let asked = 0;
  let slowestMs = 0;
  let isOver = false;
  const load = (async () => {
    while (!isOver) {
      const from = performance.now();
      asked += 1;
      if (!(await answers(subject, key))) refused += 1;
      slowestMs = Math.max(slowestMs, performance.now() - from);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await load;
  }
  assert.equal(refused, 0, `${refused} of ${asked} chats were refused meanwhile`);
  return { asked, slowestSeconds: Math.round(slowestMs / 100) / 10 };
}
