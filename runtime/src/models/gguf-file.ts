/** A first look at a model file: is it GGUF at all? What is in it is the engine's business. */
import { open, stat } from 'node:fs/promises';

import { ModelError, systemCode } from './errors.js';

const MAGIC = 'GGUF';
/** The versions that llama.cpp reads. Version 1 was dropped in 2023. */
const VERSIONS = [2, 3];
/** Magic, version, tensor count and metadata count: 4 + 4 + 8 + 8 bytes. */
const HEADER_BYTES = 24;

/**
 * @param origin how to call the file in an error: its path, or the source that it came from
 * @throws ModelError NOT_FOUND, NOT_A_FILE, NOT_GGUF
 */
export async function checkGgufFile(path: string, origin = path): Promise<void> {
  const head = await readHead(path);
  if (head.subarray(0, 4).toString('latin1') !== MAGIC) {
    throw new ModelError(
      'NOT_GGUF',
      `${origin} is not a GGUF model: it ${describeHead(head)}`,
      remedyFor(head),
    );
  }
  if (head.length < HEADER_BYTES) {
    throw new ModelError(
      'NOT_GGUF',
      `${origin} ends inside the GGUF header`,
      'get the file again: it is cut short',
    );
  }
  const version = head.readUInt32LE(4);
  if (!VERSIONS.includes(version)) {
    throw new ModelError(
      'NOT_GGUF',
      `${origin} is GGUF version ${version}, this engine reads ${VERSIONS.join(' and ')}`,
      'convert the model again with a current llama.cpp, or take a newer file',
    );
  }
}

async function readHead(path: string): Promise<Buffer> {
  try {
    if (!(await stat(path)).isFile()) {
      throw new ModelError('NOT_A_FILE', `${path} is not a file`, 'name the .gguf file itself');
    }
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ModelError) throw error;
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') {
      throw new ModelError('NOT_FOUND', `there is no file ${path}`, 'check the path');
    }
    throw new ModelError(
      'NOT_A_FILE',
      `${path} cannot be read (${systemCode(error)})`,
      'check its permissions',
    );
  }
}

function describeHead(head: Buffer): string {
  if (head.length === 0) return 'is empty';
  const text = head.toString('latin1').trimStart();
  if (/^<(!doctype|html|head|\?xml)/i.test(text)) return 'begins like a web page';
  if (text.startsWith('version https://git-lfs')) return 'is a Git LFS pointer';
  return `begins with ${JSON.stringify(head.subarray(0, 4).toString('latin1'))} instead of "${MAGIC}"`;
}

function remedyFor(head: Buffer): string {
  const text = head.toString('latin1').trimStart();
  if (text.startsWith('version https://git-lfs')) return 'fetch the real file: git lfs pull';
  if (text.startsWith('<')) return 'the address leads to a page: take the download link of the file itself';
  return 'take a file that ends in .gguf, or convert the model with llama.cpp';
}
