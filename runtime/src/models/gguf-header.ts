/**
 * As much of the GGUF format (version 3) as it takes to write a header.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

/** The number that stands before a value and tells its type. */
const UINT32 = 4;
const FLOAT32 = 6;
const STRING = 8;

/** Of tensor data, where `general.alignment` says nothing else. */
export const GGUF_ALIGNMENT = 32;

export function alignUp(bytes: number, alignment = GGUF_ALIGNMENT): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** The first 24 bytes. */
export function ggufStart(tensors: number, entries: number): Buffer {
  return Buffer.concat([Buffer.from('GGUF'), uint32(3), uint64(tensors), uint64(entries)]);
}

/** Entries of a header, one function a type. */
export const kv = {
  string: (key: string, value: string): Buffer => Buffer.concat([string(key), uint32(STRING), string(value)]),
  uint32: (key: string, value: number): Buffer => Buffer.concat([string(key), uint32(UINT32), uint32(value)]),
  float32: (key: string, value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return Buffer.concat([string(key), uint32(FLOAT32), bytes]);
  },
};

export interface TensorShape {
  readonly name: string;
  /** Fastest dimension first, as ggml has it. */
  readonly dimensions: readonly number[];
  /** ggml's number for the type. */
  readonly type: number;
}

/** A tensor's line in the header; `offset` counts from the start of the tensor data. */
export function tensorInfo({ name, dimensions, type }: TensorShape, offset: number): Buffer {
  return Buffer.concat([
    string(name),
    uint32(dimensions.length),
    ...dimensions.map((size) => uint64(size)),
    uint32(type),
    uint64(offset),
  ]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function string(value: string): Buffer {
  return Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
}
