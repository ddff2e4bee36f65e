import { stat } from 'node:fs/promises';
import type { GgufFileInfo } from 'node-llama-cpp';
import { UnusableModel } from './unusable-model.js';

/** A download that broke off: the header promises tensors beyond the end of the file. */
export async function checkComplete(path: string, file: GgufFileInfo): Promise<void> {
  const { size } = await stat(path);
  const beyond = (file.tensorInfo ?? []).filter((tensor) => Number(tensor.fileOffset) >= size).length;
  if (beyond === 0 || file.splicedParts > 1) return;
  throw new UnusableModel(
    `model_path: ${path} is cut short: ${beyond} of its ${Number(file.tensorCount)} tensors lie beyond its end at ` +
      `${size} bytes; download it again and check its SHA-256`,
    { path, bytes: size },
  );
}
