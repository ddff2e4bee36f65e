/**
 * Products of a matrix in Q4_0, as llama.cpp repacks it for x86 (block_q4_0x8), with rows in Q8_0.
 *
 * They take the place of llama.cpp's functions of the same names, with the same arguments and the same result to the
 * last bit: sums of a block of 32 are exact in both, and blocks are added in the same order by the same instructions.
 * What is different is how they get there. llama.cpp's multiply signed by signed bytes, for which x86 has no
 * instruction, so that each product costs four; here the weights are made unsigned (0 to 15 in place of -8 to 7) once
 * for all rows, and what that adds to a row, 8 times its sum, is taken off again. And llama.cpp's multiply few rows by
 * a block before they unpack it anew; here it is as many as the registers hold.
 */
#include "interleaved.h"

enum { BLOCK = 32, QUADS = BLOCK / 4, OFFSET = 8 };

/** The blocks of eight columns: of each its scale, then 8 bytes in turn. Byte i of a block has weights i and i + 16. */
typedef struct {
  uint16_t scales[8];
  uint8_t weights[8 * BLOCK / 2];
} weights_x8;

/** The blocks of four rows, 8 bytes in turn. */
typedef struct {
  uint16_t scales[4];
  int8_t values[4 * BLOCK];
} rows_x4;

/** A block of one row. */
typedef struct {
  uint16_t scale;
  int8_t values[BLOCK];
} row_x1;

/** What all columns need of a block of a row. */
typedef struct {
  /** By how much the products with unsigned weights are too large, negative. */
  int32_t excess;
  float scale;
} row_block;

typedef struct {
  ints quads[QUADS];
  floats scales;
} tile;

#ifdef __AVX512BW__

enum { MOST_ROWS = 16 };

/** The lower four bits of each byte, with the sign bit of a weight turned: -8 to 7 become 0 to 15. */
INLINE ints unsigned_weights(ints packed) {
  // (packed & 0x0f) ^ 0x08
  return _mm512_ternarylogic_epi32(packed, _mm512_set1_epi8(0x0f), _mm512_set1_epi8(OFFSET), 0x6a);
}

#else

enum { MOST_ROWS = 4 };

INLINE ints unsigned_weights(ints packed) {
  return _mm256_xor_si256(_mm256_and_si256(packed, _mm256_set1_epi8(0x0f)), _mm256_set1_epi8(OFFSET));
}

#endif

INLINE tile unpack(const weights_x8 *first, const weights_x8 *second) {
  tile result;
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    const octets packed = read_octets(first->weights + 64 * half, second->weights + 64 * half);
    result.quads[2 * half] = unsigned_weights(packed.front);
    result.quads[2 * half + 1] = unsigned_weights(packed.back);
    result.quads[2 * half + 4] = unsigned_weights(shift_halves(packed.front));
    result.quads[2 * half + 5] = unsigned_weights(shift_halves(packed.back));
  }
  result.scales = widen_halfs(first->scales, second->scales);
  return result;
}

/**
 * Few rows are multiplied sooner than the weights come from memory, and the processor's own look ahead ends at each
 * page of 4 KiB. So their weights are asked for so many blocks ahead: of a 1B model, a token took 35 ms without this
 * and 28 with it, four took 41 and 33, eight 45 and 42 (medians, two cores), sixteen no less.
 */
enum { MOST_PREFETCHED_ROWS = 8, BLOCKS_AHEAD = 8 };

INLINE void prefetch(const weights_x8 *first, const weights_x8 *second) {
  for (size_t at = 0; at < sizeof *first; at += 64) {
    __builtin_prefetch((const char *)(first + BLOCKS_AHEAD) + at);
    if (second != first) __builtin_prefetch((const char *)(second + BLOCKS_AHEAD) + at);
  }
}

/** A block of a row times each column of a tile. Of the row, two quads follow each other, two more after `stride`. */
INLINE ints products(const tile *weights, const int8_t *row, size_t stride, int32_t excess) {
#ifdef __AVX512VNNI__
  ints sums = same_int(excess);
  for (int quad = 0; quad < QUADS; quad++)
    sums = _mm512_dpbusd_epi32(sums, weights->quads[quad], same_quad(row + quad / 2 * stride + quad % 2 * 4));
  return sums;
#else
  // Eight products of pairs are at most 8 * 2 * 15 * 127 = 30,480: they fit 16 bits.
  ints pairs = multiply_bytes(weights->quads[0], same_quad(row));
  for (int quad = 1; quad < QUADS; quad++)
    pairs = add_shorts(pairs, multiply_bytes(weights->quads[quad], same_quad(row + quad / 2 * stride + quad % 2 * 4)));
  return add_ints(add_pairs(pairs), same_int(excess));
#endif
}

INLINE floats add_block(floats sum, const tile *weights, const int8_t *row, size_t stride, const row_block *block) {
  const floats whole = to_floats(products(weights, row, stride, block->excess));
  return multiply_add(whole, multiply(weights->scales, same_float(block->scale)), sum);
}

/** `rows` is a constant wherever this is called, at most MOST_ROWS: sums stay in registers. */
INLINE void multiply_rows(int rows, int blocks, float *to, size_t row_length, const weights_x8 *weights,
                          const rows_x4 *values, const row_block *row_blocks, int columns) {
  for (int column = 0; column < columns; column += COLUMNS) {
    const weights_x8 *first = weights + (size_t)(column / 8) * blocks;
    const weights_x8 *second = COLUMNS > 8 && columns - column > 8 ? first + blocks : first;
    floats sums[MOST_ROWS];
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++) sums[row] = same_float(0);
    for (int block = 0; block < blocks; block++) {
      if (rows <= MOST_PREFETCHED_ROWS) prefetch(first + block, second + block);
      const tile unpacked = unpack(first + block, second + block);
#pragma GCC unroll 16
      for (int row = 0; row < rows; row++) {
        const int8_t *quads = values[(size_t)(row / 4) * blocks + block].values + row % 4 * 8;
        sums[row] = add_block(sums[row], &unpacked, quads, 4 * 8, row_blocks + (size_t)block * rows + row);
      }
    }
#pragma GCC unroll 16
    for (int row = 0; row < rows; row++) store(to + row * row_length + column, sums[row], columns - column);
  }
}

/** 8 times the sum of each pair of bytes. */
INLINE __m256i excess_of_pairs(const int8_t *values) {
  return _mm256_maddubs_epi16(_mm256_set1_epi8(OFFSET), _mm256_loadu_si256((const __m256i *)values));
}

/** Of four rows. */
static void describe_rows(const rows_x4 *values, int blocks, row_block *row_blocks, int rows) {
  for (int block = 0; block < blocks; block++, row_blocks += rows) {
    const rows_x4 *each = values + block;
    __m256i pairs = excess_of_pairs(each->values);
    for (int part = 1; part < 4; part++) pairs = _mm256_add_epi16(pairs, excess_of_pairs(each->values + 32 * part));
    // Two lanes a row; added, the sums of rows 0 and 1, and 128 bits later of rows 2 and 3.
    const __m256i lanes = _mm256_madd_epi16(pairs, _mm256_set1_epi16(-1));
    const __m256i both = _mm256_hadd_epi32(lanes, lanes);
    const __m128i sums = _mm_unpacklo_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    const __m128i scales = _mm_castps_si128(_mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)each->scales)));
    _mm_storeu_si128((__m128i *)row_blocks, _mm_unpacklo_epi32(sums, scales));
    _mm_storeu_si128((__m128i *)(row_blocks + 2), _mm_unpackhi_epi32(sums, scales));
  }
}

static void describe_row(const row_x1 *values, int blocks, row_block *row_blocks) {
  for (int block = 0; block < blocks; block++) {
    const __m256i lanes = _mm256_madd_epi16(excess_of_pairs(values[block].values), _mm256_set1_epi16(-1));
    __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1)));
    row_blocks[block].excess = _mm_cvtsi128_si32(sums);
    row_blocks[block].scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(values[block].scale)));
  }
}

/**
 * Many rows, in groups of four.
 *
 * @param length of a row and a column, a multiple of 32
 * @param to row after row, `row_length` floats from one to the next
 * @param rows a multiple of 4
 * @param columns a multiple of 8
 */
EXPORT void ggml_gemm_q4_0_8x8_q8_0(int length, float *to, size_t row_length, const void *weights, const void *values,
                                    int rows, int columns) {
  const int blocks = length / BLOCK;
  const int most_rows = rows_together(MOST_ROWS, blocks * sizeof(row_block));
  row_block *row_blocks = __builtin_alloca((size_t)blocks * most_rows * sizeof *row_blocks);
  const rows_x4 *group = values;
  for (int row = 0; row < rows;) {
    const int together = rows - row < most_rows ? rows - row : most_rows;
    for (int each = 0; each < together / 4; each++)
      describe_rows(group + (size_t)each * blocks, blocks, row_blocks + 4 * each, together);
    switch (together) {
      case 4: multiply_rows(4, blocks, to, row_length, weights, group, row_blocks, columns); break;
#ifdef __AVX512BW__
      case 8: multiply_rows(8, blocks, to, row_length, weights, group, row_blocks, columns); break;
      case 12: multiply_rows(12, blocks, to, row_length, weights, group, row_blocks, columns); break;
      case 16: multiply_rows(16, blocks, to, row_length, weights, group, row_blocks, columns); break;
#endif
    }
    row += together;
    to += together * row_length;
    group += (size_t)together / 4 * blocks;
  }
}

/** One row. llama.cpp calls it with one alone, and with a `row_length` of no meaning. */
EXPORT void ggml_gemv_q4_0_8x8_q8_0(int length, float *to, size_t row_length, const void *weights, const void *values,
                                    int rows, int columns) {
  (void)row_length, (void)rows;
  const int blocks = length / BLOCK;
  const row_x1 *row = values;
  row_block *row_blocks = __builtin_alloca((size_t)blocks * sizeof *row_blocks);
  describe_row(row, blocks, row_blocks);
  for (int column = 0; column < columns; column += COLUMNS) {
    const weights_x8 *first = (const weights_x8 *)weights + (size_t)(column / 8) * blocks;
    const weights_x8 *second = COLUMNS > 8 && columns - column > 8 ? first + blocks : first;
    floats sum = same_float(0);
    for (int block = 0; block < blocks; block++) {
      prefetch(first + block, second + block);
      const tile unpacked = unpack(first + block, second + block);
      sum = add_block(sum, &unpacked, row[block].values, 8, row_blocks + block);
    }
    store(to + column, sum, columns - column);
  }
}
