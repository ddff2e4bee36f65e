/**
 * One machine and its bad day: each cause is made, looked at where a person would look, and put right, until the machine
 * comes up. Packages are installed once and nothing boots twice, so that a cause costs seconds.
 */
import assert from 'node:assert/strict';
import type { Fault } from '../box/aws-front';
import { checksInOrder, type MachineDrill, says } from './drill';
import { DrillMachine } from './drill-machine';
import { passesOn } from './gate';

/** Room for the package lists, the packages and the compressed bundle, not for what is in it. */
const TOO_SMALL_MIB = 250;
const DEPLOYED_MEMORY_MIB = 4096;
/**
 * Too little for the context that stacks/props.ts sets, even with one sequence at half the precision, down to which the
 * runtime goes by itself.
 */
const SCARCE_MEMORY_MIB = 300;

const REFUSED = /is not what was deployed: expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}/;
const CONFIG = '/usr/local/lib/bot/config.yaml';
const ENVIRONMENT = '/usr/local/lib/bot/bootstrap.env';
const BOOTSTRAP = '/usr/local/lib/bot/bootstrap.sh';

export const faultDrill: MachineDrill = {
  kind: 'machine',
  name: 'faults',
  about: 'disk full, bundle, model, role, clock, secret, memory: one after the other',
  own: true,
  run: async (report, subject) => {
    const secret =
      /arn:aws:secretsmanager:[\w:-]+/.exec(
        Buffer.from(subject.instance.userData, 'base64').toString(),
      )?.[0] ?? '';
    const otherSecret = secret.replace(/.{6}$/, 'AbCdEf');
    const machine = await DrillMachine.boot(subject, 'faults', {
      diskMiB: TOO_SMALL_MIB,
      replace: [secret, otherSecret],
      // Fetched beside the bundle, the model would be there before its turn comes.
      fault: { damaged: /^models\// },
      isAwaited: true,
    });
    const { front, guest } = machine;
    const check = checksInOrder(report, 'faults');
    const fails = (fault: Fault) => machine.tryAgain(() => (front.fault = fault));

    await check('a full disk is named, with the remedy, by the machine and by the gate', async () => {
      const full = await machine.failure(
        // apt runs beside the downloads: either may find it full first. What it then says is a matter of luck:
        // apt that finds its lists cut off speaks of lists.
        /^(packages|bundle)$/,
        /^the disk is full \(250M\): [^;]+; raise diskGiB and run cdktf deploy, then reboot/,
      );
      const failedAt = Date.now();
      const verdict = await machine.firstVerdict();
      passesOn(verdict, full);
      assert.ok(verdict.endedAt - failedAt < 60_000, `the gate took ${verdict.endedAt - failedAt} ms more`);
      return full.message;
    });
    await guest.growDisk(4096);

    await check('a bundle whose hash does not match is refused', async () => {
      await fails({ damaged: /^(bundles|models)\// });
      return (await machine.failure('bundle', REFUSED, /\.tar\.gz/, /cdktf deploy/)).message;
    });
    await check('a model damaged in S3 is refused', async () => {
      await fails({ damaged: /^models\// });
      return (await machine.failure('model', REFUSED, /\.gguf/)).message;
    });
    await check('a 403 of S3 names the role, and the object', async () => {
      await fails({ denied: /^models\// });
      return (await machine.failure('model', /403.*AccessDenied/, /models\//, /role may not read it/))
        .message;
    });
    await check('a wrong clock is named, with the remedy, by a report that S3 takes', async () => {
      await fails({ clockAheadMinutes: 200 });
      const wrong = await machine.failure(
        'model',
        /RequestTimeTooSkewed/,
        /this machine's clock is 200 minutes behind S3's/,
        /169\.254\.169\.123/,
      );
      const ahead = (Date.parse(wrong.time) - Date.now()) / 60_000;
      assert.ok(ahead > 195 && ahead < 205, `the report was written at ${wrong.time}`);
      return wrong.message;
    });
    await check('an unreadable secret stops the start and is named', async () => {
      await fails({});
      const unreadable = await machine.failure(
        'services',
        /bot\.service did not start/,
        new RegExp(otherSecret),
        /denied|not authorized|not allowed/i,
      );
      return unreadable.message;
    });
    await check('a secret that is being deleted is named, with the remedy', async () => {
      await machine.tryAgain(async () => {
        await guest.exec(['sed', '-i', `s/${otherSecret}/${secret}/`, CONFIG]);
        front.fault = { secretIsGone: true };
      });
      return (await machine.failure('services', /marked for deletion/, /restore it/)).message;
    });
    await check('too little memory for the model is said with the figures', async () => {
      await machine.tryAgain(() => {
        // The service tries again by itself, too: with its secret there, it must find no memory.
        guest.setMemory(SCARCE_MEMORY_MIB);
        front.fault = {};
      });
      return (await machine.failure('services', /bot\.service did not start/, /memory/i, /\d+ MiB are free/))
        .message;
    });
    await check('with every cause gone it comes up, and the gate of a second deploy sees it', async () => {
      await machine.tryAgain(() => guest.setMemory(DEPLOYED_MEMORY_MIB));
      const ready = await machine.comesUp();
      const verdict = await machine.gate();
      assert.equal(verdict.status, 0, verdict.output);
      says(verdict.output, /is ready after/);
      return ready.message;
    });
    await check('a disk restored to a deployment without monitoring forgets the agent', async () => {
      const unit = 'bot-monitoring-agent.service';
      const look = `systemctl is-enabled ${unit} 2>&1; ls /etc/systemd/system/${unit} 2>&1`;
      says((await guest.shell(`${look}; true`)).stdout, /^enabled$/m);
      await guest.exec(['sed', '-i', 's/^MONITORED=yes$/MONITORED=/', ENVIRONMENT]);
      await guest.exec(['systemd-run', '--quiet', '--wait', '--pipe', BOOTSTRAP], { timeoutMs: 240_000 });
      says((await guest.shell(`${look}; true`)).stdout, /No such file or directory$/m, /cannot access/);
    });
    await machine.end();
  },
};
