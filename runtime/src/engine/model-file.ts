import { stat } from 'node:fs/promises';
import { readGgufFileInfo, type GgufFileInfo } from 'node-llama-cpp';
import { messageOf } from '../errors/message-of.js';
import { ModelError } from '../models/errors.js';
import { checkGgufFile } from '../models/gguf-file.js';
import { partsOf } from '../models/gguf-parts.js';
import { EXCESS_BYTES, leastFileSize, longestFileSize } from '../models/gguf-tensors.js';
import { UnusableModel } from './unusable-model.js';

/**
 * What the header of a GGUF model says, of all parts where it is in several.
 * @throws ModelError when it is no GGUF model, UnusableModel when it is damaged or cut short, or a part is missing
 */
export async function readModelFile(path: string): Promise<GgufFileInfo> {
  const parts = partsOf(path);
  for (const [index, part] of parts.entries()) {
    await checkGgufFile(part).catch((error: unknown) => {
      throw index === 0 ? error : explainPart(path, part, parts, error);
    });
  }
  const file = await readHeaders(path, parts);
  checkCount(path, file, parts);
  for (const [index, part] of parts.entries()) {
    await checkComplete(part, tensorsOf(file, index + 1));
  }
  return file;
}

const READING = { sourceType: 'filesystem', logWarnings: false } as const;

/** Of all parts together. What a damaged one leads to is an error of any kind that names no file. */
async function readHeaders(path: string, parts: readonly string[]): Promise<GgufFileInfo> {
  try {
    return await readGgufFileInfo(path, READING);
  } catch (error) {
    for (const part of parts) await readHeader(part);
    throw damagedHeader(path, error);
  }
}

async function readHeader(part: string): Promise<void> {
  try {
    await readGgufFileInfo(part, { ...READING, spliceSplitFiles: false });
  } catch (error) {
    throw damagedHeader(part, error);
  }
}

function damagedHeader(path: string, error: unknown): UnusableModel {
  return new UnusableModel(
    `model_path: ${path} has a damaged header (${messageOf(error)}); download it again and check its SHA-256`,
    { path },
  );
}

type Tensors = NonNullable<GgufFileInfo['fullTensorInfo']>;

function tensorsOf({ fullTensorInfo = [] }: GgufFileInfo, part: number): Tensors {
  return fullTensorInfo.filter(({ filePart }) => filePart === part);
}

function explainPart(path: string, part: string, parts: readonly string[], error: unknown): unknown {
  if (!(error instanceof ModelError) || error.code !== 'NOT_FOUND') return error;
  return new UnusableModel(
    `model_path: ${path} is the first of ${parts.length} parts, and there is no ${part}; ` +
      'put all parts in one folder',
    { path, missing: part },
  );
}

/** llama.cpp takes the number from the header and makes the names of it. */
function checkCount(path: string, { metadata }: GgufFileInfo, { length }: readonly string[]): void {
  const { split } = metadata as { readonly split?: { readonly count?: number } };
  const count = Math.max(1, Number(split?.count ?? 1));
  if (count === length) return;
  const name = count === 1 ? 'MODEL.gguf' : `MODEL-00001-of-${String(count).padStart(5, '0')}.gguf`;
  throw new UnusableModel(
    `model_path: ${path} has the name of a model in ${length === 1 ? 'one file' : `${length} parts`}, and its header ` +
      `says ${count}; give it its name back, such as ${name}`,
    { path, parts: count },
  );
}

/** A download that broke off: the header promises tensors beyond the end of the file. */
async function checkComplete(path: string, tensors: Tensors): Promise<void> {
  const { size } = await stat(path);
  const missing = leastFileSize(tensors) - size;
  if (missing <= 0) return;
  throw new UnusableModel(
    `model_path: ${path} is cut short: ${missing} of its ${size + missing} bytes are missing; ` +
      'download it again and check its SHA-256',
    { path, bytes: size, missingBytes: missing },
  );
}

/**
 * What llama.cpp never looks at would be copied and kept with the model. @throws UnusableModel
 *
 * @param file what `readModelFile` says of it
 */
export async function checkNotLonger(path: string, file: GgufFileInfo): Promise<void> {
  for (const [index, part] of partsOf(path).entries()) {
    const end = longestFileSize(tensorsOf(file, index + 1));
    const { size } = await stat(part);
    if (end === undefined || size <= end) continue;
    throw new UnusableModel(
      `model_path: ${part} is far longer than its tensors: it has ${size} bytes, and they end at ${end - EXCESS_BYTES} ` +
        `(${EXCESS_BYTES} more are allowed); download it again and check its SHA-256`,
      { path: part, bytes: size },
    );
  }
}
