// @ts-nocheck -- it loads what was compiled
/** Gives zeroes back in a process in which nothing else happens: return-zeroes.mjs FOLDER-OF-DIST. Prints what came of it. */
const [dist] = process.argv.slice(2);
const { watchForZeroes } = await import(`${dist}/engine/empty-memory.js`);

const MIB = 2 ** 20;
/** Written to, so that they are in memory; of the size of a context's cache. */
const zeroes = (mib) => Buffer.allocUnsafeSlow(mib * MIB).fill(0);

const old = zeroes(256);
const returnZeroes = watchForZeroes();
const empty = zeroes(64);
const used = zeroes(64).fill(7, 20 * MIB, 21 * MIB + 5);
const bytes = await returnZeroes();
const result = {
  mebibytes: bytes / MIB,
  isEmptyStill: empty.equals(Buffer.alloc(empty.length)),
  isUsedStill: used.equals(Buffer.alloc(used.length).fill(7, 20 * MIB, 21 * MIB + 5)),
  isOldStill: old.equals(Buffer.alloc(old.length)),
  isWritten: empty.fill(9).equals(Buffer.alloc(empty.length, 9)),
};
console.log(JSON.stringify(result));
