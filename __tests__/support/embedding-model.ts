/** A real model that makes embeddings: the test model's weights, under a header that names a pooling type. */
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';

import { GgufReader } from '../../bench/gguf-format';
import { kv } from '../../runtime/src/models/gguf-header';
import { testModel } from './test-model';

/** llama.cpp's number for "the mean of all tokens". */
const MEAN = 1;
const ALIGNMENT = 32;
/** Magic, version, number of tensors, number of entries. */
const PREAMBLE_BYTES = 24;

export function writeEmbeddingModel(path: string): void {
  const from = openSync(testModel().path, 'r');
  const to = openSync(path, 'w');
  try {
    const start = Buffer.alloc(16 * 1024 * 1024);
    readSync(from, start);
    const entries = new GgufReader(start).entries();
    const entriesEnd = entries.reduce((end, { bytes }) => end + bytes.length, PREAMBLE_BYTES);
    const tensorsEnd = skipTensors(start, entriesEnd, Number(start.readBigUInt64LE(8)));

    const preamble = Buffer.from(start.subarray(0, PREAMBLE_BYTES));
    preamble.writeBigUInt64LE(BigInt(entries.length + 1), 16);
    const header = Buffer.concat([
      preamble,
      start.subarray(PREAMBLE_BYTES, entriesEnd),
      kv.uint32('llama.pooling_type', MEAN),
      start.subarray(entriesEnd, tensorsEnd),
    ]);
    writeSync(to, header);
    writeSync(to, Buffer.alloc(aligned(header.length) - header.length));
    copyRest(from, to, aligned(tensorsEnd), statSync(testModel().path).size);
  } finally {
    closeSync(from);
    closeSync(to);
  }
}

/** Each tensor has a name, its sizes, a type and an offset. */
function skipTensors(bytes: Buffer, start: number, count: number): number {
  let at = start;
  for (let tensor = 0; tensor < count; tensor++) {
    at += 8 + Number(bytes.readBigUInt64LE(at));
    at += 4 + 8 * bytes.readUInt32LE(at) + 4 + 8;
  }
  return at;
}

function copyRest(from: number, to: number, start: number, end: number): void {
  const piece = Buffer.alloc(4 * 1024 * 1024);
  for (let at = start; at < end;) {
    const read = readSync(from, piece, 0, piece.length, at);
    writeSync(to, piece, 0, read);
    at += read;
  }
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
