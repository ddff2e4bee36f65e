/** Requests to the endpoint: over TLS that is pinned to one certificate, and over plain HTTP. */
import { request as plainRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface Question {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Sent as the bearer token. */
  readonly apiKey?: string;
  /** Makes it a POST. */
  readonly json?: unknown;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Somebody else answers on the endpoint's address, or its certificate is not the one that the machine reported. */
export class WrongCertificate extends Error {
  override readonly name = 'WrongCertificate';
}

/** How long a connection may take; a firewall that drops packets shows as this. */
export const CONNECT_TIMEOUT_MS = 8000;

/**
 * The certificate is compared before the first byte of the request leaves: the key never reaches a stranger.
 *
 * @param fingerprint SHA-256 as `AA:BB:…`
 */
export async function askSecurely(question: Question, fingerprint: string): Promise<Answer> {
  const socket = await connectPinned(question, fingerprint);
  try {
    return await exchange(httpsRequest, question, { createConnection: () => socket });
  } finally {
    socket.destroy();
  }
}

export function askPlainly(question: Question): Promise<Answer> {
  return exchange(plainRequest, question, {});
}

/** @returns the certificate in PEM, if it is the one that the fingerprint names. */
export async function certificateOf(question: Question, fingerprint: string): Promise<string> {
  const socket = await connectPinned(question, fingerprint);
  try {
    return toPem(socket.getPeerCertificate());
  } finally {
    socket.destroy();
  }
}

function toPem({ raw }: PeerCertificate): string {
  const lines = raw.toString('base64').replace(/.{64}(?!$)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function connectPinned({ host, port, signal }: Question, fingerprint: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port,
      // Self-signed: no authority vouches for it. The fingerprint, read from the deployment's own bucket, does.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      timeout: CONNECT_TIMEOUT_MS,
    });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    const abort = () => fail(new DOMException('stopped', 'AbortError'));
    signal.addEventListener('abort', abort, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', abort));
    socket.once('error', fail);
    socket.once('timeout', () => fail(timeoutError(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`)));
    socket.once('secureConnect', () => {
      const found = socket.getPeerCertificate().fingerprint256;
      if (found?.toUpperCase() !== fingerprint.toUpperCase()) {
        fail(new WrongCertificate(`its certificate is ${found}, the machine reported ${fingerprint}`));
        return;
      }
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

function exchange(
  request: typeof plainRequest,
  { host, port, path, apiKey, json, timeoutMs, signal }: Question,
  connection: object,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const outgoing = request({
      host,
      port,
      path,
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        connection: 'close',
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        ...(body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
      timeout: timeoutMs,
      signal,
      ...connection,
    });
    outgoing.once('error', reject);
    outgoing.once('timeout', () => outgoing.destroy(timeoutError(`no answer within ${timeoutMs / 1000} s`)));
    outgoing.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    outgoing.end(body);
  });
}

function timeoutError(message: string): Error {
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' });
}
