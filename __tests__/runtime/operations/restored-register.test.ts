/** What a restore leaves of the register of tokens: real folders, archives and registers; something that answers in the service's place. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { TokenRegister } from '../../../runtime/src/access/token-register';
import { installationOf } from '../../../runtime/src/cli/commands/operation-options';
import { backUp } from '../../../runtime/src/operations/backup';
import { restore as putBack } from '../../../runtime/src/operations/restore';
import { temporaryFolder } from '../../support/temporary-folder';
import { API_KEY, literalKeys } from '../support/test-service';

const OTHER_KEY = 'another-key-0123456789abcdef';
const LATER_KEY = 'a-later-key-0123456789abcdef';

const folder = temporaryFolder();
const state = () => join(folder(), 'var/lib/bot');
const file = () => join(state(), 'tokens.sealed');

let server: Server;
/** What a question is answered with. */
let status: number;
/** Runs when the restored service is asked. */
let whileRestored: () => Promise<unknown>;
let said: string[];
let warned: string[];

beforeEach(async () => {
  [status, whileRestored, said, warned] = [200, async () => undefined, [], []];
  server = createServer((request, response) => {
    if (request.url === '/readyz') return void response.end();
    if (request.url === '/metrics')
      return void response.end('botstack_build_info{version="1",model="m"} 1\n');
    void whileRestored().then(() => {
      response.writeHead(status).end('{"usage":{"completion_tokens":1}}');
      // The state before answers.
      status = 200;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  for (const path of ['opt/bot', 'etc/bot', 'var/lib/bot'])
    mkdirSync(join(folder(), path), { recursive: true });
  configure(API_KEY);
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

function configure(apiKey: string): void {
  writeFileSync(
    join(folder(), 'etc/bot/config.yaml'),
    JSON.stringify({
      api_key: apiKey,
      model_path: '/none.gguf',
      network: { internal_port: (server.address() as AddressInfo).port, console_port: 0 },
      state_directory: state(),
    }),
  );
}

async function register(...keys: readonly string[]): Promise<TokenRegister> {
  return TokenRegister.open({
    directory: state(),
    encryption: 'AES-256-GCM',
    keys: await literalKeys(...(keys.length === 0 ? [API_KEY] : keys)),
    log: () => undefined,
  });
}

async function issued(user = 'ada', ...keys: readonly string[]) {
  const { id, issuedAt } = await (
    await register(...keys)
  ).issue({ user, scopes: ['chat'], expirySeconds: 3600 });
  return { id, issuedAt, user };
}

async function backup(): Promise<string> {
  const installation = await installationOf({ root: folder(), serviceCommand: 'true' });
  return (await backUp({ layout: installation.layout, version: '1' })).path;
}

async function restore(archive: string): Promise<void> {
  const installation = await installationOf({ root: folder(), serviceCommand: 'true' });
  const say = (line: string) => void said.push(line);
  const warn = (line: string) => void warned.push(line);
  await putBack({ ...installation, say, warn }, { file: archive });
}

test('a token that was revoked after the backup stays revoked, and how many did is said', async () => {
  const [revoked, valid] = [await issued(), await issued('bob')];
  const archive = await backup();
  const later = await issued('eve');
  for (const { id } of [revoked, later]) await (await register()).revoke(id);

  await restore(archive);
  const after = await register();
  expect(after.verdict(revoked)).toBe('revoked');
  expect(after.verdict(later)).toBe('revoked');
  expect(after.verdict(valid)).toBe('valid');
  expect(said).toContain('2 tokens that were revoked since the backup stay revoked');
  expect(warned).toEqual([]);
});

test('so do all tokens of a user, also those that no register knows', async () => {
  const elsewhere = { id: 'from-elsewhere', user: 'ada', issuedAt: Math.floor(Date.now() / 1000) };
  const archive = await backup();
  await (await register()).revokeUser('ada');
  await restore(archive);
  expect((await register()).verdict(elsewhere)).toBe('revoked');
  expect(said).toContain('all tokens of ada until their revocation stay revoked');
});

test('a user who was revoked stays so, also with a token that only the backup knows', async () => {
  const lost = await issued();
  const archive = await backup();
  rmSync(file());
  await sleep(1100);
  await (await register()).revokeUser('ada');
  const next = await issued();
  await restore(archive);
  const after = await register();
  expect(after.verdict(lost)).toBe('revoked');
  expect(after.verdict(next)).toBe('valid');
});

test('a backup brings back what the present register does not know', async () => {
  const [revoked, valid] = [await issued(), await issued('bob')];
  await (await register()).revoke(revoked.id);
  const archive = await backup();
  rmSync(file());
  await issued('eve');
  await restore(archive);
  const after = await register();
  expect(after.verdict(revoked)).toBe('revoked');
  expect(after.verdict(valid)).toBe('valid');
  expect(
    after
      .list()
      .map(({ user }) => user)
      .sort(),
  ).toEqual(['ada', 'bob', 'eve']);
  expect(said).toContain('the backup knows every token that was revoked');
});

test('on a fresh machine there is nothing to keep, and nothing is said of it', async () => {
  const revoked = await issued();
  await (await register()).revoke(revoked.id);
  const archive = await backup();
  const sealed = readFileSync(file());
  rmSync(state(), { recursive: true });
  await restore(archive);
  expect(readFileSync(file())).toEqual(sealed);
  expect(said.join()).not.toContain('revoked');
  expect(warned).toEqual([]);
});

test('a restore that is taken back keeps what was revoked before it, and what was revoked meanwhile', async () => {
  const [before, meanwhile, valid] = [await issued(), await issued('eve'), await issued('bob')];
  const archive = await backup();
  await (await register()).revoke(before.id);
  status = 500;
  whileRestored = async () => {
    whileRestored = async () => undefined;
    await (await register()).revoke(meanwhile.id);
  };
  await expect(restore(archive)).rejects.toThrow('the state before is back');
  const after = await register();
  expect(after.verdict(before)).toBe('revoked');
  expect(after.verdict(meanwhile)).toBe('revoked');
  expect(after.verdict(valid)).toBe('valid');
});

describe('after the API key was changed', () => {
  test('the register is sealed under the key that the restored settings hold', async () => {
    const old = await issued();
    const archive = await backup();
    await (await register()).revoke(old.id);
    // The service seals it anew while both keys are known.
    configure(OTHER_KEY);
    await register(OTHER_KEY, API_KEY);
    await restore(archive);
    expect((await register(API_KEY)).verdict(old)).toBe('revoked');
    expect(said).toContain('1 token that was revoked since the backup stays revoked');
  });

  test('what was revoked under the old key counts again with it', async () => {
    const old = await issued();
    const archive = await backup();
    await (await register()).revoke(old.id);
    // With the key in the file there is no previous one: the register is begun anew, and the old one kept.
    configure(OTHER_KEY);
    await issued('bob', OTHER_KEY);
    expect(readdirSync(state())).toHaveLength(2);
    await restore(archive);
    expect((await register(API_KEY)).verdict(old)).toBe('revoked');
  });

  test('a register under a key that nobody has any more is named, with what to do', async () => {
    await issued();
    const archive = await backup();
    rmSync(file());
    await issued('bob', LATER_KEY);
    await restore(archive);
    expect(warned).toEqual([
      expect.stringMatching(
        /is sealed under an API key that neither the present settings nor the restored ones hold: .*valid again.*bot token revoke.*rotate the API key/,
      ),
    ]);
  });

  test('a register in the backup that nobody can read is left out', async () => {
    await issued('bob', LATER_KEY);
    const archive = await backup();
    rmSync(file());
    const revoked = await issued();
    await (await register()).revoke(revoked.id);
    await restore(archive);
    expect((await register()).verdict(revoked)).toBe('revoked');
  });
});

test('a register that is damaged gives its place to the one in the backup, with a warning', async () => {
  const known = await issued();
  const archive = await backup();
  writeFileSync(file(), readFileSync(file()).fill(0, 60));
  await restore(archive);
  expect((await register()).verdict(known)).toBe('valid');
  expect(warned).toEqual([
    expect.stringMatching(/is damaged: .*valid again.*bot token revoke.*rotate the API key/),
  ]);
});

test('a damaged register is as it was when the restore is taken back', async () => {
  await issued();
  const archive = await backup();
  const damaged = readFileSync(file()).fill(0, 60);
  writeFileSync(file(), damaged);
  status = 500;
  await expect(restore(archive)).rejects.toThrow('the state before is back');
  expect(readFileSync(file())).toEqual(damaged);
});

test('settings that cannot be read are no reason to forget revocations', async () => {
  const revoked = await issued();
  const archive = await backup();
  await (await register()).revoke(revoked.id);
  renameSync(join(folder(), 'etc/bot/config.yaml'), join(folder(), 'etc/bot/lost.yaml'));
  await restore(archive);
  expect((await register()).verdict(revoked)).toBe('revoked');
});
