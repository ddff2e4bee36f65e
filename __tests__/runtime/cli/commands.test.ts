import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Command, CommanderError } from '../../../runtime/node_modules/commander';
import { verifyAccessToken } from '../../../runtime/src/access/access-token';
import { registerConfig } from '../../../runtime/src/cli/commands/config';
import { registerPolicy } from '../../../runtime/src/cli/commands/policy';
import { registerToken } from '../../../runtime/src/cli/commands/token';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY, literalKeys } from '../support/test-service';

const folder = temporaryFolder();
let config: string;
let output: string;

beforeEach(() => {
  config = join(folder(), 'config.yaml');
  output = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += String(text);
    return true;
  });
  jest.spyOn(process.stderr, 'write').mockImplementation(() => true);
  writeFileSync(config, `api_key: ${API_KEY}\nmodel_path: ${config}\n`);
});
afterEach(() => jest.restoreAllMocks());

async function bot(...args: readonly string[]): Promise<string> {
  const program = new Command('bot').exitOverride();
  registerToken(program);
  registerPolicy(program);
  registerConfig(program);
  await program.parseAsync(['node', 'bot', ...args]);
  return output;
}

describe('bot token', () => {
  test('prints token and expiry as guide A shows them', async () => {
    const before = Math.floor(Date.now() / 1000);
    const text = await bot('token', '--user', 'ada', '--expiry', '60', '--config', config);
    const match = /^Generated Access Token: (\S+)\nToken Expiry: (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)\n$/.exec(
      text,
    );
    const expiry = Date.parse(match?.[2] ?? '') / 1000;
    expect(expiry).toBeGreaterThanOrEqual(before + 60);
    expect(expiry).toBeLessThanOrEqual(Math.floor(Date.now() / 1000) + 60);
    const keys = (await literalKeys(API_KEY)).current();
    expect(await verifyAccessToken(match?.[1] ?? '', keys)).toMatchObject({ ok: true, user: 'ada' });
  });

  test('is for admin and for 24 hours unless told otherwise', async () => {
    const text = await bot('token', '--config', config);
    const payload = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as Record<
      string,
      number
    >;
    expect(payload).toMatchObject({ sub: 'admin', scope: 'chat', iss: 'botstack' });
    expect(payload['exp']! - payload['iat']!).toBe(86400);
  });

  test.each([
    ['--expiry', '0'],
    ['--expiry', '1.5'],
    ['--expiry', '1h'],
    ['--expiry', '7776001'],
    ['--user', ''],
    ['--user', 'a b'],
    ['--user', '-x'],
    ['--users', 'x'],
    ['--scope', 'root'],
    ['--scope', ''],
  ])('refuses %s %j', async (...flags) => {
    await expect(bot('token', '--config', config, ...flags)).rejects.toThrow(CommanderError);
    expect(output).toBe('');
  });
});

describe('bot token issue, list, revoke', () => {
  const list = async () => {
    output = '';
    return JSON.parse(await bot('token', 'list', '--json', '--config', config)) as { id: string }[];
  };
  beforeEach(() => {
    writeFileSync(config, `api_key: ${API_KEY}\nmodel_path: ${config}\nstate_directory: ${folder()}\n`);
  });

  test('issue prints the id too, and what the token is for stands in it', async () => {
    const text = await bot(
      'token',
      'issue',
      '--user',
      'ada',
      '--scope',
      'chat,metrics:read',
      '--config',
      config,
    );
    const [, token, id] = /^Generated Access Token: (\S+)\nToken Expiry: \S+\nToken ID: (\S+)\n$/.exec(text)!;
    const keys = (await literalKeys(API_KEY)).current();
    expect(await verifyAccessToken(token!, keys)).toMatchObject({ id, scopes: ['chat', 'metrics:read'] });
    expect(await list()).toMatchObject([{ id, user: 'ada', scopes: ['chat', 'metrics:read'] }]);
  });

  test('tokens of generate_token.sh are in the register too, and its output is not changed by it', async () => {
    const text = await bot('token', '--user', 'ada', '--config', config);
    expect(text).toMatch(/^Generated Access Token: \S+\nToken Expiry: \S+\n$/);
    expect(await list()).toMatchObject([{ user: 'ada' }]);
  });

  test('list is a table, and says which are revoked', async () => {
    expect(await bot('token', 'list', '--config', config)).toBe('no tokens\n');
    await bot('token', '--user', 'ada', '--config', config);
    const [first] = await list();
    await bot('token', 'revoke', first!.id, '--config', config);
    await bot('token', '--user', 'bob', '--config', config);
    output = '';
    const [heading, newest, oldest] = (await bot('token', 'list', '--config', config)).split('\n');
    expect(heading).toMatch(/^ID +USER {2}SCOPES {2}ISSUED +EXPIRES +STATE$/);
    // Whether the API key that signed it still counts, the register does not know.
    expect(newest).toMatch(/ bob {3}chat .* not revoked$/);
    expect(oldest).toMatch(/ ada {3}chat .* revoked \d{4}-/);
  });

  test('revoke refuses an id that no register knows, unless the token was signed elsewhere', async () => {
    await bot('token', '--user', 'ada', '--config', config);
    await expect(bot('token', 'revoke', 'nope', '--config', config)).rejects.toThrow(
      'no token in the register has the id nope, and nothing was revoked; `bot token list` shows them (for a token that was signed elsewhere: --unlisted)',
    );
    expect(await list()).toMatchObject([{ user: 'ada' }]);
    output = '';
    expect(await bot('token', 'revoke', 'nope', '--unlisted', '--config', config)).toBe(
      'revoked nope, which the register did not know\n',
    );
    expect(await list()).toHaveLength(2);
    const known = (await list()).find(({ id }) => id !== 'nope')!;
    output = '';
    expect(await bot('token', 'revoke', known.id, '--unlisted', '--config', config)).toBe(
      `revoked ${known.id}, of ada\n`,
    );
    // Once more changes nothing, and is no mistake.
    await bot('token', 'revoke', known.id, '--config', config);
  });

  test('revoke takes an id or a user, and not both or none', async () => {
    await bot('token', '--user', 'ada', '--config', config);
    output = '';
    expect(await bot('token', 'revoke', '--user', 'ada', '--config', config)).toBe(
      'revoked all tokens of ada (1 in the register)\n',
    );
    await expect(bot('token', 'revoke', '--config', config)).rejects.toThrow('either');
    await expect(bot('token', 'revoke', 'x', '--user', 'ada', '--config', config)).rejects.toThrow('either');
  });
});

describe('bot config check', () => {
  test('says that a file is valid', async () => {
    const remote = '{ endpoint: "http://127.0.0.1:1/v1", auth: { type: bearer, token: t } }';
    writeFileSync(config, `api_key: ${API_KEY}\nremote_service: ${remote}\n`);
    expect(await bot('config', 'check', '--config', config)).toBe(`${config} is valid\n`);
  });

  test('throws what is wrong with another', async () => {
    writeFileSync(config, `api_key: ${API_KEY}\nmodel_path: /none/x.gguf\n`);
    await expect(bot('config', 'check', '--config', config)).rejects.toThrow(
      /`model_path` names \/none\/x\.gguf/,
    );
  });
});

describe('bot policy', () => {
  beforeEach(() => {
    writeFileSync(config, `api_key: ${API_KEY}\nmodel_path: ${config}\nstate_directory: ${folder()}\n`);
  });
  const show = async () => {
    output = '';
    return JSON.parse(await bot('policy', 'show', '--json', '--config', config)) as object;
  };

  test('set changes single settings and leaves the others', async () => {
    const args = ['sessions.per_token=5', 'sessions.longest_request_seconds=120', 'users.ada.per_token=2'];
    expect(await bot('policy', 'set', ...args, '--config', config)).toBe(
      `${join(folder(), 'policy.yaml')} is written; a running service takes it over within a second\n`,
    );
    await bot('policy', 'set', 'sessions.per_token=', '--config', config);
    expect(await show()).toEqual({
      sessions: { longest_request_seconds: 120 },
      users: { ada: { per_token: 2 } },
      words: [],
    });
  });

  test('set keeps what a person wrote beside it', async () => {
    const file = join(folder(), 'policy.yaml');
    const text = '# ask ops\nsessions: {per_token: 5,   overall: 9} # ticket 12\n';
    writeFileSync(file, text);
    await bot('policy', 'set', 'sessions.per_token=7', '--config', config);
    expect(readFileSync(file, 'utf8')).toBe(text.replace('5', '7'));
    const other = join(folder(), 'new.yaml');
    writeFileSync(other, '# mine\nsessions: { overall: 3 }\n');
    await bot('policy', 'set', '--file', other, '--config', config);
    expect(readFileSync(file, 'utf8')).toBe('# mine\nsessions: { overall: 3 }\n');
  });

  test('set --file replaces it, also one that is broken; show prints YAML that check accepts', async () => {
    writeFileSync(join(folder(), 'policy.yaml'), 'nonsense: 1');
    const file = join(folder(), 'new.yaml');
    writeFileSync(file, 'words: [{ name: w, action: block, words: [bomb] }]');
    await bot('policy', 'set', '--file', file, '--config', config);
    output = '';
    const text = await bot('policy', 'show', '--config', config);
    expect(text).toContain('- bomb');
    writeFileSync(file, text);
    output = '';
    expect(await bot('policy', 'check', file, '--config', config)).toBe(`${file} is valid\n`);
  });

  test.each([
    [['set', 'sessions.per_token=none'], /`sessions.per_token` to be an integer/],
    [['set', 'sessions.longest_request_seconds=301'], /an integer from 1 to 300, got 301/],
    [['set', 'session.per_token=1'], /did you mean `sessions`/],
    [['set', 'nonsense'], /expected KEY=VALUE/],
    [['set'], /name settings/],
  ])('refuses %j and changes nothing', async (args, message) => {
    await expect(bot('policy', ...args, '--config', config)).rejects.toThrow(message);
    expect(await show()).toEqual({ sessions: {}, users: {}, words: [] });
  });

  test('check names what is wrong in a file', async () => {
    const file = join(folder(), 'new.yaml');
    writeFileSync(file, 'words: [{ name: w, action: drop, words: [x] }]');
    await expect(bot('policy', 'check', file, '--config', config)).rejects.toThrow(
      /one of mask, block, got "drop"/,
    );
  });
});
