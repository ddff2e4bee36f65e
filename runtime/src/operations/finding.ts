/** What one of `bot doctor`'s checks looks at, and what it says. */
import type { Installation } from './installation.js';

/** `skip`: it does not apply here, or this user may not see it. */
export type Verdict = 'ok' | 'warn' | 'fail' | 'skip';

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  readonly text: string;
  /** What to do about a warning or a failure. */
  readonly remedy?: string;
}

export type Examined = Pick<Installation, 'layout' | 'configFile'>;
