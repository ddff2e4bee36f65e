/** A model in several files, as llama-gguf-split makes them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { GgufReader } from '../../bench/gguf-format';
import { alignUp, ggufStart, tensorInfo, type TensorShape } from '../../runtime/src/models/gguf-header';
import { tensorBytes } from '../../runtime/src/models/gguf-tensors';

const START_BYTES = 24;

interface Tensor extends TensorShape {
  readonly data: Buffer;
}

/** Writes `NAME-00001-of-0000N.gguf` and so on, with an equal number of tensors each; the paths, in order. */
export function splitModel(model: string, folder: string, name: string, count: number): readonly string[] {
  const bytes = readFileSync(model);
  const entries = new GgufReader(bytes).entries().map((entry) => entry.bytes);
  const tensors = tensorsOf(
    bytes,
    entries.reduce((at, { length }) => at + length, START_BYTES),
  );
  const perPart = Math.ceil(tensors.length / count);
  const number = (at: number) => String(at).padStart(5, '0');
  return Array.from({ length: count }, (_, index) => {
    const path = join(folder, `${name}-${number(index + 1)}-of-${number(count)}.gguf`);
    const ofSplit = [
      entry('split.no', 'uint16', index),
      entry('split.count', 'uint16', count),
      entry('split.tensors.count', 'int32', tensors.length),
    ];
    const own = tensors.slice(index * perPart, (index + 1) * perPart);
    writeFileSync(path, part(own, index === 0 ? [...entries, ...ofSplit] : ofSplit));
    return path;
  });
}

/** `at`: where the lines of the tensors begin. */
function tensorsOf(bytes: Buffer, at: number): readonly Tensor[] {
  const uint64 = () => Number(bytes.readBigUInt64LE((at += 8) - 8));
  const uint32 = () => bytes.readUInt32LE((at += 4) - 4);
  const count = Number(bytes.readBigUInt64LE(8));
  const lines = Array.from({ length: count }, () => {
    const length = uint64();
    const name = bytes.toString('utf8', at, (at += length));
    const dimensions = Array.from({ length: uint32() }, uint64);
    return { name, dimensions, type: uint32(), offset: uint64() };
  });
  const data = bytes.subarray(alignUp(at));
  return lines.map(({ offset, ...tensor }) => {
    const size = tensorBytes({ dimensions: tensor.dimensions, ggmlType: tensor.type });
    if (size === undefined) throw new Error(`${tensor.name} has a type that is not known`);
    return { ...tensor, data: data.subarray(offset, offset + size) };
  });
}

function part(tensors: readonly Tensor[], entries: readonly Buffer[]): Buffer {
  let offset = 0;
  const lines = tensors.map((tensor) => {
    const line = tensorInfo(tensor, offset);
    offset += alignUp(tensor.data.length);
    return line;
  });
  const header = Buffer.concat([ggufStart(tensors.length, entries.length), ...entries, ...lines]);
  return Buffer.concat([padded(header), ...tensors.map(({ data }) => padded(data))]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(alignUp(bytes.length) - bytes.length)]);
}

/** The types are those that llama.cpp asks for. */
function entry(key: string, type: 'uint16' | 'int32', value: number): Buffer {
  const isShort = type === 'uint16';
  const bytes = Buffer.alloc(8 + key.length + 4 + (isShort ? 2 : 4));
  bytes.writeBigUInt64LE(BigInt(key.length));
  bytes.write(key, 8);
  bytes.writeUInt32LE(isShort ? 2 : 5, 8 + key.length);
  if (isShort) bytes.writeUInt16LE(value, 12 + key.length);
  else bytes.writeInt32LE(value, 12 + key.length);
  return bytes;
}
