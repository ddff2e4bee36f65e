// @ts-nocheck -- it loads what was compiled
/** Loads our kernels and then llama.cpp, as the engine's process does: start-llama.mjs FOLDER-OF-DIST */
const [dist] = process.argv.slice(2);
const { useOwnKernels } = await import(`${dist}/engine/kernels.js`);
const { startLlama } = await import(`${dist}/engine/memory-estimate.js`);
console.log((await useOwnKernels(`${dist}/kernels`)).text);
// What is not held on to is gone after this, and with it the library.
await new Promise((resolve) => setTimeout(resolve, 10));
globalThis.gc();
await new Promise((resolve) => setTimeout(resolve, 10));
const llama = await startLlama(1, console.error);
await llama.dispose();
