/** Upgrade, restore and a switch of models on a whole installation: the real service, restarted for real. */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { sha256 } from '../../support/model-server';
import { splitModel } from '../../support/split-model';
import { writeTinyModel } from '../../support/tiny-models';
import { InstalledService } from '../support/installed-service';

let service: InstalledService;
/** A small one: it is loaded some twenty times, and what it answers is nobody's business here. */
const folder = mkdtempSync(join(tmpdir(), 'operations-'));
const MODEL = join(folder, 'first.gguf');

beforeAll(async () => {
  writeTinyModel(MODEL, 'phi3');
  service = await InstalledService.create(MODEL);
  service.install(service.bundle('0.1.0'));
  service.tell('restart');
  // Whichever test comes first: a switch asks a service that answers.
  await service.ready();
}, 120_000);
afterAll(() => {
  service.dispose();
  rmSync(folder, { recursive: true });
});

describe('upgrade.sh', () => {
  const upgrade = (...args: readonly string[]) => service.run('upgrade.sh', ...args, ...service.flags);

  const versions = () =>
    readdirSync(service.path('opt/bot/releases'))
      .map((name) => service.read(`opt/bot/releases/${name}/VERSION`))
      .map((text) => (JSON.parse(text) as { version: string }).version)
      .sort();

  test('refuses what is not the bundle that it should be, and changes nothing', () => {
    const before = service.current();
    const bundle = service.bundle('0.2.0');
    const wrong = upgrade('--version', '0.2.0', '--from', bundle, '--sha256', 'a'.repeat(64));
    expect(wrong).toMatchObject({ status: 1 });
    expect(wrong.output).toMatch(/expected SHA-256 a{64}, got [0-9a-f]{64}/);
    expect(upgrade('--version', '0.3.0', '--from', bundle).output).toMatch(/is version 0\.2\.0, not 0\.3\.0/);
    expect(upgrade('--version', '0.9.9').output).toMatch(
      /version 0\.9\.9 is not on this machine \(here: .*0\.1\.0/,
    );
    expect(service.current()).toBe(before);
    expect(versions()).toEqual(['0.1.0']);
  });

  test('a version that does not answer is taken back by itself, and the old one answers', () => {
    const before = service.current();
    const broken = service.bundle('0.2.1', (folder) =>
      writeFileSync(join(folder, 'app/dist/engine/child.js'), 'process.exit(3);\n'),
    );
    const { status, output } = upgrade('--version', '0.2.1', '--from', broken);
    expect(output).toMatch(/version 0\.2\.1 does not work: /);
    expect(output).toMatch(/back: version 0\.1\.0 .* answered/);
    expect(output).toMatch(/error: not upgraded, version 0\.1\.0 is back and answers/);
    expect(status).toBe(1);
    expect(service.current()).toBe(before);
    // Its process may still end answers; the next upgrade removes it.
    expect(versions()).toContain('0.2.1');
  }, 60_000);

  test('backs up, switches, proves the new version by an answer, keeps the old one to go back to', () => {
    const before = service.current();
    const there = upgrade('--version', '0.2.0', '--from', service.bundle('0.2.0'));
    expect(there.output).toMatch(/backup: \S+bot-backup-\d{8}T\d{6}Z\S*\.tar\.gz/);
    expect(there.output).toMatch(/version 0\.2\.0 with model \S+ answered with \d+ tokens/);
    expect(there.status).toBe(0);
    expect(versions()).toEqual(['0.1.0', '0.2.0']);
    expect(service.run('bot', '--version').output).toMatch(/^bot 0\.2\.0 /);
    const back = upgrade('--version', '0.1.0');
    expect(back.output).toMatch(/version 0\.1\.0 with model \S+ answered with \d+ tokens/);
    expect(service.current()).toBe(before);
  }, 60_000);
});

describe('model_loader', () => {
  const load = (...args: readonly string[]) => service.run('model_loader', ...args, ...service.flags);
  const loadWithoutManager = (...args: readonly string[]) =>
    service.run('model_loader', ...args, '--root', service.root);

  test('switches to another file, which it puts among the models, and keeps the rest of the configuration', () => {
    const file = service.path('other.gguf');
    cpSync(MODEL, file);
    const process = service.read('pid');
    const before = service.read('etc/bot/config.yaml');
    // The service runs, so nobody has to restart it.
    const { status, output } = loadWithoutManager('--path', file, '--sha256', sha256(readFileSync(MODEL)));
    expect(output).toMatch(/the memory holds both.*\n.*new requests go to it/);
    expect(output).toMatch(/with model other answered with \d+ tokens/);
    expect(status).toBe(0);
    expect(service.read('pid')).toBe(process);
    expect(service.read('etc/bot/config.yaml')).toBe(
      before.replace(/^model_path: .*$/m, `model_path: ${service.path('opt/bot/models/other.gguf')}`),
    );
  }, 60_000);

  test('goes on with the old one where the new one cannot be loaded', () => {
    const before = service.read('etc/bot/config.yaml');
    const file = service.path('broken.gguf');
    const bytes = readFileSync(MODEL);
    bytes.write('blk.1.attn_Xorm.weight', bytes.indexOf('blk.1.attn_norm.weight'));
    writeFileSync(file, bytes);
    const { status, output, errors } = load('--path', file);
    // Before the switch, which does not come about here.
    expect(errors).toMatch(
      /^warning: clients have to call it broken: those that ask for other get 404 .*; --name other keeps the name\n/,
    );
    expect(output).toMatch(/error: not switched, other answers as before: .*attn_norm\.weight/);
    expect(status).toBe(1);
    expect(service.read('etc/bot/config.yaml')).toBe(before);
    // A good file of the same name may come after it.
    expect(existsSync(service.path('opt/bot/models/broken.gguf'))).toBe(false);
    expect(service.run('bot', 'status', '--root', service.root).output).toMatch(/ready +yes\nmodel +other/);
  }, 60_000);

  test('proposes a name that it takes, also where the old one is that of a file with any name', () => {
    const odd = service.path("it's (v2) $HOME.gguf");
    cpSync(MODEL, odd);
    expect(load('--path', odd)).toMatchObject({ status: 0 });
    const { errors } = load('--path', service.path('broken.gguf'));
    const [, proposed = ''] = /; --name (.*) keeps the name\n/.exec(errors) ?? [];
    const { stdout: name } = spawnSync('sh', ['-c', `printf %s ${proposed}`], { encoding: 'utf8' });
    expect(name).toBe("it's (v2) $HOME");
    const { status, output } = load('--path', service.path('other.gguf'), '--name', name);
    expect(output).toMatch(/with model it's \(v2\) \$HOME answered with \d+ tokens/);
    expect(status).toBe(0);
  }, 60_000);

  test('takes a model in several files, and names with doctor the one that is cut short', () => {
    const models = service.path('opt/bot/models');
    const [first = '', second = ''] = splitModel(MODEL, service.root, 'parts', 2);
    truncateSync(second, statSync(second).size - 64);
    const short = load('--path', first);
    expect(short.output).toMatch(
      /error: model_path: \S+\/parts-00002-of-00002\.gguf is cut short: \d+ of its/,
    );
    expect(load('--path', second).output).toMatch(
      /is part 2 of a model in 2 parts; name the first, \S+-00001-/,
    );
    expect(load('--path', first, '--sha256', 'a'.repeat(64)).output).toMatch(/--sha256 is of one file/);
    expect(existsSync(join(models, basename(first)))).toBe(false);

    splitModel(MODEL, service.root, 'parts', 2);
    const { status, output, errors } = load('--path', first, '--name', 'other');
    expect(errors).toBe('');
    expect(output).toMatch(
      /in 2 parts\n.*copying to \S+-00001-of-00002\.gguf\n.*copying to \S+-00002-of-00002/,
    );
    expect(output).toMatch(/answered with \d+ tokens/);
    expect(status).toBe(0);

    const copy = join(models, basename(second));
    renameSync(copy, `${copy}.away`);
    const { output: found } = service.run('bot', 'doctor', '--root', service.root);
    renameSync(`${copy}.away`, copy);
    expect(found).toMatch(/is the first of 2 parts, and there is no \S+\/parts-00002-of-00002\.gguf/);
  }, 60_000);

  test('refuses what cannot be served before it touches anything', () => {
    const before = service.read('etc/bot/config.yaml');
    const file = service.path('short.gguf');
    cpSync(MODEL, file);
    truncateSync(file, statSync(MODEL).size - 1);
    expect(load('--path', file).output).toMatch(/is cut short: 1 of its \d+ bytes are missing; download it/);
    writeFileSync(file, 'version https://git-lfs');
    expect(load('--path', file)).toMatchObject({ status: 1 });
    expect(loadWithoutManager('--path', file).output).toMatch(/is not a GGUF model/);
    expect(load('--path', file, '--format', 'onnx')).toMatchObject({ status: 2 });
    expect(service.read('etc/bot/config.yaml')).toBe(before);
  });
});

describe('bot backup and bot restore', () => {
  const restore = (file: string) => service.run('bot', 'restore', file, ...service.flags);
  const backup = () => {
    const { output } = service.run('bot', 'backup', '--root', service.root);
    return output.split('\n')[0] ?? '';
  };

  test('a backup brings back what was lost, and the state before is kept aside', () => {
    const file = backup();
    const config = service.read('etc/bot/config.yaml');
    rmSync(service.path('etc/bot/config.yaml'));
    const { status, output } = restore(file);
    expect(output).toMatch(/version 0\.1\.0 with model other answered with \d+ tokens/);
    expect(status).toBe(0);
    expect(service.read('etc/bot/config.yaml')).toBe(config);
    expect(readdirSync(service.path('etc')).filter((name) => name.startsWith('bot.before-'))).toHaveLength(1);
  }, 60_000);

  test('a backup whose state does not answer is taken back', () => {
    const good = service.read('etc/bot/config.yaml');
    writeFileSync(
      service.path('etc/bot/config.yaml'),
      good.replace(/^model_path: .*$/m, 'model_path: /none.gguf'),
    );
    const file = backup();
    writeFileSync(service.path('etc/bot/config.yaml'), good);
    const { status, output } = restore(file);
    expect(output).toMatch(/not restored, the state before is back and answers/);
    expect(status).toBe(1);
    expect(service.read('etc/bot/config.yaml')).toBe(good);
    expect(existsSync(service.path('etc/bot.restored'))).toBe(false);
  }, 60_000);
});

test('bot status says what runs', () => {
  const { status, output } = service.run('bot', 'status', '--json', '--root', service.root);
  const found = JSON.parse(output) as { memory_bytes: { total: number; http: number } };
  expect(found).toMatchObject({
    running: true,
    ready: true,
    version: '0.1.0',
    model: 'other',
    engine_restarts: 0,
  });
  expect(found.memory_bytes.total).toBeGreaterThan(found.memory_bytes.http);
  expect(status).toBe(0);
});
