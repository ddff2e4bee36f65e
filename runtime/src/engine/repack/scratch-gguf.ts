import { randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { alignUp, GGUF_ALIGNMENT, tensorInfo, type TensorShape } from '../../models/gguf-header.js';

export interface ScratchTensor extends TensorShape {
  readonly bytes: number;
}

/**
 * A GGUF file in the temporary folder that this process alone can open, by a path under /proc: it has no name there, so
 * nothing is left of it whatever happens to the process.
 */
export class ScratchGguf {
  readonly #file: FileHandle;
  readonly #alignment: number;
  #written = 0;

  private constructor(file: FileHandle, alignment: number) {
    this.#file = file;
    this.#alignment = alignment;
  }

  /**
   * Writes the header.
   * @param start magic to last entry
   * @param tensors in the order in which their data will be appended
   */
  static async create(
    start: Uint8Array,
    tensors: readonly ScratchTensor[],
    alignment = GGUF_ALIGNMENT,
  ): Promise<ScratchGguf> {
    const path = join(tmpdir(), `bot-${randomUUID()}.gguf`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    const scratch = new ScratchGguf(file, alignment);
    try {
      let offset = 0;
      const lines = tensors.map((tensor) => {
        const line = tensorInfo(tensor, offset);
        offset += alignUp(tensor.bytes, alignment);
        return line;
      });
      await scratch.append(Buffer.concat([start, ...lines]));
      await scratch.endTensor();
    } catch (error) {
      await file.close();
      throw error;
    }
    return scratch;
  }

  get path(): string {
    return `/proc/self/fd/${this.#file.fd}`;
  }

  /** Of the tensor whose turn it is, as many pieces as you like. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, at);
      at += bytesWritten;
    }
    this.#written += bytes.length;
  }

  /** The next tensor begins. */
  async endTensor(): Promise<void> {
    await this.append(new Uint8Array(alignUp(this.#written, this.#alignment) - this.#written));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
