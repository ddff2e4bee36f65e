import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { checkPaths, ConfigError, configFile, loadConfig } from '../../../runtime/src/config/load';
import { temporaryFolder } from '../../support/temporary-folder';

const folder = temporaryFolder();
const KEY = '0123456789abcdef';

function write(text: string): string {
  const file = join(folder(), 'config.yaml');
  writeFileSync(file, text);
  return file;
}

function problems(text: string, env: Record<string, string> = {}): readonly string[] {
  try {
    loadConfig(write(text), env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
}

describe('loadConfig', () => {
  test('fills ${VAR} from the environment, within longer texts too', () => {
    const file = write('security: { api_key: "${GENERATED_KEY}" }\nmodel_path: ${MODELS}/x.gguf\n');
    const config = loadConfig(file, { GENERATED_KEY: KEY, MODELS: '/opt/bot/models' });
    expect(config.security.api_key).toBe(KEY);
    expect(config.model_path).toBe('/opt/bot/models/x.gguf');
  });

  test('names the variable that is missing or empty, and the key that wants it', () => {
    expect(
      problems('security: { api_key: "${GENERATED_KEY}" }\nmodel_path: /x\n', { GENERATED_KEY: '' }),
    ).toEqual([
      '`security.api_key` takes its value from the environment variable GENERATED_KEY, which is not set',
    ]);
  });

  test('tells every problem at once, each with field, value and what is allowed', () => {
    const text = `
api_key: ${KEY}
model_path: /x
max_tokens: -5
netwrk: {}
network: { internal_prt: 8000 }
logging: { level: loud }
zzzzzzzzzz: 1
`;
    expect(problems(text)).toEqual([
      '`network.internal_prt` is not known; did you mean `network.internal_port`?',
      'Expected `max_tokens` to be an integer from 1 to 131072, got -5',
      'Expected `logging.level` to be one of info, warn, error, got "loud"',
      '`netwrk` is not known; did you mean `network`?',
      expect.stringMatching(/^`zzzzzzzzzz` is not known; known here: service, network, /),
    ]);
  });

  test('never repeats a secret', () => {
    const text = 'security: { api_key: tooshort }\nmodel_path: /x\n';
    expect(problems(text).join()).toMatch(/`security.api_key` to be a key of at least 16 characters/);
    expect(problems(text).join()).not.toMatch(/tooshort/);
  });

  test('says that a number needs quotes where a text is wanted', () => {
    expect(problems(`api_key: ${KEY}\nmodel_path: /x\nservice: { version: 1.2 }\n`)).toEqual([
      'Expected `service.version` to be a text of 1 to 64 characters (numbers in quotes), got 1.2',
    ]);
  });

  test('points at the line of a YAML mistake', () => {
    expect(problems('api_key: a\n  b: [\n')[0]).toMatch(/^line \d+, column \d+: not valid YAML/);
    expect(problems('a: 1\na: 2\n')[0]).toMatch(/duplicated mapping key/);
    expect(problems('just a text')[0]).toMatch(/keys and values in YAML/);
  });

  test('says what to do about a file that is not there', () => {
    expect(() => loadConfig(join(folder(), 'none.yaml'), {})).toThrow(
      /no such file; name another with --config/,
    );
  });
});

describe('checkPaths', () => {
  const config = (extra = '') => {
    const file = write(`api_key: ${KEY}\nmodel_path: ${join(folder(), 'x.gguf')}\n${extra}`);
    return [file, loadConfig(file, {})] as const;
  };

  test('accepts a model that is there', () => {
    writeFileSync(join(folder(), 'x.gguf'), '');
    expect(() => checkPaths(...config())).not.toThrow();
  });

  test('names a model that is not there and how to get one', () => {
    expect(() => checkPaths(...config())).toThrow(
      /`model_path` names .*x\.gguf, which is not a readable file; fetch/,
    );
  });

  test('takes no folder for a model', () => {
    mkdirSync(join(folder(), 'x.gguf'));
    expect(() => checkPaths(...config())).toThrow(/not a readable file/);
  });

  test('names a log folder that cannot be written', () => {
    writeFileSync(join(folder(), 'x.gguf'), '');
    const logs = join(folder(), 'logs');
    expect(() => checkPaths(...config(`logging: { directory: ${logs} }`))).toThrow(
      /`logging.directory` names/,
    );
    writeFileSync(logs, '');
    chmodSync(logs, 0o777);
    expect(() => checkPaths(...config(`logging: { directory: ${logs} }`))).toThrow(/not a writable folder/);
  });
});

test('the file is the option’s, else $BOT_CONFIG, else /etc/bot/config.yaml', () => {
  expect(configFile('a', { BOT_CONFIG: 'b' })).toBe('a');
  expect(configFile(undefined, { BOT_CONFIG: 'b' })).toBe('b');
  expect(configFile(undefined, {})).toBe('/etc/bot/config.yaml');
});
