/** Whose policy counts after a restore: not the copy's outside the machine, but the file's that somebody put there. */
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';

import { carryCommon, forgetCommon } from '../policy/last-common.js';
import { POLICY_FILE } from '../policy/store.js';
import { isThere } from './backup.js';

/** `place`: the state from a backup; `aside`: the state that was there before. A backup without a policy removes none. */
export async function restoredPolicyCounts(place: string, aside: string): Promise<void> {
  await carryCommon(aside, place);
  if (!(await makeNew(place))) await forgetCommon(place);
}

/** Before the state in `aside` comes back to `place`, where a service may have run with what was restored. */
export async function formerPolicyCounts(place: string, aside: string): Promise<void> {
  await carryCommon(place, aside);
  await makeNew(aside);
}

/** For a copy that has changed, too: of two changes the newer counts. */
async function makeNew(state: string): Promise<boolean> {
  const file = join(state, POLICY_FILE);
  if (!(await isThere(file))) return false;
  await utimes(file, new Date(), new Date());
  return true;
}
