import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { withFileLock } from '../../../runtime/src/files/file-lock';
import { temporaryFolder } from '../../support/temporary-folder';

describe('the lock of a file', () => {
  const folder = temporaryFolder();
  const path = () => join(folder(), 'policy.yaml');

  test('is held by one at a time, in the order of the calls', async () => {
    const log: string[] = [];
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    await Promise.all(
      names.map((name) =>
        withFileLock(path(), async () => {
          log.push(`${name} begins`);
          await setImmediate();
          log.push(`${name} ends`);
        }),
      ),
    );
    expect(log).toEqual(names.flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  test('goes on to the next when the work fails', async () => {
    const failed = withFileLock(path(), () => Promise.reject(new Error('disk full')));
    const next = withFileLock(path(), () => Promise.resolve('done'));
    await expect(failed).rejects.toThrow('disk full');
    await expect(next).resolves.toBe('done');
  });
});
