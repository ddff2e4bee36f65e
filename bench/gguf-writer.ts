/**
 * Writes GGUF files with random weights and the tokenizer of another file.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { createCipheriv } from 'node:crypto';
import { closeSync, openSync, readSync, renameSync, writeSync } from 'node:fs';

import { alignUp, ggufStart, tensorInfo, type TensorShape } from '../runtime/src/models/gguf-header.js';
import { tensorBytes } from '../runtime/src/models/gguf-tensors.js';
import { GgufReader, type RawEntry } from './gguf-format.js';

/** ggml's number for a tensor type. */
export const F32 = 0;
export const Q4_0 = 2;

/** ggml's token type for control tokens, the ones that end an answer among them. */
export const CONTROL_TOKEN = 3;

export interface Tokenizer {
  /** The tokenizer with its chat template, byte for byte. */
  readonly entries: readonly RawEntry[];
  /** One for each token of the vocabulary. */
  readonly tokenTypes: readonly number[];
}

export function readTokenizer(path: string): Tokenizer {
  const header = new GgufReader(readStart(path)).entries();
  const entries = header.filter((entry) => entry.key.startsWith('tokenizer.'));
  return { entries, tokenTypes: findEntry(entries, 'tokenizer.ggml.token_type').values };
}

export function findEntry(entries: readonly RawEntry[], key: string): RawEntry {
  const entry = entries.find((candidate) => candidate.key === key);
  if (!entry)
    throw new Error(`the tokenizer's file has no ${key}; give a GGUF file that carries its tokenizer`);
  return entry;
}

/** Writes the file under another name first: it is whole, or it is not there. */
export function writeGguf<Tensor extends TensorShape>(
  path: string,
  entries: readonly Buffer[],
  tensors: readonly Tensor[],
  dataOf: (tensor: Tensor) => Buffer,
): void {
  const partial = `${path}.partial`;
  const file = openSync(partial, 'w');
  try {
    let written = writeSync(file, ggufStart(tensors.length, entries.length));
    for (const entry of entries) written += writeSync(file, entry);
    let offset = 0;
    for (const tensor of tensors) {
      written += writeSync(file, tensorInfo(tensor, offset));
      offset += alignUp(byteSize(tensor));
    }
    writeSync(file, Buffer.alloc(alignUp(written) - written));
    for (const tensor of tensors) writeAll(file, dataOf(tensor));
  } finally {
    closeSync(file);
  }
  renameSync(partial, path);
}

export const weights = (tensor: TensorShape): number =>
  tensor.dimensions.reduce((product, size) => product * size, 1);

export function byteSize(tensor: TensorShape): number {
  const size = tensorBytes({ dimensions: tensor.dimensions, ggmlType: tensor.type });
  if (size === undefined) throw new Error(`${tensor.name} has a type that is not known`);
  return size;
}

export function filled(count: number, value: number): Buffer {
  return Buffer.from(new Float32Array(count).fill(value).buffer);
}

/** Repeatable random bytes at gigabytes a second: the key stream of a cipher with a fixed key. */
export class Noise {
  readonly #stream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16));

  bytes(count: number): Buffer {
    return this.#stream.update(Buffer.alloc(count));
  }
}

/** The first 16 MB: enough for the header of any model with a vocabulary of this size. */
function readStart(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const start = Buffer.alloc(16 * 1024 * 1024);
    return start.subarray(0, readSync(file, start));
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, data: Buffer): void {
  for (let at = 0; at < data.length;) at += writeSync(file, data, at);
  writeSync(file, Buffer.alloc(alignUp(data.length) - data.length));
}
