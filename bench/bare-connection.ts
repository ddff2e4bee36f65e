/**
 * The least that a client can be: one kept-alive connection, a request that is written as it stands, and an answer that
 * is looked at when its last byte is there. Node's own client takes as long for a request as what is measured with it.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface BareAnswer {
  readonly status: number;
  /** By its name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** As it travelled: a streamed one with the lengths of its pieces. */
  readonly body: string;
  /** From sending the request to the last byte of the answer. */
  readonly ms: number;
}

const END_OF_HEADERS = '\r\n\r\n';
/** Of a body that comes in pieces: one of no length. */
const LAST_PIECE = '\r\n0\r\n\r\n';

export class BareConnection {
  readonly #socket: Socket;
  readonly #timeoutMs: number;

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
  }

  /** `timeoutMs`: for each answer. */
  static async open(port: number, timeoutMs: number): Promise<BareConnection> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new BareConnection(socket, timeoutMs);
  }

  /** `request`: headers and body. @throws when the connection ends before the answer, or the answer takes too long */
  async ask(request: Buffer): Promise<BareAnswer> {
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      let text = '';
      const settle = (action: () => void) => {
        clearTimeout(timer);
        socket.off('data', onData).off('close', onClose).off('error', onError);
        action();
      };
      const onError = (error: Error) => settle(() => reject(error));
      const onClose = () =>
        onError(new Error(`the connection ended before the answer: ${text.slice(0, 300)}`));
      const onData = (bytes: Buffer) => {
        const now = performance.now();
        text += bytes.toString('latin1');
        if (isWhole(text)) settle(() => resolve({ ...read(text), ms: now - sentAt }));
      };
      const timer = setTimeout(() => {
        onError(new Error(`no end of the answer after ${this.#timeoutMs / 1000} s: is the machine busy?`));
        socket.destroy();
      }, this.#timeoutMs);
      socket.on('data', onData).on('close', onClose).on('error', onError);
      const sentAt = performance.now();
      socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A request as `BareConnection` sends it. */
export function post(
  path: string,
  port: number,
  headers: Readonly<Record<string, string>>,
  body: string,
): Buffer {
  const all = {
    host: `127.0.0.1:${port}`,
    ...headers,
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}

function isWhole(text: string): boolean {
  const end = text.indexOf(END_OF_HEADERS);
  if (end < 0) return false;
  const length = /^content-length: *(\d+)/im.exec(text.slice(0, end))?.[1];
  if (length === undefined) return text.endsWith(LAST_PIECE);
  return text.length >= end + END_OF_HEADERS.length + Number(length);
}

function read(text: string): Omit<BareAnswer, 'ms'> {
  const end = text.indexOf(END_OF_HEADERS);
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: Buffer.from(text.slice(end + END_OF_HEADERS.length), 'latin1').toString(),
  };
}
