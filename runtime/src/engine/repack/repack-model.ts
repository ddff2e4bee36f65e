import { open, type FileHandle } from 'node:fs/promises';
import { arch, platform } from 'node:process';
import { GgmlType, type GgufFileInfo, type GgufTensorInfo } from 'node-llama-cpp';
import { ggufStart, kv } from '../../models/gguf-header.js';
import { tensorBytes } from '../../models/gguf-tensors.js';
import { joinedMatrices, shapeOf, type Matrix } from './matrices.js';
import {
  adapterRank,
  BLOCK_WEIGHTS,
  blockSums,
  Q41Splitter,
  Q4_0_BYTES,
  Q4_1_BYTES,
  Q8_0_BYTES,
} from './q4-1.js';
import { ScratchGguf, type ScratchTensor } from './scratch-gguf.js';

/** Read, split and written at a time. */
const SLICE_BYTES = 4 * 1024 * 1024;
/** Wider ones are no model that exists; a slice holds at least a row. */
const MOST_COLUMNS = 1_000_000;
/** The matrices to which llama.cpp applies adapters in a model of the architecture `llama`. */
const ADAPTABLE = /^blk\.\d+\.(attn_(q|k|v|output)|ffn_(gate|up|down))\.weight$/;

/** A model that calculates the same as the one it was made of, with faster kernels. */
export interface RepackedModel {
  readonly modelPath: string;
  readonly adapterPath: string;
  /** Matrices in Q4_0: fewer than were in Q4_1, as some became one. */
  readonly matrices: number;
  /** To be called once llama.cpp has loaded both. */
  close(): Promise<void>;
}

/**
 * Tensors in Q4_1 that can be rewritten as Q4_0 and an adapter: llama.cpp has kernels for x86 that read Q4_0 for many
 * rows at once and none for Q4_1. None on other processors, where nobody has measured it, and in models that are no
 * `llama`, where an adapter might not reach every matrix.
 */
export function repackable(file: GgufFileInfo): readonly GgufTensorInfo[] {
  if (arch !== 'x64' || platform !== 'linux') return [];
  if (file.metadata.general.architecture !== 'llama' || file.splicedParts > 1) return [];
  return (file.tensorInfo ?? []).filter(
    ({ name, ggmlType, dimensions }) =>
      ggmlType === GgmlType.Q4_1 &&
      dimensions.length === 2 &&
      Number(dimensions[0]) <= MOST_COLUMNS &&
      ADAPTABLE.test(name),
  );
}

/** Memory that the model takes more than as it is. */
export function repackingBytes(file: GgufFileInfo): number {
  return joinedMatrices(repackable(file), file).reduce((sum, { columns, rows }) => {
    const saved = (columns / BLOCK_WEIGHTS) * rows * (Q4_1_BYTES - Q4_0_BYTES);
    return sum + adapterBytes(columns, columns) + adapterBytes(columns, rows) - saved;
  }, 0);
}

/**
 * Writes the model anew: what is in Q4_1 as Q4_0 with an adapter that makes up for the difference (see q4-1.ts).
 * @throws what the file system says, for example that there is no room
 */
export async function repackModel(path: string, file: GgufFileInfo): Promise<RepackedModel> {
  const source = await open(path, 'r');
  const scratch: ScratchGguf[] = [];
  try {
    const chosen = repackable(file);
    const matrices = joinedMatrices(chosen, file);
    const entries = [
      kv.string('general.type', 'adapter'),
      kv.string('general.architecture', 'llama'),
      kv.string('adapter.type', 'lora'),
      // 0: the adapter is added as it is, not scaled by its rank.
      kv.float32('adapter.lora.alpha', 0),
    ];
    const adapter = await ScratchGguf.create(
      Buffer.concat([ggufStart(2 * matrices.length, entries.length), ...entries]),
      matrices.flatMap(adapterTensors),
    );
    scratch.push(adapter);
    const whole = wholeTensors(file, (await source.stat()).size);
    const rewritten = new Set(chosen);
    for (const { tensor, bytes } of whole) if (rewritten.has(tensor)) requirePlace(tensor, bytes);
    // What is copied comes last, in the order of the file: where the file was cut short, so is the copy.
    const copied = whole.filter(({ tensor }) => !rewritten.has(tensor));
    const model = await ScratchGguf.create(
      withTensors(
        matrices.length + copied.length,
        await readBytes(source, 0, new Uint8Array(file.metadataSize)),
      ),
      [...matrices.map(asQ40), ...copied.map(asItIs)],
      alignmentOf(file),
    );
    scratch.push(model);

    const work = { source, slice: new Uint8Array(SLICE_BYTES), splitter: new Q41Splitter(), model, adapter };
    for (const each of matrices) await split(each, work);
    for (const { tensor, bytes } of copied) {
      await copy(Number(tensor.fileOffset), bytes, work);
      // Not behind the last: padding would make a file whole that was cut short by a few bytes.
      if (tensor !== copied.at(-1)?.tensor) await model.endTensor();
    }
    return {
      modelPath: model.path,
      adapterPath: adapter.path,
      matrices: matrices.length,
      close: () => closeAll(scratch),
    };
  } catch (error) {
    await closeAll(scratch);
    throw error;
  } finally {
    await source.close();
  }
}

/** The header of a GGUF file, with another number of tensors. */
function withTensors(count: number, header: Uint8Array): Uint8Array {
  new DataView(header.buffer).setBigUint64(8, BigInt(count), true);
  return header;
}

interface Work {
  readonly source: FileHandle;
  readonly slice: Uint8Array;
  readonly splitter: Q41Splitter;
  readonly model: ScratchGguf;
  readonly adapter: ScratchGguf;
}

async function split(
  { columns, parts }: Matrix,
  { source, slice, splitter, model, adapter }: Work,
): Promise<void> {
  await adapter.append(blockSums(columns));
  await adapter.endTensor();
  const rowBytes = (columns / BLOCK_WEIGHTS) * Q4_1_BYTES;
  const most = Math.floor(SLICE_BYTES / rowBytes);
  for (const part of parts) {
    const [, rows] = shapeOf(part);
    for (let row = 0; row < rows; row += most) {
      const bytes = slice.subarray(0, Math.min(most, rows - row) * rowBytes);
      await readBytes(source, Number(part.fileOffset) + row * rowBytes, bytes);
      const { weights, offsets } = splitter.split(bytes, columns);
      await model.append(weights);
      await adapter.append(offsets);
    }
  }
  await model.endTensor();
  await adapter.endTensor();
}

async function copy(from: number, bytes: number, { source, slice, model }: Work): Promise<void> {
  for (let at = 0; at < bytes; at += SLICE_BYTES) {
    const piece = slice.subarray(0, Math.min(SLICE_BYTES, bytes - at));
    await model.append(await readBytes(source, from + at, piece));
  }
}

/** Fills `bytes`. */
async function readBytes(source: FileHandle, from: number, bytes: Uint8Array): Promise<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const { bytesRead } = await source.read(bytes, at, bytes.length - at, from + at);
    if (bytesRead === 0) throw new Error(`the file ended at byte ${from + at}`);
    at += bytesRead;
  }
  return bytes;
}

interface PlacedBytes {
  readonly tensor: GgufTensorInfo;
  readonly bytes: number;
}

/** Each tensor with its bytes up to the next, in the order of the file. */
function wholeTensors(file: GgufFileInfo, size: number): readonly PlacedBytes[] {
  const inOrder = [...(file.tensorInfo ?? [])].sort((a, b) => Number(a.fileOffset) - Number(b.fileOffset));
  return inOrder.map((tensor, index) => {
    const end = Number(inOrder[index + 1]?.fileOffset ?? size);
    return { tensor, bytes: end - Number(tensor.fileOffset) };
  });
}

/** llama.cpp refuses a file with tensors that overlap: written anew, they would not. */
function requirePlace(tensor: GgufTensorInfo, bytes: number): void {
  if (bytes < (tensorBytes(tensor) ?? 0)) throw new Error(`${tensor.name} overlaps another`);
}

function asItIs({ tensor, bytes }: PlacedBytes): ScratchTensor {
  const { name, dimensions, ggmlType } = tensor;
  return { name, dimensions: dimensions.map(Number), type: ggmlType, bytes };
}

function asQ40({ name, columns, rows }: Matrix): ScratchTensor {
  const bytes = (columns / BLOCK_WEIGHTS) * rows * Q4_0_BYTES;
  return { name, dimensions: [columns, rows], type: GgmlType.Q4_0, bytes };
}

function adapterTensors({ name, columns, rows }: Matrix): ScratchTensor[] {
  const rank = adapterRank(columns);
  const type = GgmlType.Q8_0;
  return [
    { name: `${name}.lora_a`, dimensions: [columns, rank], type, bytes: adapterBytes(columns, columns) },
    { name: `${name}.lora_b`, dimensions: [rank, rows], type, bytes: adapterBytes(columns, rows) },
  ];
}

/** Of a matrix in Q8_0 whose other dimension is the adapter's rank. */
function adapterBytes(columns: number, size: number): number {
  return (adapterRank(columns) * size * Q8_0_BYTES) / BLOCK_WEIGHTS;
}

function alignmentOf({ metadata }: GgufFileInfo): number | undefined {
  const { alignment } = metadata.general as { readonly alignment?: number };
  return alignment;
}

async function closeAll(files: readonly ScratchGguf[]): Promise<void> {
  for (const file of files) await file.close();
}
