/**
 * `ggml_backend_buffer_clear` takes the place of llama.cpp's function of the same name, with which it fills the memory of a
 * new context with zeroes: hundreds of MiB, which are then resident, though most of them are never written again. Pages
 * that are given back to the system read as zeroes, too (madvise(2), MADV_DONTNEED), and are there again when something is
 * written to them. What is no whole page, and what the system does not take back, is filled as ever.
 */
#include <stdbool.h>
#include <stdint.h>

#include "linkage.h"
#include "theirs.h"

/** llama.cpp's; nothing of it is known here. */
typedef struct buffer buffer;
typedef void clearing(buffer *of, uint8_t value);

OF_PROCESS int madvise(void *address, size_t length, int advice);
/** As Linux numbers them. */
enum { MADV_DONTNEED = 4, MADV_NOHUGEPAGE = 15 };

/** Of x86-64. */
enum { PAGE = 4096 };
/** Less than this is filled sooner than given back. */
enum { LEAST = 1 << 20 };

EXPORT clearing ggml_backend_buffer_clear;
/** The one of this library, whatever others have its name. */
extern __attribute__((alias("ggml_backend_buffer_clear"), visibility("hidden"))) clearing own_clear;

static uint64_t given_back;

/** Bytes that were given back since this library was loaded. */
EXPORT uint64_t botstack_given_back_bytes(void) { return __atomic_load_n(&given_back, __ATOMIC_RELAXED); }

static void fill_with_zeroes(char *from, const char *end) {
  while (from < end) *from++ = 0;
}

static bool is_zero(const char *from, size_t length) {
  for (size_t each = 0; each < length; each++)
    if (from[each]) return false;
  return true;
}

/** Memory that is not the process's own alone would not be zeroes then: it would be its file's again. */
static bool give_back(char *start, size_t length) {
  if (!madvise || !start || length < LEAST) return false;
  char *end = start + length;
  char *first = start + (PAGE - (uintptr_t)start % PAGE) % PAGE;
  char *last = end - (uintptr_t)end % PAGE;
  const size_t whole = last - first;
  // On pages of 2 MiB all of it would be back with the first tokens: each layer's part of a sequence is about as large. A
  // kernel without such pages refuses the advice, and does not need it.
  madvise(first, whole, MADV_NOHUGEPAGE);
  if (madvise(first, whole, MADV_DONTNEED) != 0) return false;
  if (!is_zero(first, PAGE) || !is_zero(last - PAGE, PAGE)) return false;
  fill_with_zeroes(start, first);
  fill_with_zeroes(last, end);
  __atomic_fetch_add(&given_back, whole, __ATOMIC_RELAXED);
  return true;
}

void ggml_backend_buffer_clear(buffer *of, uint8_t value) {
  const void *caller = __builtin_return_address(0);
  if (value == 0) {
    bool (*is_host)(buffer *) = (bool (*)(buffer *))find_theirs(caller, "ggml_backend_buffer_is_host", NULL);
    void *(*base_of)(buffer *) = (void *(*)(buffer *))find_theirs(caller, "ggml_backend_buffer_get_base", NULL);
    size_t (*size_of)(buffer *) = (size_t (*)(buffer *))find_theirs(caller, "ggml_backend_buffer_get_size", NULL);
    if (is_host && base_of && size_of && is_host(of) && give_back(base_of(of), size_of(of))) return;
  }
  clearing *theirs = (clearing *)find_theirs(caller, "ggml_backend_buffer_clear", (const void *)own_clear);
  // It called: it is there. Memory that only seems to be empty would be worse than the end of the engine's process.
  if (!theirs) __builtin_trap();
  theirs(of, value);
}
