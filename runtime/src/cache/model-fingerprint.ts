/** Tells models apart by their bytes, without reading all of them: gigabytes at each start would be too many. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';

const SAMPLES = 64;
const SAMPLE_BYTES = 4096;

/** The file's size and samples spread over all of it: header, and weights. */
export async function fingerprintOf(modelPath: string): Promise<string> {
  const file = await open(modelPath, 'r');
  try {
    const { size } = await file.stat();
    const hash = createHash('sha256').update(String(size));
    const sample = Buffer.alloc(SAMPLE_BYTES);
    for (let index = 0; index < SAMPLES; index++) {
      const position = Math.floor((index * Math.max(0, size - SAMPLE_BYTES)) / (SAMPLES - 1));
      const { bytesRead } = await file.read(sample, 0, SAMPLE_BYTES, position);
      hash.update(sample.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}
