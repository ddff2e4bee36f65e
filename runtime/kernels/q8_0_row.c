/**
 * One row times a matrix in Q8_0: every product of a step for a single user, of which SmolLM2's output matrix is a
 * quarter. There is nothing to share the work of unpacking with, so nothing is transposed: half a register is a column,
 * with its eight sums as llama.cpp has them, and what is prepared of the row serves all columns. See q8_0.c.
 */
#include "q8_0.h"

#ifdef __AVX512VNNI__

/** Two for each register. */
enum { AT_ONCE = 4 };

INLINE __m512i twice(const int32_t *quads) {
  return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)quads));
}

/** A block of a column in each half, with 128 added to each value: unsigned. */
INLINE __m512i pair(const q8_block *first, const q8_block *second) {
  const __m512i values = _mm512_inserti64x4(_mm512_castsi256_si512(load_values(first)), load_values(second), 1);
  return unsigned_bytes(values);
}

/** The first of four, eight times, and the second; `from` 2: the third and the fourth. */
INLINE __m512 spread(__m128 scales, int from) {
  const __m512i half = _mm512_inserti64x4(_mm512_set1_epi32(from), _mm256_set1_epi32(from + 1), 1);
  return _mm512_permutexvar_ps(half, _mm512_castps128_ps512(scales));
}

/** Adds in the order in which llama.cpp does. */
INLINE float add_eight(__m256 sums) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

INLINE void multiply_columns(const q8_block *const *columns, int64_t blocks, const row_block *row, float *to) {
  __m512 front = _mm512_setzero_ps(), back = front;
  for (int64_t block = 0; block < blocks; block++, row++) {
    const q8_block *a = columns[0] + block, *b = columns[1] + block;
    const q8_block *c = columns[2] + block, *d = columns[3] + block;
    const __m512i quads = twice(row->quads), excess = twice(row->excess);
    const __m512 front_products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(excess, pair(a, b), quads));
    const __m512 back_products = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(excess, pair(c, d), quads));
    const __m128i halves = _mm_setr_epi16(a->scale, b->scale, c->scale, d->scale, 0, 0, 0, 0);
    const __m128 scales = _mm_mul_ps(_mm_cvtph_ps(halves), _mm_set1_ps(row->scale));
    front = _mm512_fmadd_ps(front_products, spread(scales, 0), front);
    back = _mm512_fmadd_ps(back_products, spread(scales, 2), back);
  }
  to[0] = add_eight(_mm512_castps512_ps256(front));
  to[1] = add_eight(_mm512_extractf32x8_ps(front, 1));
  to[2] = add_eight(_mm512_castps512_ps256(back));
  to[3] = add_eight(_mm512_extractf32x8_ps(back, 1));
}

void multiply_one_row(const product *all, area of) {
  const int64_t blocks = all->blocks;
  const q8_block *values = (const q8_block *)all->values + of.row * all->row_length;
  float *to = all->to + of.row * all->result_length;
  row_block *row = __builtin_alloca(blocks * sizeof *row);
  for (int64_t block = 0; block < blocks; block++) describe_block(values + block, row + block);
  for (int64_t column = of.column; column < of.end_column; column += AT_ONCE) {
    const q8_block *columns[AT_ONCE];
    // The last is repeated where there are fewer.
    for (int64_t each = 0; each < AT_ONCE; each++)
      columns[each] = (const q8_block *)all->weights + least(column + each, of.end_column - 1) * all->column_length;
    float sums[AT_ONCE];
    multiply_columns(columns, blocks, row, sums);
    for (int64_t each = 0; each < least(of.end_column - column, AT_ONCE); each++) to[column + each] = sums[each];
  }
}

#endif
