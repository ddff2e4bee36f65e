/** What is known of the memory beside the figures that the system gives. */
export interface MemoryPlan {
  /** Free now, but not for this model: what is loaded after it will need, or what must stay free. In bytes. */
  readonly reservedBytes: number;
  /** Taken now, but free soon: the model that this one replaces. It counts for the prompt cache, not for the load. */
  readonly returningBytes: number;
}

export const ALL_FREE: MemoryPlan = { reservedBytes: 0, returningBytes: 0 };
