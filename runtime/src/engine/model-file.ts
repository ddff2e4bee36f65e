import { stat } from 'node:fs/promises';
import { readGgufFileInfo, type GgufFileInfo } from 'node-llama-cpp';
import { checkGgufFile } from '../models/gguf-file.js';
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
  const beyond = (file.tensorInfo ?? []).filter((tensor) => Number(tensor.fileOffset) >= size).length;
  if (beyond === 0 || file.splicedParts > 1) return;
  throw new UnusableModel(
    `model_path: ${path} is cut short: ${beyond} of its ${Number(file.tensorCount)} tensors lie beyond its end at ` +
      `${size} bytes; download it again and check its SHA-256`,
    { path, bytes: size },
  );
}
