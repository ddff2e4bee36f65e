/**
 * Models of architectures that keep less than all that they have read, or whose files say so: random weights, two layers, the test model's
 * tokenizer. What they say means nothing; it depends on all that they have read, and that is what it is for.
 */
import { kv, type TensorShape } from '../../runtime/src/models/gguf-header';
import {
  F32,
  filled,
  findEntry,
  Noise,
  readTokenizer,
  weights,
  writeGguf,
  type Tokenizer,
} from '../../bench/gguf-writer';
import type { RawEntry } from '../../bench/gguf-format';
import { testModel } from './test-model';

/** Tokens that the first layer of `gemma3` looks back at, and `phi3` by its file. */
export const WINDOW = 64;

export type TinyArchitecture = 'gemma3' | 'mamba' | 'lfm2' | 'phi3';

const WIDTH = 64;
const HEAD_WIDTH = 32;
const HEADS = WIDTH / HEAD_WIDTH;
const FEED_FORWARD = 128;
/** Mamba's inner width, its state for each of those, and the rank of its time steps. */
const INNER = 2 * WIDTH;
const STATE = 16;
const RANK = 4;
/** Tokens that a convolution sees. */
const KERNEL = 4;

/** Words that an answer is made of: fewer stand further apart, and each is the same token when it is read again. */
const WORDS = 256;

/**
 * Of the tokenizer's 49,152 tokens, which take most of the time of a start: each is read, in JavaScript and by llama.cpp,
 * with the merges that make them. The first ones are the special ones, the bytes and what is merged first, in this order.
 */
const VOCABULARY = 2048;

/** From so many random bytes comes a weight. */
const BYTES_OF_RANDOM = 2;

interface Tensor extends TensorShape {
  /** What its random weights deviate by, or what they all are. */
  readonly spread?: number;
  readonly value?: number;
}

interface Layout {
  readonly entries: readonly Buffer[];
  readonly tensors: readonly Tensor[];
}

/** @param feedForward of each layer, its inner width: with more of it an evaluation takes longer, and a start hardly */
export function writeTinyModel(
  path: string,
  architecture: TinyArchitecture,
  feedForward = FEED_FORWARD,
): void {
  const whole = readTokenizer(testModel().path);
  const tokenizer = beginningOf(whole, VOCABULARY);
  const { entries, tensors } = LAYOUTS[architecture](feedForward);
  const common = [
    kv.string('general.architecture', architecture),
    // No architecture's name: by some, llama.cpp changes what it takes from the tokenizer.
    kv.string('general.name', 'Random weights'),
    kv.uint32(`${architecture}.block_count`, 2),
    kv.uint32(`${architecture}.context_length`, 8192),
    kv.uint32(`${architecture}.embedding_length`, WIDTH),
    kv.uint32(`${architecture}.feed_forward_length`, feedForward),
    kv.float32(`${architecture}.attention.layer_norm_rms_epsilon`, 1e-5),
    kv.uint32(`${architecture}.vocab_size`, VOCABULARY),
  ];
  const all = [
    { ...matrix('token_embd', WIDTH, VOCABULARY), spread: 1 / Math.sqrt(WIDTH) },
    ...tensors,
    // Not the embedding: that says again what it has just read.
    { ...matrix('output', WIDTH, VOCABULARY), spread: 1 },
  ];
  const words = wordsOf(tokenizer);
  const noise = new Noise();
  writeGguf(
    path,
    [...common, ...entries, ...tokenizer.entries.map(({ bytes }) => bytes)],
    all,
    (tensor: Tensor) => {
      if (tensor.value !== undefined) return filled(weights(tensor), tensor.value);
      const data = random(noise, weights(tensor), tensor.spread ?? 1);
      // So that the tensors behind it are the same with fewer tokens: then the model answers the same.
      if (tensor.name === 'token_embd.weight')
        noise.bytes((whole.tokenTypes.length - VOCABULARY) * WIDTH * BYTES_OF_RANDOM);
      if (tensor.name === 'output.weight') silenceAllBut(words, data);
      return data;
    },
  );
}

const LAYOUTS: Record<TinyArchitecture, (feedForward: number) => Layout> = {
  /** The first layer looks at a window, the second one at all. */
  gemma3: (feedForward) => ({
    entries: [
      ...attentionEntries('gemma3'),
      kv.uint32('gemma3.attention.head_count_kv', 1),
      kv.uint32('gemma3.attention.sliding_window', WINDOW),
      kv.uint32('gemma3.attention.sliding_window_pattern', 2),
    ],
    tensors: [
      ...[0, 1].flatMap((layer) => [
        ...attention(`blk.${layer}`),
        ...gated(`blk.${layer}`, feedForward),
        norm(`blk.${layer}.post_attention_norm`),
        norm(`blk.${layer}.post_ffw_norm`),
      ]),
      norm('output_norm'),
    ],
  }),
  /** A state and nothing else. */
  mamba: () => ({
    entries: [
      kv.uint32('mamba.attention.head_count', 0),
      kv.uint32('mamba.ssm.conv_kernel', KERNEL),
      kv.uint32('mamba.ssm.inner_size', INNER),
      kv.uint32('mamba.ssm.state_size', STATE),
      kv.uint32('mamba.ssm.time_step_rank', RANK),
    ],
    tensors: [...[0, 1].flatMap((layer) => stateSpace(`blk.${layer}`)), norm('output_norm')],
  }),
  /** A state in the first layer, attention to all in the second. */
  lfm2: (feedForward) => ({
    entries: [
      ...attentionEntries('lfm2'),
      int32Array('lfm2.attention.head_count_kv', [0, 1]),
      kv.uint32('lfm2.shortconv.l_cache', KERNEL),
    ],
    tensors: [
      norm('blk.0.attn_norm'),
      { ...matrix('blk.0.shortconv.conv', KERNEL, WIDTH), spread: 1 },
      matrix('blk.0.shortconv.in_proj', WIDTH, 3 * WIDTH),
      matrix('blk.0.shortconv.out_proj', WIDTH, WIDTH),
      ...gated('blk.0', feedForward),
      ...attention('blk.1'),
      ...gated('blk.1', feedForward),
      norm('token_embd_norm'),
    ],
  }),
  /** llama.cpp has it look at all tokens. */
  phi3: (feedForward) => ({
    entries: [
      ...attentionEntries('phi3'),
      kv.uint32('phi3.attention.head_count_kv', 1),
      kv.uint32('phi3.attention.sliding_window', WINDOW),
      kv.uint32('phi3.rope.scaling.original_context_length', 8192),
    ],
    tensors: [
      ...[0, 1].flatMap((layer) => [
        norm(`blk.${layer}.attn_norm`),
        // Queries, keys and values.
        matrix(`blk.${layer}.attn_qkv`, WIDTH, (HEADS + 2) * HEAD_WIDTH),
        matrix(`blk.${layer}.attn_output`, HEADS * HEAD_WIDTH, WIDTH),
        norm(`blk.${layer}.ffn_norm`),
        matrix(`blk.${layer}.ffn_up`, WIDTH, 2 * feedForward),
        matrix(`blk.${layer}.ffn_down`, feedForward, WIDTH),
      ]),
      norm('output_norm'),
    ],
  }),
};

function attentionEntries(architecture: TinyArchitecture): Buffer[] {
  return [
    kv.uint32(`${architecture}.attention.head_count`, HEADS),
    kv.uint32(`${architecture}.attention.key_length`, HEAD_WIDTH),
    kv.uint32(`${architecture}.attention.value_length`, HEAD_WIDTH),
    kv.uint32(`${architecture}.rope.dimension_count`, HEAD_WIDTH),
    kv.float32(`${architecture}.rope.freq_base`, 10_000),
  ];
}

function attention(layer: string): Tensor[] {
  return [
    norm(`${layer}.attn_norm`),
    matrix(`${layer}.attn_q`, WIDTH, HEADS * HEAD_WIDTH),
    matrix(`${layer}.attn_k`, WIDTH, HEAD_WIDTH),
    matrix(`${layer}.attn_v`, WIDTH, HEAD_WIDTH),
    // Sharp: a look at everything alike would be the same whatever stands there.
    { ...norm(`${layer}.attn_q_norm`, HEAD_WIDTH), value: 2 },
    { ...norm(`${layer}.attn_k_norm`, HEAD_WIDTH), value: 2 },
    matrix(`${layer}.attn_output`, HEADS * HEAD_WIDTH, WIDTH),
  ];
}

function gated(layer: string, feedForward: number): Tensor[] {
  return [
    norm(`${layer}.ffn_norm`),
    matrix(`${layer}.ffn_gate`, WIDTH, feedForward),
    matrix(`${layer}.ffn_up`, WIDTH, feedForward),
    matrix(`${layer}.ffn_down`, feedForward, WIDTH),
  ];
}

function stateSpace(layer: string): Tensor[] {
  return [
    norm(`${layer}.attn_norm`),
    matrix(`${layer}.ssm_in`, WIDTH, 2 * INNER),
    matrix(`${layer}.ssm_conv1d`, KERNEL, INNER),
    { ...vector(`${layer}.ssm_conv1d.bias`, INNER), value: 0 },
    matrix(`${layer}.ssm_x`, INNER, RANK + 2 * STATE),
    matrix(`${layer}.ssm_dt`, RANK, INNER),
    // Small steps of a slow decay: some hundred tokens are remembered.
    { ...vector(`${layer}.ssm_dt.bias`, INNER), value: -3 },
    { name: `${layer}.ssm_a`, dimensions: [STATE, INNER], type: F32, value: -0.2 },
    { ...vector(`${layer}.ssm_d`, INNER), value: 0.1 },
    // What is remembered weighs as much as what was just read.
    { ...matrix(`${layer}.ssm_out`, INNER, WIDTH), spread: 1 },
  ];
}

const matrix = (name: string, input: number, output: number): Tensor => ({
  name: `${name}.weight`,
  dimensions: [input, output],
  type: F32,
  spread: 1 / Math.sqrt(input),
});

const vector = (name: string, length: number): Tensor => ({ name, dimensions: [length], type: F32 });

const norm = (name: string, length = WIDTH): Tensor => ({ ...vector(`${name}.weight`, length), value: 1 });

/** Evenly distributed around 0. */
function random(noise: Noise, count: number, spread: number): Buffer {
  const bytes = noise.bytes(count * BYTES_OF_RANDOM);
  const scale = (Math.sqrt(3) * spread) / 2 ** 15;
  const values = Float32Array.from({ length: count }, (_, at) => bytes.readInt16LE(at * 2) * scale);
  return Buffer.from(values.buffer);
}

/** The logit of all other tokens is 0, where the likeliest word has more. */
function silenceAllBut(words: ReadonlySet<number>, output: Buffer): void {
  const rowBytes = WIDTH * 4;
  for (let token = 0; token * rowBytes < output.length; token++) {
    if (!words.has(token)) output.fill(0, token * rowBytes, (token + 1) * rowBytes);
  }
}

/** The tokenizer with its first tokens alone: a merge makes the token of its number, behind those that are not made. */
function beginningOf({ entries, tokenTypes }: Tokenizer, count: number): Tokenizer {
  const merges = findEntry(entries, 'tokenizer.ggml.merges');
  const unmade = tokenTypes.length - strings(merges).length;
  const lengths: Record<string, number> = {
    'tokenizer.ggml.tokens': count,
    'tokenizer.ggml.token_type': count,
    [merges.key]: count - unmade,
  };
  return {
    entries: entries.map((entry) => {
      const length = lengths[entry.key];
      return length === undefined ? entry : { ...entry, bytes: shortened(entry, length) };
    }),
    tokenTypes: tokenTypes.slice(0, count),
  };
}

/** An array of strings or of numbers of 32 bits, with its first elements alone. */
function shortened({ key, bytes, values }: RawEntry, length: number): Buffer {
  const start = arrayStart(key);
  let end = start + 4 * length;
  if (values.length === 0) {
    end = start;
    for (let string = 0; string < length; string++) end += 8 + Number(bytes.readBigUInt64LE(end));
  }
  const short = Buffer.from(bytes.subarray(0, end));
  short.writeBigUInt64LE(BigInt(length), start - 8);
  return short;
}

function wordsOf({ entries }: Tokenizer): ReadonlySet<number> {
  const words = new Set<number>();
  for (const [token, text] of strings(findEntry(entries, 'tokenizer.ggml.tokens')).entries()) {
    // The tokenizer writes a space so.
    if (words.size < WORDS && /^\u0120[a-z]{4,}$/.test(text)) words.add(token);
  }
  return words;
}

/** Behind the key with its length, the type, the type of the elements and their number. */
const arrayStart = (key: string): number => 8 + Buffer.byteLength(key) + 4 + 4 + 8;

/** Of an array of strings. */
function strings({ key, bytes }: RawEntry): string[] {
  const found: string[] = [];
  for (let at = arrayStart(key); at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    found.push(bytes.toString('utf8', at + 8, at + 8 + length));
    at += 8 + length;
  }
  return found;
}

function int32Array(key: string, values: readonly number[]): Buffer {
  const [array, int32] = [9, 5];
  const start = kv.uint32(key, 0).subarray(0, -8);
  const numbers = Buffer.alloc(4 + 4 + 8 + 4 * values.length);
  numbers.writeUInt32LE(array, 0);
  numbers.writeUInt32LE(int32, 4);
  numbers.writeBigUInt64LE(BigInt(values.length), 8);
  values.forEach((value, at) => numbers.writeInt32LE(value, 16 + 4 * at));
  return Buffer.concat([start, numbers]);
}
