/** The machine from within: memory, what a second bootstrap changes, a reboot. */
import assert from 'node:assert/strict';
import { waitFor } from '../box/commands';
import type { Report } from '../report';
import { answers } from './endpoint';
import type { Subject } from './subject';

const MEMORY_LIMIT_MB = 700;

/** Process ids of the services, and every file that the bootstrap could touch, with size, time and mode. */
const MACHINE_STATE = `
for unit in bot nginx nftables; do systemctl show "$unit" -p Id -p MainPID -p ActiveEnterTimestampMonotonic; done
find /opt/bot /etc/bot /etc/nginx /etc/systemd/system /etc/logrotate.d /etc/nftables.conf /usr/local/lib/bot \\
  -printf '%p %s %T@ %m %u:%g %l\\n' | sort`;

export async function checkMachine(report: Report, subject: Subject): Promise<void> {
  const { guest } = subject;

  await report.check('cloud-init ended without a warning', async () => {
    assert.equal(await guest.waitForCloudInit(180_000), 'done');
    const { stdout } = await guest.shell('grep -E "WARN|ERROR|Traceback" /var/log/cloud-init.log || true');
    assert.equal(stdout.trim(), '');
  });

  await report.check('no unit of the guest has failed', async () => {
    const { stdout } = await guest.exec(['systemctl', 'list-units', '--failed', '--plain', '--no-legend']);
    assert.equal(stdout.trim(), '');
  });

  await report.check('the service runs as its own user, without privileges', async () => {
    const { stdout } = await guest.shell(
      'pid=$(systemctl show bot -p MainPID --value); grep -E "^(Uid|CapEff|NoNewPrivs|Seccomp):" /proc/$pid/status; id -u bot',
    );
    const uid = stdout.trim().split('\n').at(-1) ?? '';
    assert.match(stdout, new RegExp(`^Uid:\\s+${uid}\\s+${uid}\\s`, 'm'));
    assert.match(stdout, /^CapEff:\s+0{16}$/m);
    assert.match(stdout, /^NoNewPrivs:\s+1$/m);
    assert.match(stdout, /^Seccomp:\s+2$/m);
  });

  await report.check('the engine evaluates with the kernels of the bundle', async () => {
    const { stdout } = await guest.shell(
      'for pid in $(pgrep -u bot); do grep -o "/dist/kernels/.*" "/proc/$pid/maps"; done | sort -u',
    );
    assert.match(stdout, /^\/dist\/kernels\/x86-64-avx[a-z0-9-]+\.so$/m);
    return stdout.trim();
  });

  await report.check('resident memory of the runtime is known', async () => {
    // The proportional share: pages that two of its processes have in common count once.
    const { stdout } = await guest.shell(
      "for pid in $(pgrep -u bot); do cat /proc/$pid/smaps_rollup; done | awk '/^Pss:/{kb += $2} END{print kb}'",
    );
    const megabytes = (Number(stdout) * 1024) / 1e6;
    assert.ok(megabytes > 50, `measured ${megabytes} MB: that cannot be right`);
    report.figure({
      name: 'resident memory of the runtime in the guest',
      value: megabytes,
      unit: 'MB',
      limit: MEMORY_LIMIT_MB,
      // It differs by some percent from run to run, by when V8 and the allocator give memory back.
      failsAbove: MEMORY_LIMIT_MB * 1.1,
    });
    return `${megabytes.toFixed(0)} MB`;
  });

  await report.check('a second run of the bootstrap changes nothing', async () => {
    const before = (await guest.shell(MACHINE_STATE)).stdout;
    const { stdout } = await guest.exec(
      ['systemd-run', '--quiet', '--wait', '--pipe', '/usr/local/lib/bot/bootstrap.sh'],
      { timeoutMs: 240_000 },
    );
    const after = (await guest.shell(MACHINE_STATE)).stdout;
    assert.deepEqual(after.split('\n'), before.split('\n'), stdout);
  });
}

export async function checkReboot(report: Report, subject: Subject): Promise<void> {
  const { guest, apiKey } = subject;
  await report.check('the machine comes back by itself after a reboot', async () => {
    const before = guest.bootedAt();
    assert.ok(before);
    const from = Date.now();
    await guest.exec(['systemctl', 'reboot'], { allowFailure: true });
    await waitFor(
      'the guest to begin anew',
      () => ([undefined, before].includes(guest.bootedAt()) ? undefined : true),
      { timeoutMs: 180_000 },
    );
    await waitFor('an answer after the reboot', async () => (await answers(subject, apiKey)) || undefined, {
      timeoutMs: 180_000,
      intervalMs: 250,
    });
    const seconds = (Date.now() - from) / 1000;
    report.figure({ name: 'reboot to first answer', value: seconds, unit: 's' });
    return `${seconds.toFixed(1)} s`;
  });
}
