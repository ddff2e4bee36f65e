/** What is known of the memory beside the figures that the system gives. */
export interface MemoryPlan {
  /** Free now, but not for this model: what is loaded after it will need, or what must stay free. In bytes. */
  readonly reservedBytes: number;
  /** Taken now, but free soon: the model that this one replaces. It counts for the prompt cache, not for the load. */
  readonly returningBytes: number;
  /**
   * Free now, but models that run will take it as their conversations grow. It counts for the prompt cache, not for the
   * load: a model that comes back after a crash brings settings for which there was room. @default 0
   */
  readonly promisedBytes?: number;
  /** Taken now, but free before conversations fill a context: it counts for the load, too. @default 0 */
  readonly soonBytes?: number;
}

export const ALL_FREE: MemoryPlan = { reservedBytes: 0, returningBytes: 0 };
