/**
 * Whether a model fits a machine.
 *
 * The sums are made at synth, before anything is billed: a model that would be killed by the machine's memory limit
 * is refused, and the refusal names what would work instead.
 */
import { INSTANCE_TYPES, type InstanceType } from './catalogue';

const GIB = 1024;

/**
 * Memory, in MiB, that the service may not count on: what firmware and kernel keep (a 4 GiB instance shows about
 * 3,830 MiB) and what the rest of the system uses (systemd, nginx, the SSM agent, a package upgrade in the background).
 */
const SYSTEM_RESERVE_MIB = 640;

/**
 * Memory, in MiB, of the service beside model and context: the HTTP process, the engine process's own heap, and room
 * for requests. Counted in the service's limit, because systemd's MemoryMax covers all of its processes.
 */
const SERVICE_OVERHEAD_MIB = 256;

/** The systemd unit's MemoryMax: when the service outgrows it, the service is restarted, and the machine stays alive. */
export function memoryMaxMiB(instance: InstanceType): number {
  return instance.memoryMiB - SYSTEM_RESERVE_MIB;
}

/** What `bot model inspect --json` tells of a GGUF file; sizes in bytes. */
export interface ModelFacts {
  /** Model and context together, as the engine will hold them in memory. */
  readonly totalBytes: number;
  /** Longest context, in tokens, that the model was trained for; some files do not say. */
  readonly trainContextSize?: number;
}

export interface Fit {
  readonly instance: InstanceType;
  readonly contextSize: number;
  readonly sequences: number;
  readonly diskGiB: number;
  readonly modelFileBytes: number;
  readonly facts: ModelFacts;
  /** The facts again for another context and number of sequences; asked only when the model does not fit. */
  readonly inspect: (contextSize: number, sequences: number) => ModelFacts;
}

const MIB = 1024 * 1024;

/**
 * What the service takes where nobody has set `sequences`: the first if it fits, else the second, of which a refusal
 * speaks then. The service would go on to give up precision and still more sequences (runtime/src/engine/concessions.ts):
 * a deployment is not planned for that.
 */
const [MOST_SEQUENCES, FEWER_SEQUENCES] = [8, 4];

export interface ForeseenSequences extends Pick<Fit, 'sequences' | 'facts'> {
  /** For people, where it is the service that chooses. */
  readonly note?: string;
}

/**
 * Memory, in MiB, of SERVICE_OVERHEAD_MIB that may still be free when the service chooses: its two processes have taken
 * 100 MiB by then, and it leaves 64 for requests. What is foreseen by less than this may come out better, never worse.
 */
const UNTAKEN_AT_START_MIB = 96;

/** How many conversations will be answered at once: the prop, else what the service will choose at its start. */
export function foreseeSequences(
  instance: InstanceType,
  given: number | undefined,
  inspect: (sequences: number) => ModelFacts,
): ForeseenSequences {
  if (given !== undefined) return { sequences: given, facts: inspect(given) };
  const facts = inspect(MOST_SEQUENCES);
  const needed = neededMiB(facts);
  const available = memoryMaxMiB(instance);
  if (needed <= available) {
    const note = `sequences: ${MOST_SEQUENCES}, as the service chooses itself where ${instance.name} has the memory`;
    return { sequences: MOST_SEQUENCES, facts, note };
  }
  const isClose = needed <= available + UNTAKEN_AT_START_MIB;
  const note =
    `sequences: ${FEWER_SEQUENCES}${isClose ? ` or ${MOST_SEQUENCES}` : ''}, as the service chooses itself: with ${MOST_SEQUENCES} the model needs ${needed} MiB, ` +
    `and ${available} of the ${instance.memoryMiB} MiB of ${instance.name} are free for it`;
  return { sequences: FEWER_SEQUENCES, facts: inspect(FEWER_SEQUENCES), note };
}

function neededMiB(facts: ModelFacts): number {
  return Math.ceil(facts.totalBytes / MIB) + SERVICE_OVERHEAD_MIB;
}

/** Why this model cannot run on this machine; empty when it can. Each entry is one line that names a prop. */
export function problemsOfFit(fit: Fit): string[] {
  return [...contextProblems(fit), ...diskProblems(fit), ...memoryProblems(fit)];
}

function contextProblems({ contextSize, facts }: Fit): string[] {
  const { trainContextSize = Infinity } = facts;
  if (contextSize <= trainContextSize) {
    return [];
  }
  return [
    `contextSize should be at most ${trainContextSize}, the context this model was trained for, got ${contextSize}`,
  ];
}

/** The disk holds the system (about 3 GiB), the model, two releases of the runtime, and logs. */
const DISK_RESERVE_GIB = 6;

function diskProblems({ diskGiB, modelFileBytes }: Fit): string[] {
  const needed = Math.ceil(modelFileBytes / (MIB * GIB)) + DISK_RESERVE_GIB;
  if (diskGiB >= needed) {
    return [];
  }
  return [`diskGiB should be at least ${needed} for this model and the system, got ${diskGiB}`];
}

function memoryProblems({ instance, contextSize, sequences, facts, inspect }: Fit): string[] {
  const needed = neededMiB(facts);
  const available = memoryMaxMiB(instance);
  if (needed <= available) {
    return [];
  }
  const remedies = [
    remedyByInstance(needed, instance),
    remedyByContext(available, contextSize, sequences, inspect),
    remedyBySequences(available, contextSize, sequences, inspect),
  ].filter((remedy) => remedy !== undefined);
  return [
    `instanceType ${instance.name} is too small: the model with contextSize ${contextSize} and sequences ${sequences} ` +
      `needs ${needed} MiB, and ${available} of its ${instance.memoryMiB} MiB are free for it. ` +
      `What would do: ${remedies.length > 0 ? remedies.join('; or ') : 'a smaller model or a stronger quantisation'}`,
  ];
}

function remedyByInstance(needed: number, instance: InstanceType): string | undefined {
  const larger = INSTANCE_TYPES.filter(
    (candidate) => !candidate.burstable && memoryMaxMiB(candidate) >= needed,
  );
  const sameFirst = [
    ...larger.filter((candidate) => candidate.architecture === instance.architecture),
    ...larger.filter((candidate) => candidate.architecture !== instance.architecture),
  ];
  const names = sameFirst.slice(0, 4).map((candidate) => candidate.name);
  return names.length > 0 ? `instanceType ${names.join(', ')}` : undefined;
}

const SMALLEST_USEFUL_CONTEXT = 1024;

function remedyByContext(
  available: number,
  contextSize: number,
  sequences: number,
  inspect: Fit['inspect'],
): string | undefined {
  for (let smaller = halved(contextSize); smaller >= SMALLEST_USEFUL_CONTEXT; smaller = halved(smaller)) {
    if (neededMiB(inspect(smaller, sequences)) <= available) {
      return `contextSize ${smaller}`;
    }
  }
  return undefined;
}

function remedyBySequences(
  available: number,
  contextSize: number,
  sequences: number,
  inspect: Fit['inspect'],
): string | undefined {
  for (let fewer = halved(sequences); fewer >= 1; fewer = halved(fewer)) {
    if (neededMiB(inspect(contextSize, fewer)) <= available) {
      return `sequences ${fewer}`;
    }
  }
  return undefined;
}

function halved(value: number): number {
  return Math.floor(value / 2);
}
