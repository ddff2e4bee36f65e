/** How many bytes a GGUF file's tensors take: what it takes to see that a file is whole. */

/**
 * By ggml's number for the type: how many weights a block has, and how many bytes it takes. Types that llama.cpp has
 * dropped are not here. A test compares the list with llama.cpp's own.
 */
export const BLOCKS: Readonly<Record<number, readonly [weights: number, bytes: number]>> = {
  0: [1, 4], // F32
  1: [1, 2], // F16
  2: [32, 18], // Q4_0
  3: [32, 20], // Q4_1
  6: [32, 22], // Q5_0
  7: [32, 24], // Q5_1
  8: [32, 34], // Q8_0
  9: [32, 36], // Q8_1
  10: [256, 84], // Q2_K
  11: [256, 110], // Q3_K
  12: [256, 144], // Q4_K
  13: [256, 176], // Q5_K
  14: [256, 210], // Q6_K
  15: [256, 292], // Q8_K
  16: [256, 66], // IQ2_XXS
  17: [256, 74], // IQ2_XS
  18: [256, 98], // IQ3_XXS
  19: [256, 50], // IQ1_S
  20: [32, 18], // IQ4_NL
  21: [256, 110], // IQ3_S
  22: [256, 82], // IQ2_S
  23: [256, 136], // IQ4_XS
  24: [1, 1], // I8
  25: [1, 2], // I16
  26: [1, 4], // I32
  27: [1, 8], // I64
  28: [1, 8], // F64
  29: [256, 56], // IQ1_M
  30: [1, 2], // BF16
  34: [256, 54], // TQ1_0
  35: [256, 66], // TQ2_0
  39: [32, 17], // MXFP4
  40: [64, 36], // NVFP4
  41: [128, 18], // Q1_0
  42: [64, 18], // Q2_0
};

export interface PlacedTensor {
  readonly dimensions: readonly (number | bigint)[];
  /** ggml's number for the type. */
  readonly ggmlType: number;
  /** From the start of the file. */
  readonly fileOffset: number | bigint;
}

/** Undefined for a type that is not known here. */
export function tensorBytes({
  dimensions,
  ggmlType,
}: Pick<PlacedTensor, 'dimensions' | 'ggmlType'>): number | undefined {
  const block = BLOCKS[ggmlType];
  if (block === undefined) return undefined;
  const weights = dimensions.reduce<number>((product, size) => product * Number(size), 1);
  return (weights / block[0]) * block[1];
}

/** The least size, in bytes, of a file with these tensors. Of a type that is not known here only the start counts. */
export function leastFileSize(tensors: readonly PlacedTensor[]): number {
  return tensors.reduce(
    (size, tensor) => Math.max(size, Number(tensor.fileOffset) + (tensorBytes(tensor) ?? 1)),
    0,
  );
}

/** May follow the last tensor: padding to `general.alignment`, 32 bytes as a rule, and what a tool leaves behind it. */
export const EXCESS_BYTES = 16 * 2 ** 20;

/** Undefined where it cannot be told: without tensors, or with one of a type that is not known here. */
export function longestFileSize(tensors: readonly PlacedTensor[]): number | undefined {
  if (tensors.length === 0 || tensors.some((tensor) => tensorBytes(tensor) === undefined)) return undefined;
  return leastFileSize(tensors) + EXCESS_BYTES;
}
