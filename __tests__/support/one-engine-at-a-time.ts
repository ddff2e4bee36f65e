import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Two models that evaluate at once on two cores fall to a tenth of their speed: llama.cpp's threads wait for each
 * other. So files that use one take turns, whichever of Jest's workers they run in. The turn is a socket's name in
 * Linux's abstract namespace, which ends with its process, however that ends.
 */
const turn = createServer();

async function tryTake(): Promise<boolean> {
  return new Promise((resolve, reject) => {
    turn.once('error', (error: NodeJS.ErrnoException) => {
      turn.removeAllListeners('listening');
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    turn.once('listening', () => {
      turn.removeAllListeners('error');
      resolve(true);
    });
    turn.listen('\0botstack-test-engine');
  });
}

if (process.platform === 'linux') {
  beforeAll(async () => {
    while (!(await tryTake())) await sleep(200);
  }, 30 * 60_000);

  afterAll(() => turn.close());
}
