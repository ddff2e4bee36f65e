import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { DEFAULT_MODEL_SOURCE } from '../../../runtime/src/models/source';
import { pullModel, type PullOptions } from '../../../runtime/src/models/store';
import { fakeGguf, ModelServer, serveFile, sha256 } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';

const SIZE = 3_000_000;
const CONTENT = fakeGguf(SIZE);
const QUICK = { waits: [10, 10], waitsAfterProgress: [10, 10, 10] };

describe('pulling over https', () => {
  const folder = temporaryFolder();
  let server: ModelServer;
  let lockFile: string;
  let cacheDir: string;

  beforeEach(async () => {
    server = await ModelServer.start((request, response) => serveFile(request, response, CONTENT));
    lockFile = join(folder(), 'lock.json');
    cacheDir = join(folder(), 'cache');
  });
  afterEach(() => server.stop());

  const source = () => `${server.url}/m.gguf`;
  const pull = (options: Partial<PullOptions> = {}) =>
    pullModel(source(), { lockFile, cacheDir, retries: QUICK, env: {}, ...options });
  const pins = () => JSON.parse(readFileSync(lockFile, 'utf8')) as unknown;
  const partials = () => readdirSync(join(cacheDir, '.partial'));
  const partBytes = () =>
    Math.max(
      ...partials().map((name) =>
        name.endsWith('.part') ? statSync(join(cacheDir, '.partial', name)).size : 0,
      ),
    );

  it('fetches, pins on first use, and serves from the cache without a request after that', async () => {
    const first = await pull();
    expect(first).toMatchObject({ sha256: sha256(CONTENT), sizeBytes: SIZE, cached: false, trust: 'new' });
    expect(first.path).toBe(join(cacheDir, sha256(CONTENT), 'm.gguf'));
    expect(readFileSync(first.path).equals(CONTENT)).toBe(true);
    expect(pins()).toEqual({ [source()]: { sha256: sha256(CONTENT), size: SIZE } });
    expect(partials()).toEqual([]);

    const requests = server.requests.length;
    expect(await pull()).toMatchObject({ path: first.path, cached: true, trust: 'pinned' });
    expect(server.requests).toHaveLength(requests);
  });

  it('goes on where a dropped connection stopped', async () => {
    let answers = 0;
    server.handle((request, response) =>
      serveFile(request, response, CONTENT, answers++ < 2 ? { dropAfter: 1_000_000 } : {}),
    );
    expect(await pull()).toMatchObject({ sha256: sha256(CONTENT) });
    const ranges = server.requests.map(({ headers }) => headers.range);
    expect(ranges[0]).toBeUndefined();
    expect(Number(/\d+/.exec(ranges[1] ?? '')?.[0])).toBeGreaterThan(0);
    expect(Number(/\d+/.exec(ranges[2] ?? '')?.[0])).toBeGreaterThan(
      Number(/\d+/.exec(ranges[1] ?? '')?.[0]),
    );
    expect(server.requests[1]?.headers['if-range']).toBe('"v1"');
  });

  it('goes on in a later run, too, after Ctrl-C', async () => {
    const interrupt = new AbortController();
    server.handle((_request, response) => {
      const body = CONTENT.subarray(0, 1_500_000);
      response.writeHead(200, { etag: '"v1"', 'content-length': SIZE });
      response.write(body);
      const look = setInterval(() => partBytes() > 0 && interrupt.abort(), 20);
      response.once('close', () => clearInterval(look));
    });
    await expect(pull({ signal: interrupt.signal })).rejects.toMatchObject({
      code: 'ABORTED',
      remedy: 'run it again: the download goes on where it stopped',
    });
    expect(partials().some((name) => name.endsWith('.part'))).toBe(true);

    server.handle((request, response) => serveFile(request, response, CONTENT));
    expect(await pull()).toMatchObject({ sha256: sha256(CONTENT) });
    expect(server.requests.at(-1)?.headers.range).toMatch(/^bytes=[1-9]/);
  });

  it('starts anew when the file has changed since', async () => {
    const changed = fakeGguf(SIZE, 7);
    let answers = 0;
    server.handle((request, response) =>
      answers++ === 0
        ? serveFile(request, response, CONTENT, { dropAfter: 1_000_000 })
        : serveFile(request, response, changed, { etag: '"v2"' }),
    );
    expect(await pull()).toMatchObject({ sha256: sha256(changed) });
  });

  it('starts anew at a server that knows no ranges', async () => {
    let answers = 0;
    server.handle((request, response) =>
      serveFile(request, response, CONTENT, {
        ignoreRange: true,
        dropAfter: answers++ === 0 ? 1_000_000 : undefined,
      }),
    );
    expect(await pull()).toMatchObject({ sha256: sha256(CONTENT) });
  });

  it('takes a connection that sends nothing for dead, and goes on', async () => {
    let answers = 0;
    server.handle((request, response) => {
      if (answers++ > 0) return serveFile(request, response, CONTENT);
      response.writeHead(200, { etag: '"v1"', 'content-length': SIZE });
      response.write(CONTENT.subarray(0, 500_000));
    });
    expect(await pull({ stallTimeout: 400 })).toMatchObject({ sha256: sha256(CONTENT) });
    expect(server.requests).toHaveLength(2);
  });

  it('deletes a file with a wrong checksum and says what was expected', async () => {
    const pinned = 'a'.repeat(64);
    writeFileSync(lockFile, JSON.stringify({ [source()]: { sha256: pinned, size: SIZE } }));
    await expect(pull()).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      message: expect.stringMatching(
        `was deleted: expected ${pinned}, got ${sha256(CONTENT)}; pull it again`,
      ),
    });
    expect(partials()).toEqual([]);
    expect(existsSync(join(cacheDir, sha256(CONTENT)))).toBe(false);
  });

  it('fetches again what was damaged in the cache', async () => {
    const { path } = await pull();
    writeFileSync(path, fakeGguf(SIZE, 9));
    expect(await pull()).toMatchObject({ cached: false, trust: 'pinned' });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
  });

  it('refuses a web page in place of a model, and pins nothing', async () => {
    server.handle((_request, response) => response.end('<html>please log in</html>'));
    await expect(pull()).rejects.toMatchObject({ code: 'NOT_GGUF' });
    expect(existsSync(lockFile)).toBe(false);
    expect(partials()).toEqual([]);
  });

  it.each([
    [404, 'NOT_FOUND', 'check the spelling'],
    [401, 'ACCESS_DENIED', 'set HF_TOKEN'],
    [403, 'ACCESS_DENIED', 'set HF_TOKEN'],
    [418, 'HTTP_STATUS', 'open the address in a browser'],
  ])('says what to do about a %d, at once', async (status, code, remedy) => {
    server.handle((_request, response) => response.writeHead(status).end());
    await expect(pull()).rejects.toMatchObject({ code, message: expect.stringContaining(remedy) });
    expect(server.requests).toHaveLength(1);
  });

  it('tries again after a 503, and gives up in the end', async () => {
    let answers = 0;
    server.handle((request, response) =>
      answers++ < 1 ? response.writeHead(503).end() : serveFile(request, response, CONTENT),
    );
    expect(await pull()).toMatchObject({ sizeBytes: SIZE });

    server.handle((_request, response) => response.writeHead(503, { 'retry-after': '0' }).end());
    await expect(
      pullModel(`${server.url}/other.gguf`, { lockFile, cacheDir, retries: QUICK, env: {} }),
    ).rejects.toMatchObject({ code: 'NO_NETWORK', message: expect.stringContaining('after 3 attempts') });
  });

  it('says what to do when nobody answers', async () => {
    const { url } = server;
    await server.stop();
    await expect(
      pullModel(`${url}/m.gguf`, { lockFile, cacheDir, retries: QUICK, env: {} }),
    ).rejects.toMatchObject({
      code: 'NO_NETWORK',
      message: expect.stringMatching(/ECONNREFUSED, after 3 attempts; check the network .* --model PATH/),
    });
    server = await ModelServer.start(() => undefined);
  });

  it('lets two pulls at once fetch the file once', async () => {
    const [one, two] = await Promise.all([pull(), pull()]);
    expect(one.path).toBe(two.path);
    expect([one.cached, two.cached].sort()).toEqual([false, true]);
    expect(server.requests).toHaveLength(1);
  });

  it('keeps the pin beside the cache where the lock file cannot be written', async () => {
    const pulled = await pull({ lockFile: join(folder(), 'no-such-folder', 'lock.json') });
    expect(JSON.parse(readFileSync(`${cacheDir}.lock.json`, 'utf8'))).toHaveProperty(
      [source(), 'sha256'],
      pulled.sha256,
    );
    expect(await pull({ lockFile: join(folder(), 'no-such-folder', 'lock.json') })).toMatchObject({
      cached: true,
    });
  });

  it('pins beside the cache where asked to, and leaves the lock file as it is', async () => {
    const pulled = await pull({ newPins: 'user' });
    expect(existsSync(lockFile)).toBe(false);
    const userFile = join(folder(), 'cache.lock.json');
    expect(JSON.parse(readFileSync(userFile, 'utf8'))).toEqual({
      [source()]: { sha256: pulled.sha256, size: SIZE },
    });
    expect(await pull({ newPins: 'user' })).toMatchObject({ cached: true, trust: 'pinned' });

    // Where both name a source, the repository's word counts.
    const other = 'ab'.repeat(32);
    writeFileSync(lockFile, JSON.stringify({ [source()]: { sha256: other, size: SIZE } }));
    await expect(pull({ newPins: 'user' })).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      message: expect.stringContaining(`remove the entry from ${lockFile}`),
    });
  });

  it('refuses a lock file that is not one', async () => {
    writeFileSync(lockFile, '{"x": {"sha256": "short", "size": 1}}');
    await expect(pull()).rejects.toMatchObject({ code: 'LOCK_FILE_INVALID' });
  });

  it('says so when the cache cannot be made', async () => {
    writeFileSync(join(folder(), 'file'), '');
    await expect(pull({ cacheDir: join(folder(), 'file', 'cache') })).rejects.toMatchObject({
      code: 'CACHE_NOT_WRITABLE',
      message: expect.stringContaining('XDG_CACHE_HOME'),
    });
  });
});

describe('a local model', () => {
  const folder = temporaryFolder();

  it('is used where it lies, with its hash, and never pinned', async () => {
    mkdirSync(join(folder(), 'a folder'));
    const path = join(folder(), 'a folder', 'mine.gguf');
    writeFileSync(path, CONTENT);
    const lockFile = join(folder(), 'lock.json');
    expect(await pullModel(path, { lockFile, env: {} })).toEqual({
      source: path,
      path,
      fileName: 'mine.gguf',
      sha256: sha256(CONTENT),
      sizeBytes: SIZE,
      cached: true,
      trust: 'local',
    });
    expect(existsSync(lockFile)).toBe(false);
  });
});

it('pins the default model in the repository', () => {
  const lock = JSON.parse(
    readFileSync(join(__dirname, '../../../runtime/models.lock.json'), 'utf8'),
  ) as unknown;
  expect(lock).toHaveProperty([DEFAULT_MODEL_SOURCE, 'size'], 98_362_432);
});
