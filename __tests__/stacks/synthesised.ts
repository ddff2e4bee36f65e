/** A stack synthesised in memory, from props, with a bundle and a model that need not exist. */
import { Testing } from 'cdktf';

import { BotStack } from '../../stacks/bot-stack';
import type { BotProps } from '../../stacks/props';
import { resolveProps } from '../../stacks/props/resolve';

export const BUNDLE = { path: '/deployer/bundle.tar.gz', sha256: 'b'.repeat(64), sizeBytes: 40_000_000 };
export const MODEL = {
  path: '/deployer/Some Model.Q4_0.gguf',
  sha256: 'd'.repeat(64),
  sizeBytes: 98_000_000,
};

export type Attributes = Record<string, unknown>;

export interface Synthesised {
  readonly json: string;
  readonly document: {
    readonly resource: Record<string, Record<string, Attributes>>;
    readonly data: Record<string, Record<string, Attributes>>;
    readonly ephemeral: Record<string, Record<string, Attributes>>;
    readonly output: Record<string, { readonly value: string }>;
    readonly provider: { readonly aws: readonly Attributes[] };
    readonly terraform: Attributes;
  };
  /** Every resource of a type. */
  all(type: string): Attributes[];
  /** The only resource of a type, or the only one of those that have these attributes. */
  one(type: string, having?: Attributes): Attributes;
}

export function buildStack(given: BotProps = {}): BotStack {
  const props = resolveProps({ allowedCidrs: ['203.0.113.0/24'], ...given });
  return new BotStack(Testing.app(), 'bot', {
    props,
    bundle: BUNDLE,
    model: MODEL,
    gate: { node: '/deployer/node', tsx: '/deployer/tsx', script: '/deployer/wait-ready.ts' },
    certificateFile: '/deployer/certificate.pem',
  });
}

export function synthesise(props: BotProps = {}): Synthesised {
  const json = Testing.synth(buildStack(props));
  const document = JSON.parse(json) as Synthesised['document'];
  const all = (type: string) => Object.values(document.resource[type] ?? {});
  const one = (type: string, having: Attributes = {}) => {
    const found = all(type).filter((each) =>
      Object.entries(having).every(([name, value]) => each[name] === value),
    );
    if (found.length !== 1 || found[0] === undefined) {
      throw new Error(`${found.length} resources of type ${type}`);
    }
    return found[0];
  };
  return { json, document, all, one };
}
