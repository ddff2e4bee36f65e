import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Two models that evaluate at once on two cores fall to a tenth of their speed: llama.cpp's threads wait for each
 * other. So tests that use one take turns, whichever of Jest's workers they run in. The turn is a socket's name in
 * Linux's abstract namespace, which ends with its process, however that ends.
 *
 * Resolves to what gives the turn back. Elsewhere than on Linux nobody waits.
 */
export async function takeEngineTurn(): Promise<() => void> {
  if (process.platform !== 'linux') return () => undefined;
  for (;;) {
    const giveBack = await tryTake();
    if (giveBack !== undefined) return giveBack;
    await sleep(200);
  }
}

async function tryTake(): Promise<(() => void) | undefined> {
  const turn = createServer();
  return new Promise((resolve, reject) => {
    turn.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    turn.once('listening', () => resolve(() => turn.close()));
    turn.listen('\0botstack-test-engine');
  });
}
