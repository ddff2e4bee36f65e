/** The machines that a deployment can have: what they are, what they cost, and what to expect of them. */
import { HOURS_PER_MONTH } from './prices';

export type Architecture = 'x64' | 'arm64';

/** Tokens a second of Gemma-2B in Q4_K_M, one request at a time: Spare Cores' published inspections, early 2025. */
export interface PublishedSpeed {
  /** Reading the prompt. */
  readonly prefill: number;
  /** Writing the answer. */
  readonly decode: number;
}

export interface InstanceType {
  readonly name: string;
  readonly architecture: Architecture;
  readonly vcpus: number;
  /**
   * What one vCPU is. A `core` is a whole core; a `hyperthread` shares its core with another, and two of them decode
   * little faster than one. (c7a, m7a and everything on Graviton have whole cores; Intel's and t3's are hyperthreads.)
   */
  readonly vcpuKind: 'core' | 'hyperthread';
  readonly memoryMiB: number;
  /** On demand, Linux, in `PRICE_REGION`, US dollars an hour, as listed in `PRICES_AS_OF`. Other regions differ. */
  readonly usdPerHour: number;
  /**
   * The trap. A burstable type earns CPU credits at 20 % of each vCPU, and inference keeps the CPU busy: once they are
   * spent it crawls at that fifth. With unlimited credits, AWS's default that the stack turns off, each vCPU-hour above
   * the fifth would cost 0.05 USD: a busy t3.medium about 0.12 USD an hour, more than a c7g.large.
   */
  readonly burstable: boolean;
  /** @default nobody published it */
  readonly speed?: PublishedSpeed;
}

/** A machine with a GPU, for later: the bundle's engine is built for CPUs, so the `instanceType` prop refuses it. */
export interface GpuInstanceType extends InstanceType {
  readonly gpu: { readonly name: string; readonly memoryMiB: number };
}

const GIB = 1024;

/** c8g's was measured before llama.cpp packed weights for ARM, and is higher today; c7i's on one thread, so not here. */
const PUBLISHED: Readonly<Record<string, PublishedSpeed>> = {
  'c8a.large': { prefill: 52.6, decode: 23 },
  'c7a.large': { prefill: 35.3, decode: 17 },
  'c8g.large': { prefill: 12.7, decode: 8.3 },
  't3.medium': { prefill: 7.8, decode: 4.4 },
};

/** Size of the model that `PUBLISHED` is about, in bytes: decoding reads all of it for each token. */
const PUBLISHED_MODEL_BYTES = 1.5e9;

function type(
  name: string,
  architecture: Architecture,
  vcpuKind: InstanceType['vcpuKind'],
  [vcpus, memoryGiB]: readonly [number, number],
  usdPerHour: number,
): InstanceType {
  return {
    name,
    architecture,
    vcpus,
    vcpuKind,
    memoryMiB: memoryGiB * GIB,
    usdPerHour,
    burstable: name.startsWith('t'),
    speed: PUBLISHED[name],
  };
}

/** Every instance type that the `instanceType` prop accepts, the cheapest first. */
export const INSTANCE_TYPES: readonly InstanceType[] = [
  type('t4g.medium', 'arm64', 'core', [2, 4], 0.0336),
  type('t3.medium', 'x64', 'hyperthread', [2, 4], 0.0416),
  type('c7g.large', 'arm64', 'core', [2, 4], 0.0725),
  type('c8g.large', 'arm64', 'core', [2, 4], 0.07976),
  type('m7g.large', 'arm64', 'core', [2, 8], 0.0816),
  type('c7i.large', 'x64', 'hyperthread', [2, 4], 0.08925),
  type('m8g.large', 'arm64', 'core', [2, 8], 0.08976),
  type('m7i.large', 'x64', 'hyperthread', [2, 8], 0.1008),
  type('c7a.large', 'x64', 'core', [2, 4], 0.10264),
  type('c8a.large', 'x64', 'core', [2, 4], 0.10777),
  type('m7a.large', 'x64', 'core', [2, 8], 0.11592),
  type('m8a.large', 'x64', 'core', [2, 8], 0.12172),
  type('c7g.xlarge', 'arm64', 'core', [4, 8], 0.145),
  type('c8g.xlarge', 'arm64', 'core', [4, 8], 0.15952),
  type('m7g.xlarge', 'arm64', 'core', [4, 16], 0.1632),
  type('c7i.xlarge', 'x64', 'hyperthread', [4, 8], 0.1785),
  type('m8g.xlarge', 'arm64', 'core', [4, 16], 0.17952),
  type('m7i.xlarge', 'x64', 'hyperthread', [4, 16], 0.2016),
  type('c7a.xlarge', 'x64', 'core', [4, 8], 0.20528),
  type('c8a.xlarge', 'x64', 'core', [4, 8], 0.21554),
  type('m7a.xlarge', 'x64', 'core', [4, 16], 0.23184),
  type('m8a.xlarge', 'x64', 'core', [4, 16], 0.24344),
];

export const GPU_INSTANCE_TYPES: readonly GpuInstanceType[] = [
  {
    ...type('g4dn.xlarge', 'x64', 'hyperthread', [4, 16], 0.526),
    gpu: { name: 'NVIDIA T4', memoryMiB: 16 * GIB },
  },
  {
    ...type('g6.xlarge', 'x64', 'hyperthread', [4, 16], 0.8048),
    gpu: { name: 'NVIDIA L4', memoryMiB: 24 * GIB },
  },
  {
    ...type('g5.xlarge', 'x64', 'hyperthread', [4, 16], 1.006),
    gpu: { name: 'NVIDIA A10G', memoryMiB: 24 * GIB },
  },
];

export function findInstanceType(name: string): InstanceType | undefined {
  return INSTANCE_TYPES.find((candidate) => candidate.name === name);
}

export function monthlyUsd({ usdPerHour }: InstanceType): number {
  return usdPerHour * HOURS_PER_MONTH;
}

/** What the service was measured to decode at with a model of 98 MB on two Zen 4 cores: docs/performance.md. */
const MOST_TOKENS_PER_SECOND = 90;

/**
 * Tokens a second that one request can expect of a model of this size: decoding is bound by memory bandwidth, so it
 * goes with the inverse of the size, until what each token costs beside the weights bounds it. Undefined where nobody
 * published the machine's.
 */
export function expectedDecode({ speed }: InstanceType, modelBytes: number): number | undefined {
  return speed === undefined
    ? undefined
    : Math.min((speed.decode * PUBLISHED_MODEL_BYTES) / modelBytes, MOST_TOKENS_PER_SECOND);
}
