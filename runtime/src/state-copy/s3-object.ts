/** An object of S3. Its requests are signed by the SDK's own signer; the whole S3 client is 5 MB of memory for these two. */
import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto';

import type { SignatureV4 } from '@smithy/signature-v4';

import type { Environment } from '../config/environment.js';
import { CopyError, type ObjectVersion, type SharedObject } from './shared-object.js';

export interface S3Place {
  readonly bucket: string;
  readonly key: string;
  readonly region: string;
}

const TRIES = 3;
/** Of milliseconds before the second and the third try. */
const PAUSES_MS = [200, 1000];
const REQUEST_TIMEOUT_MS = 5000;

/** Answers that mean nothing is wrong: changed, not changed, somebody else was faster (S3 says it in two ways). */
const EXPECTED = [200, 304, 409, 412];

export class S3Object implements SharedObject {
  readonly name: string;
  readonly #url: URL;
  readonly #region: string;
  #signer: Promise<SignatureV4> | undefined;

  constructor({ bucket, key, region }: S3Place, env: Environment) {
    this.name = `s3://${bucket}/${key}`;
    this.#region = region;
    const suffix = region.startsWith('cn-') ? '.cn' : '';
    // The SDKs' own variable for another endpoint.
    const endpoint = env['AWS_ENDPOINT_URL'] ?? `https://s3.${region}.amazonaws.com${suffix}`;
    this.#url = new URL(`${endpoint}/${bucket}/${key}`);
  }

  async read(knownTag?: string): Promise<ObjectVersion | undefined> {
    const response = await this.#send('GET', knownTag === undefined ? {} : { 'if-none-match': knownTag });
    if (response.status === 304) return undefined;
    return {
      content: Buffer.from(await response.arrayBuffer()),
      tag: response.headers.get('etag') ?? '',
      writtenAt: Date.parse(response.headers.get('last-modified') ?? ''),
    };
  }

  async write(
    content: Uint8Array,
    tag: string,
    notes: Readonly<Record<string, string>> = {},
  ): Promise<string | undefined> {
    const metadata = Object.entries(notes).map(([name, value]) => [`x-amz-meta-${name}`, value] as const);
    const response = await this.#send('PUT', { 'if-match': tag, ...Object.fromEntries(metadata) }, content);
    return response.status === 200 ? (response.headers.get('etag') ?? '') : undefined;
  }

  /** Tries again what may pass by itself. @throws CopyError */
  async #send(method: string, headers: Record<string, string>, body?: Uint8Array): Promise<Response> {
    let problem = '';
    for (let attempt = 0; attempt < TRIES; attempt++) {
      if (attempt > 0) await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[attempt - 1]));
      try {
        const response = await this.#request(method, headers, body);
        if (EXPECTED.includes(response.status)) return response;
        problem = await reasonOf(response);
        if (response.status < 500) break;
      } catch (error) {
        problem = describe(error as Error);
      }
    }
    throw new CopyError(`cannot ${method === 'GET' ? 'read' : 'write'} ${this.name}: ${problem}`);
  }

  async #request(method: string, headers: Record<string, string>, body?: Uint8Array): Promise<Response> {
    const { protocol, hostname, port, host, pathname } = this.#url;
    const signed = await (
      await this.#sign()
    ).sign({
      method,
      protocol,
      hostname,
      ...(port === '' ? {} : { port: Number(port) }),
      path: pathname,
      query: {},
      headers: { host, 'x-amz-content-sha256': sha256(body ?? ''), ...headers },
      ...(body === undefined ? {} : { body }),
    });
    return fetch(this.#url, {
      method,
      headers: signed.headers,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(body === undefined ? {} : { body: Buffer.from(body) }),
    });
  }

  /** Loaded only where a copy is kept. */
  #sign(): Promise<SignatureV4> {
    this.#signer ??= (async () => {
      const [{ SignatureV4 }, { defaultProvider }] = await Promise.all([
        import('@smithy/signature-v4'),
        import('@aws-sdk/credential-provider-node'),
      ]);
      return new SignatureV4({
        service: 's3',
        region: this.#region,
        credentials: defaultProvider(),
        sha256: Sha256,
        // S3 takes the path as it is.
        uriEscapePath: false,
      });
    })();
    return this.#signer;
  }
}

/** Node's own, in the form that the signer asks for. */
class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', toBytes(secret));
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  /** The signer makes a new one for each. */
  reset(): void {}
}

function toBytes(data: string | ArrayBuffer | ArrayBufferView): Buffer {
  if (typeof data === 'string') return Buffer.from(data);
  return ArrayBuffer.isView(data)
    ? Buffer.from(data.buffer, data.byteOffset, data.byteLength)
    : Buffer.from(data);
}

const REMEDIES: Readonly<Record<string, string>> = {
  AccessDenied:
    "the machine's role lacks s3:GetObject and s3:PutObject on it, or it was deleted: run cdktf deploy",
  NoSuchKey: 'it was deleted: run cdktf deploy, or bring back the version before',
  NoSuchBucket: 'there is no such bucket: run cdktf deploy',
  RequestTimeTooSkewed: "the machine's clock is wrong: see chronyc tracking",
};

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1] ?? `status ${response.status}`;
  return `${code}${code in REMEDIES ? `. What to do: ${REMEDIES[code]}` : ''}`;
}

function describe({ name, message, cause }: Error): string {
  if (name === 'CredentialsProviderError') {
    return 'no AWS credentials. What to do: on EC2, attach the instance role; elsewhere, set AWS_PROFILE';
  }
  // What fetch says itself is always the same.
  const { message: reason = message } = (cause ?? {}) as Partial<Error>;
  return `${reason}. What to do: check the route to S3 and the outbound rules`;
}

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}
