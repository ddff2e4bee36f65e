import { existsSync, readFileSync } from 'node:fs';

import { onSmallPages } from '../../../runtime/src/engine/large-pages';

/** As the kernel says of this process; undefined where it does not. */
function hasLargePages(): boolean | undefined {
  if (!existsSync('/proc/self/status')) return undefined;
  const [, enabled] = /^THP_enabled:\s*(\d)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return enabled === undefined ? undefined : enabled === '1';
}

it('has small pages while the work lasts, and no longer, also where it fails', async () => {
  const before = hasLargePages();
  const during = await onSmallPages(() => Promise.resolve(hasLargePages()));
  if (before !== undefined) expect(during).toBe(false);
  expect(hasLargePages()).toBe(before);
  await expect(onSmallPages(() => Promise.reject(new Error('no memory')))).rejects.toThrow('no memory');
  expect(hasLargePages()).toBe(before);
});
