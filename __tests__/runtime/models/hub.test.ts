import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { pullModel } from '../../../runtime/src/models/store';
import { fakeGguf, ModelServer, serveFile, sha256 } from '../../support/model-server';
import { temporaryFolder } from '../../support/temporary-folder';

const CONTENT = fakeGguf(500_000);
const SOURCE = 'hf:owner/repo/model.gguf';
const QUICK = { waits: [10], waitsAfterProgress: [10, 10] };

/** The hub redirects to its store on another origin, as the real one does, and names the hash only itself. */
describe('pulling from a model hub', () => {
  const folder = temporaryFolder();
  let hub: ModelServer;
  let store: ModelServer;
  let linkedEtag: string;
  let dropOnce: boolean;

  beforeEach(async () => {
    linkedEtag = sha256(CONTENT);
    dropOnce = false;
    store = await ModelServer.start((request, response) => {
      const dropAfter = dropOnce ? 200_000 : undefined;
      dropOnce = false;
      serveFile(request, response, CONTENT, { etag: '"of-the-store"', dropAfter });
    });
    hub = await ModelServer.start((request, response) => {
      if (request.path !== '/owner/repo/resolve/main/model.gguf') return void response.writeHead(404).end();
      response
        .writeHead(302, {
          location: `${store.url}/blob?signature=abc`,
          'x-linked-etag': `"${linkedEtag}"`,
          'x-linked-size': CONTENT.length,
        })
        .end();
    });
  });
  afterEach(() => Promise.all([hub.stop(), store.stop()]));

  const pull = (source = SOURCE, env: NodeJS.ProcessEnv = {}) =>
    pullModel(source, {
      lockFile: join(folder(), 'lock.json'),
      cacheDir: join(folder(), 'cache'),
      retries: QUICK,
      env: { HF_ENDPOINT: hub.url, ...env },
    });

  it('checks the hash that the hub names, and pins it', async () => {
    expect(await pull()).toMatchObject({ sha256: linkedEtag, sizeBytes: CONTENT.length, trust: 'new' });
    expect(JSON.parse(readFileSync(join(folder(), 'lock.json'), 'utf8'))).toEqual({
      [SOURCE]: { sha256: linkedEtag, size: CONTENT.length },
    });
  });

  it('deletes what does not have that hash', async () => {
    linkedEtag = 'b'.repeat(64);
    await expect(pull()).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      message: expect.stringContaining(`expected ${linkedEtag}, got ${sha256(CONTENT)}`),
    });
    expect(existsSync(join(folder(), 'lock.json'))).toBe(false);
  });

  it('sends the token to the hub and to nobody else', async () => {
    await pull(SOURCE, { HF_TOKEN: 'hf_secret' });
    expect(hub.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer hf_secret',
      'Bearer hf_secret',
    ]);
    expect(store.requests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it('goes on at the store after a dropped connection, through a fresh redirect', async () => {
    dropOnce = true;
    expect(await pull()).toMatchObject({ sha256: linkedEtag });
    expect(store.requests.at(-1)?.headers).toMatchObject({ range: expect.stringMatching(/^bytes=[1-9]/) });
    expect(hub.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'GET']);
  });

  it('refuses another file than the pinned one before downloading it', async () => {
    writeFileSync(
      join(folder(), 'lock.json'),
      JSON.stringify({ [SOURCE]: { sha256: 'c'.repeat(64), size: 1 } }),
    );
    await expect(pull()).rejects.toMatchObject({
      code: 'PIN_MISMATCH',
      message: expect.stringMatching(/was pinned as c{64}, the hub now has .*@COMMIT/),
    });
    expect(store.requests).toHaveLength(0);
  });

  it('follows a renamed repository inside the hub', async () => {
    await expect(pull('hf:owner/old-name/model.gguf')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const answer = { location: '/owner/repo/resolve/main/model.gguf' };
    const direct = hub.requests.length;
    hub.handle((request, response) => {
      if (request.path.startsWith('/owner/old-name/')) return void response.writeHead(307, answer).end();
      response.writeHead(302, { location: `${store.url}/blob`, 'x-linked-etag': `"${linkedEtag}"` }).end();
    });
    expect(await pull('hf:owner/old-name/model.gguf', { HF_TOKEN: 't' })).toMatchObject({
      sha256: linkedEtag,
    });
    expect(hub.requests.slice(direct).every(({ headers }) => headers.authorization === 'Bearer t')).toBe(
      true,
    );
  });

  it('refuses a redirect to an address that is not encrypted', async () => {
    hub.handle(
      (_request, response) => void response.writeHead(302, { location: 'http://example.com/x' }).end(),
    );
    await expect(pull()).rejects.toThrow('redirects to http://example.com, which is not encrypted');
  });

  it('refuses a hub that is not https', async () => {
    await expect(pull(SOURCE, { HF_ENDPOINT: 'http://hub.example.com' })).rejects.toThrow(
      'Expected HF_ENDPOINT to be an https: address',
    );
  });

  it('explains a gated repository', async () => {
    hub.handle((_request, response) => void response.writeHead(401).end());
    await expect(pull()).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringContaining('set HF_TOKEN'),
    });
    await expect(pull(SOURCE, { HF_TOKEN: 'bad' })).rejects.toThrow(
      'the token in HF_TOKEN may not read this',
    );
  });
});
