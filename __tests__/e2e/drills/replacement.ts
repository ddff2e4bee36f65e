/** Another machine takes the place of this one: what outlives a machine. */
import assert from 'node:assert/strict';
import { waitFor } from '../box/commands';
import type { Guest } from '../box/guest';
import type { Subject } from '../checks/subject';
import { waitForReport } from '../path';
import { type MachineDrill, says } from './drill';

const BOT = '/opt/bot/bin/bot';
const INSTANCE_ID = 'i-0e0e0e0e0e0e0e0e0';

export const replacementDrill: MachineDrill = {
  kind: 'machine',
  name: 'replacement',
  about: 'another machine of the same deployment knows what was revoked, and which policy holds',
  run: async (report, { deployment: { box }, instance, guest, bucket }: Subject, leave) => {
    await report.check('a token that was revoked stays revoked on the machine after this one', async () => {
      const revoked = await issueToken(guest);
      const valid = await issueToken(guest);
      await guest.exec([BOT, 'token', 'revoke', revoked.id]);
      await guest.exec([BOT, 'policy', 'set', 'sessions.per_token=7']);
      // The service notices what a command has written.
      await waitFor(
        'the token to be refused',
        async () => ((await statusFor(guest, revoked)) === 401 ? true : undefined),
        { timeoutMs: 60_000, intervalMs: 1_000 },
      );
      assert.equal(await statusFor(guest, valid), 200);
      leave();

      const addresses = box.reserveAddresses();
      const next = await box.boot(
        { ...instance, instanceId: INSTANCE_ID },
        { name: 'replacement', addresses },
      );
      try {
        const boot = await waitForReport(box, bucket, INSTANCE_ID);
        assert.equal(boot.status, 'ready', boot.message);
        assert.deepEqual([await statusFor(next, revoked), await statusFor(next, valid)], [401, 200]);
        says((await next.exec([BOT, 'policy', 'show'])).stdout, /per_token: 7/);
      } finally {
        await next.powerOff();
      }
    });
  },
};

interface Token {
  readonly token: string;
  readonly id: string;
}

async function issueToken(guest: Guest): Promise<Token> {
  const { stdout } = await guest.exec([BOT, 'token', 'issue', '--user', 'replacement']);
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stdout)?.[1] ?? '';
  return { token: field('Generated Access Token'), id: field('Token ID') };
}

async function statusFor({ ip }: Guest, { token }: Token): Promise<number> {
  const headers = { Authorization: `Bearer ${token}` };
  const response = await fetch(`http://${ip}:18789/v1/models`, { headers });
  await response.body?.cancel();
  return response.status;
}
