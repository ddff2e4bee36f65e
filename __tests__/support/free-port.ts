import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const HOST = '127.0.0.1';
/** How many there are to choose from. */
const PORTS = 10_000;
/** Of a range of ports that the system gives to whoever asks for none: Linux's usual. */
const USUAL = '32768 60999';

/**
 * A port that stays free until the caller listens on it, and again when its service restarts: below those that the system
 * gives to connections and to whoever listens on port 0, and no other test's, in this run or another one on this machine.
 */
export async function freePort(): Promise<number> {
  const [first = 0] = ephemeralPorts().split(/\s+/).map(Number);
  // Where the system gives nearly all, there is nothing better than one of them.
  if (first < 1024 + PORTS) return (await listenOnce(0)) ?? 0;
  for (;;) {
    const port = first - 1 - Math.floor(Math.random() * PORTS);
    if ((await reserve(port)) && (await listenOnce(port)) !== undefined) return port;
  }
}

function ephemeralPorts(): string {
  try {
    return readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim();
  } catch {
    return USUAL;
  }
}

/** For as long as this process lives: a name in Linux's abstract namespace ends with it. */
async function reserve(port: number): Promise<boolean> {
  if (process.platform !== 'linux') return true;
  const server = createServer().unref();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(`\0botstack-test-port-${port}`, () => resolve(true));
  });
}

/** @returns the port, or undefined where somebody has it */
async function listenOnce(port: number): Promise<number | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, HOST, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
}
