import { open, type FileHandle } from 'node:fs/promises';
import { arch, platform } from 'node:process';
import { GgmlType, type GgufFileInfo, type GgufTensorInfo } from 'node-llama-cpp';
import { ggufStart, kv } from '../../models/gguf-header.js';
import { tensorBytes } from '../../models/gguf-tensors.js';
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
  return repackable(file).reduce((sum, tensor) => {
    const [columns, rows] = shapeOf(tensor);
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
    const chosen = new Set(repackable(file));
    const entries = [
      kv.string('general.type', 'adapter'),
      kv.string('general.architecture', 'llama'),
      kv.string('adapter.type', 'lora'),
      // 0: the adapter is added as it is, not scaled by its rank.
      kv.float32('adapter.lora.alpha', 0),
    ];
    const adapter = await ScratchGguf.create(
      Buffer.concat([ggufStart(2 * chosen.size, entries.length), ...entries]),
      [...chosen].flatMap(adapterTensors),
    );
    scratch.push(adapter);
    const tensors = wholeTensors(file, (await source.stat()).size);
    for (const { tensor, bytes } of tensors) if (chosen.has(tensor)) requirePlace(tensor, bytes);
    const model = await ScratchGguf.create(
      await readBytes(source, 0, new Uint8Array(file.metadataSize)),
      tensors.map(({ tensor, bytes }) => (chosen.has(tensor) ? asQ40(tensor) : asItIs(tensor, bytes))),
      alignmentOf(file),
    );
    scratch.push(model);

    const work = { source, slice: new Uint8Array(SLICE_BYTES), splitter: new Q41Splitter(), model, adapter };
    for (const { tensor, bytes } of tensors) {
      if (chosen.has(tensor)) await split(tensor, work);
      else await copy(Number(tensor.fileOffset), bytes, work);
      // Not behind the last: padding would make a file whole that was cut short by a few bytes.
      if (tensor !== tensors.at(-1)?.tensor) await model.endTensor();
    }
    return { modelPath: model.path, adapterPath: adapter.path, close: () => closeAll(scratch) };
  } catch (error) {
    await closeAll(scratch);
    throw error;
  } finally {
    await source.close();
  }
}

interface Work {
  readonly source: FileHandle;
  readonly slice: Uint8Array;
  readonly splitter: Q41Splitter;
  readonly model: ScratchGguf;
  readonly adapter: ScratchGguf;
}

async function split(
  tensor: GgufTensorInfo,
  { source, slice, splitter, model, adapter }: Work,
): Promise<void> {
  const [columns, rows] = shapeOf(tensor);
  await adapter.append(blockSums(columns));
  await adapter.endTensor();
  const rowBytes = (columns / BLOCK_WEIGHTS) * Q4_1_BYTES;
  const most = Math.floor(SLICE_BYTES / rowBytes);
  for (let row = 0; row < rows; row += most) {
    const bytes = slice.subarray(0, Math.min(most, rows - row) * rowBytes);
    await readBytes(source, Number(tensor.fileOffset) + row * rowBytes, bytes);
    const { weights, offsets } = splitter.split(bytes, columns);
    await model.append(weights);
    await adapter.append(offsets);
  }
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

/** Each tensor with its bytes up to the next, in the order of the file. */
function wholeTensors(
  file: GgufFileInfo,
  size: number,
): readonly { readonly tensor: GgufTensorInfo; readonly bytes: number }[] {
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

function asItIs({ name, dimensions, ggmlType }: GgufTensorInfo, bytes: number): ScratchTensor {
  return { name, dimensions: dimensions.map(Number), type: ggmlType, bytes };
}

function asQ40(tensor: GgufTensorInfo): ScratchTensor {
  const [columns, rows] = shapeOf(tensor);
  const bytes = (columns / BLOCK_WEIGHTS) * rows * Q4_0_BYTES;
  return { name: tensor.name, dimensions: [columns, rows], type: GgmlType.Q4_0, bytes };
}

function adapterTensors(tensor: GgufTensorInfo): ScratchTensor[] {
  const [columns, rows] = shapeOf(tensor);
  const rank = adapterRank(columns);
  const type = GgmlType.Q8_0;
  return [
    {
      name: `${tensor.name}.lora_a`,
      dimensions: [columns, rank],
      type,
      bytes: adapterBytes(columns, columns),
    },
    { name: `${tensor.name}.lora_b`, dimensions: [rank, rows], type, bytes: adapterBytes(columns, rows) },
  ];
}

/** Of a matrix in Q8_0 whose other dimension is the adapter's rank. */
function adapterBytes(columns: number, size: number): number {
  return (adapterRank(columns) * size * Q8_0_BYTES) / BLOCK_WEIGHTS;
}

function shapeOf({ dimensions }: GgufTensorInfo): readonly [columns: number, rows: number] {
  return [Number(dimensions[0]), Number(dimensions[1])];
}

function alignmentOf({ metadata }: GgufFileInfo): number | undefined {
  const { alignment } = metadata.general as { readonly alignment?: number };
  return alignment;
}

async function closeAll(files: readonly ScratchGguf[]): Promise<void> {
  for (const file of files) await file.close();
}
