// @ts-nocheck -- it uses what node-llama-cpp keeps to itself
/** Writes llama.cpp's own list of types: number -> [weights of a block, its bytes]. */
import { getLlama } from '../../../runtime/node_modules/node-llama-cpp/dist/index.js';

const { _bindings: llama } = await getLlama({ gpu: false, build: 'never', skipDownload: true });
const blocks = {};
for (let type = 0; type < 256; type++) {
  const weights = llama.getBlockSizeForGgmlType(type);
  // 0: a number that is kept for a type of the past.
  if (weights > 0) blocks[type] = [weights, llama.getTypeSizeForGgmlType(type)];
}
process.stdout.write(JSON.stringify(blocks), () => process.exit(0));
