import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { connectServiceManager, watchdogInterval } from '../../../runtime/src/server/systemd';
import { temporaryFolder } from '../../support/temporary-folder';
import { until } from '../support/test-service';

const folder = temporaryFolder();
let problems: string[];
let record: string;

/** A systemd-notify that writes down what it was told. */
function installNotify(body = 'echo "$@" >> "$RECORD"'): void {
  const file = join(folder(), 'systemd-notify');
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

const told = () => (existsSync(record) ? readFileSync(record, 'utf8').trim().split('\n') : []);
const connect = (env = {}) =>
  connectServiceManager(
    { PATH: `${folder()}:${process.env['PATH']}`, RECORD: record, NOTIFY_SOCKET: '/run/x', ...env },
    (text) => problems.push(text),
  );

beforeEach(() => {
  problems = [];
  record = join(folder(), 'record');
});

describe('connectServiceManager', () => {
  test('says ready, status and stopping through systemd-notify', async () => {
    installNotify();
    const manager = connect();
    await manager.ready('two models');
    await manager.status('restarting');
    await manager.stopping();
    expect(told()).toEqual([
      'READY=1 STATUS=two models',
      'STATUS=restarting',
      'STOPPING=1 STATUS=finishing running answers',
    ]);
  });

  test('says which process speaks for the service now, and nothing more once another one does', async () => {
    installNotify();
    const manager = connect();
    await manager.takeOver('one model');
    expect(told()).toEqual([`READY=1 MAINPID=${process.pid} WATCHDOG=1 STATUS=one model`]);
    await manager.resign();
    await manager.status('restarting');
    await manager.stopping();
    expect(told()).toHaveLength(1);
  });

  test('pings the watchdog only while all is well', async () => {
    installNotify();
    const manager = connect({ WATCHDOG_USEC: '40000', WATCHDOG_PID: String(process.pid) });
    let well = true;
    let asked = 0;
    manager.startWatchdog(async () => {
      asked++;
      return well;
    });
    await until(() => told().includes('WATCHDOG=1'));
    well = false;
    // Comes behind what was on its way; after that, nothing does.
    await manager.status('not well');
    const pings = told().length;
    const askedBefore = asked;
    await until(() => asked > askedBefore + 5);
    manager.close();
    expect(told()).toHaveLength(pings);
  });

  test('does nothing outside systemd', async () => {
    installNotify();
    await connect({ NOTIFY_SOCKET: undefined }).ready('x');
    expect(told()).toEqual([]);
  });

  test('complains once when the messages do not get through', async () => {
    installNotify('exit 1');
    const manager = connect();
    await manager.ready('x');
    await manager.status('x');
    expect(problems).toEqual([expect.stringMatching(/systemd-notify failed .*NotifyAccess=all/)]);
  });
});

describe('watchdogInterval', () => {
  test.each([
    [{ WATCHDOG_USEC: '30000000' }, 15_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) }, 15_000],
    [{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }, undefined],
    [{}, undefined],
    [{ WATCHDOG_USEC: 'soon' }, undefined],
  ])('of %j is %s', (env, interval) => {
    expect(watchdogInterval(env)).toBe(interval);
  });
});
