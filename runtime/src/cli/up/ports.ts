/** Which ports `bot up` can have on this machine. */
import { createServer } from 'node:net';

import { portOwner } from '../../server/port-owner.js';

/** Where the service listens on an instance, too, behind nginx. */
export const DEFAULT_PORT = 8000;
const DEFAULT_CONSOLE_PORT = 8080;

/** A port as a number, or undefined where it is not one from 1 to 65535. */
export function parsePort(text: string): number | undefined {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65535 ? port : undefined;
}

/**
 * `consolePort`: where the console has to be; undefined leaves that to chooseConsolePort.
 *
 * @throws Error that names the port's holder and the remedy
 */
export async function requirePorts(port: number, consolePort: number | undefined): Promise<void> {
  if (port === consolePort) {
    throw new Error(`the service and its console cannot both have port ${port}: change --console-port`);
  }
  await requirePort(port, '--port', consolePort);
  if (consolePort !== undefined) await requirePort(consolePort, '--console-port', port);
}

async function requirePort(
  port: number,
  option: '--port' | '--console-port',
  other: number | undefined,
): Promise<void> {
  const problem = await tryPort(port);
  if (problem === undefined) return;
  if (problem === 'EACCES') {
    throw new Error(`port ${port} is reserved for root: choose one above 1023 with ${option}`);
  }
  const owner = portOwner(port);
  throw new Error(
    `port ${port} is in use${owner === undefined ? '' : ` by ${owner}`}: ` +
      `stop that program, or choose another port: npm run up -- ${option} ${await freePortAfter(port, other)}`,
  );
}

/** The next one is the easiest to remember; where a whole row is taken, any. */
async function freePortAfter(port: number, other: number | undefined): Promise<number> {
  for (let next = port + 1; next <= Math.min(port + 20, 65535); next++) {
    if (next !== other && (await tryPort(next)) === undefined) return next;
  }
  return freePort();
}

/** The console's usual port, or any free one where that is taken: nobody types it, it is printed. */
export async function chooseConsolePort(servicePort: number): Promise<number> {
  if (servicePort !== DEFAULT_CONSOLE_PORT && (await tryPort(DEFAULT_CONSOLE_PORT)) === undefined) {
    return DEFAULT_CONSOLE_PORT;
  }
  return freePort();
}

/**
 * Whether a line of the service's log says that the console's port was taken: another program, a second `bot up` for
 * one, may take it between the choice and the service's start.
 */
export function saysConsolePortTaken(line: string): boolean {
  return line.includes('address in use') && line.includes('`network.console_port`');
}

/** @returns undefined when the port can be had, else the system's error code */
function tryPort(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'UNKNOWN'));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(undefined)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no free port')),
      );
    });
  });
}
