/**
 * How 4-bit weights are read that llama.cpp has repacked for x86: of eight columns, 8 bytes each in turn. A tile has
 * the columns of `first` and, where it has sixteen, those of `second`.
 */
#pragma once

#include "vector.h"

/** What is prepared of rows may take so much of a thread's stack; four rows of more than 262,144 numbers take more. */
enum { STACK_BYTES = 256 << 10 };

/** Of how many rows it is, if of each it takes so many bytes: a multiple of four, as `most` is. */
INLINE int rows_together(int most, size_t bytes) {
  while (most > 4 && most * bytes > STACK_BYTES) most -= 4;
  return most;
}

/** The same 8 bytes of each column of a tile, as two quads. */
typedef struct {
  ints front, back;
} octets;

#ifdef __AVX512BW__

static const int32_t EVEN[16] = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
static const int32_t ODD[16] = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};

INLINE octets read_octets(const uint8_t *first, const uint8_t *second) {
  const ints a = _mm512_loadu_si512(first), b = _mm512_loadu_si512(second);
  return (octets){
    .front = _mm512_permutex2var_epi32(a, _mm512_loadu_si512(EVEN), b),
    .back = _mm512_permutex2var_epi32(a, _mm512_loadu_si512(ODD), b),
  };
}

/** The upper four bits of each byte become the lower four; the upper four are of no meaning then. */
INLINE ints shift_halves(ints packed) { return _mm512_srli_epi16(packed, 4); }

/** A number in half precision for each column. */
INLINE floats widen_halfs(const uint16_t *first, const uint16_t *second) {
  const __m128i a = _mm_loadu_si128((const __m128i *)first), b = _mm_loadu_si128((const __m128i *)second);
  return _mm512_cvtph_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}

/** `columns`: those that are left, eight or more. */
INLINE void store(float *to, floats values, int columns) {
  _mm512_mask_storeu_ps(to, columns < COLUMNS ? 0x00ff : 0xffff, values);
}

#else

/** Of two columns and, four columns on, of two more: what is then shuffled within 128 bits comes out in their order. */
INLINE __m256 load_halves(const uint8_t *from) {
  const __m128i a = _mm_loadu_si128((const __m128i *)from), b = _mm_loadu_si128((const __m128i *)(from + 32));
  return _mm256_castsi256_ps(_mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1));
}

INLINE octets read_octets(const uint8_t *first, const uint8_t *second) {
  (void)second;
  const __m256 a = load_halves(first), b = load_halves(first + 16);
  return (octets){
    .front = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)),
    .back = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)),
  };
}

INLINE ints shift_halves(ints packed) { return _mm256_srli_epi16(packed, 4); }

INLINE floats widen_halfs(const uint16_t *first, const uint16_t *second) {
  (void)second;
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)first));
}

INLINE void store(float *to, floats values, int columns) {
  (void)columns;
  _mm256_storeu_ps(to, values);
}

#endif
