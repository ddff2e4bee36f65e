/**
 * `llamafile_sgemm` takes the place of llama.cpp's function of the same name: it multiplies the types that there is a
 * kernel for, and hands all others to llama.cpp's own.
 *
 * llama.cpp calls it for every product of a matrix that it has not repacked: with rows of floats, and, where that did
 * nothing, with rows in the type that goes with the weights' type. Where that does nothing either, it goes on with its
 * general path, a product of one row and one column at a time. For Q6_K its own always does nothing. (Of a mixture of
 * experts' matrices it does not call it.)
 */
#include "sgemm.h"
#include "theirs.h"

/** How llama.cpp's begins: which of its threads calls, and how many there are. Each does its part of a product. */
typedef struct {
  int thread, threads;
} caller_part;

typedef bool multiplication(const caller_part *part, int64_t columns, int64_t rows, int64_t length, const void *weights,
                            int64_t column_length, const void *values, int64_t row_length, void *to,
                            int64_t result_length, int weights_type, int values_type, int result_type);

EXPORT multiplication llamafile_sgemm;
/** The one of this library, whatever others have its name. */
extern __attribute__((alias("llamafile_sgemm"), visibility("hidden"))) multiplication own_sgemm;

/** Where llama.cpp's is not found: it goes on with its general, slower path. */
static bool none(const caller_part *part, int64_t columns, int64_t rows, int64_t length, const void *weights,
                 int64_t column_length, const void *values, int64_t row_length, void *to, int64_t result_length,
                 int weights_type, int values_type, int result_type) {
  (void)part, (void)columns, (void)rows, (void)length, (void)weights, (void)column_length, (void)values;
  (void)row_length, (void)to, (void)result_length, (void)weights_type, (void)values_type, (void)result_type;
  return false;
}

static multiplication *theirs;

/** Threads that come at the same time find the same. */
INLINE multiplication *find_theirs_once(const void *return_address) {
  multiplication *found = __atomic_load_n(&theirs, __ATOMIC_RELAXED);
  if (found) return found;
  found = (multiplication *)find_theirs(return_address, "llamafile_sgemm", (const void *)own_sgemm);
  if (!found) found = none;
  __atomic_store_n(&theirs, found, __ATOMIC_RELAXED);
  return found;
}

static const kernel *const KERNELS[] = {&q8_0, &q6_k};

INLINE const kernel *find_kernel(int weights_type, int values_type) {
  for (size_t each = 0; each < sizeof KERNELS / sizeof *KERNELS; each++)
    if (KERNELS[each]->weights_type == weights_type && KERNELS[each]->values_type == values_type) return KERNELS[each];
  return NULL;
}

/** Of what goes from 0 to the end, the part of the thread that calls. */
INLINE void take_part(const caller_part *part, int together, int64_t *first, int64_t *end) {
  const int64_t duty = round_up(divide_up(*end, part->threads), together);
  *first = duty * part->thread;
  *end = least(*first + duty, *end);
}

/**
 * @param length of a column; this and all others in blocks, floats where the type has none
 * @param to column after column of a row, `result_length` floats from one row to the next
 * @returns whether it did it; where not, llama.cpp goes on with products of one row and one column
 */
bool llamafile_sgemm(const caller_part *part, int64_t columns, int64_t rows, int64_t length, const void *weights,
                     int64_t column_length, const void *values, int64_t row_length, void *to, int64_t result_length,
                     int weights_type, int values_type, int result_type) {
  const kernel *with = result_type == F32 ? find_kernel(weights_type, values_type) : NULL;
  if (!with || !with->is_ours(rows, length))
    return find_theirs_once(__builtin_return_address(0))(part, columns, rows, length, weights, column_length, values,
                                                         row_length, to, result_length, weights_type, values_type,
                                                         result_type);
  const product all = {length, weights, column_length, values, row_length, to, result_length};
  // The longer side is divided: what is prepared of the shorter one, each thread prepares.
  area of = {0, columns, 0, rows};
  if (rows > columns)
    take_part(part, with->rows_together, &of.row, &of.end_row);
  else
    take_part(part, with->columns_together, &of.column, &of.end_column);
  if (of.column < of.end_column && of.row < of.end_row) with->multiply(&all, of);
  return true;
}
