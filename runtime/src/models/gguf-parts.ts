/** Models in several files, as llama.cpp splits and finds them: `NAME-00001-of-00003.gguf` and so on, in one folder. */
import { ModelError } from './errors.js';

const PART = /-(\d{5})-of-(\d{5})\.gguf$/;

/**
 * All files of a model, which is named by its first one; just that one where the name says nothing of parts.
 * @throws ModelError NOT_A_FILE where a later part is named: llama.cpp begins with the first
 */
export function partsOf(path: string): readonly string[] {
  const [ending, part, count] = PART.exec(path) ?? [];
  if (ending === undefined || Number(part) < 1 || Number(part) > Number(count)) return [path];
  const start = path.slice(0, -ending.length);
  const parts = Array.from(
    { length: Number(count) },
    (_, index) => `${start}-${String(index + 1).padStart(5, '0')}-of-${count}.gguf`,
  );
  if (Number(part) > 1) {
    throw new ModelError(
      'NOT_A_FILE',
      `${path} is part ${Number(part)} of a model in ${parts.length} parts`,
      `name the first, ${parts[0]}`,
    );
  }
  return parts;
}

/** @throws ModelError INVALID_SOURCE where the file of this name is not the whole model */
export function requireOneFile(fileName: string): void {
  if (!PART.test(fileName)) return;
  throw new ModelError(
    'INVALID_SOURCE',
    `${fileName} is one part of a model in several files, and what is fetched or deployed is one file`,
    "make one of them with llama.cpp's llama-gguf-split --merge FIRST-PART OUTPUT, or take a smaller quantisation",
  );
}
