/** Where the deployment in the box differs from an unchanged stacks/main.ts: as little as possible, each with why. */
import type { BotProps } from '../../../stacks/props';
import type { Addresses } from '../box/addresses';

const VARIABLE = 'BOTSTACK_E2E_SWITCHES';

/** The switches for one deployment in this run's network. */
export function switchesFor(addresses: Addresses, name: string): BotProps {
  return {
    // Names the files on the deploying machine, too: two runs at once, or a run beside a real deployment of this
    // checkout, must not share them.
    name: `${name}-${addresses.namespace}`,
    // The curl of the guide names no limit, and a small model may ramble on: an answer of this length is enough.
    maxTokens: 128,
    // By default `my-address`, which Amazon is asked for. Here "the internet" is the host's end of the cable, and
    // the box lets in what the deployed security group lets in.
    allowedCidrs: [`${addresses.uplinkHost}/32`],
  };
}

export function switchesToEnvironment(switches: BotProps): NodeJS.ProcessEnv {
  return { [VARIABLE]: JSON.stringify(switches) };
}

export function switchesFromEnvironment(): BotProps {
  return JSON.parse(process.env[VARIABLE] ?? '{}') as BotProps;
}
