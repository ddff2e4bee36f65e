import { existsSync, writeFileSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  openReloadSocket,
  reloadSocketPath,
  requestReload,
  type OnReload,
  type ReloadOrder,
} from '../../../runtime/src/server/handover/reload-socket';
import { temporaryFolder } from '../../support/temporary-folder';
import { until } from '../support/test-service';

const folder = temporaryFolder();
const path = () => join(folder(), 'reload.sock');
const ORDER: ReloadOrder = {
  program: '/opt/bot/bin/bot',
  configFile: '/etc/bot/config.yaml',
  env: { A: 'b' },
};

let server: Server | undefined;
afterEach(() => new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve())));

const open = async (onReload: OnReload) => (server = await openReloadSocket(path(), onReload));

/** What comes back for these bytes. */
function answerTo(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: path() }, () => socket.write(`${bytes}\n`));
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString()));
    socket.once('close', () => resolve(text)).once('error', reject);
  });
}

test('the order comes whole, and what the service says comes back until it is done', async () => {
  const orders: ReloadOrder[] = [];
  const env = { LONG: 'x'.repeat(1_000_000) };
  await open(async (order, say) => {
    orders.push(order);
    say('one');
    say('two\nlines');
  });
  const said: string[] = [];
  await requestReload(path(), { ...ORDER, env }, (line) => said.push(line));
  expect(said).toEqual(['one', 'two\nlines']);
  expect(orders).toEqual([{ ...ORDER, env }]);
});

test('what goes wrong is the reason that whoever asked gets', async () => {
  await open(() => Promise.reject(new Error('no engine')));
  await expect(requestReload(path(), ORDER, () => undefined)).rejects.toThrow('no engine');
});

test.each([
  ['no JSON', '{', /JSON/],
  ['an order that lacks something', JSON.stringify({ program: '/x' }), /configFile/],
  ['a program that is no path', JSON.stringify({ ...ORDER, program: 'bot' }), /program/],
  ['more than there can be', `"${'x'.repeat(9 * 1024 * 1024)}"`, /too long/],
])('%s starts nothing', async (_what, bytes, reason) => {
  const onReload = jest.fn(() => Promise.resolve());
  await open(onReload);
  const reply = JSON.parse(await answerTo(bytes)) as { type: string; reason: string };
  expect(reply).toMatchObject({ type: 'failed', reason: expect.stringMatching(reason) });
  expect(onReload).not.toHaveBeenCalled();
});

test('the service learns that nobody waits any more', async () => {
  let isLeft = false;
  await open(async (_order, _say, signal) => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    isLeft = true;
  });
  const socket = connect({ path: path() });
  socket.write(`${JSON.stringify(ORDER)}\n`);
  await sleep(100);
  expect(isLeft).toBe(false);
  socket.destroy();
  await until(() => isLeft);
});

test('where nobody listens, the way out is named; what a killed process left is in nobody\u2019s way', async () => {
  await expect(requestReload(path(), ORDER, () => undefined)).rejects.toThrow(
    /no service listens on \S+reload\.sock: .*systemctl restart bot/,
  );
  writeFileSync(path(), '');
  await open(() => Promise.resolve());
  await requestReload(path(), ORDER, () => undefined);
});

test('it lies in the unit\u2019s first runtime directory, and only there', () => {
  expect(reloadSocketPath({ RUNTIME_DIRECTORY: '/run/bot:/run/more' })).toBe('/run/bot/reload.sock');
  expect(reloadSocketPath({})).toBeUndefined();
  expect(existsSync(path())).toBe(false);
});
