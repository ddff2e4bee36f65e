import { halfTable, toHalf } from '../../../../runtime/src/engine/repack/half';
import {
  adapterRank,
  blockSums,
  Q41Splitter,
  Q4_0_BYTES,
  Q4_1_BYTES,
  Q8_0_BYTES,
} from '../../../../runtime/src/engine/repack/q4-1';

const halves = halfTable();
const COLUMNS = 96;
const ROWS = 5;
const BLOCKS = COLUMNS / 32;

/** The same numbers on each run. */
function* random(): Generator<number, never> {
  for (let state = 1; ;) {
    state = (state * 48271) % 0x7fffffff;
    yield state / 0x7fffffff;
  }
}

/** Rows of Q4_1 and the weights that they stand for, as ggml reads them. */
function q41Rows() {
  const next = random();
  const bytes = new Uint8Array(ROWS * BLOCKS * Q4_1_BYTES);
  const view = new DataView(bytes.buffer);
  const weights: number[] = [];
  for (let at = 0; at < bytes.length; at += Q4_1_BYTES) {
    const scale = toHalf(0.001 + 0.02 * next.next().value);
    const least = toHalf(0.1 * next.next().value) | 0x8000;
    view.setUint16(at, scale, true);
    view.setUint16(at + 2, least, true);
    for (let i = 0; i < 16; i++) bytes[at + 4 + i] = Math.floor(256 * next.next().value);
    for (let i = 0; i < 32; i++) {
      const pair = bytes[at + 4 + (i % 16)]!;
      weights.push(halves[scale]! * (i < 16 ? pair & 15 : pair >> 4) + halves[least]!);
    }
  }
  return { bytes, weights };
}

function readQ40(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const weights: number[] = [];
  for (let at = 0; at < bytes.length; at += Q4_0_BYTES) {
    for (let i = 0; i < 32; i++) {
      const pair = bytes[at + 2 + (i % 16)]!;
      weights.push(halves[view.getUint16(at, true)]! * ((i < 16 ? pair & 15 : pair >> 4) - 8));
    }
  }
  return weights;
}

function readQ80(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; at += Q8_0_BYTES) {
    for (let i = 0; i < 32; i++) numbers.push(halves[view.getUint16(at, true)]! * view.getInt8(at + 2 + i));
  }
  return numbers;
}

it('multiplies a vector as the matrix in Q4_1 does', () => {
  const { bytes, weights } = q41Rows();
  const split = new Q41Splitter().split(bytes, COLUMNS);
  const main = readQ40(split.weights);
  const offsets = readQ80(split.offsets);
  const rank = adapterRank(COLUMNS);
  const sums = readQ80(blockSums(COLUMNS));
  const next = random();
  const vector = Array.from({ length: COLUMNS }, () => next.next().value - 0.5);

  const inner = Array.from({ length: rank }, (_, r) =>
    dot(sums.slice(r * COLUMNS, (r + 1) * COLUMNS), vector),
  );
  for (let row = 0; row < ROWS; row++) {
    const whole = dot(weights.slice(row * COLUMNS, (row + 1) * COLUMNS), vector);
    const base = dot(main.slice(row * COLUMNS, (row + 1) * COLUMNS), vector);
    const adapted = base + dot(offsets.slice(row * rank, (row + 1) * rank), inner);
    // What Q4_0 alone leaves out is tens of times as much.
    expect(Math.abs(adapted - whole)).toBeLessThan(0.002);
    expect(Math.abs(base - whole)).toBeGreaterThan(0.002);
  }
});

it('keeps each offset to a 254th of the largest of its row', () => {
  const { bytes, weights } = q41Rows();
  const split = new Q41Splitter().split(bytes, COLUMNS);
  const main = readQ40(split.weights);
  const offsets = readQ80(split.offsets);
  const rank = adapterRank(COLUMNS);
  for (let row = 0; row < ROWS; row++) {
    const exact = Array.from({ length: BLOCKS }, (_, block) => {
      const at = row * COLUMNS + 32 * block;
      return weights[at]! - main[at]!;
    });
    const most = Math.max(...exact.map(Math.abs));
    exact.forEach((offset, block) => {
      expect(Math.abs(offsets[row * rank + block]! - offset)).toBeLessThanOrEqual(
        most / 254 + 1e-6 + most / 1000,
      );
    });
    expect(offsets.slice(row * rank + BLOCKS, (row + 1) * rank)).toEqual(
      new Array<number>(rank - BLOCKS).fill(0),
    );
  }
});

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
