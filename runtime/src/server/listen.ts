/** Opens and closes the HTTP listeners. */
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, type Socket, Server as NetServer } from 'node:net';

import type { InheritedSocket } from './handover/inherited.js';
import { portOwner } from './port-owner.js';

/** Only this machine: nginx and tunnels stand in front. */
const HOST = '127.0.0.1';

/** nginx keeps idle connections for 60 seconds; whoever closes first must be nginx, or it would meet resets. */
const KEEP_ALIVE_MS = 75_000;
/** A request's headers, and all of it, must arrive in these times: slow senders hold no connection for long. */
const HEADERS_MS = 15_000;
const REQUEST_MS = 60_000;

export class PortError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PortError';
  }
}

export interface Listener {
  readonly port: number;
  /** Its socket, for a process that takes over. */
  readonly socket: NetServer;
  /** Takes no new connections; each open one ends with its next answer. Resolves when all have ended. */
  leave(): Promise<void>;
  /** The same, and those that are idle end at once. */
  close(): Promise<void>;
  /** Cuts the connections that are left. */
  closeConnections(): void;
  /** Keeps new connections aside, unread. */
  hold(): void;
  /** Answers what was kept aside, and what comes. */
  release(): void;
  /** What is kept aside, for another process. It is no more this one's then. */
  giveHeld(): readonly Socket[];
  /** A connection that another process has accepted, and has not read from. */
  accept(connection: Socket): void;
  /** Whether a request may be on its way here, or has come and is not being answered yet. */
  isExpecting(): boolean;
}

/**
 * `key` is the configuration key that holds the port; `inherited` a socket that listens there already.
 * @throws PortError with the holder and the remedy.
 */
export async function listen(
  handler: RequestListener,
  port: number,
  key: string,
  inherited?: InheritedSocket,
): Promise<Listener> {
  let closed: Promise<void> | undefined;
  /** Connections that no request has come on yet, and requests whose answers have not begun. */
  const expected = new Set<Socket | ServerResponse>();
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS },
    (request, response) => {
      if (closed !== undefined) response.setHeader('Connection', 'close');
      expected.delete(request.socket);
      expected.add(response);
      response.once('close', () => expected.delete(response));
      handler(request, response);
    },
  );
  server.on('connection', (connection) => {
    expected.add(connection);
    connection.once('close', () => expected.delete(connection));
  });
  const accept = (connection: Socket) => {
    // As http's servers make their own: a client that has said all that it wants still hears the answer.
    connection.allowHalfOpen = true;
    server.emit('connection', connection);
    connection.resume();
  };
  const leave = () => {
    for (const each of expected)
      if ('headersSent' in each && !each.headersSent) each.setHeader('Connection', 'close');
    // Not http's own, which closes what is idle, too, maybe in the very moment in which a client sends on it.
    return (closed ??= new Promise((resolve) => NetServer.prototype.close.call(server, () => resolve())));
  };
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      if (inherited === undefined) server.listen(port, HOST, resolve);
      else server.listen(inherited.server, resolve);
    });
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, port, key);
  }
  for (const connection of inherited?.connections ?? []) accept(connection);
  return {
    port: (server.address() as AddressInfo).port,
    socket: server,
    leave,
    close: () => {
      const left = leave();
      server.closeIdleConnections();
      return left;
    },
    closeConnections: () => server.closeAllConnections(),
    ...holding(server, accept),
    accept,
    isExpecting: () => [...expected].some((each) => !('headersSent' in each && each.headersSent)),
  };
}

/** One that has been read from cannot go to another process, so its first byte stays unread. */
function holding(
  server: Server,
  accept: (connection: Socket) => void,
): Pick<Listener, 'hold' | 'release' | 'giveHeld'> {
  const handlers = server.listeners('connection') as ((connection: Socket) => void)[];
  const held = new Set<Socket>();
  // An option of net's servers that http's do not take, but know: it is looked at for each connection.
  const pause = (pauseOnConnect: boolean) => Object.assign(server, { pauseOnConnect });
  return {
    hold() {
      pause(true);
      server.removeAllListeners('connection');
      server.on('connection', (connection) => {
        held.add(connection);
        connection.once('close', () => held.delete(connection));
        connection.once('error', () => undefined);
      });
    },
    release() {
      pause(false);
      server.removeAllListeners('connection');
      for (const handler of handlers) server.on('connection', handler);
      for (const connection of held) accept(connection);
      held.clear();
    },
    giveHeld() {
      const given = [...held];
      held.clear();
      return given;
    },
  };
}

function explain(error: NodeJS.ErrnoException, port: number, key: string): Error {
  if (error.code === 'EADDRINUSE') {
    const owner = portOwner(port) ?? 'another process (to see which: sudo ss -ltnp)';
    return new PortError(
      `address in use: port ${port} of ${HOST} is held by ${owner}; stop it, or set \`${key}\` to a free port`,
    );
  }
  if (error.code === 'EACCES') {
    return new PortError(`port ${port} needs special rights; set \`${key}\` to a port from 1024 on`);
  }
  return error;
}
