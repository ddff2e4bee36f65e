/** The secret is replaced while requests come in: Secrets Manager's wire, the real SDK, the real HTTP service. */
import { ApiKeys } from '../../../runtime/src/access/api-keys';
import { keySource } from '../../../runtime/src/access/key-source';
import { secret, startSecretsManager, type SecretsManager } from '../support/secrets-manager';
import {
  startTestService,
  stopTestServices,
  testConfig,
  type TestService,
  until,
} from '../support/test-service';

stopTestServices();

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:bot-key-AbCdEf';
const keyOf = (generation: number) => `key-of-generation-${generation}`;

let manager: SecretsManager;
let keys: ApiKeys;
const saved = { ...process.env };

beforeEach(async () => {
  manager = await startSecretsManager();
  Object.assign(process.env, manager.env);
});
afterEach(async () => {
  keys.close();
  process.env = { ...saved };
  await manager.stop();
});

async function started(): Promise<TestService> {
  manager.answers = { AWSCURRENT: secret(keyOf(0)) };
  const config = testConfig({ api_key: undefined, security: { api_key_secret_id: ARN } });
  keys = await ApiKeys.open({ ...keySource(config, {}), onProblem: () => undefined });
  return startTestService({ keys });
}

const ask = async ({ call }: TestService, key: string) => {
  const body = { model: 'test-model', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 };
  const response = await call('/v1/chat/completions', body, { headers: { Authorization: `Bearer ${key}` } });
  await response.text();
  return response.status;
};

test('a key that is replaced under load refuses nobody, neither with the new key nor with the one before', async () => {
  const service = await started();
  let generation = 0;
  let isOver = false;
  const answers: { readonly age: number; readonly asked: number; readonly status: number }[] = [];
  const client = async (age: 0 | 1) => {
    while (!isOver) {
      const asked = generation;
      answers.push({ age, asked, status: await ask(service, keyOf(Math.max(0, asked - age))) });
    }
  };
  const clients = [client(0), client(1)];
  /** Each client has asked, since the key was replaced last, and was answered. */
  const bothAnswered = () =>
    until(() => [0, 1].every((age) => answers.some((one) => one.age === age && one.asked === generation)));
  // As soon after the start, and after each other, as the answers come: sooner than any timer of the service's.
  for (let time = 0; time < 2; time++) {
    await bothAnswered();
    manager.answers = { AWSCURRENT: secret(keyOf(generation + 1)), AWSPREVIOUS: secret(keyOf(generation)) };
    generation++;
  }
  await bothAnswered();
  isOver = true;
  await Promise.all(clients);
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(await ask(service, keyOf(0))).toBe(401);
});

test('somebody who tries keys cannot make the service ask Secrets Manager each time', async () => {
  const service = await started();
  const before = manager.asked.length;
  for (let guess = 0; guess < 9; guess++) await ask(service, `${'guess'.repeat(7)}-${guess}`);
  expect(manager.asked.length - before).toBeLessThanOrEqual(2 * 4);
});

test('a key that is replaced is taken soon from an address that is locked out, whatever was guessed before', async () => {
  const long = (generation: number) => keyOf(generation).repeat(2);
  manager.answers = { AWSCURRENT: secret(long(0)) };
  const config = testConfig({ api_key: undefined, security: { api_key_secret_id: ARN } });
  keys = await ApiKeys.open({
    ...keySource(config, {}),
    unknownKeyIntervalMs: 200,
    onProblem: () => undefined,
  });
  const service = await startTestService({ keys });
  const guesses = await Promise.all(
    Array.from({ length: 30 }, (_, guess) => ask(service, `${'guess'.repeat(7)}-${guess}`)),
  );
  expect(guesses).toContain(401);
  expect(await ask(service, `${'guess'.repeat(7)}-30`)).toBe(429);

  manager.answers = { AWSCURRENT: secret(long(1)), AWSPREVIOUS: secret(long(0)) };
  const seen: number[] = [];
  while (!seen.includes(200) && seen.length < 30) {
    seen.push(await ask(service, long(1)));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(seen.at(-1)).toBe(200);
});
