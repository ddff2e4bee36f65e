/** Opens and closes the HTTP listeners. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

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
  /** Takes no new connections; resolves when the open ones have ended. */
  close(): Promise<void>;
  /** Cuts the connections that are left. */
  closeConnections(): void;
}

/** `key` is the configuration key that holds the port. @throws PortError with the holder and the remedy. */
export async function listen(handler: RequestListener, port: number, key: string): Promise<Listener> {
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS },
    handler,
  );
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, HOST, resolve);
    });
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, port, key);
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: () => closeServer(server),
    closeConnections: () => server.closeAllConnections(),
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
  });
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
