/** Listening sockets that came from the process before, until somebody listens on them. */
import type { Server, Socket } from 'node:net';

export interface InheritedSocket {
  readonly server: Server;
  /** Accepted since it came, and unread. */
  readonly connections: readonly Socket[];
}

export class Inherited {
  readonly #sockets = new Map<number, { readonly server: Server; readonly connections: Socket[] }>();

  /**
   * Node has it accept connections from its arrival on, long before anybody is there to answer them; so this has to be
   * called in the very event that brings it.
   */
  add(port: number, server: Server): void {
    const connections: Socket[] = [];
    // What net's servers know as an option at their making is looked at for each connection.
    Object.assign(server, { pauseOnConnect: true });
    server.on('connection', (connection) => {
      connection.on('error', () => undefined);
      connections.push(connection);
    });
    this.#sockets.set(port, { server, connections });
  }

  /** It is whoever's who takes it, from then on. Undefined where none came. */
  take(port: number): InheritedSocket | undefined {
    const socket = this.#sockets.get(port);
    this.#sockets.delete(port);
    return socket;
  }

  /** Those that nobody took: the process before may still listen on them. */
  close(): void {
    for (const { server, connections } of this.#sockets.values()) {
      server.close();
      for (const connection of connections) connection.destroy();
    }
    this.#sockets.clear();
  }
}
