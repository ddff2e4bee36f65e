import { stat } from 'node:fs/promises';
import { readGgufFileInfo, type GgufFileInfo } from 'node-llama-cpp';
import { checkGgufFile } from '../models/gguf-file.js';
import { leastFileSize } from '../models/gguf-tensors.js';
import { UnusableModel } from './unusable-model.js';

/** What the header of a GGUF file says. @throws ModelError when it is no GGUF model, UnusableModel when it is cut short */
export async function readModelFile(path: string): Promise<GgufFileInfo> {
  await checkGgufFile(path);
  const file = await readGgufFileInfo(path, { sourceType: 'filesystem', logWarnings: false });
  await checkComplete(path, file);
  return file;
}

/** A download that broke off: the header promises tensors beyond the end of the file. */
async function checkComplete(path: string, file: GgufFileInfo): Promise<void> {
  const { size } = await stat(path);
  const missing = leastFileSize(file.tensorInfo ?? []) - size;
  if (missing <= 0 || file.splicedParts > 1) return;
  throw new UnusableModel(
    `model_path: ${path} is cut short: ${missing} of its ${size + missing} bytes are missing; ` +
      'download it again and check its SHA-256',
    { path, bytes: size, missingBytes: missing },
  );
}
