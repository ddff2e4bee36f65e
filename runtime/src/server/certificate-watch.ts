/** How long the endpoint's certificate is still valid: the one that clients are shown, whoever put it there. */
import { connect } from 'node:tls';

import { counted } from '../errors/counted.js';
import type { LogLevel } from '../log/logger.js';

const DAY_MS = 86_400_000;
/** A certificate is renewed 30 days before its end, so below this half of the tries have failed. */
export const CERTIFICATE_WARN_DAYS = 14;
const INTERVAL_MS = 3_600_000;
/** Until it was seen once: nginx starts after the service. */
const FIRST_INTERVAL_MS = 30_000;
const TIMEOUT_MS = 5000;

export interface CertificateWatchOptions {
  /** On this machine. */
  readonly port: number;
  readonly log: (level: LogLevel, text: string) => void;
  readonly now?: () => number;
}

export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #end: number | undefined;
  /** Of the last line in the log: one a day. */
  #toldDays: number | undefined;
  #isClosed = false;

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
  }

  /** Looks now and then on. Keeps no process alive. */
  start(): void {
    void this.look().then(() => {
      const pause = this.#end === undefined ? FIRST_INTERVAL_MS : INTERVAL_MS;
      if (!this.#isClosed) this.#timer = setTimeout(() => this.start(), pause).unref();
    });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Undefined before it was seen; below zero once it has ended. */
  get daysLeft(): number | undefined {
    if (this.#end === undefined) return undefined;
    return Math.floor((this.#end - (this.#options.now ?? Date.now)()) / DAY_MS);
  }

  /** Never rejects: a port that shows none keeps the last answer, and is nginx's trouble. */
  async look(): Promise<void> {
    const end = await endOfCertificate(this.#options.port);
    if (end === undefined) return;
    this.#end = end;
    const { daysLeft } = this;
    if (daysLeft === undefined || daysLeft >= CERTIFICATE_WARN_DAYS || daysLeft === this.#toldDays) return;
    this.#toldDays = daysLeft;
    const date = new Date(end).toISOString().slice(0, 10);
    const when = daysLeft < 0 ? `ended on ${date}` : `ends in ${counted(daysLeft, 'day')}, on ${date}`;
    this.#options.log(
      daysLeft < 0 ? 'ERR' : 'WRN',
      `the certificate of port ${this.#options.port} ${when}; why it is not renewed: journalctl -u bot-certificate ` +
        '(with a domain); a self-signed one is made anew by: sudo /usr/local/lib/bot/bootstrap.sh',
    );
  }
}

/** Unix milliseconds; undefined where none is shown. */
function endOfCertificate(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    // Nothing is sent: this looks at the certificate and hangs up, so it need not be one that can be trusted.
    const socket = connect(
      { host: '127.0.0.1', port, rejectUnauthorized: false, timeout: TIMEOUT_MS },
      () => {
        const end = Date.parse(socket.getPeerCertificate().valid_to);
        finish(Number.isNaN(end) ? undefined : end);
      },
    );
    const finish = (end: number | undefined) => {
      socket.destroy();
      resolve(end);
    };
    socket.once('error', () => finish(undefined)).once('timeout', () => finish(undefined));
  });
}
