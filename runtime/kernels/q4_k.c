/**
 * Products of a matrix in Q4_K, as llama.cpp repacks it for x86 (block_q4_Kx8), with rows in Q8_K.
 *
 * They take the place of llama.cpp's functions of the same names, with the same arguments and the same result to the
 * last bit as those that it has for x86: what is added up before it becomes a float is exact in both, and floats are
 * added in the same order by the same instructions. What is different is how they get there. llama.cpp rearranges
 * weights and rows alike to multiply them two by two, anew for every few rows, and adds in 16 bits even where the
 * processor has an instruction that multiplies four bytes and adds the products in 32. Here a lane is a column, rows
 * are read as they are, and a tile of weights, once unpacked, serves many rows.
 */
#include "interleaved.h"

/** A block of 256 has eight sub-blocks with a scale and a minimum each. Two of them, a pair, share their bytes. */
enum { BLOCK = 256, SUB_BLOCK = 32, PAIRS = BLOCK / SUB_BLOCK / 2, QUADS = SUB_BLOCK / 4 };

/**
 * The scales and minima of a sub-block of eight columns, 6 bits each. The scales of columns 0 to 3 are the lower 6 bits
 * of the first word's bytes, the minima those of the second's. The third has the lower 4 bits of the scales of columns
 * 4 to 7, and above them of the minima; their upper 2 bits are the upper ones of the first word and of the second.
 */
typedef struct {
  uint32_t words[3];
} packed_scales;

/**
 * The blocks of eight columns. Weights are in turn 8 bytes of each column; byte i of a pair has weight i of its first
 * sub-block and weight i of its second.
 */
typedef struct {
  uint16_t scales[8];
  uint16_t minima[8];
  packed_scales sub_blocks[2 * PAIRS];
  uint8_t weights[8 * BLOCK / 2];
} weights_x8;

/** The blocks of four rows, 8 bytes in turn, with the sums of each 16: those of a pair for each row in turn. */
typedef struct {
  float scales[4];
  int8_t values[4 * BLOCK];
  int16_t sums[PAIRS][4 * 4];
} rows_x4;

/** A block of one row. */
typedef struct {
  float scale;
  int8_t values[BLOCK];
  int16_t sums[4 * PAIRS];
} row_x1;

/** What all columns need of a block of a row. */
typedef struct {
  /** The sums of both sub-blocks of each pair, 16 bits each. */
  int32_t sums[PAIRS];
  float scale;
} row_block;

#ifdef __AVX512VNNI__

/**
 * Sums of products times scales. As floats they cost half of what they do as integers, and are exact up to 2^24:
 * those of four sub-blocks are at most 4 * 32 * 15 * 128 * 63 = 15,482,880.
 */
typedef floats scaled;

INLINE floats scaled_to_floats(scaled values) { return values; }

#else

typedef ints scaled;

INLINE floats scaled_to_floats(scaled values) { return to_floats(values); }

#endif

/** The same pair of sub-blocks of each column. */
typedef struct {
  ints quads[2][QUADS];
  scaled scales[2];
  ints minima;
} tile;

/** What a tile's columns have for a whole block. */
typedef struct {
  floats scales;
  floats minima;
} block_scales;

#ifdef __AVX512BW__

INLINE ints lower_halves(ints packed) { return _mm512_and_si512(packed, _mm512_set1_epi8(0x0f)); }
INLINE ints join_shorts(ints low, ints high) { return _mm512_or_si512(low, _mm512_slli_epi32(high, 16)); }
INLINE floats subtract(floats a, floats b) { return _mm512_sub_ps(a, b); }

/** A byte for each column: 128 bits of the first sub-block of a pair, 128 of the second. */
typedef uint32_t words __attribute__((vector_size(32)));

static const int32_t FIRST_WORDS[8] = {0, 8, 1, 9, 3, 11, 4, 12};
static const int32_t THIRD_WORDS[8] = {2, 10, 2, 10, 5, 13, 5, 13};
static const words THIRD_SHIFTS = {0, 0, 4, 4, 0, 0, 4, 4};

INLINE words gather_words(const packed_scales *first, const packed_scales *second, const int32_t *which) {
  const __m256i a = _mm256_loadu_si256((const __m256i *)first), b = _mm256_loadu_si256((const __m256i *)second);
  return (words)_mm256_permutex2var_epi32(a, _mm256_loadu_si256((const __m256i *)which), b);
}

INLINE words lower_words(words a, words b) { return (words)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b); }
INLINE words upper_words(words a, words b) { return (words)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b); }
INLINE ints widen_first(words bytes) { return _mm512_cvtepu8_epi32(_mm256_castsi256_si128((__m256i)bytes)); }
INLINE ints widen_second(words bytes) { return _mm512_cvtepu8_epi32(_mm256_extracti128_si256((__m256i)bytes, 1)); }

#else

INLINE ints lower_halves(ints packed) { return _mm256_and_si256(packed, _mm256_set1_epi8(0x0f)); }
INLINE ints join_shorts(ints low, ints high) { return _mm256_or_si256(low, _mm256_slli_epi32(high, 16)); }
INLINE floats subtract(floats a, floats b) { return _mm256_sub_ps(a, b); }

/** A byte for each column: 64 bits of the first sub-block of a pair, 64 of the second. */
typedef uint32_t words __attribute__((vector_size(16)));

static const int32_t FIRST_WORDS[8] = {0, 3, 1, 4};
static const int32_t THIRD_WORDS[8] = {2, 5, 2, 5};
static const words THIRD_SHIFTS = {0, 0, 4, 4};

INLINE words gather_words(const packed_scales *first, const packed_scales *second, const int32_t *which) {
  (void)second;
  const __m256i all = _mm256_loadu_si256((const __m256i *)first);
  const __m256i gathered = _mm256_permutevar8x32_epi32(all, _mm256_loadu_si256((const __m256i *)which));
  return (words)_mm256_castsi256_si128(gathered);
}

INLINE words lower_words(words a, words b) { return (words)_mm_unpacklo_epi32((__m128i)a, (__m128i)b); }
INLINE words upper_words(words a, words b) { return (words)_mm_unpackhi_epi32((__m128i)a, (__m128i)b); }
INLINE ints widen_first(words bytes) { return _mm256_cvtepu8_epi32((__m128i)bytes); }
INLINE ints widen_second(words bytes) { return _mm256_cvtepu8_epi32(_mm_srli_si128((__m128i)bytes, 8)); }

#endif

INLINE ints upper_halves(ints packed) { return lower_halves(shift_halves(packed)); }

INLINE void unpack_weights(tile *result, const uint8_t *first, const uint8_t *second) {
#pragma GCC unroll 4
  for (int quad = 0; quad < QUADS; quad += 2) {
    const octets packed = read_octets(first + 32 * quad, second + 32 * quad);
    result->quads[0][quad] = lower_halves(packed.front);
    result->quads[0][quad + 1] = lower_halves(packed.back);
    result->quads[1][quad] = upper_halves(packed.front);
    result->quads[1][quad + 1] = upper_halves(packed.back);
  }
}

/** Their sums are in memory, near enough: registers are for the tile. */
enum { MOST_ROWS = 32 };

/** Of one of `rows` rows: `values` are those of a pair, 8 bytes of each row in turn. */
INLINE const int8_t *quad_of(const int8_t *values, int rows, int row, int half, int quad) {
  return values + (half * SUB_BLOCK + quad / 2 * 8) * rows + row * 8 + quad % 2 * 4;
}

/** Of a sub-block, as its sums are to be multiplied by them. */
INLINE scaled to_factors(ints scales) {
#ifdef __AVX512VNNI__
  return to_floats(scales);
#else
  return join_shorts(scales, scales);
#endif
}

INLINE tile unpack(const weights_x8 *first, const weights_x8 *second, int pair) {
  tile result;
  unpack_weights(&result, first->weights + 256 * pair, second->weights + 256 * pair);
  // Words of scales, then of minima. What is read after the last pair are weights, and not used.
  const packed_scales *a = first->sub_blocks + 2 * pair, *b = second->sub_blocks + 2 * pair;
  const words front = gather_words(a, b, FIRST_WORDS), third = gather_words(a, b, THIRD_WORDS);
  const words lower = front & 0x3f3f3f3f, upper = (third >> THIRD_SHIFTS & 0x0f0f0f0f) | (front >> 2 & 0x30303030);
  const words scales = lower_words(lower, upper), minima = upper_words(lower, upper);
  result.scales[0] = to_factors(widen_first(scales));
  result.scales[1] = to_factors(widen_second(scales));
  result.minima = join_shorts(widen_first(minima), widen_second(minima));
  return result;
}

INLINE block_scales unpack_block(const weights_x8 *first, const weights_x8 *second) {
  return (block_scales){
    .scales = widen_halfs(first->scales, second->scales),
    .minima = widen_halfs(first->minima, second->minima),
  };
}

/**
 * A pair of `rows` rows, at most 4, times each column of a tile. With VNNI rows take turns quad by quad, since each sum
 * waits for the one before; without, they follow each other, so that fewer registers are needed.
 */
INLINE void pair_products(int rows, const tile *weights, const int8_t *values, scaled *results) {
#ifdef __AVX512VNNI__
  ints sums[2][4];
#pragma GCC unroll 4
  for (int row = 0; row < rows; row++) sums[0][row] = sums[1][row] = same_int(0);
#pragma GCC unroll 8
  for (int quad = 0; quad < QUADS; quad++)
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++)
#pragma GCC unroll 4
      for (int row = 0; row < rows; row++)
        sums[half][row] = _mm512_dpbusd_epi32(sums[half][row], weights->quads[half][quad],
                                              same_quad(quad_of(values, rows, row, half, quad)));
#pragma GCC unroll 4
  for (int row = 0; row < rows; row++) {
    const floats first = multiply(to_floats(sums[0][row]), weights->scales[0]);
    results[row] = multiply_add(to_floats(sums[1][row]), weights->scales[1], first);
  }
#else
#pragma GCC unroll 2
  for (int half = 0; half < 2; half++)
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) {
      // Eight products of pairs are at most 8 * 2 * 15 * 128 = 30,720: they fit 16 bits.
      ints sums = multiply_bytes(weights->quads[half][0], same_quad(quad_of(values, rows, row, half, 0)));
#pragma GCC unroll 8
      for (int quad = 1; quad < QUADS; quad++) {
        const ints factors = same_quad(quad_of(values, rows, row, half, quad));
        sums = add_shorts(sums, multiply_bytes(weights->quads[half][quad], factors));
      }
      const ints whole = multiply_shorts(sums, weights->scales[half]);
      results[row] = half ? add_ints(results[row], whole) : whole;
    }
#endif
}

INLINE scaled add_scaled(scaled a, scaled b) {
#ifdef __AVX512VNNI__
  return _mm512_add_ps(a, b);
#else
  return add_ints(a, b);
#endif
}

/** `rows` is a multiple of 4, at most MOST_ROWS. */
static void multiply_rows(int rows, int blocks, float *to, size_t row_length, const weights_x8 *weights,
                          const rows_x4 *values, const row_block *row_blocks, int columns) {
  floats sums[MOST_ROWS], minima[MOST_ROWS], scales[MOST_ROWS], minimum_scales[MOST_ROWS];
  for (int column = 0; column < columns; column += COLUMNS) {
    const weights_x8 *first = weights + (size_t)(column / 8) * blocks;
    const weights_x8 *second = columns - column > 8 ? first + blocks : first;
    for (int row = 0; row < rows; row++) sums[row] = minima[row] = same_float(0);
    for (int block = 0; block < blocks; block++) {
      const block_scales of_columns = unpack_block(first + block, second + block);
      const row_block *of_rows = row_blocks + (size_t)block * rows;
      for (int row = 0; row < rows; row++) {
        scales[row] = multiply(of_columns.scales, same_float(of_rows[row].scale));
        minimum_scales[row] = multiply(of_columns.minima, same_float(of_rows[row].scale));
      }
      for (int pair = 0; pair < PAIRS; pair++) {
        const tile unpacked = unpack(first + block, second + block, pair);
        const int8_t *quads = values[block].values + 256 * pair;
        for (int row = 0; row < rows; row += 4, quads += blocks * sizeof *values) {
          scaled whole[4];
          pair_products(4, &unpacked, quads, whole);
#pragma GCC unroll 4
          for (int each = 0; each < 4; each++) {
            const int at = row + each;
            const ints below = multiply_shorts(same_int(of_rows[at].sums[pair]), unpacked.minima);
            sums[at] = multiply_add(scaled_to_floats(whole[each]), scales[at], sums[at]);
            minima[at] = multiply_add(to_floats(below), minimum_scales[at], minima[at]);
          }
        }
      }
    }
    for (int row = 0; row < rows; row++)
      store(to + row * row_length + column, subtract(sums[row], minima[row]), columns - column);
  }
}

/** Of four rows. */
static void describe_rows(const rows_x4 *values, int blocks, row_block *row_blocks, int rows) {
  for (int block = 0; block < blocks; block++, row_blocks += rows) {
    const rows_x4 *each = values + block;
    for (int pair = 0; pair < PAIRS; pair++) {
      const __m128i *sums = (const __m128i *)each->sums[pair];
      int32_t of_rows[4];
      _mm_storeu_si128((__m128i *)of_rows, _mm_hadd_epi16(_mm_loadu_si128(sums), _mm_loadu_si128(sums + 1)));
      for (int row = 0; row < 4; row++) row_blocks[row].sums[pair] = of_rows[row];
    }
    for (int row = 0; row < 4; row++) row_blocks[row].scale = each->scales[row];
  }
}

/**
 * Many rows, in groups of four.
 *
 * @param length of a row and a column, a multiple of 256
 * @param to row after row, `row_length` floats from one to the next
 * @param rows a multiple of 4
 * @param columns a multiple of 8
 */
EXPORT void ggml_gemm_q4_K_8x8_q8_K(int length, float *to, size_t row_length, const void *weights, const void *values,
                                    int rows, int columns) {
  const int blocks = length / BLOCK;
  const int most_rows = rows_together(MOST_ROWS, blocks * sizeof(row_block));
  row_block *row_blocks = __builtin_alloca((size_t)blocks * most_rows * sizeof *row_blocks);
  const rows_x4 *group = values;
  for (int row = 0; row < rows;) {
    const int together = rows - row < most_rows ? rows - row : most_rows;
    for (int each = 0; each < together / 4; each++)
      describe_rows(group + (size_t)each * blocks, blocks, row_blocks + 4 * each, together);
    multiply_rows(together, blocks, to, row_length, weights, group, row_blocks, columns);
    row += together;
    to += together * row_length;
    group += (size_t)together / 4 * blocks;
  }
}

/**
 * One row. llama.cpp calls it with one alone, and with a `row_length` of no meaning. Other than with many rows, sums
 * become floats once a block: llama.cpp does it so.
 */
EXPORT void ggml_gemv_q4_K_8x8_q8_K(int length, float *to, size_t row_length, const void *weights, const void *values,
                                    int rows, int columns) {
  (void)row_length, (void)rows;
  const int blocks = length / BLOCK;
  const row_x1 *row = values;
  for (int column = 0; column < columns; column += COLUMNS) {
    const weights_x8 *first = (const weights_x8 *)weights + (size_t)(column / 8) * blocks;
    const weights_x8 *second = columns - column > 8 ? first + blocks : first;
    floats sum = same_float(0), minima = same_float(0);
    for (int block = 0; block < blocks; block++) {
      const __m128i *sums = (const __m128i *)row[block].sums;
      int32_t pair_sums[PAIRS];
      _mm_storeu_si128((__m128i *)pair_sums, _mm_hadd_epi16(_mm_loadu_si128(sums), _mm_loadu_si128(sums + 1)));
      scaled halves[2];
      ints below = same_int(0);
#pragma GCC unroll 4
      for (int pair = 0; pair < PAIRS; pair++) {
        const tile unpacked = unpack(first + block, second + block, pair);
        scaled whole;
        pair_products(1, &unpacked, row[block].values + 64 * pair, &whole);
        halves[pair / 2] = pair % 2 ? add_scaled(halves[pair / 2], whole) : whole;
        below = add_ints(below, multiply_shorts(same_int(pair_sums[pair]), unpacked.minima));
      }
      const block_scales scales = unpack_block(first + block, second + block);
      const floats scale = same_float(row[block].scale), whole = scaled_to_floats(add_scaled(halves[0], halves[1]));
      sum = multiply_add(whole, multiply(scales.scales, scale), sum);
      minima = multiply_add(to_floats(below), multiply(scales.minima, scale), minima);
    }
    store(to + column, subtract(sum, minima), columns - column);
  }
}
