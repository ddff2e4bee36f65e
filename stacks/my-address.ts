import { isIPv4 } from 'node:net';

import { ProblemsError } from './problems';
import { MY_ADDRESS } from './props';

/** Amazon's own service: answers with the address that a request came from. */
const SERVICE = 'https://checkip.amazonaws.com';
const PATIENCE_MS = 10_000;

/**
 * Puts the deploying machine's public address in place of `my-address`.
 *
 * @throws ProblemsError when it cannot be found out.
 */
export async function withMyAddress(
  cidrs: readonly string[],
  ask: () => Promise<string> = askService,
): Promise<readonly string[]> {
  if (!cidrs.includes(MY_ADDRESS)) {
    return cidrs;
  }
  const mine = `${await ask()}/32`;
  return [...new Set(cidrs.map((cidr) => (cidr === MY_ADDRESS ? mine : cidr)))];
}

async function askService(): Promise<string> {
  const answer = await fetch(SERVICE, { signal: AbortSignal.timeout(PATIENCE_MS) }).then(
    async (response) => (await response.text()).trim(),
    (error: unknown) => reason(error),
  );
  if (isIPv4(answer)) {
    return answer;
  }
  throw new ProblemsError([
    `allowedCidrs holds '${MY_ADDRESS}', but ${SERVICE} did not tell this machine's public IPv4 address (${answer}). ` +
      `Check the network, or write the range of your users instead: allowedCidrs: ['203.0.113.7/32']`,
  ]);
}

/** fetch hides the cause (ENOTFOUND, ECONNREFUSED) in its error's cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
