/**
 * Gives memory that holds nothing but zeroes back to the system. llama.cpp fills a new context with zeroes, so every page
 * of it is resident from the start: 720 MiB for eight sequences of 4,096 tokens of the default model, of which most are
 * never written again. A page that was given back reads as zeroes, and is there again when something is written to it
 * (madvise(2), MADV_DONTNEED), so nothing that runs can see a difference.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { cFunction } from './c-library.js';

/** Of the process's address space, in bytes; `end` is the first after it. */
interface Region {
  readonly start: number;
  readonly end: number;
}

/** Zeroes of less than this stay: a context has hundreds of MiB of them, and nothing else so many in one piece. */
const PIECE_BYTES = 2 ** 20;
/** A region of less than this is no context. */
const LEAST_REGION_BYTES = 16 * 2 ** 20;
/** Of madvise(2), as Linux numbers them. */
const MADV_DONTNEED = 4;
const MADV_NOHUGEPAGE = 15;

/**
 * Begin before the context is made, and call the result after it, while nothing else runs in this process: what is written
 * between the look and the return would be lost. Only regions that are new since the beginning are looked at. Resolves to
 * the bytes by which the process has become smaller; 0 where there is no /proc.
 *
 * @throws Error where the system refuses it; memory is as it was then
 */
export function watchForZeroes(): () => Promise<number> {
  const before = privateMemory();
  return async () => {
    if (before.length === 0) return 0;
    const isCandidate = ({ start, end }: Region) => end - start >= LEAST_REGION_BYTES;
    const madvise = await cFunction('int madvise(uintptr_t address, size_t length, int advice)');
    const residentBefore = process.memoryUsage.rss();
    for (const { start, end } of zeroes(without(privateMemory(), before).filter(isCandidate))) {
      // On pages of 2 MiB all of it would be back with the first tokens: each layer's part of a sequence is about as large.
      // A kernel without such pages refuses the advice, and does not need it.
      madvise(start, end - start, MADV_NOHUGEPAGE);
      if (madvise(start, end - start, MADV_DONTNEED) !== 0)
        throw new Error('madvise refuses to take it back');
    }
    return Math.max(0, residentBefore - process.memoryUsage.rss());
  };
}

/** What belongs to this process alone and to no file, in order of addresses. */
function privateMemory(): Region[] {
  let maps: string;
  try {
    maps = readFileSync('/proc/self/maps', 'utf8');
  } catch {
    return [];
  }
  const lines = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw-p 00000000 00:00 0\s*$/gm);
  return Array.from(lines, ([, start = '', end = '']) => ({
    start: parseInt(start, 16),
    end: parseInt(end, 16),
  }));
}

/** The parts of `regions` that are in none of `known`. The kernel joins neighbours, so a new region may be part of an old one. */
function without(regions: readonly Region[], known: readonly Region[]): Region[] {
  return regions.flatMap((region) => {
    const parts: Region[] = [];
    let { start } = region;
    for (const old of known) {
      if (old.end <= start || old.start >= region.end) continue;
      if (old.start > start) parts.push({ start, end: old.start });
      start = Math.max(start, old.end);
    }
    return start < region.end ? [...parts, { start, end: region.end }] : parts;
  });
}

/** Read by way of /proc: a region that is gone by now is an error there, and the end of the process otherwise. */
function* zeroes(regions: readonly Region[]): Generator<Region> {
  const zero = Buffer.alloc(PIECE_BYTES);
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  const memory = openSync('/proc/self/mem', 'r');
  try {
    for (const region of regions) {
      for (let start = region.start; start + PIECE_BYTES <= region.end; start += PIECE_BYTES) {
        if (readSync(memory, piece, 0, PIECE_BYTES, start) === PIECE_BYTES && piece.equals(zero))
          yield { start, end: start + PIECE_BYTES };
      }
    }
  } finally {
    closeSync(memory);
  }
}
