import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { REPOSITORY } from '../../support/test-model';

test('zeroes that are new leave memory, and read and write as before; what was there stays', () => {
  const script = join(__dirname, 'return-zeroes.mjs');
  const dist = join(REPOSITORY, 'runtime', 'dist');
  // In a process of its own: what a test's worker frees meanwhile would be in the figure.
  const { stdout, stderr } = spawnSync(process.execPath, [script, dist], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const { mebibytes, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
  // Some 125, and with what was there before 380.
  expect(mebibytes).toBeGreaterThan(80);
  expect(mebibytes).toBeLessThan(256);
  expect(rest).toEqual({ isEmptyStill: true, isUsedStill: true, isOldStill: true, isWritten: true });
});
