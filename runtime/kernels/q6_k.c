/**
 * Products of a matrix in Q6_K, as a model file has it, with rows in Q8_K.
 *
 * The result is the same to the last bit as by llama.cpp, which multiplies one column by one row at a time, and unpacks
 * a column anew for each row. It has eight sums for each number of the result, one for each quad of a part of a block.
 * What goes into them of a block is exact until it becomes a float, so it may be calculated in any way; floats are then
 * added in the same order, and the eight at the end. Here a column is unpacked once for many rows, two columns share a
 * vector of AVX-512, and each instruction that multiplies by scales does so for the quads of two parts.
 */
#include "sgemm.h"

/** A block has a scale for each 16 weights. Of a part of it, each of a column's eight sums takes a quad. */
enum { BLOCK = 256, SCALES = BLOCK / 16, PART = 32, PARTS = BLOCK / PART, SUMS = PART / 4 };

/** Four parts: the lower 4 bits of the first and the second, and above them of the others; the upper 2 bits of all. */
typedef struct {
  uint8_t first[PART], second[PART];
} lower_bits;

typedef struct {
  lower_bits lower[2];
  uint8_t upper[2][PART];
  int8_t scales[SCALES];
  uint16_t scale;
} q6_block;

/** Of a row, with the sums of each 16 values. */
typedef struct {
  float scale;
  int8_t values[BLOCK];
  int16_t sums[SCALES];
} q8_block;

/** As it is multiplied: what `in_turn` makes of each two parts. */
typedef struct {
  __m256i parts[PARTS];
  __m256i sums;
  float scale;
} row_block;

#ifdef __AVX512BW__

/** The columns that share a vector. */
enum { SHARING = 2 };
/** What is multiplied at once, its sums in registers. */
enum { VECTORS = 2, ROWS = 4 };

INLINE ints load_columns(const void *first, const void *second) {
  const __m256i a = _mm256_loadu_si256(first), b = _mm256_loadu_si256(second);
  return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}
INLINE ints for_each_column(__m256i values) { return _mm512_broadcast_i64x4(values); }
INLINE ints widen_scales(const int8_t *first, const int8_t *second) {
  const __m128i a = _mm_loadu_si128((const __m128i *)first), b = _mm_loadu_si128((const __m128i *)second);
  return _mm512_cvtepi8_epi16(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}
INLINE floats scales_to_floats(uint16_t first, uint16_t second) {
  return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_set1_epi16(first), _mm_set1_epi16(second), 1));
}
INLINE ints subtract_shorts(ints a, ints b) { return _mm512_sub_epi16(a, b); }
INLINE ints shift_left(ints shorts, int bits) { return _mm512_slli_epi16(shorts, bits); }
INLINE ints shift_right(ints shorts, int bits) { return _mm512_srli_epi16(shorts, bits); }
INLINE ints lower_shorts(ints values) { return _mm512_and_si512(values, same_int(0xffff)); }
INLINE ints upper_shorts(ints values) { return _mm512_srli_epi32(values, 16); }
INLINE ints join_shorts(ints low, ints high) { return _mm512_mask_blend_epi16(0xaaaaaaaa, low, high); }
INLINE ints raise_shorts(ints values) { return _mm512_slli_epi32(values, 16); }
/** Of each two times 128 bits, the first 64 of both and the last of both. */
INLINE ints sort_halves(ints values) { return _mm512_permutex_epi64(values, _MM_SHUFFLE(3, 1, 2, 0)); }
INLINE ints pack_shorts(ints a, ints b) { return _mm512_packus_epi32(a, b); }
/** One of the four of each 128 bits; a macro since it must be a constant. */
#define SAME_OF_FOUR(values, which) _mm512_shuffle_epi32(values, (which) * 0x55)
/** The lower 4 bits of each byte, and above them two of the other's. */
INLINE ints join_bits(ints lower, ints upper) {
  const ints both = _mm512_ternarylogic_epi64(_mm512_set1_epi8(0x0f), lower, upper, 0xca);
  return _mm512_and_si512(both, _mm512_set1_epi8(0x3f));
}

#else

enum { SHARING = 1 };
enum { VECTORS = 1, ROWS = 4 };

INLINE ints load_columns(const void *first, const void *second) {
  (void)second;
  return _mm256_loadu_si256(first);
}
INLINE ints for_each_column(__m256i values) { return values; }
INLINE ints widen_scales(const int8_t *first, const int8_t *second) {
  (void)second;
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)first));
}
INLINE floats scales_to_floats(uint16_t first, uint16_t second) {
  (void)second;
  return _mm256_cvtph_ps(_mm_set1_epi16(first));
}
INLINE ints subtract_shorts(ints a, ints b) { return _mm256_sub_epi16(a, b); }
INLINE ints shift_left(ints shorts, int bits) { return _mm256_slli_epi16(shorts, bits); }
INLINE ints shift_right(ints shorts, int bits) { return _mm256_srli_epi16(shorts, bits); }
INLINE ints lower_shorts(ints values) { return _mm256_and_si256(values, same_int(0xffff)); }
INLINE ints upper_shorts(ints values) { return _mm256_srli_epi32(values, 16); }
INLINE ints join_shorts(ints low, ints high) { return _mm256_blend_epi16(low, high, 0xaa); }
INLINE ints raise_shorts(ints values) { return _mm256_slli_epi32(values, 16); }
INLINE ints sort_halves(ints values) { return _mm256_permute4x64_epi64(values, _MM_SHUFFLE(3, 1, 2, 0)); }
INLINE ints pack_shorts(ints a, ints b) { return _mm256_packus_epi32(a, b); }
#define SAME_OF_FOUR(values, which) _mm256_shuffle_epi32(values, (which) * 0x55)
INLINE ints join_bits(ints lower, ints upper) {
  const ints a = _mm256_and_si256(lower, _mm256_set1_epi8(0x0f)), b = _mm256_and_si256(upper, _mm256_set1_epi8(0x30));
  return _mm256_or_si256(a, b);
}

#endif

#ifdef __AVX512VNNI__
INLINE ints add_products(ints sums, ints a, ints b) { return _mm512_dpwssd_epi32(sums, a, b); }
#else
INLINE ints add_products(ints sums, ints a, ints b) { return add_ints(sums, multiply_shorts(a, b)); }
#endif

/** What is unpacked together: so many vectors, and blocks of each. It stays in the processor's nearest cache. */
enum { TOGETHER = 4, COLUMNS_TOGETHER = TOGETHER * SHARING, CHUNK = 4 };
/** The rows that it is multiplied by, what they may take of a thread's stack, and the longest column. */
enum { MOST_ROWS = 64, ROW_BYTES = 512 << 10, MOST_BLOCKS = ROW_BYTES / (ROWS * sizeof(row_block)) };
/** Up to so many rows it is a matter of reading weights: they are asked for ahead, and a block at a time. */
enum { MOST_PREFETCHED_ROWS = 16 };

/** A block of SHARING columns. */
typedef struct {
  /** 0 to 63, as `in_turn` makes of each two parts. */
  ints parts[PARTS];
  /** Of each two parts in turn, 16 bits each, for each sum. */
  ints scales[PARTS / 2];
  /** The scales times -32, each for the sum of 16 values of a row: weights are -32 to 31. */
  ints excess;
  floats scale;
} tile;

/**
 * Two parts as they are multiplied: the first two bytes of each quad of both in turn, and the last two. What these come
 * to, added, are sums of quads, of both parts in turn. At most 4 * 63 * 128 = 32,256, they fit 16 bits.
 */
INLINE void in_turn(ints *parts, ints a, ints b) {
  parts[0] = join_shorts(a, raise_shorts(b));
  parts[1] = join_shorts(upper_shorts(a), b);
}

INLINE void unpack(tile *to, const q6_block *a, const q6_block *b) {
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++) {
    const ints first = load_columns(a->lower[half].first, b->lower[half].first);
    const ints second = load_columns(a->lower[half].second, b->lower[half].second);
    const ints upper = load_columns(a->upper[half], b->upper[half]);
    in_turn(to->parts + 4 * half, join_bits(first, shift_left(upper, 4)), join_bits(second, shift_left(upper, 2)));
    in_turn(to->parts + 4 * half + 2, join_bits(shift_right(first, 4), upper),
            join_bits(shift_right(second, 4), shift_right(upper, 2)));
  }
  const ints scales = widen_scales(a->scales, b->scales);
  to->excess = shift_left(subtract_shorts(same_int(0), scales), 5);
  // A part has a scale for the first four sums, which are the first 128 bits of a column, and one for the others.
  const ints sorted = sort_halves(pack_shorts(lower_shorts(scales), upper_shorts(scales)));
  to->scales[0] = SAME_OF_FOUR(sorted, 0);
  to->scales[1] = SAME_OF_FOUR(sorted, 1);
  to->scales[2] = SAME_OF_FOUR(sorted, 2);
  to->scales[3] = SAME_OF_FOUR(sorted, 3);
  to->scale = scales_to_floats(a->scale, b->scale);
}

static void describe_rows(const q8_block *from, int64_t row_length, int64_t rows, int64_t blocks, row_block *to) {
  for (int64_t row = 0; row < rows; row++, from += row_length)
    for (int64_t block = 0; block < blocks; block++, to++) {
      const __m256i *parts = (const __m256i *)from[block].values;
#pragma GCC unroll 4
      for (int part = 0; part < PARTS; part += 2) {
        const __m256i a = _mm256_loadu_si256(parts + part), b = _mm256_loadu_si256(parts + part + 1);
        to->parts[part] = _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa);
        to->parts[part + 1] = _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa);
      }
      to->sums = _mm256_loadu_si256((const __m256i *)from[block].sums);
      to->scale = from[block].scale;
    }
}

/** VECTORS times `rows`, a constant wherever this is called, at most ROWS. */
INLINE void multiply_tiles(int rows, int64_t blocks, const tile *tiles, const row_block *row_blocks, int64_t row_length,
                           floats *to) {
  floats sums[VECTORS][ROWS];
#pragma GCC unroll 2
  for (int vector = 0; vector < VECTORS; vector++)
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) sums[vector][row] = to[vector * MOST_ROWS + row];
  for (int64_t block = 0; block < blocks; block++, tiles++, row_blocks++) {
    ints whole[VECTORS][ROWS];
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) {
      const ints of_row = for_each_column(row_blocks[row * row_length].sums);
#pragma GCC unroll 2
      for (int vector = 0; vector < VECTORS; vector++)
        whole[vector][row] = multiply_shorts(of_row, tiles[vector * CHUNK].excess);
    }
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part += 2)
#pragma GCC unroll 4
      for (int row = 0; row < rows; row++) {
        const __m256i *parts = row_blocks[row * row_length].parts + part;
        const ints first = for_each_column(parts[0]), second = for_each_column(parts[1]);
#pragma GCC unroll 2
        for (int vector = 0; vector < VECTORS; vector++) {
          const tile *weights = tiles + vector * CHUNK;
          const ints quads =
              add_shorts(multiply_bytes(weights->parts[part], first), multiply_bytes(weights->parts[part + 1], second));
          whole[vector][row] = add_products(whole[vector][row], quads, weights->scales[part / 2]);
        }
      }
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) {
      const floats scale = same_float(row_blocks[row * row_length].scale);
#pragma GCC unroll 2
      for (int vector = 0; vector < VECTORS; vector++)
        sums[vector][row] = multiply_add(multiply(scale, tiles[vector * CHUNK].scale), to_floats(whole[vector][row]),
                                         sums[vector][row]);
    }
  }
#pragma GCC unroll 2
  for (int vector = 0; vector < VECTORS; vector++)
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) to[vector * MOST_ROWS + row] = sums[vector][row];
}

INLINE void multiply_group(int rows, int64_t blocks, const tile *tiles, const row_block *row_blocks, int64_t row_length,
                           floats *sums) {
  for (int vector = 0; vector < TOGETHER; vector += VECTORS)
    multiply_tiles(rows, blocks, tiles + vector * CHUNK, row_blocks, row_length, sums + vector * MOST_ROWS);
}

static void multiply_groups(int64_t rows, int64_t blocks, const tile *tiles, const row_block *row_blocks,
                            int64_t row_length, floats *sums) {
  for (; rows >= ROWS; rows -= ROWS, row_blocks += ROWS * row_length, sums += ROWS)
    multiply_group(ROWS, blocks, tiles, row_blocks, row_length, sums);
  switch (rows) {
    case 3: multiply_group(3, blocks, tiles, row_blocks, row_length, sums); break;
    case 2: multiply_group(2, blocks, tiles, row_blocks, row_length, sums); break;
    case 1: multiply_group(1, blocks, tiles, row_blocks, row_length, sums); break;
  }
}

/** The first four of a column's eight sums, added to the others. */
INLINE __m128 fold(const float *sums) { return _mm_add_ps(_mm_loadu_ps(sums), _mm_loadu_ps(sums + 4)); }

/** Each four of four columns, added up. */
INLINE __m128 add_up(__m128 a, __m128 b, __m128 c, __m128 d) {
  const __m128 first = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
  const __m128 second = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
  return _mm_add_ps(_mm_shuffle_ps(first, second, 0x88), _mm_shuffle_ps(first, second, 0xdd));
}

INLINE void store(float *to, const floats *sums, int64_t columns) {
  float results[COLUMNS_TOGETHER];
#pragma GCC unroll 2
  for (int column = 0; column < COLUMNS_TOGETHER; column += 4) {
    __m128 each[4];
#pragma GCC unroll 4
    for (int at = 0; at < 4; at++)
      each[at] = fold((const float *)(sums + (column + at) / SHARING * MOST_ROWS) + at % SHARING * SUMS);
    const __m128 four = add_up(each[0], each[1], each[2], each[3]);
    if (column + 4 <= columns)
      _mm_storeu_ps(to + column, four);
    else
      _mm_storeu_ps(results + column, four);
  }
  for (int64_t column = columns / 4 * 4; column < columns; column++) to[column] = results[column];
}

INLINE void prefetch(const q6_block *block) {
  for (size_t at = 0; at < sizeof *block; at += 64) __builtin_prefetch((const char *)block + at);
}

/** At most COLUMNS_TOGETHER columns; the last is repeated where there are fewer. */
static void multiply_columns(const product *all, int64_t column, int64_t columns, const row_block *row_blocks,
                             int64_t row, int64_t rows) {
  const q6_block *each[COLUMNS_TOGETHER];
  for (int at = 0; at < COLUMNS_TOGETHER; at++)
    each[at] = (const q6_block *)all->weights + (column + least(at, columns - 1)) * all->column_length;
  const int64_t next_columns = COLUMNS_TOGETHER * all->column_length;
  const bool few = rows <= MOST_PREFETCHED_ROWS;
  const int64_t chunk = few ? 1 : CHUNK;
  floats sums[TOGETHER * MOST_ROWS];
  for (int vector = 0; vector < TOGETHER; vector++)
    for (int64_t at = 0; at < rows; at++) sums[vector * MOST_ROWS + at] = same_float(0);
  for (int64_t block = 0; block < all->blocks; block += chunk) {
    const int64_t blocks = least(all->blocks - block, chunk);
    tile tiles[TOGETHER * CHUNK];
    for (int vector = 0; vector < TOGETHER; vector++)
      for (int64_t at = 0; at < blocks; at++) {
        const q6_block *first = each[vector * SHARING] + block + at;
        const q6_block *second = each[vector * SHARING + SHARING - 1] + block + at;
        if (few) {
          prefetch(first + next_columns);
          if (SHARING > 1) prefetch(second + next_columns);
        }
        unpack(tiles + vector * CHUNK + at, first, second);
      }
    multiply_groups(rows, blocks, tiles, row_blocks + block, all->blocks, sums);
  }
  float *to = all->to + row * all->result_length + column;
  for (int64_t at = 0; at < rows; at++) store(to + at * all->result_length, sums + at, columns);
}

static void multiply_area(const product *all, area of) {
  const int64_t fit = ROW_BYTES / (all->blocks * (int64_t)sizeof(row_block)) / ROWS * ROWS;
  const int64_t rows_together = least(least(most(fit, ROWS), MOST_ROWS), of.end_row - of.row);
  row_block *row_blocks =
      __builtin_alloca_with_align(rows_together * all->blocks * sizeof *row_blocks, 8 * sizeof(ints));
  for (int64_t row = of.row; row < of.end_row; row += rows_together) {
    const int64_t rows = least(of.end_row - row, rows_together);
    const q8_block *values = (const q8_block *)all->values + row * all->row_length;
    describe_rows(values, all->row_length, rows, all->blocks, row_blocks);
    for (int64_t column = of.column; column < of.end_column; column += COLUMNS_TOGETHER)
      multiply_columns(all, column, least(of.end_column - column, COLUMNS_TOGETHER), row_blocks, row, rows);
  }
}

/** It is faster for a single row too. */
static bool is_ours(int64_t rows, int64_t blocks) { return rows >= 1 && blocks >= 1 && blocks <= MOST_BLOCKS; }

const kernel q6_k = {
  .weights_type = Q6_K,
  .values_type = Q8_K,
  .columns_together = COLUMNS_TOGETHER,
  .rows_together = ROWS,
  .is_ours = is_ours,
  .multiply = multiply_area,
};
