import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import {
  BLOCKS,
  leastFileSize,
  longestFileSize,
  tensorBytes,
} from '../../../runtime/src/models/gguf-tensors';

const Q4_1 = 3;
const F32 = 0;
const NEWER = 999;

it('knows the types that llama.cpp has, as it has them', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [join(__dirname, 'ggml-blocks.mjs')], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(BLOCKS).toEqual(JSON.parse(stdout));
});

it('counts whole blocks, over all dimensions', () => {
  expect(tensorBytes({ dimensions: [576, 1536n], ggmlType: Q4_1 })).toBe((576 / 32) * 1536 * 20);
  expect(tensorBytes({ dimensions: [576], ggmlType: F32 })).toBe(576 * 4);
});

it('says where the last tensor ends, wherever it stands in the header', () => {
  const last = { dimensions: [32, 2], ggmlType: Q4_1, fileOffset: 1024n };
  const first = { dimensions: [8], ggmlType: F32, fileOffset: 512 };
  expect(leastFileSize([last, first])).toBe(1024 + 40);
});

it('holds only the start of a tensor against a file where its type is a newer one', () => {
  expect(leastFileSize([{ dimensions: [1e9], ggmlType: NEWER, fileOffset: 512 }])).toBe(513);
});

it('allows some padding behind the last tensor, and any length where it cannot tell its end', () => {
  const tensor = { dimensions: [8], ggmlType: F32, fileOffset: 512 };
  expect(longestFileSize([tensor])).toBe(512 + 32 + 16 * 2 ** 20);
  expect(longestFileSize([tensor, { ...tensor, ggmlType: NEWER }])).toBeUndefined();
  expect(longestFileSize([])).toBeUndefined();
});
