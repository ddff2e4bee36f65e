/** The power goes in the middle of each step of the bootstrap, one after the other, on one machine. */
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../box/commands';
import { checksInOrder, type MachineDrill } from './drill';
import { DrillMachine } from './drill-machine';

/** The step, and after how many of its commands. */
const CUTS: readonly (readonly [string, number])[] = [
  ['user', 3],
  ['bundle', 4],
  ['model', 1],
  ['configure', 6],
  ['tls', 3],
  ['services', 7],
  ['ready', 3],
];

const CUT = '/root/cut';
const REACHED = '/root/cut-reached';

/**
 * Read by bash before the bootstrap, which it holds at the command that CUT names (`step number`): what comes next is
 * the end of the machine.
 */
const HOLD = `[ "\${0##*/}" = bootstrap.sh ] && [ -e ${CUT} ] || return 0
read -r CUT_STEP CUT_AT <${CUT}
CUT_SEEN=0
hold() {
  [ "\${FUNCNAME[1]-}" = "step_$CUT_STEP" ] || return 0
  ((++CUT_SEEN < CUT_AT)) || { : >${REACHED}; kill -STOP $$; }
}
set -T
trap hold DEBUG
`;
const DROP_IN = '[Service]\nEnvironment=BASH_ENV=/root/hold.sh\n';

/** dpkg writes each as it unpacks a package, before it sets up any. */
const UNPACKING = ['nginx-common', 'nginx'].map((name) => `/var/lib/dpkg/info/${name}.list`);

export const powerDrill: MachineDrill = {
  kind: 'machine',
  name: 'power',
  about: 'the power goes in each step of the bootstrap',
  own: true,
  run: async (report, subject) => {
    const machine = await DrillMachine.boot(subject, 'power', {
      files: {
        '/root/hold.sh': HOLD,
        '/etc/systemd/system/bot-bootstrap.service.d/drill.conf': DROP_IN,
      },
    });
    const { guest } = machine;
    const check = checksInOrder(report, 'power');
    const reaches = (what: string, file: string): Promise<true> =>
      waitFor(what, () => (existsSync(join(guest.disk, file)) ? true : undefined), {
        // dpkg took more than 300 s beside the other drills, on a busy machine.
        timeoutMs: 600_000,
        intervalMs: 20,
      });

    await check('the power goes twice while dpkg unpacks, and once in each step after it', async () => {
      const [first = '', second = ''] = UNPACKING;
      await reaches('dpkg to unpack', first);
      await guest.powerOff();
      // The first cut may have come that late already.
      if (!existsSync(join(guest.disk, second))) {
        guest.powerOn();
        await reaches('dpkg to unpack again', second);
        await guest.powerOff();
      }
      for (const [step, at] of CUTS) {
        writeFileSync(join(guest.disk, CUT), `${step} ${at}\n`);
        guest.powerOn();
        await reaches(`step ${step}`, REACHED);
        await guest.powerOff();
        rmSync(join(guest.disk, REACHED));
        const found = await machine.report();
        assert.notEqual(found?.status, 'failed', `before step ${step}: ${found?.message}`);
      }
      rmSync(join(guest.disk, CUT));
      return ['packages', ...CUTS.map(([step]) => step)].join(', ');
    });
    await check('then it comes up, and nothing is left of the runs before', async () => {
      guest.powerOn();
      const ready = await machine.comesUp();
      assert.equal(ready.steps.length, CUTS.length + 1);
      const { stdout } = await guest.shell(
        `dpkg --audit; systemctl list-units --failed --plain --no-legend
        ls -d /usr/sbin/policy-rc.d /opt/bot/releases/*.* /opt/bot/models/*.part 2>/dev/null; true`,
      );
      assert.equal(stdout.trim(), '');
    });
    await machine.end();
  },
};
