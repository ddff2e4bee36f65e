/**
 * The AWS that one guest sees: the emulator behind a proxy that can be slow, refuse, damage, or tell another time. A guest
 * of its own kind of trouble leaves the others alone.
 */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Network } from './network';

/** What is wrong, in the words of S3 and Secrets Manager. Nothing by default. */
export interface Fault {
  /** Before each answer. */
  latencyMs?: number;
  /** Of an answer's body. */
  bytesPerSecond?: number;
  /** Objects, by their keys, that arrive with another first byte. */
  damaged?: RegExp;
  /** Objects, by their keys, that S3 refuses: AccessDenied. */
  denied?: RegExp;
  /**
   * S3's clock, against which it judges the time of a request. A guest's clock is the host's and cannot be set, so it is
   * S3 that lives in another time: to the guest its own clock is wrong by that much.
   */
  clockAheadMinutes?: number;
  /** The secret is marked for deletion. */
  secretIsGone?: boolean;
}

/** What S3 lets a request's time differ. */
const MAX_SKEW_MS = 15 * 60_000;

export class AwsFront {
  fault: Fault = {};

  private constructor(
    readonly url: string,
    readonly emulatorUrl: string,
  ) {}

  /**
   * Lives as long as this process.
   *
   * @param port that the guest knows it by. @default any
   */
  static async open(network: Network, emulatorUrl: string, port?: number): Promise<AwsFront> {
    const { uplinkHost } = network.addresses;
    const server = createServer((request, response) => void front.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, uplinkHost, resolve));
    const { port: own } = server.address() as AddressInfo;
    const front = new AwsFront(`http://${uplinkHost}:${port ?? own}`, emulatorUrl);
    await network.admit(own, port);
    return front;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { fault } = this;
    if (fault.latencyMs !== undefined) await sleep(fault.latencyMs);
    const key = objectKey(request);
    const refusal = refusalOf(request, key, fault);
    if (refusal !== undefined) {
      request.resume();
      response.writeHead(refusal.status, refusal.headers).end(refusal.body);
      return;
    }
    const upstream = httpRequest(
      new URL(request.url ?? '/', this.emulatorUrl),
      { method: request.method, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        const isDamaged = request.method === 'GET' && fault.damaged?.test(key) === true;
        answer
          .pipe(otherFirstByte(isDamaged))
          .pipe(slowly(fault.bytesPerSecond ?? Infinity))
          .pipe(response);
      },
    );
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  }
}

interface Refusal {
  status: number;
  headers: Record<string, string>;
  body: string;
}

function refusalOf(
  { headers }: IncomingMessage,
  key: string,
  { clockAheadMinutes, denied, secretIsGone }: Fault,
): Refusal | undefined {
  const service = /Credential=[^/]+\/\d+\/[^/]+\/(\w+)\//.exec(headers.authorization ?? '')?.[1];
  if (service === 'secretsmanager' && secretIsGone === true) {
    const message =
      "You can't perform this operation on the secret because it was marked for deletion, or has been deleted.";
    return {
      status: 400,
      headers: { 'content-type': 'application/x-amz-json-1.1' },
      body: JSON.stringify({ __type: 'InvalidRequestException', message }),
    };
  }
  if (service !== 's3') return undefined;
  if (clockAheadMinutes !== undefined) {
    const now = Date.now() + clockAheadMinutes * 60_000;
    if (Math.abs(now - requestTime(headers)) > MAX_SKEW_MS) {
      return s3Error(
        'RequestTimeTooSkewed',
        'The difference between the request time and the current time is too large.',
        new Date(now),
      );
    }
  }
  return denied?.test(key) === true ? s3Error('AccessDenied', 'Access Denied', new Date()) : undefined;
}

function s3Error(code: string, message: string, date: Date): Refusal {
  return {
    status: 403,
    headers: { 'content-type': 'application/xml', date: date.toUTCString() },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  };
}

/** `x-amz-date`, which is written without the punctuation of ISO 8601. */
function requestTime(headers: IncomingMessage['headers']): number {
  const text = String(headers['x-amz-date']);
  return Date.parse(text.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'));
}

/** The path without the bucket. */
function objectKey({ url = '/' }: IncomingMessage): string {
  return (url.split('?')[0] ?? '').split('/').slice(2).join('/');
}

function otherFirstByte(isDamaged: boolean): Transform {
  let isFirst = isDamaged;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (isFirst && chunk.length > 0) {
        isFirst = false;
        chunk[0] = (chunk[0] ?? 0) ^ 0xff;
      }
      done(null, chunk);
    },
  });
}

function slowly(bytesPerSecond: number): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (bytesPerSecond === Infinity) done(null, chunk);
      else setTimeout(() => done(null, chunk), (chunk.length / bytesPerSecond) * 1000);
    },
  });
}
