/** What a machine needs is away when it boots, and comes back: the machine has said why, and comes up by itself. */
import assert from 'node:assert/strict';
import { waitFor } from '../box/commands';
import { checksInOrder, type MachineDrill, says } from './drill';
import { DrillMachine } from './drill-machine';
import { passesOn } from './gate';

/** aws.py's five tries of 15 s, with its pauses, and a boot beside other drills. */
const GIVES_UP_MS = 480_000;

export const outageDrills: MachineDrill[] = [
  {
    kind: 'machine',
    name: 's3-away',
    about: 'S3 cannot be reached at boot, and is slow when it comes back',
    own: true,
    run: async (report, subject) => {
      const { network } = subject.deployment.box;
      const machine = await DrillMachine.boot(subject, 's3-away', { cutOff: [network.addresses.uplinkHost] });
      const check = checksInOrder(report, 's3-away');
      await check('without S3 the console says what was asked for, and the remedy', async () => {
        const line = await waitFor(
          'the console to say that S3 is away',
          () => /step bundle failed: .*(?=[\r\n])/.exec(machine.console())?.[0],
          { timeoutMs: GIVES_UP_MS, intervalMs: 100 },
        );
        says(line, /get bundles\/\S+ failed: .*\S; check that the subnet reaches it/);
        assert.equal(await machine.report(), undefined);
        return line;
      });
      // Two seconds before each answer, and a bundle that takes fourteen.
      machine.front.fault = { latencyMs: 2_000, bytesPerSecond: 4e6 };
      await network.cutOff(machine.guest.ip, []);
      await check('a slow S3 first gets the failure, and then the machine up, by itself', async () => {
        const failed = await machine.failure('bundle', /get bundles\/\S+ failed: /);
        const from = Date.now();
        // In the try that fetched it: on a busy machine that one need not be the last.
        let seconds = 0;
        await machine.comesUp(({ steps }) => {
          // It is fetched from the start on, beside the steps before it.
          const until = steps.findIndex(({ name }) => name === 'bundle') + 1;
          const sum = steps.slice(0, until).reduce((total, step) => total + step.seconds, 0);
          seconds = Math.max(seconds, sum);
        });
        assert.ok(seconds > 8, `the bundle was there after ${seconds} s: that is not slow`);
        return `${failed.step} failed; ready ${Math.round((Date.now() - from) / 1000)} s later`;
      });
      await machine.end();
    },
  },
  {
    kind: 'machine',
    name: 'mirror-away',
    about: 'the package mirror cannot be reached at boot',
    own: true,
    run: async (report, subject) => {
      const { network } = subject.deployment.box;
      const mirror = network.mirror.hosts.map(({ address }) => address);
      const machine = await DrillMachine.boot(subject, 'mirror-away', { cutOff: mirror, isAwaited: true });
      const check = checksInOrder(report, 'mirror-away');
      await check(
        'without the package mirror the report says what goes on, then the gate why not',
        async () => {
          const trying = await waitFor(
            'a report of the tries',
            async () => {
              const found = await machine.report();
              return found?.status === 'running' && found.message !== '' ? found : undefined;
            },
            { timeoutMs: GIVES_UP_MS, intervalMs: 250 },
          );
          says(trying.message, /^apt could not install nginx [^:]*: .+, trying again$/);
          const failed = await machine.failure(
            'packages',
            /^apt could not install nginx [^:]*: [^;]+; /,
            /check that the subnet reaches the package mirror/,
          );
          const verdict = await machine.firstVerdict();
          passesOn(verdict, failed);
          return failed.message;
        },
      );
      await network.cutOff(machine.guest.ip, []);
      await check(
        'once the mirror is there, a second deploy finds a machine that came up by itself',
        async () => {
          const verdict = await machine.gate();
          assert.equal(verdict.status, 0, verdict.output);
          says(verdict.output, /is ready after/);
          await machine.comesUp();
          return /i-\S+ is ready after.*/.exec(verdict.output)?.[0];
        },
      );
      await machine.end();
    },
  },
];
