/** Slows down guessing: an address that presents too many wrong keys is locked out for a while. */
import { hash, randomBytes } from 'node:crypto';
import { isIPv6 } from 'node:net';

import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** Wrong keys that one address may present in WINDOW_SECONDS. */
const ALLOWED_FAILURES = 10;
const WINDOW_SECONDS = 60;
const LOCK_SECONDS = 300;

export class FailedLogins {
  readonly #limiter = new RateLimiterMemory({
    points: ALLOWED_FAILURES,
    duration: WINDOW_SECONDS,
    blockDuration: LOCK_SECONDS,
  });
  readonly #salt = randomBytes(16).toString('hex');
  /** performance.now() of the last wrong key from anywhere. */
  #lastFailureAt = -Infinity;

  /** Seconds until this address may try again; 0 when it may now. */
  async lockedFor(address: string): Promise<number> {
    // As good as always: nobody has failed, so nobody needs looking up.
    if (performance.now() - this.#lastFailureAt > (WINDOW_SECONDS + LOCK_SECONDS) * 1000) return 0;
    const state = await this.#limiter.get(this.#bucket(address));
    if (state === null || state.consumedPoints <= ALLOWED_FAILURES) return 0;
    return Math.max(1, Math.ceil(state.msBeforeNext / 1000));
  }

  async record(address: string): Promise<void> {
    this.#lastFailureAt = performance.now();
    try {
      await this.#limiter.consume(this.#bucket(address));
    } catch (error) {
      // Over the limit: the limiter has locked the bucket, which is what is wanted.
      if (!(error instanceof RateLimiterRes)) throw error;
    }
  }

  /**
   * One of 65,536 buckets: however many addresses take part, memory stays bounded. The salt keeps an attacker from
   * choosing an address that shares a bucket with somebody else's. An IPv6 customer owns a /64, so that counts as one.
   */
  #bucket(address: string): string {
    const network = isIPv6(address) && !address.startsWith('::ffff:') ? firstFourGroups(address) : address;
    // In one call: an HMAC's three took a tenth of what a request costs the service. Nobody gets to see the digest.
    return hash('sha256', this.#salt + network).slice(0, 4);
  }
}

/** The /64 of an IPv6 address: `2001:db8::1` -> `2001:db8:0:0`. */
function firstFourGroups(address: string): string {
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  if (tail !== undefined) {
    const after = tail.split(':').filter((group) => group !== '');
    while (groups.length + after.length < 8) groups.push('0');
    groups.push(...after);
  }
  return groups.slice(0, 4).join(':');
}
