/** A file server on loopback that misbehaves on request: what stands in for a hub or a web server. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

type Handler = (request: SeenRequest, response: ServerResponse) => void;

export class ModelServer {
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  #handler: Handler;

  private constructor(handler: Handler) {
    this.#handler = handler;
    this.#server = createServer((incoming, response) => {
      const { method = '', url = '', headers } = incoming;
      const seen = { method, path: url, headers };
      this.requests.push(seen);
      this.#handler(seen, response);
    });
  }

  static async start(handler: Handler): Promise<ModelServer> {
    const server = new ModelServer(handler);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  handle(handler: Handler): void {
    this.#handler = handler;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export interface FileOptions {
  readonly etag?: string;
  /** Breaks the connection after so many bytes of the body. */
  readonly dropAfter?: number;
  /** Answers 200 with the whole file whatever Range says. */
  readonly ignoreRange?: boolean;
}

/** Answers as a web server does that knows ranges and ETags. */
export function serveFile(
  request: SeenRequest,
  response: ServerResponse,
  content: Buffer,
  { etag = '"v1"', dropAfter, ignoreRange }: FileOptions = {},
): void {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const wanted = request.headers['if-range'];
  const start = range && !ignoreRange && (wanted === undefined || wanted === etag) ? Number(range[1]) : 0;
  if (start > 0 && start >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  const body = content.subarray(start);
  response.writeHead(start > 0 ? 206 : 200, {
    etag,
    'content-length': body.length,
    'accept-ranges': 'bytes',
    ...(start > 0 ? { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}` } : {}),
  });
  if (request.method === 'HEAD') {
    response.end();
  } else if (dropAfter !== undefined && dropAfter < body.length) {
    // Half of a body, then a reset: what a flaky line looks like.
    response.write(body.subarray(0, dropAfter), () => setTimeout(() => response.destroy(), 50));
  } else {
    response.end(body);
  }
}

/** Passes the look at the header; no engine could load it. */
export function fakeGguf(size: number, seed = 1): Buffer {
  const content = Buffer.alloc(size, seed);
  content.write('GGUF', 0, 'latin1');
  content.writeUInt32LE(3, 4);
  return content;
}

export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
