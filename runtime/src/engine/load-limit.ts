import { statSync } from 'node:fs';

/**
 * Enough for what fits a 4 GB machine. With the answers that end first in a reload it is below the unit's TimeoutStartSec
 * of 220: systemd's end of a start gives no reason.
 */
const LEAST_SECONDS = 170;
/** A slow disk's: half of what EC2's smallest volumes promise. */
const BYTES_PER_SECOND = 60e6;

/** How long an engine may take to load this file before it counts as hung. */
export function loadLimitSeconds(modelPath: string): number {
  const bytes = statSync(modelPath, { throwIfNoEntry: false })?.size ?? 0;
  return Math.max(LEAST_SECONDS, Math.ceil(bytes / BYTES_PER_SECOND));
}
