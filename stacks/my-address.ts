import { isIPv4 } from 'node:net';

import { ProblemsError } from './problems';
import { MY_ADDRESS } from './props';

/** Amazon's own service: answers with the address that a request came from. */
const SERVICE = 'https://checkip.amazonaws.com';
const PATIENCE_MS = 10_000;
/** A proxy may answer with a whole page instead; its beginning says enough. */
const SHOWN_CHARACTERS = 80;

/**
 * Puts the deploying machine's public address in place of `my-address`.
 *
 * @throws ProblemsError when it cannot be found out.
 */
export async function withMyAddress(
  cidrs: readonly string[],
  ask: () => Promise<string>,
): Promise<readonly string[]> {
  if (!cidrs.includes(MY_ADDRESS)) {
    return cidrs;
  }
  const mine = `${await ask()}/32`;
  return [...new Set(cidrs.map((cidr) => (cidr === MY_ADDRESS ? mine : cidr)))];
}

/** @throws ProblemsError when the service does not answer with an address. */
export async function askService(url: string = SERVICE): Promise<string> {
  const { address, cause } = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) })
    .then(addressIn)
    .catch((error: unknown) => ({ address: undefined, cause: reason(error) }));
  if (address !== undefined) {
    return address;
  }
  throw new ProblemsError([
    `allowedCidrs holds '${MY_ADDRESS}', but ${url} did not tell this machine's public IPv4 address (${cause}). ` +
      `Check the network, or write the range of your users instead: allowedCidrs: ['203.0.113.7/32']`,
  ]);
}

async function addressIn(response: Response): Promise<{ address?: string; cause?: string }> {
  const text = (await response.text()).trim();
  if (response.ok && isIPv4(text)) {
    return { address: text };
  }
  const beginning = text.replace(/\s+/g, ' ').slice(0, SHOWN_CHARACTERS);
  return { cause: `status ${response.status}, '${beginning}'` };
}

/** fetch hides the cause (ENOTFOUND, ECONNREFUSED) in its error's cause. */
function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
