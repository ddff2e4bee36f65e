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

  /** Sends the headers: from here on, errors can only be told as events. */
  open(): void {
    if (this.isOpen) return;
    this.#res.status(200).set({
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      // nginx would otherwise collect pieces until its buffer is full.
      'X-Accel-Buffering': 'no',
    });
    this.#res.flushHeaders();
  }

  /** Sends one object; resolves when the reader has room for more, so that a slow one slows its own answer only. */
  async send({ event, data }: StreamPiece): Promise<void> {
    this.open();
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    const name = event === undefined ? '' : `event: ${event}\n`;
    if (!this.#res.write(`${name}data: ${text}\n\n`)) await this.#drained();
  }

  /** Keeps proxies from closing a connection on which nothing has been sent for a while. */
  keepAlive(): void {
    this.open();
    this.#res.write(': waiting\n\n');
  }

  end(): void {
    this.#res.end();
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
