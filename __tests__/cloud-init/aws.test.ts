/** aws.py as the bootstrap runs it, against a metadata service and an S3 on loopback. */
import { execFile } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { SignatureV4 } from '@smithy/signature-v4';

/** As it is, but for its patience of 20 s. */
const PROGRAM = readFileSync(join(__dirname, '../../cloud-init/files/aws.py'), 'utf8').replace(
  /^PAUSES = .*$/m,
  'PAUSES = (0.1,) * 4',
);
const ROLE = { AccessKeyId: 'ASIAEXAMPLE', SecretAccessKey: 'a/secret+key', Token: 'a-session-token' };
const CONTENT = Buffer.from('what was deployed');
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** What S3 answers, one entry a request; the last one stays. */
let answers: ((response: ServerResponse) => void)[];
let seen: Seen[];
/** How often the metadata service has no credentials yet. */
let withoutRole: number;
let folder: string;
let server: Server;

beforeEach(async () => {
  answers = [(response) => response.end(CONTENT)];
  seen = [];
  withoutRole = 0;
  folder = mkdtempSync(join(tmpdir(), 'aws-py-'));
  server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '';
  if (path.startsWith('/latest/')) return answerMetadata(request, response);
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  seen.push({ method: request.method ?? '', path, headers: request.headers, body: Buffer.concat(chunks) });
  (answers.length > 1 ? answers.shift() : answers[0])?.(response);
}

/** Version 2 of the metadata service: nothing without a token. */
function answerMetadata(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url?.replace('/latest/', '') ?? '';
  const asksToken =
    request.method === 'PUT' && request.headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined;
  if (path === 'api/token' && asksToken) return void response.end('the-token');
  if (request.headers['x-aws-ec2-metadata-token'] !== 'the-token') return void response.writeHead(401).end();
  const values: Record<string, string> = {
    'meta-data/iam/security-credentials/': 'the-role',
    'meta-data/iam/security-credentials/the-role': JSON.stringify(ROLE),
    'meta-data/public-ipv4': '203.0.113.7',
  };
  const isEarly = path.endsWith('security-credentials/') && withoutRole-- > 0;
  const value = isEarly ? undefined : values[path];
  response.writeHead(value === undefined ? 404 : 200).end(value);
}

function aws(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const env = {
    PATH: process.env['PATH'],
    REGION: 'eu-central-1',
    BUCKET: 'the-bucket',
    AWS_ENDPOINT_URL: address,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: address,
    ...reportState,
    LOG: join(folder, 'log'),
  };
  return new Promise((resolve) => {
    execFile('python3', ['-c', PROGRAM, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}

const reportState = {
  REPORT_PREFIX: 'reports/',
  INSTANCE_ID: 'i-0123456789abcdef0',
  BUNDLE_SHA256: SHA256,
  STATUS: 'failed',
  STEP: 'model',
  MESSAGE: 'a "quoted" cause; a remedy',
  STEPS: 'packages=5.20 user=0.03 ',
  FINGERPRINT: 'AA:BB',
};

/** node:crypto in the form that the signer wants. */
class Sha256 {
  readonly #hash;
  constructor(secret?: unknown) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Buffer);
  }
  update(data: string | Uint8Array) {
    this.#hash.update(data);
  }
  digest() {
    return Promise.resolve(new Uint8Array(this.#hash.digest()));
  }
}

describe('get', () => {
  test('stores what has the right hash', async () => {
    const file = join(folder, 'model.gguf');
    expect(await aws('get', 'models/a b.gguf', SHA256, file)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(readFileSync(file)).toEqual(CONTENT);
    expect(seen.map(({ method, path }) => [method, path])).toEqual([
      ['GET', '/the-bucket/models/a%20b.gguf'],
    ]);
  });

  test('refuses another hash: says what was expected and got, and leaves no file', async () => {
    const file = join(folder, 'model.gguf');
    const wrong = '0'.repeat(64);
    const { code, stderr } = await aws('get', 'models/m', wrong, file);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      new RegExp(
        `^s3://the-bucket/models/m is not what was deployed: expected SHA-256 ${wrong}, got ${SHA256}; delete that object, then run cdktf deploy again\n$`,
      ),
    );
    expect([existsSync(file), existsSync(`${file}.part`)]).toEqual([false, false]);
  });

  test('tries again after an error and after a cut connection', async () => {
    answers = [
      (response) => response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>'),
      (response) => {
        response.writeHead(200, { 'content-length': CONTENT.length });
        response.write(CONTENT.subarray(0, 5), () => response.destroy());
      },
      (response) => response.end(CONTENT),
    ];
    expect((await aws('get', 'k', SHA256, join(folder, 'f'))).code).toBe(0);
    expect(seen.length).toBe(3);
  });

  test('does not ask again for what is not there', async () => {
    answers = [
      (response) =>
        response
          .writeHead(404)
          .end('<Error><Code>NoSuchKey</Code><Message>The key does not exist.</Message></Error>'),
    ];
    const { code, stderr } = await aws('get', 'models/m', SHA256, join(folder, 'f'));
    expect([code, stderr]).toEqual([
      1,
      'get models/m failed: HTTP Error 404: Not Found: NoSuchKey The key does not exist.; ' +
        'it was deleted after the deploy: run cdktf deploy again\n',
    ]);
    expect(seen.length).toBe(1);
  });

  test('waits for credentials that the instance does not have yet', async () => {
    withoutRole = 2;
    expect(await aws('get', 'k', SHA256, join(folder, 'f'))).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('blames nobody here for a fault of AWS', async () => {
    answers = [(response) => response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>')];
    expect((await aws('get', 'k', SHA256, join(folder, 'f'))).stderr).toMatch(
      /503.*SlowDown; a fault of AWS: run cdktf deploy again\n$/,
    );
  });

  // To a role that may not list the bucket, S3 answers the same for both.
  test('names both causes of a 403', async () => {
    answers = [
      (response) =>
        response.writeHead(403).end('<Error><Code>AccessDenied</Code><Message>No.</Message></Error>'),
    ];
    const { code, stderr } = await aws('get', 'models/m', SHA256, join(folder, 'f'));
    expect([code, stderr]).toEqual([
      1,
      'get models/m failed: HTTP Error 403: Forbidden: AccessDenied No.; ' +
        'it was deleted after the deploy, or the instance role may not read it: run cdktf deploy again\n',
    ]);
    expect(seen.length).toBe(5);
  });
});

/** S3 as it judges the time of a request: its own clock is so many minutes ahead. */
function answersWithClock(minutesAhead: number): void {
  answers = [
    (response) => {
      const date = String(seen.at(-1)?.headers['x-amz-date']).replace(
        /(....)(..)(..T..)(..)(..Z)/,
        '$1-$2-$3:$4:$5',
      );
      const serverTime = Date.now() + minutesAhead * 60_000;
      if (Math.abs(serverTime - Date.parse(date)) < 15 * 60_000) return void response.end(CONTENT);
      const error = '<Error><Code>RequestTimeTooSkewed</Code><Message>Too large.</Message></Error>';
      response.writeHead(403, { date: new Date(serverTime).toUTCString() }).end(error);
    },
  ];
}

describe('with a wrong clock', () => {
  test.each([
    [200, '200 minutes behind'],
    [-45, '45 minutes ahead of'],
  ])('(S3 is %i minutes ahead) a download says so, and the remedy', async (minutes, words) => {
    answersWithClock(minutes);
    const { code, stderr } = await aws('get', 'k', SHA256, join(folder, 'f'));
    expect([code, stderr]).toEqual([
      1,
      `get k failed: HTTP Error 403: Forbidden: RequestTimeTooSkewed Too large.; this machine's clock is ${words} S3's: see that ` +
        'its time service (timedatectl) reaches 169.254.169.123, UDP port 123, then run cdktf deploy again\n',
    ]);
  });

  test('the report gets through, by the time that S3 names', async () => {
    answersWithClock(200);
    writeFileSync(join(folder, 'log'), '');
    expect(await aws('report')).toEqual({ code: 0, stdout: '', stderr: '' });
    expect(seen.length).toBe(2);
    const { time } = JSON.parse(String(seen.at(-1)?.body)) as { time: string };
    expect((Date.parse(time) - Date.now()) / 60_000).toBeCloseTo(200, 0);
  });
});

test("signs as AWS's own signer does", async () => {
  writeFileSync(join(folder, 'log'), '');
  for (const args of [['get', 'models/ä b+c.gguf', SHA256, join(folder, 'f')], ['report']])
    await aws(...args);
  expect(seen.map(({ method }) => method)).toEqual(['GET', 'PUT']);
  for (const { method, path, headers, body } of seen) {
    const date = String(headers['x-amz-date']).replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5');
    const signer = new SignatureV4({
      service: 's3',
      region: 'eu-central-1',
      sha256: Sha256,
      credentials: {
        accessKeyId: ROLE.AccessKeyId,
        secretAccessKey: ROLE.SecretAccessKey,
        sessionToken: ROLE.Token,
      },
      uriEscapePath: false,
      applyChecksum: true,
    });
    const signed = await signer.sign(
      {
        method,
        path,
        protocol: 'http:',
        hostname: '127.0.0.1',
        headers: { host: String(headers.host), 'content-type': String(headers['content-type']) },
        body: method === 'PUT' ? body : undefined,
      },
      { signingDate: new Date(date) },
    );
    const normal = (authorization: unknown) => String(authorization).replaceAll(', ', ',');
    expect(normal(headers.authorization)).toBe(normal(signed.headers['authorization']));
  }
});

describe('report', () => {
  const body = () => JSON.parse(String(seen.at(-1)?.body)) as Record<string, unknown>;

  test('is stored under the instance id, with the end of the log when a step failed', async () => {
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i + 1}`);
    writeFileSync(
      join(folder, 'log'),
      Buffer.concat([Buffer.from([0xff, 0x0a]), Buffer.from(lines.join('\n'))]),
    );
    expect((await aws('report')).code).toBe(0);
    expect(seen[0]?.path).toBe('/the-bucket/reports/i-0123456789abcdef0.json');
    expect(body()).toEqual({
      schema: 1,
      status: 'failed',
      instanceId: 'i-0123456789abcdef0',
      bundleSha256: SHA256,
      step: 'model',
      message: 'a "quoted" cause; a remedy',
      log: lines.slice(-40).join('\n'),
      steps: [
        { name: 'packages', seconds: 5.2 },
        { name: 'user', seconds: 0.03 },
      ],
      tlsFingerprintSha256: 'AA:BB',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/),
    });
  });

  test('carries no log while all is well', async () => {
    reportState.STATUS = 'running';
    await aws('report');
    expect(body()['log']).toBe('');
  });
});

test('imds prints a value', async () => {
  expect((await aws('imds', 'meta-data/public-ipv4')).stdout).toBe('203.0.113.7\n');
});
