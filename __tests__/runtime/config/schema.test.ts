import { modelsOf } from '../../../runtime/src/config/models';
import { configSchema, modelIdOf } from '../../../runtime/src/config/schema';
import { keysAt } from '../../../runtime/src/errors/known-keys';

const MINIMAL = { api_key: '0123456789abcdef', model_path: '/models/x.gguf' };

const messagesFor = (config: object): readonly string[] => {
  const result = configSchema.safeParse(config);
  return result.success ? [] : result.error.issues.map((issue) => issue.message);
};

describe('configSchema', () => {
  test('reads the configuration of guide A as it stands there', () => {
    const config = configSchema.parse({
      api_key: 'your_generated_key',
      model_path: '/models/llama2-7b.gguf',
      max_tokens: 2048,
      temperature: 0.7,
    });
    expect(config).toMatchObject({ max_tokens: 2048, temperature: 0.7, limits: { max_queue: 16 } });
  });

  test('reads the configuration of guide B as it stands there', () => {
    const config = configSchema.parse({
      service: { name: 'smart-bot-service', version: '1.2.0' },
      network: { external_port: 18789, internal_port: 8000 },
      security: { api_key: '0123456789abcdef', encryption: 'AES-256-CBC' },
      remote_service: {
        endpoint: 'https://api.example.com/v1/chat',
        auth: { type: 'bearer', token: 'model-api-token' },
      },
    });
    expect(config.remote_service).toMatchObject({
      auth: { type: 'bearer' },
      timeouts: { connect_seconds: 5, first_byte_seconds: 60, idle_seconds: 30 },
      retries: 2,
    });
    expect(config.security.encryption).toBe('AES-256-CBC');
  });

  test('takes further models, local and remote, each with settings of its own', () => {
    const remote = {
      endpoint: 'https://api.example.com/v1/chat/completions',
      auth: { type: 'bearer', token: 'x' },
    };
    const config = configSchema.parse({
      ...MINIMAL,
      engine: { context_size: 1024, threads: 2 },
      models: [
        { model_path: '/models/y.gguf', engine: { context_size: 512, sequences: 1 } },
        { model_name: 'gpt', remote_service: remote },
      ],
    });
    expect(modelsOf(config)).toMatchObject([
      { id: 'x', key: '', engine: { context_size: 1024, threads: 2 } },
      { id: 'y', key: 'models[0].', engine: { context_size: 512, sequences: 1, threads: 2 } },
      {
        id: 'gpt',
        key: 'models[1].',
        engine: { context_size: 1024 },
        remote: { endpoint: remote.endpoint },
      },
    ]);
  });

  test.each([
    ['/models/Qwen2.5-0.5B.Q4_0.gguf', 'Qwen2.5-0.5B.Q4_0'],
    ["/my models/it's (v2) 模型 + 50%.GGUF", "it's (v2) 模型 + 50%"],
    [`/models/${'x'.repeat(250)}.gguf`, 'x'.repeat(250)],
    ['/models/ blank .gguf', 'blank'],
    ['/models/a\nline.gguf', 'a-line'],
    ['/models/costs $ {or ${MORE}.gguf', 'costs $ {or -MORE}'],
    ['/models/.gguf', 'model'],
  ])('takes as a name what it calls the file %j', (path, name) => {
    expect(modelIdOf({ model_path: path })).toBe(name);
    expect(messagesFor({ ...MINIMAL, model_name: name })).toEqual([]);
  });

  test.each(['', ' a', 'a ', 'a\tb', 'a${HOME}', 'a\u2028b', 'x'.repeat(256)])(
    'refuses the name %j',
    (name) => {
      expect(messagesFor({ ...MINIMAL, model_name: name }).join()).toMatch(/^1 to 255 characters without/);
    },
  );

  test.each([
    [{}, 'set one of `models[0].model_path` and `models[0].remote_service`'],
    [{ model_path: '/other/x.gguf' }, '`models[0]` is the second model called x: set its `model_name`'],
    [
      { remote_service: { endpoint: 'https://e.example/v1', auth: { type: 'bearer', token: 'x' } } },
      "set `models[0].model_name`: the remote service's name for it",
    ],
  ])('refuses the further model %j', (model, message) => {
    expect(messagesFor({ ...MINIMAL, models: [model] })).toEqual([message]);
  });

  test('fills in what a minimal configuration leaves out', () => {
    expect(configSchema.parse(MINIMAL)).toMatchObject({
      network: { external_port: 18789, internal_port: 8000, console_port: 8080, console_proxied: false },
      security: { encryption: 'AES-256-GCM' },
      engine: {},
      limits: { max_queue: 16, max_request_seconds: 300 },
      logging: { level: 'info' },
      max_tokens: 2048,
      temperature: 0.7,
    });
  });

  test.each([
    [
      'both a model and a remote service',
      { ...MINIMAL, remote_service: { endpoint: 'https://x.example', auth: { type: 'jwt', token: 't' } } },
      /not both/,
    ],
    ['neither of them', { api_key: MINIMAL.api_key }, /set `model_path` to a GGUF file, or/],
    ['no key', { model_path: '/x' }, /set `security.api_key`, or `security.api_key_secret_id`/],
    ['two keys', { ...MINIMAL, security: { api_key: MINIMAL.api_key } }, /set one of `api_key`/],
    [
      'a key and a secret',
      { ...MINIMAL, security: { api_key_secret_id: 'bot/key' } },
      /set one of `api_key`/,
    ],
    ['a key that can be guessed', { ...MINIMAL, api_key: 'secret' }, /at least 16 characters/],
    ['one port twice', { ...MINIMAL, network: { internal_port: 18789 } }, /three different ports/],
    [
      'a port that does not exist',
      { ...MINIMAL, network: { internal_port: 65536 } },
      /an integer from 1 to 65535/,
    ],
    [
      'a cipher of its own',
      { ...MINIMAL, security: { encryption: 'ROT13' } },
      /one of AES-256-GCM, AES-256-CBC/,
    ],
    ['a temperature of 3', { ...MINIMAL, temperature: 3 }, /a number from 0 to 2/],
    [
      'a token over plain http',
      {
        api_key: MINIMAL.api_key,
        remote_service: { endpoint: 'http://api.example.com/', auth: { type: 'jwt', token: 't' } },
      },
      /an https address/,
    ],
    [
      'a password in the address',
      {
        api_key: MINIMAL.api_key,
        remote_service: { endpoint: 'https://u:p@api.example.com/', auth: { type: 'jwt', token: 't' } },
      },
      /without user and password/,
    ],
  ])('refuses %s', (_what, config, message) => {
    expect(messagesFor(config).join('\n')).toMatch(message);
  });

  test('takes an opaque placeholder where the stack puts the secret’s name in later', () => {
    const security = { api_key_secret_id: 'PLACEHOLDER_secret.arn:1', region: 'PLACEHOLDER_region' };
    expect(messagesFor({ model_path: '/x', security })).toEqual([]);
  });

  test('knows the keys of every section that it has', () => {
    const sections = Object.entries(configSchema.parse(MINIMAL)).filter(
      ([, value]) => typeof value === 'object' && !Array.isArray(value),
    );
    for (const [section] of sections) expect(keysAt(configSchema, [section])).not.toEqual([]);
    expect(keysAt(configSchema, ['remote_service', 'auth'])).toEqual(['type', 'token']);
    expect(keysAt(configSchema, ['remote_service', 'timeouts'])).toContain('first_byte_seconds');
    expect(keysAt(configSchema, ['models', 3])).toContain('model_path');
    expect(keysAt(configSchema, ['models', 3, 'engine'])).toEqual(keysAt(configSchema, ['engine']));
  });
});
