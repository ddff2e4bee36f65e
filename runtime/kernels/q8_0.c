/**
 * Products of a matrix in Q8_0, as a model file has it, with rows in Q8_0.
 *
 * The result is the same to the last bit as by llama.cpp. That has eight sums for each number of the result, one for
 * each quad of a block; products of quads are exact, sums over the blocks are floats, and the eight are added at the
 * end. Here it is the same sums in the same order, in other registers: llama.cpp's hold the eight sums of one number,
 * which it must add across the register; here a register holds one sum of all columns of a tile. That costs a
 * transposition of the weights, done once for many rows. llama.cpp's also multiply signed by signed bytes, for which
 * x86 has no instruction; here the weights are made unsigned, or 16 bits wide, when they are transposed.
 */
#include "q8_0.h"

/** What the rows that are multiplied together, and the tiles, may take of a thread's stack, and the longest column. */
enum { ROW_BYTES = 512 << 10, TILE_BYTES = 32 << 10, MOST_BLOCKS = 512 };

#ifdef __AVX512BW__

enum { MOST_ROWS = 3 };

INLINE floats add_floats(floats a, floats b) { return _mm512_add_ps(a, b); }
#ifndef __AVX512VNNI__
INLINE ints even_bytes(ints bytes) { return _mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8); }
INLINE ints odd_bytes(ints bytes) { return _mm512_srai_epi16(bytes, 8); }
#endif
/** Of each 128 bits. */
INLINE ints front_quads(ints a, ints b) { return _mm512_unpacklo_epi32(a, b); }
INLINE ints back_quads(ints a, ints b) { return _mm512_unpackhi_epi32(a, b); }
INLINE ints front_pairs(ints a, ints b) { return _mm512_unpacklo_epi64(a, b); }
INLINE ints back_pairs(ints a, ints b) { return _mm512_unpackhi_epi64(a, b); }
/** The first, third and so on 128 bits of both, and the others. */
INLINE ints even_parts(ints a, ints b) { return _mm512_shuffle_i32x4(a, b, _MM_SHUFFLE(2, 0, 2, 0)); }
INLINE ints odd_parts(ints a, ints b) { return _mm512_shuffle_i32x4(a, b, _MM_SHUFFLE(3, 1, 3, 1)); }

/** A block of a column, and the same of the column four further on. */
INLINE ints load_columns(const q8_block *const *columns, int64_t block) {
  const __m256i first = load_values(columns[0] + block), second = load_values(columns[4] + block);
  return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}
INLINE floats scales_to_floats(const uint16_t *scales) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)scales));
}
INLINE void store(float *to, floats values, int64_t columns) {
  _mm512_mask_storeu_ps(to, columns < COLUMNS ? (1 << columns) - 1 : 0xffff, values);
}

#else

enum { MOST_ROWS = 1 };

INLINE floats add_floats(floats a, floats b) { return _mm256_add_ps(a, b); }
INLINE ints even_bytes(ints bytes) { return _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8); }
INLINE ints odd_bytes(ints bytes) { return _mm256_srai_epi16(bytes, 8); }
INLINE ints front_quads(ints a, ints b) { return _mm256_unpacklo_epi32(a, b); }
INLINE ints back_quads(ints a, ints b) { return _mm256_unpackhi_epi32(a, b); }
INLINE ints front_pairs(ints a, ints b) { return _mm256_unpacklo_epi64(a, b); }
INLINE ints back_pairs(ints a, ints b) { return _mm256_unpackhi_epi64(a, b); }
INLINE ints even_parts(ints a, ints b) { return _mm256_permute2x128_si256(a, b, 0x20); }
INLINE ints odd_parts(ints a, ints b) { return _mm256_permute2x128_si256(a, b, 0x31); }

INLINE ints load_columns(const q8_block *const *columns, int64_t block) { return load_values(columns[0] + block); }
INLINE floats scales_to_floats(const uint16_t *scales) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)scales));
}
INLINE void store(float *to, floats values, int64_t columns) {
  const ints lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(to, _mm256_cmpgt_epi32(same_int(least(columns, COLUMNS)), lanes), values);
}

#endif

#ifdef __AVX512VNNI__

/** A block of COLUMNS columns, with 128 added to each value: unsigned. */
typedef struct {
  ints quads[QUADS];
  floats scales;
} tile;

INLINE void set_quads(tile *weights, int quad, ints values) { weights->quads[quad] = unsigned_bytes(values); }

/** A quad of a row times the same quad of each column. */
INLINE ints products(const tile *weights, const row_block *row, int quad) {
  return _mm512_dpbusd_epi32(same_int(row->excess[quad]), weights->quads[quad], same_int(row->quads[quad]));
}

#else

// Unsigned weights reach 255: products of two pairs of bytes, at most 2 * 255 * 127, do not fit 16 bits.

/** A block of COLUMNS columns, 16 bits a value: of each quad the first and the third, and the second and the fourth. */
typedef struct {
  ints even[QUADS], odd[QUADS];
  floats scales;
} tile;

INLINE void set_quads(tile *weights, int quad, ints values) {
  weights->even[quad] = even_bytes(values);
  weights->odd[quad] = odd_bytes(values);
}

INLINE ints products(const tile *weights, const row_block *row, int quad) {
  return add_ints(multiply_shorts(weights->even[quad], same_int(row->even[quad])),
                  multiply_shorts(weights->odd[quad], same_int(row->odd[quad])));
}

#endif

/** Of half the columns of a tile: of each 128 bits, quad i of four columns goes to quads[i]. */
INLINE void transpose(const q8_block *const *columns, int64_t block, ints *quads) {
  const ints a = load_columns(columns, block), b = load_columns(columns + 1, block);
  const ints c = load_columns(columns + 2, block), d = load_columns(columns + 3, block);
  quads[0] = front_pairs(front_quads(a, b), front_quads(c, d));
  quads[1] = back_pairs(front_quads(a, b), front_quads(c, d));
  quads[2] = front_pairs(back_quads(a, b), back_quads(c, d));
  quads[3] = back_pairs(back_quads(a, b), back_quads(c, d));
}

/** All blocks of COLUMNS columns; the last is repeated where there are fewer. */
static void unpack(const q8_block *weights, int64_t column_length, int64_t columns, int64_t blocks, tile *to) {
  const q8_block *each[COLUMNS];
  for (int column = 0; column < COLUMNS; column++) each[column] = weights + least(column, columns - 1) * column_length;
  for (int64_t block = 0; block < blocks; block++, to++) {
    ints left[4], right[4];
    transpose(each, block, left);
    transpose(each + COLUMNS / 2, block, right);
#pragma GCC unroll 4
    for (int quad = 0; quad < 4; quad++) {
      set_quads(to, quad, even_parts(left[quad], right[quad]));
      set_quads(to, quad + 4, odd_parts(left[quad], right[quad]));
    }
    uint16_t scales[COLUMNS];
    for (int column = 0; column < COLUMNS; column++) scales[column] = each[column][block].scale;
    to->scales = scales_to_floats(scales);
  }
}

/** Rows in groups of MOST_ROWS, the last of what remains. In a group, the same block of all rows follows each other. */
static void describe_rows(const q8_block *values, int64_t row_length, int64_t rows, int64_t blocks, row_block *to) {
  for (int64_t first = 0; first < rows; first += MOST_ROWS) {
    const int64_t together = least(rows - first, MOST_ROWS);
    for (int64_t row = 0; row < together; row++) {
      const q8_block *from = values + (first + row) * row_length;
      for (int64_t block = 0; block < blocks; block++) {
        describe_block(from + block, to + block * together + row);
      }
    }
    to += blocks * together;
  }
}

/** `rows` is a constant wherever this is called, at most MOST_ROWS: sums stay in registers. */
INLINE void multiply_rows(int rows, int64_t blocks, const tile *weights, const row_block *row_blocks, float *to,
                          int64_t result_length, int64_t columns) {
  floats sums[MOST_ROWS][QUADS];
#pragma GCC unroll 3
  for (int row = 0; row < rows; row++)
#pragma GCC unroll 8
    for (int quad = 0; quad < QUADS; quad++) sums[row][quad] = same_float(0);
  for (int64_t block = 0; block < blocks; block++, weights++, row_blocks += rows) {
    floats scales[MOST_ROWS];
#pragma GCC unroll 3
    for (int row = 0; row < rows; row++) scales[row] = multiply(weights->scales, same_float(row_blocks[row].scale));
#pragma GCC unroll 8
    for (int quad = 0; quad < QUADS; quad++)
#pragma GCC unroll 3
      for (int row = 0; row < rows; row++) {
        const floats whole = to_floats(products(weights, row_blocks + row, quad));
        sums[row][quad] = multiply_add(whole, scales[row], sums[row][quad]);
      }
  }
#pragma GCC unroll 3
  for (int row = 0; row < rows; row++) {
    floats *sum = sums[row];
#pragma GCC unroll 4
    for (int quad = 0; quad < 4; quad++) sum[quad] = add_floats(sum[quad], sum[quad + 4]);
    store(to + row * result_length, add_floats(add_floats(sum[0], sum[2]), add_floats(sum[1], sum[3])), columns);
  }
}

/** A group of rows times all tiles. */
INLINE void multiply_group(int rows, int64_t blocks, const tile *weights, const row_block *row_blocks, float *to,
                           int64_t result_length, int64_t columns) {
  for (int64_t column = 0; column < columns; column += COLUMNS, weights += blocks)
    multiply_rows(rows, blocks, weights, row_blocks, to + column, result_length, columns - column);
}

static void multiply_groups(int64_t rows, int64_t blocks, const tile *weights, const row_block *row_blocks, float *to,
                            int64_t result_length, int64_t columns) {
  for (; rows >= MOST_ROWS; rows -= MOST_ROWS) {
    multiply_group(MOST_ROWS, blocks, weights, row_blocks, to, result_length, columns);
    row_blocks += MOST_ROWS * blocks;
    to += MOST_ROWS * result_length;
  }
#ifdef __AVX512BW__
  if (rows == 2) multiply_group(2, blocks, weights, row_blocks, to, result_length, columns);
  if (rows == 1) multiply_group(1, blocks, weights, row_blocks, to, result_length, columns);
#endif
}

static void multiply_area(const product *all, area of) {
#ifdef __AVX512VNNI__
  if (of.end_row - of.row == 1) {
    multiply_one_row(all, of);
    return;
  }
#endif
  const int64_t blocks = all->blocks;
  const int64_t most_rows = most(ROW_BYTES / (blocks * (int64_t)sizeof(row_block)), MOST_ROWS);
  const int64_t parts = divide_up(of.end_row - of.row, most_rows);
  const int64_t rows_together = round_up(divide_up(of.end_row - of.row, parts), MOST_ROWS);
  const int64_t most_tiles = most(TILE_BYTES / (blocks * (int64_t)sizeof(tile)), 1);
  const int64_t tiles = least(divide_up(of.end_column - of.column, COLUMNS), most_tiles);
  row_block *row_blocks = __builtin_alloca(rows_together * blocks * sizeof *row_blocks);
  tile *unpacked = __builtin_alloca_with_align(tiles * blocks * sizeof *unpacked, 8 * sizeof(ints));
  for (int64_t row = of.row; row < of.end_row; row += rows_together) {
    const int64_t rows = least(of.end_row - row, rows_together);
    const q8_block *values = (const q8_block *)all->values + row * all->row_length;
    describe_rows(values, all->row_length, rows, blocks, row_blocks);
    for (int64_t column = of.column; column < of.end_column; column += tiles * COLUMNS) {
      const int64_t columns = least(of.end_column - column, tiles * COLUMNS);
      const q8_block *weights = (const q8_block *)all->weights + column * all->column_length;
      for (int64_t next = 0; next < columns; next += COLUMNS)
        unpack(weights + next * all->column_length, all->column_length, columns - next, blocks,
               unpacked + next / COLUMNS * blocks);
      float *to = all->to + row * all->result_length + column;
      multiply_groups(rows, blocks, unpacked, row_blocks, to, all->result_length, columns);
    }
  }
}

/**
 * From how many rows on it is faster here, as measured; two where columns are short: there llama.cpp mostly
 * adds across registers. AVX2 is not faster with long columns: it has room for the sums of one row at a time.
 * One row is multiplied in another way, with VNNI.
 */
#if defined __AVX512VNNI__
enum { ONE_ROW = true, ENOUGH_ROWS = 3, SHORT = 24 };
#elif defined __AVX512BW__
enum { ONE_ROW = false, ENOUGH_ROWS = 4, SHORT = 4 };
#else
enum { ONE_ROW = false, ENOUGH_ROWS = INT32_MAX, SHORT = 4 };
#endif

static bool is_ours(int64_t rows, int64_t blocks) {
  if (blocks < 1 || blocks > MOST_BLOCKS) return false;
  return rows == 1 ? ONE_ROW : rows >= (blocks > SHORT ? ENOUGH_ROWS : 2);
}

const kernel q8_0 = {
  .weights_type = Q8_0,
  .values_type = Q8_0,
  .columns_together = COLUMNS,
  .rows_together = MOST_ROWS,
  .is_ours = is_ours,
  .multiply = multiply_area,
};
