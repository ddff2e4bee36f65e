import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LlamaContextSequence } from 'node-llama-cpp';

/** Fewer tokens than this are read again sooner than they are moved. */
export const WORTH_MOVING_TOKENS = 64;

/**
 * Takes evaluated tokens from one sequence to another, so that a conversation finds its beginning on whichever
 * sequence it is to run. A thousand tokens of a 1B model are 32 MB and take some 25 ms; reading them anew takes
 * five seconds. By way of memory (/dev/shm) where there is any, and nothing stays there.
 */
export class SequenceMover {
  /**
   * Each `to` gets what its `from` has evaluated, all read before the first is written: two sequences can swap.
   * False: there was no room, and nothing changed.
   */
  async move(
    moves: readonly (readonly [from: LlamaContextSequence, to: LlamaContextSequence])[],
  ): Promise<boolean> {
    // It holds what users wrote: readable by this user alone, which is what mkdtemp makes.
    const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'botstack-'));
    const file = (index: number): string => join(folder, String(index));
    try {
      for (const [index, [from]] of moves.entries()) await from.saveStateToFile(file(index));
    } catch {
      await rm(folder, { recursive: true, force: true });
      return false;
    }
    // A state that was written and cannot be read leaves a sequence half filled: that ends the process.
    for (const [index, [, to]] of moves.entries())
      await to.loadStateFromFile(file(index), { acceptRisk: true });
    await rm(folder, { recursive: true, force: true });
    return true;
  }
}
