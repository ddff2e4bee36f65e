/** Products of matrices that llama.cpp asks `llamafile_sgemm` for, and what one for a type of weights is made of. */
#pragma once

#include <stdbool.h>

#include "vector.h"

/** Rows times columns. Lengths are from one row or column to the next, in blocks and of the result in floats. */
typedef struct {
  int64_t blocks;
  const void *weights;
  int64_t column_length;
  const void *values;
  int64_t row_length;
  float *to;
  int64_t result_length;
} product;

/** From the first to before the end. */
typedef struct {
  int64_t column, end_column, row, end_row;
} area;

/** As llama.cpp numbers types. */
enum { F32 = 0, Q8_0 = 8, Q6_K = 14, Q8_K = 15 };

/** A type of weights, and of rows with it, as they are multiplied. */
typedef struct {
  int weights_type, values_type;
  /** What a part of a product that a thread does is a multiple of, but for the last. */
  int columns_together, rows_together;
  /** Whether it is faster than llama.cpp's, and possible; the same for all threads. */
  bool (*is_ours)(int64_t rows, int64_t blocks);
  void (*multiply)(const product *all, area of);
} kernel;

extern const kernel HIDDEN q8_0, q6_k;

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
INLINE int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }
