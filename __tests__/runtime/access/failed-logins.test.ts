import { FailedLogins } from '../../../runtime/src/access/failed-logins';

async function failTimes(failures: FailedLogins, address: string, times: number): Promise<void> {
  for (let time = 0; time < times; time++) await failures.record(address);
}

describe('FailedLogins', () => {
  test('locks an address at the eleventh failure in a minute, for 300 seconds', async () => {
    const failures = new FailedLogins();
    await failTimes(failures, '192.0.2.1', 10);
    expect(await failures.lockedFor('192.0.2.1')).toBe(0);
    await failTimes(failures, '192.0.2.1', 1);
    expect(await failures.lockedFor('192.0.2.1')).toBeGreaterThan(295);
    expect(await failures.lockedFor('192.0.2.2')).toBe(0);
  });

  test('lets an address in again when its lock has ended, and not before', async () => {
    jest.useFakeTimers();
    try {
      const failures = new FailedLogins();
      await failTimes(failures, '192.0.2.1', 11);
      jest.advanceTimersByTime(299_000);
      expect(await failures.lockedFor('192.0.2.1')).toBe(1);
      jest.advanceTimersByTime(1_001);
      expect(await failures.lockedFor('192.0.2.1')).toBe(0);
      // After a while in which nobody failed, it counts as on the first day.
      jest.advanceTimersByTime(3_600_000);
      await failTimes(failures, '192.0.2.1', 11);
      expect(await failures.lockedFor('192.0.2.1')).toBe(300);
    } finally {
      jest.useRealTimers();
    }
  });

  test('takes an IPv6 customer’s addresses for one', async () => {
    const failures = new FailedLogins();
    for (let host = 1; host <= 11; host++) await failures.record(`2001:db8:1:2::${host}`);
    expect(await failures.lockedFor('2001:db8:1:2:3:4:5:6')).toBeGreaterThan(0);
    expect(await failures.lockedFor('2001:db8:1:3::1')).toBe(0);
    expect(await failures.lockedFor('::1')).toBe(0);
  });
});
