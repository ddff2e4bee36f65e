/**
 * Where `bot reload` asks a running service to give its place to a new process: a socket in the unit's runtime directory,
 * which nobody but the service's user and root may enter. One line of JSON goes in, lines come out; whoever closes the
 * connection before that is over does not wait any more.
 */
import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { z } from 'zod';

import type { Environment } from '../../config/environment.js';
import { messageOf } from '../../errors/message-of.js';

const SOCKET = 'reload.sock';
/** More than an environment can hold. */
const MOST_BYTES = 8 * 1024 * 1024;
const LINE_BREAK = 10;
const PATH = z.string().startsWith('/');

const orderSchema = z.strictObject({
  /** The `bot` of the release that is to run. */
  program: PATH,
  configFile: PATH,
  env: z.record(z.string(), z.string()),
});

/** What is to run from now on. */
export interface ReloadOrder extends Omit<z.infer<typeof orderSchema>, 'env'> {
  readonly env: Environment;
}

type Reply =
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'done' }
  | { readonly type: 'failed'; readonly reason: string };

export type OnReload = (
  order: ReloadOrder,
  say: (text: string) => void,
  signal: AbortSignal,
) => Promise<void>;

/** Undefined where there is no runtime directory: nobody restarts the service without a pause then. */
export function reloadSocketPath(env: Environment): string | undefined {
  // With several directories in the unit, a colon stands between them.
  const directory = env['RUNTIME_DIRECTORY']?.split(':')[0];
  return directory === undefined || directory === '' ? undefined : join(directory, SOCKET);
}

/** @throws Error where the socket cannot be made */
export async function openReloadSocket(path: string, onReload: OnReload): Promise<Server> {
  // Of a process that was killed.
  rmSync(path, { force: true });
  const server = createServer((socket) => void converse(socket, onReload));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  // It keeps no process alive.
  return server.unref();
}

async function converse(socket: Socket, onReload: OnReload): Promise<void> {
  const left = new AbortController();
  socket.on('error', () => undefined);
  socket.on('close', () => left.abort(new Error('nobody waits for the reload any more')));
  const reply = (message: Reply) => socket.write(`${JSON.stringify(message)}\n`);
  try {
    const order = orderSchema.parse(JSON.parse(await firstLine(socket)));
    await onReload(order, (text) => reply({ type: 'say', text }), left.signal);
    reply({ type: 'done' });
  } catch (error) {
    reply({ type: 'failed', reason: messageOf(error) });
  }
  socket.end();
}

async function firstLine(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      // What comes after that is read, so that the answer can be, and not kept.
      if (bytes > MOST_BYTES) reject(new Error('the order is too long'));
      else chunks.push(chunk);
      // JSON has no line break but between its parts.
      if (chunk.at(-1) === LINE_BREAK) resolve(Buffer.concat(chunks).toString());
    });
    socket.once('close', () => reject(new Error('the order is not whole')));
  });
}

/**
 * Asks the service behind the socket to hand over, and waits until that is done.
 *
 * @throws Error with the reason; the service goes on as it was then
 */
export async function requestReload(
  path: string,
  order: ReloadOrder,
  say: (text: string) => void,
): Promise<void> {
  const socket = createConnection({ path });
  const broken = new Promise<never>((_resolve, reject) => {
    socket.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(path, error)));
  });
  broken.catch(() => undefined);
  const finished = (async () => {
    for await (const line of createInterface({ input: socket })) {
      const message = JSON.parse(line) as Reply;
      if (message.type === 'done') return;
      if (message.type === 'say') say(message.text);
      else throw new Error(message.reason);
    }
    throw new Error('the service ended before it had handed over; `bot logs` says why');
  })();
  try {
    socket.write(`${JSON.stringify(order)}\n`);
    await Promise.race([finished, broken]);
  } finally {
    finished.catch(() => undefined);
    socket.destroy();
  }
}

function unreachable(path: string, { code, message }: NodeJS.ErrnoException): Error {
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return new Error(
      `no service listens on ${path}: it does not run, or is still loading; sudo systemctl restart bot`,
    );
  if (code === 'EACCES')
    return new Error(`${path} may be used by root and the service's user only: use sudo`);
  return new Error(`${path}: ${message}`);
}
