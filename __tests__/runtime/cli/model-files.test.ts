/** What the commands say of model files that cannot be served. Processes of their own: llama.cpp's module cannot be had in Jest. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { GGUF_ALIGNMENT, ggufStart, kv, tensorInfo } from '../../../runtime/src/models/gguf-header';
import { temporaryFolder } from '../../support/temporary-folder';
import { REPOSITORY } from '../../support/test-model';
import { API_KEY } from '../support/test-service';

const folder = temporaryFolder();
const model = (name = 'model.gguf') => join(folder(), name);
const config = () => join(folder(), 'config.yaml');

function bot(...args: readonly string[]) {
  const program = join(REPOSITORY, 'runtime', 'src', 'cli', 'bot.ts');
  return spawnSync(process.execPath, ['--import', 'tsx', program, ...args], {
    cwd: REPOSITORY,
    encoding: 'utf8',
  });
}

/** As much of a model as it takes to be whole: one tensor of 64 numbers. */
function whole(): Buffer {
  const header = Buffer.concat([
    ggufStart(1, 2),
    kv.string('general.architecture', 'llama'),
    kv.uint32('llama.block_count', 1),
    tensorInfo({ name: 'output.weight', dimensions: [64], type: 0 }, 0),
  ]);
  const padding = (GGUF_ALIGNMENT - (header.length % GGUF_ALIGNMENT)) % GGUF_ALIGNMENT;
  return Buffer.concat([header, Buffer.alloc(padding + 256)]);
}

/** All that is below the folder, with what tells of a file that was written anew. */
const contents = () =>
  readdirSync(folder(), { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const stats = statSync(join(folder(), name));
      // The time of a folder tells also of the lock that was held in it.
      return [name, stats.ino, stats.mode, stats.isFile() ? stats.mtimeMs : undefined];
    });

const damaged = (at: number) => whole().fill('X', at, at + 36);

describe('a damaged header', () => {
  it.each([24, 40])('is named with its file by bot model inspect: from byte %d', (at) => {
    writeFileSync(model(), damaged(at));
    const { status, stderr } = bot('model', 'inspect', model());
    expect(stderr).toMatch(
      /^error: model_path: \S+model\.gguf has a damaged header \(.+\); download it again and check its SHA-256\n$/,
    );
    expect(stderr).toContain(model());
    expect(status).toBe(1);
  });

  it('is named with its part, where the model is in several', () => {
    writeFileSync(model('m-00001-of-00002.gguf'), whole());
    writeFileSync(model('m-00002-of-00002.gguf'), damaged(40));
    const { stderr } = bot('model', 'inspect', model('m-00001-of-00002.gguf'));
    expect(stderr).toContain(`${model('m-00002-of-00002.gguf')} has a damaged header`);
  });

  it('is named by model_loader before anything is touched', () => {
    mkdirSync(join(folder(), 'opt/bot'), { recursive: true });
    mkdirSync(join(folder(), 'etc/bot'), { recursive: true });
    writeFileSync(join(folder(), 'etc/bot/config.yaml'), `api_key: ${API_KEY}\nmodel_path: /old.gguf\n`);
    writeFileSync(model(), damaged(40));
    const before = contents();
    const { status, stdout, stderr } = bot('model', 'load', '--path', model(), '--root', folder());
    expect(stderr).toMatch(/model\.gguf has a damaged header \(.+\); download it again/);
    expect(contents()).toEqual(before);
    expect([status, stdout]).toEqual([1, '']);
  });
});

it('is refused by model_loader before its SHA-256, where far more follows than its tensors', () => {
  mkdirSync(join(folder(), 'opt/bot'), { recursive: true });
  mkdirSync(join(folder(), 'etc/bot'), { recursive: true });
  writeFileSync(join(folder(), 'etc/bot/config.yaml'), `api_key: ${API_KEY}\nmodel_path: /old.gguf\n`);
  writeFileSync(model(), whole());
  truncateSync(model(), 2 ** 25);
  const before = contents();
  const load = ['model', 'load', '--path', model(), '--root', folder(), '--sha256', 'a'.repeat(64)];
  const { status, stdout, stderr } = bot(...load);
  expect(stderr).toBe(
    `error: model_path: ${model()} is far longer than its tensors: it has 33554432 bytes, and they end at ${whole().length} ` +
      '(16777216 more are allowed); download it again and check its SHA-256\n',
  );
  expect(contents()).toEqual(before);
  expect([status, stdout]).toEqual([1, '']);
});

describe('bot config check', () => {
  const check = (keys: object) => {
    writeFileSync(config(), JSON.stringify({ api_key: API_KEY, ...keys }));
    return bot('config', 'check', '--config', config());
  };

  it('accepts a whole model', () => {
    writeFileSync(model(), whole());
    expect(check({ model_path: model() })).toMatchObject({
      stdout: `${config()} is valid\n`,
      stderr: '',
      status: 0,
    });
  });

  it('names every file that cannot be served, with its key, why, and what to do', () => {
    writeFileSync(model(), randomBytes(1000));
    writeFileSync(model('short.gguf'), whole().subarray(0, -100));
    writeFileSync(model('damaged.gguf'), damaged(40));
    const models = ['short', 'damaged'].map((name) => ({
      model_name: name,
      model_path: model(`${name}.gguf`),
    }));
    const { status, stdout, stderr } = check({ model_path: model(), models });
    expect(stderr.split('\n')).toEqual([
      expect.stringContaining(`${config()}: \`model_path\`: ${model()} is not a GGUF model: it begins with `),
      `${config()}: \`models[0].model_path\`: ${model('short.gguf')} is cut short: 100 of its ${whole().length} bytes are missing; download it again and check its SHA-256`,
      expect.stringContaining(
        `${config()}: \`models[1].model_path\`: ${model('damaged.gguf')} has a damaged header (`,
      ),
      '',
    ]);
    expect({ status, stdout }).toEqual({ status: 78, stdout: '' });
  });
});
