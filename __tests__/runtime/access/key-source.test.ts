import { keySource } from '../../../runtime/src/access/key-source';
import {
  NO_VERSION,
  secret,
  secretError,
  startSecretsManager,
  type SecretsManager,
} from '../support/secrets-manager';
import { testConfig } from '../support/test-service';

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:bot-key-AbCdEf';

let manager: SecretsManager;
const saved = { ...process.env };

beforeEach(async () => {
  manager = await startSecretsManager();
  Object.assign(process.env, manager.env);
});
afterEach(async () => {
  process.env = { ...saved };
  await manager.stop();
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
    manager.answers = {
      AWSCURRENT: secret('new-key-0123456789abc\n'),
      AWSPREVIOUS: secret('old-key-0123456789abc'),
    };
    expect(await read()).toEqual(['new-key-0123456789abc', 'old-key-0123456789abc']);
    expect(manager.asked.map(({ id, stage }) => [id, stage])).toEqual([
      [ARN, 'AWSCURRENT'],
      [ARN, 'AWSPREVIOUS'],
    ]);
    expect(manager.asked[0]?.authorization).toContain('/eu-central-1/secretsmanager/');
  });

  test('takes the region of the configuration before that of the environment', async () => {
    manager.answers = { AWSCURRENT: secret('new-key-0123456789abc') };
    await read({ api_key_secret_id: 'bot/key', region: 'us-west-2' }, { AWS_REGION: 'us-east-1' });
    expect(manager.asked[0]?.authorization).toContain('/us-west-2/');
    await read({ api_key_secret_id: 'bot/key' }, { AWS_REGION: 'us-east-1' });
    expect(manager.asked.at(-1)?.authorization).toContain('/us-east-1/');
  });

  test('manages without a previous key, before the first rotation', async () => {
    manager.answers = { AWSCURRENT: secret('new-key-0123456789abc'), AWSPREVIOUS: NO_VERSION };
    expect(await read()).toEqual(['new-key-0123456789abc']);
  });

  test('names the secret, AWS’s error and the remedy when it may not read', async () => {
    manager.answers = { AWSCURRENT: secretError('AccessDeniedException', 'User is not authorized') };
    await expect(read()).rejects.toThrow(
      `cannot read the secret ${ARN} in eu-central-1: AccessDeniedException: User is not authorized. ` +
        "What to do: the machine's role lacks secretsmanager:GetSecretValue",
    );
  });

  test('says so when there is no such secret', async () => {
    manager.answers = { AWSCURRENT: NO_VERSION };
    await expect(read()).rejects.toThrow(/ResourceNotFoundException.*no such secret in this region/);
  });

  test('refuses a key that can be guessed, without repeating it', async () => {
    manager.answers = { AWSCURRENT: secret('hunter2') };
    await expect(read()).rejects.toThrow(/\(AWSCURRENT\) holds 7 characters; put a key of at least 16/);
  });

  test('asks for the region when nothing tells it', async () => {
    await expect(read({ api_key_secret_id: 'bot/key' })).rejects.toThrow(/set security.region or AWS_REGION/);
  });
});
