// @ts-nocheck -- it loads what was compiled
/** Loads our kernels and then llama.cpp, as the engine's process does: start-llama.mjs FOLDER-OF-DIST */
const [dist] = process.argv.slice(2);
const { useOwnKernels } = await import(`${dist}/engine/kernels.js`);
const { startLlama } = await import(`${dist}/engine/memory-estimate.js`);
console.log(await useOwnKernels(`${dist}/kernels`));
const llama = await startLlama(1, console.error);
await llama.dispose();
