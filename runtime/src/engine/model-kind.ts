import type { GgufFileInfo } from 'node-llama-cpp';
import { UnusableModel } from './unusable-model.js';

/** Models make text or vectors: one that was trained for vectors writes nothing of use. */
export type ModelKind = 'text' | 'embeddings';

/** llama.cpp's numbers for how the vectors of an input's tokens become one. */
const NO_POOLING = 0;
/** The model says how well two texts fit together. */
const RANKING = 4;

/** Architectures that read a text as a whole and cannot continue it. */
const ENCODERS = /bert$|-bert-|^gemma-embedding$|^llama-embed$|^t5encoder$/;

/** What a GGUF file is for, by its header. @throws UnusableModel for one that is for neither */
export function modelKind(path: string, { metadata, architectureMetadata }: GgufFileInfo): ModelKind {
  const { architecture } = metadata.general;
  const pooling: number = architectureMetadata.pooling_type ?? NO_POOLING;
  if (pooling > NO_POOLING && pooling !== RANKING) return 'embeddings';
  if (!ENCODERS.test(architecture)) return 'text';
  const what = pooling === RANKING ? 'ranks texts' : `names no pooling type (${architecture}.pooling_type)`;
  throw new UnusableModel(
    `model_path: ${path} neither answers nor makes embeddings: its architecture is ${architecture} and it ${what}; take another model`,
    { path },
  );
}
