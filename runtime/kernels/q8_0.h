/** Blocks of Q8_0, and what is prepared of a row's. */
#pragma once

#include "sgemm.h"

enum { BLOCK = 32, QUADS = BLOCK / 4 };

/** A block of a row and of a column alike. */
typedef struct {
  uint16_t scale;
  int8_t values[BLOCK];
} q8_block;

INLINE __m256i load_values(const q8_block *block) { return _mm256_loadu_si256((const __m256i *)block->values); }
INLINE float scale_of(const q8_block *block) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(block->scale))); }

#ifdef __AVX512VNNI__

/** A block of a row, to be multiplied with weights that 128 was added to. */
typedef struct {
  int32_t quads[QUADS];
  /** Of each quad, by how much its products with unsigned weights are too large, negative. */
  int32_t excess[QUADS];
  float scale;
} row_block;

INLINE void set_row(row_block *row, __m256i values) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(-128), values);
  _mm256_storeu_si256((__m256i *)row->quads, values);
  _mm256_storeu_si256((__m256i *)row->excess, _mm256_madd_epi16(pairs, _mm256_set1_epi16(-1)));
}

/** Signed ones, with 128 added to each. */
INLINE ints unsigned_bytes(ints bytes) { return _mm512_xor_si512(bytes, _mm512_set1_epi8(-128)); }

/** Of an area of one row. */
HIDDEN void multiply_one_row(const product *all, area of);

#else

/** A block of a row, 16 bits a value: of each quad the first and the third, and the second and the fourth. */
typedef struct {
  int32_t even[QUADS], odd[QUADS];
  float scale;
} row_block;

INLINE void set_row(row_block *row, __m256i values) {
  _mm256_storeu_si256((__m256i *)row->even, _mm256_srai_epi16(_mm256_slli_epi16(values, 8), 8));
  _mm256_storeu_si256((__m256i *)row->odd, _mm256_srai_epi16(values, 8));
}

#endif

INLINE void describe_block(const q8_block *from, row_block *to) {
  set_row(to, load_values(from));
  to->scale = scale_of(from);
}
