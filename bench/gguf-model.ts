/**
 * Writes a model with the shape of Llama-3.2-1B and random weights: what a measurement needs of a model is its
 * sizes and its quantisation, so nothing has to be downloaded and everyone measures the same bytes.
 *
 * The tokenizer (with its chat template) is copied, byte for byte, from another GGUF file.
 */
import { kv, type TensorShape } from '../runtime/src/models/gguf-header.js';
import {
  byteSize,
  CONTROL_TOKEN,
  F32,
  filled,
  Noise,
  Q4_0,
  readTokenizer,
  weights,
  writeGguf,
} from './gguf-writer.js';

/** Llama-3.2-1B, except for the vocabulary, which is that of the tokenizer that is copied. */
const SHAPE = {
  layers: 16,
  width: 2048,
  feedForward: 8192,
  heads: 32,
  kvHeads: 8,
  headWidth: 64,
  ropeBase: 500_000,
};

/** A Q4_0 block: a half-precision scale and 32 weights of 4 bits. */
const BLOCK_WEIGHTS = 32;
const BLOCK_BYTES = 18;

/** 2^-8 as a half: weights get a standard deviation of 0.018, near 1/sqrt(width), so that activations stay in range. */
const SCALE_HALF = 0x1c00;

interface Tensor extends TensorShape {
  readonly type: typeof F32 | typeof Q4_0;
}

/** Writes the model to `path`. The same tokenizer gives the same bytes on every machine. About 600 MB. */
export function writeRandomModel(path: string, tokenizerFrom: string): void {
  const tokenizer = readTokenizer(tokenizerFrom);
  const vocabulary = tokenizer.tokenTypes.length;

  const entries = [
    kv.string('general.architecture', 'llama'),
    kv.string('general.name', 'Random weights in the shape of Llama-3.2-1B'),
    kv.uint32('general.file_type', 2), // mostly Q4_0
    kv.uint32('general.quantization_version', 2),
    kv.uint32('llama.block_count', SHAPE.layers),
    kv.uint32('llama.context_length', 131_072),
    kv.uint32('llama.embedding_length', SHAPE.width),
    kv.uint32('llama.feed_forward_length', SHAPE.feedForward),
    kv.uint32('llama.attention.head_count', SHAPE.heads),
    kv.uint32('llama.attention.head_count_kv', SHAPE.kvHeads),
    kv.float32('llama.attention.layer_norm_rms_epsilon', 1e-5),
    kv.float32('llama.rope.freq_base', SHAPE.ropeBase),
    kv.uint32('llama.rope.dimension_count', SHAPE.headWidth),
    kv.uint32('llama.vocab_size', vocabulary),
    ...tokenizer.entries.map((entry) => entry.bytes),
  ];
  const noise = new Noise();
  writeGguf(path, entries, tensorsOf(vocabulary), (tensor) => {
    const data = tensor.type === F32 ? filled(weights(tensor), 1) : q4(noise.bytes(byteSize(tensor)));
    if (tensor.name === 'token_embd.weight') silenceControlTokens(data, tokenizer.tokenTypes);
    return data;
  });
}

/** The 146 tensors, the embedding also serving as the output layer, as in Llama-3.2-1B. */
function tensorsOf(vocabulary: number): Tensor[] {
  const { width, feedForward, kvHeads, headWidth } = SHAPE;
  const matrix = (name: string, input: number, output: number): Tensor => ({
    name: `${name}.weight`,
    dimensions: [input, output],
    type: Q4_0,
  });
  const norm = (name: string): Tensor => ({ name: `${name}.weight`, dimensions: [width], type: F32 });
  const layers = Array.from({ length: SHAPE.layers }, (_, layer) => [
    norm(`blk.${layer}.attn_norm`),
    matrix(`blk.${layer}.attn_q`, width, width),
    matrix(`blk.${layer}.attn_k`, width, kvHeads * headWidth),
    matrix(`blk.${layer}.attn_v`, width, kvHeads * headWidth),
    matrix(`blk.${layer}.attn_output`, width, width),
    norm(`blk.${layer}.ffn_norm`),
    matrix(`blk.${layer}.ffn_gate`, width, feedForward),
    matrix(`blk.${layer}.ffn_up`, width, feedForward),
    matrix(`blk.${layer}.ffn_down`, feedForward, width),
  ]);
  return [matrix('token_embd', width, vocabulary), ...layers.flat(), norm('output_norm')];
}

/** Makes Q4_0 blocks with one scale of random bytes. */
function q4(data: Buffer): Buffer {
  for (let at = 0; at < data.length; at += BLOCK_BYTES) data.writeUInt16LE(SCALE_HALF, at);
  return data;
}

/**
 * Sets the embedding of control tokens to zero. Their logit is then 0 where the likely tokens have 3 or 4, so the
 * model does not end its answers early, on either server and without asking for it.
 */
function silenceControlTokens(embedding: Buffer, tokenTypes: readonly number[]): void {
  const rowBytes = (SHAPE.width / BLOCK_WEIGHTS) * BLOCK_BYTES;
  tokenTypes.forEach((type, token) => {
    if (type !== CONTROL_TOKEN) return;
    // A scale of zero makes the whole block zero.
    for (let block = 0; block < rowBytes; block += BLOCK_BYTES)
      embedding.writeUInt16LE(0, token * rowBytes + block);
  });
}
