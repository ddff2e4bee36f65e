/** Finds llama.cpp's own function where one of ours has taken its place. */
#pragma once

#include <stddef.h>

/** As dladdr(3) fills it, and modes of dlopen(3), for glibc. */
typedef struct {
  const char *file;
  void *base;
  const char *symbol;
  void *address;
} origin;
enum { RTLD_NOW = 2, RTLD_NOLOAD = 4 };

// Of the process that loads this library, and not there where it is linked statically.
#define OF_PROCESS extern __attribute__((weak))
OF_PROCESS int dladdr(const void *address, origin *of);
OF_PROCESS void *dlopen(const char *file, int mode);
OF_PROCESS void *dlsym(void *library, const char *symbol);
OF_PROCESS int dlclose(void *library);

/**
 * In the library that called, or in those that it was linked with: they are loaded, and stay so without being held here.
 *
 * @param return_address of the function that was called
 * @param ours what is not meant, whatever others have its name
 * @returns NULL where there is no other
 */
static inline void *find_theirs(const void *return_address, const char *name, const void *ours) {
  origin from;
  if (!dladdr || !dlopen || !dlsym || !dlclose || !dladdr(return_address, &from) || !from.file) return NULL;
  void *library = dlopen(from.file, RTLD_NOW | RTLD_NOLOAD);
  if (!library) return NULL;
  void *found = dlsym(library, name);
  dlclose(library);
  return found == ours ? NULL : found;
}
