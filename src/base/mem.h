/* The hub's only door to the heap, so that a test can make the nth allocation fail. Any thread.
 * Results are zeroed. NULL means out of memory; callers answer with HUB_NO_MEMORY. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Once, before the first thread: blocks of the size of a message are kept by the heap, not given back to the system and
 * faulted in again for the next one. */
void hub_mem_init(void);
/* First of all in a program that runs long: where the system gives large pages to who asks (transparent_hugepage
 * "madvise"), the heap is made to ask. glibc reads that (GLIBC_TUNABLES, glibc.malloc.hugetlb) before main alone, so the
 * program is started anew in its place, once, with ARGV. Returns where that is not to be, or cannot be: it is only slower. */
void hub_mem_large_pages(char *const *argv);
void *hub_mem_alloc(size_t size);
/* COUNT * SIZE with an overflow check. */
void *hub_mem_array(size_t count, size_t size);
/* New bytes are not zeroed. On failure PTR stays valid. */
void *hub_mem_resize(void *ptr, size_t size);
char *hub_mem_strdup(const char *str);
/* NULL is fine. */
void hub_mem_free(void *ptr);
/* Overwrites in a way the compiler keeps. */
void hub_mem_wipe(void *ptr, size_t len);

/* For fault tests: the allocation number NTH (1-based, counted from this call, all threads) fails; with
 * LASTING, every later one too. 0 switches it off. Returns how many were counted since the last call. */
uint64_t hub_mem_fail_nth(uint64_t nth, int lasting);
/* The same by the test's own choice: FAILS is asked at every allocation, in its thread. NULL switches it off. */
void hub_mem_fail_when(bool (*fails)(void));
