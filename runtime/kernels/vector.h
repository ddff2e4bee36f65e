/**
 * What the kernels need of the processor's vectors, in the width and with the instructions that this library is
 * compiled for: AVX-512 with VNNI, AVX-512 or AVX2.
 *
 * A tile has COLUMNS columns of the matrix of weights, one in each 32-bit lane. A "quad" is four 8-bit values that
 * follow each other in a row or a column: what one lane multiplies and adds at once.
 */
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "linkage.h"

#ifdef __AVX512BW__

typedef __m512i ints;
typedef __m512 floats;
enum { COLUMNS = 16 };

INLINE ints same_int(int32_t value) { return _mm512_set1_epi32(value); }
INLINE floats same_float(float value) { return _mm512_set1_ps(value); }
INLINE floats to_floats(ints values) { return _mm512_cvtepi32_ps(values); }
INLINE floats multiply(floats a, floats b) { return _mm512_mul_ps(a, b); }
INLINE floats multiply_add(floats a, floats b, floats sum) { return _mm512_fmadd_ps(a, b, sum); }
INLINE ints multiply_bytes(ints unsigned_bytes, ints bytes) { return _mm512_maddubs_epi16(unsigned_bytes, bytes); }
INLINE ints multiply_shorts(ints a, ints b) { return _mm512_madd_epi16(a, b); }
INLINE ints add_shorts(ints a, ints b) { return _mm512_add_epi16(a, b); }
INLINE ints add_ints(ints a, ints b) { return _mm512_add_epi32(a, b); }
INLINE ints add_pairs(ints shorts) { return _mm512_madd_epi16(shorts, _mm512_set1_epi16(1)); }

#else

typedef __m256i ints;
typedef __m256 floats;
enum { COLUMNS = 8 };

INLINE ints same_int(int32_t value) { return _mm256_set1_epi32(value); }
INLINE floats same_float(float value) { return _mm256_set1_ps(value); }
INLINE floats to_floats(ints values) { return _mm256_cvtepi32_ps(values); }
INLINE floats multiply(floats a, floats b) { return _mm256_mul_ps(a, b); }
INLINE floats multiply_add(floats a, floats b, floats sum) { return _mm256_fmadd_ps(a, b, sum); }
INLINE ints multiply_bytes(ints unsigned_bytes, ints bytes) { return _mm256_maddubs_epi16(unsigned_bytes, bytes); }
INLINE ints multiply_shorts(ints a, ints b) { return _mm256_madd_epi16(a, b); }
INLINE ints add_shorts(ints a, ints b) { return _mm256_add_epi16(a, b); }
INLINE ints add_ints(ints a, ints b) { return _mm256_add_epi32(a, b); }
INLINE ints add_pairs(ints shorts) { return _mm256_madd_epi16(shorts, _mm256_set1_epi16(1)); }

#endif

/** The same quad in every lane. */
INLINE ints same_quad(const int8_t *quad) {
  int32_t value;
  __builtin_memcpy(&value, quad, sizeof value);
  return same_int(value);
}
