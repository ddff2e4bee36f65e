import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { keySource } from '../../../runtime/src/access/key-source';
import { testConfig } from '../support/test-service';

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:bot-key-AbCdEf';

/** Answers as Secrets Manager does on the wire; the SDK is the real one. */
let server: Server;
let answers: Record<string, { status: number; body: object }>;
let asked: { stage: string; id: string; authorization: string }[];

const secret = (value: string) => ({ status: 200, body: { SecretString: value } });
const error = (name: string, message: string) => ({ status: 400, body: { __type: name, message } });
const NO_VERSION = error(
  'ResourceNotFoundException',
  "can't find the specified secret value for staging label",
);

const saved = { ...process.env };

beforeEach(async () => {
  asked = [];
  server = createServer((req, res) => {
    let text = '';
    req.on('data', (bytes: Buffer) => (text += bytes.toString()));
    req.on('end', () => {
      const { SecretId: id, VersionStage: stage } = JSON.parse(text) as Record<string, string>;
      asked.push({ id: id ?? '', stage: stage ?? '', authorization: req.headers.authorization ?? '' });
      const answer = answers[stage ?? ''] ?? NO_VERSION;
      res.writeHead(answer.status, { 'Content-Type': 'application/x-amz-json-1.1' });
      res.end(JSON.stringify(answer.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env['AWS_ENDPOINT_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  process.env['AWS_ACCESS_KEY_ID'] = 'test';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
});

afterEach(async () => {
  process.env = { ...saved };
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const read = (security: object = { api_key_secret_id: ARN }, env = {}) =>
  keySource(testConfig({ api_key: undefined, security }), env).source();

describe('keySource', () => {
  test('gives the key of the configuration file, which is not read again', async () => {
    const { source, refreshIntervalMs } = keySource(testConfig(), {});
    expect(await source()).toHaveLength(1);
    expect(refreshIntervalMs).toBe(0);
  });

  test('reads current and previous key, in the region that the ARN names', async () => {
    answers = { AWSCURRENT: secret('new-key-0123456789abc\n'), AWSPREVIOUS: secret('old-key-0123456789abc') };
    expect(await read()).toEqual(['new-key-0123456789abc', 'old-key-0123456789abc']);
    expect(asked.map(({ id, stage }) => [id, stage])).toEqual([
      [ARN, 'AWSCURRENT'],
      [ARN, 'AWSPREVIOUS'],
    ]);
    expect(asked[0]?.authorization).toContain('/eu-central-1/secretsmanager/');
  });

  test('takes the region of the configuration before that of the environment', async () => {
    answers = { AWSCURRENT: secret('new-key-0123456789abc') };
    await read({ api_key_secret_id: 'bot/key', region: 'us-west-2' }, { AWS_REGION: 'us-east-1' });
    expect(asked[0]?.authorization).toContain('/us-west-2/');
    await read({ api_key_secret_id: 'bot/key' }, { AWS_REGION: 'us-east-1' });
    expect(asked.at(-1)?.authorization).toContain('/us-east-1/');
  });

  test('manages without a previous key, before the first rotation', async () => {
    answers = { AWSCURRENT: secret('new-key-0123456789abc'), AWSPREVIOUS: NO_VERSION };
    expect(await read()).toEqual(['new-key-0123456789abc']);
  });

  test('names the secret, AWS’s error and the remedy when it may not read', async () => {
    answers = { AWSCURRENT: error('AccessDeniedException', 'User is not authorized') };
    await expect(read()).rejects.toThrow(
      `cannot read the secret ${ARN} in eu-central-1: AccessDeniedException: User is not authorized. ` +
        "What to do: the machine's role lacks secretsmanager:GetSecretValue",
    );
  });

  test('says so when there is no such secret', async () => {
    answers = { AWSCURRENT: NO_VERSION };
    await expect(read()).rejects.toThrow(/ResourceNotFoundException.*no such secret in this region/);
  });

  test('refuses a key that can be guessed, without repeating it', async () => {
    answers = { AWSCURRENT: secret('hunter2') };
    await expect(read()).rejects.toThrow(/\(AWSCURRENT\) holds 7 characters; put a key of at least 16/);
  });

  test('asks for the region when nothing tells it', async () => {
    await expect(read({ api_key_secret_id: 'bot/key' })).rejects.toThrow(/set security.region or AWS_REGION/);
  });
});
