import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import type { Flexible } from './concessions.js';

export type KvCacheType = 'f16' | 'q8_0';

export interface LocalEngineOptions {
  /** The GGUF file. */
  readonly modelPath: string;
  /** The name clients use. @default the file's name without `.gguf` */
  readonly modelId?: string;
  /** Tokens of prompt and answer together, for each sequence. @default 4096, less where that does not fit the memory */
  readonly contextSize?: number;
  /**
   * How many requests are evaluated at once; each has `contextSize` tokens of its own memory. Eight that decode together
   * on two cores get 1.2 to 1.5 times the tokens of four: the weights are read once for all.
   * @default 8, fewer where they do not fit
   */
  readonly sequences?: number;
  /** Threads that evaluate. More than there are whole cores is slower, not faster. @default the cores there are */
  readonly threads?: number;
  /** Most tokens in one evaluation. 128 reads prompts as fast as 256 on two cores; more only costs memory. @default 128 */
  readonly batchSize?: number;
  /** Reads prompts about a fifth faster. @default true */
  readonly flashAttention?: boolean;
  /** Weights in Q4_1 in a form that is evaluated faster, where there is one. @default true */
  readonly repack?: boolean;
  /** Matrices are multiplied by the kernels of runtime/kernels, where there are some for the processor. @default true */
  readonly fastKernels?: boolean;
  /** Guesses how answers go on from what stands in prompt and answer, and evaluates the guesses along. @default true */
  readonly promptLookup?: boolean;
  /** `q8_0` halves the context's memory and costs a third of the speed of reading prompts. @default 'f16' where it fits */
  readonly kvCacheType?: KvCacheType;
  /**
   * Memory, in MiB, for conversations that lost their sequence to another, so that their next turn reads only what is
   * new. 0: none. @default a quarter of the memory that is free when the model is loaded, at most 192
   */
  readonly promptCacheMiB?: number;
  /** What of the free memory that default takes. Less where several models share it. @default 0.25 */
  readonly promptCacheShare?: number;
  /** Seconds from the engine's start until it has to answer; then it is killed. @default 170, more from 10 GB on */
  readonly loadTimeoutSeconds?: number;
  /**
   * Bytes that are free and that models beside this one will still take. Asked each time that a process has ended and
   * another one takes its place. @default there are no others
   */
  readonly promisedBytes?: () => Promise<number>;
  readonly log: (level: 'INF' | 'WRN' | 'ERR', text: string) => void;
}

/** What the child needs to load the model: every default filled in, nothing that cannot cross a process border. */
export interface ModelSettings {
  readonly modelPath: string;
  readonly contextSize: number;
  readonly sequences: number;
  readonly threads: number;
  readonly batchSize: number;
  readonly flashAttention: boolean;
  readonly repack: boolean;
  readonly fastKernels: boolean;
  readonly promptLookup: boolean;
  readonly kvCacheType: KvCacheType;
  /** `undefined`: from the memory that is free. */
  readonly promptCacheMiB: number | undefined;
  readonly promptCacheShare: number;
  /** What nobody has set: it is lowered where the model does not fit the memory with it. */
  readonly flexible: readonly Flexible[];
}

export const DEFAULT_CONTEXT_SIZE = 4096;
export const DEFAULT_SEQUENCES = 8;
const FLEXIBLE: readonly Flexible[] = ['kvCacheType', 'sequences', 'contextSize'];

export function resolveModelSettings(options: Omit<LocalEngineOptions, 'log'>): ModelSettings {
  return {
    modelPath: options.modelPath,
    contextSize: options.contextSize ?? DEFAULT_CONTEXT_SIZE,
    sequences: options.sequences ?? DEFAULT_SEQUENCES,
    threads: options.threads ?? availableParallelism(),
    batchSize: options.batchSize ?? 128,
    flashAttention: options.flashAttention ?? true,
    repack: options.repack ?? true,
    fastKernels: options.fastKernels ?? true,
    promptLookup: options.promptLookup ?? true,
    kvCacheType: options.kvCacheType ?? 'f16',
    promptCacheMiB: options.promptCacheMiB,
    // The rest is for answers, the page cache and other programs.
    promptCacheShare: options.promptCacheShare ?? 0.25,
    flexible: FLEXIBLE.filter((name) => options[name] === undefined),
  };
}

export function resolveModelId(options: Pick<LocalEngineOptions, 'modelId' | 'modelPath'>): string {
  return options.modelId ?? basename(options.modelPath).replace(/\.gguf$/i, '');
}
