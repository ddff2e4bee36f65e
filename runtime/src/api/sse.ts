/** Server-sent events over one response, at the pace of the reader. */
import type { Response } from 'express';

import type { StreamPiece } from './answer.js';

export class EventStream {
  readonly #res: Response;
  readonly #signal: AbortSignal;

  /** Aborting the signal ends every wait for a slow reader. */
  constructor(res: Response, signal: AbortSignal) {
    this.#res = res;
    this.#signal = signal;
  }

  get isOpen(): boolean {
    return this.#res.headersSent;
  }

  /** Sends pieces as one; resolves when the reader has room for more, so that a slow one slows its own answer only. */
  async send(pieces: readonly StreamPiece[]): Promise<void> {
    if (pieces.length > 0 && !this.#write(pieces.map(textOf).join(''))) await this.#drained();
  }

  /** Keeps proxies from closing a connection on which nothing has been sent for a while. */
  keepAlive(): void {
    this.#write(': waiting\n\n');
  }

  end(): void {
    this.#res.end();
  }

  /** The headers go out with the first text, in one packet: from then on, errors can only be told as events. */
  #write(text: string): boolean {
    if (!this.isOpen) {
      this.#res.status(200).set({
        'Content-Type': 'text/event-stream; charset=utf-8',
        'Cache-Control': 'no-cache, no-transform',
        // nginx would otherwise collect pieces until its buffer is full.
        'X-Accel-Buffering': 'no',
      });
    }
    return this.#res.write(text);
  }

  #drained(): Promise<void> {
    if (this.#signal.aborted || this.#res.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#res.off('drain', done);
        this.#res.off('close', done);
        this.#signal.removeEventListener('abort', done);
        resolve();
      };
      this.#res.on('drain', done);
      this.#res.on('close', done);
      this.#signal.addEventListener('abort', done);
    });
  }
}

function textOf({ event, data }: StreamPiece): string {
  const name = event === undefined ? '' : `event: ${event}\n`;
  return `${name}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}
