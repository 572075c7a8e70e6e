/* Starting threads: each has a name, so that `top -H` and a debugger tell an operator which part is at work. */
#pragma once

#include <pthread.h>
#include <stddef.h>

#include "src/base/result.h"

/* NAME: up to 15 bytes. HUB_NO_MEMORY when the system gives no more threads. Any thread may call. */
enum hub_result hub_thread_start(pthread_t *out, const char *name, void *(*body)(void *arg), void *arg,
                                 struct hub_error *err) HUB_MUST_USE;

/* How many processors this process may run on, at least 1. */
size_t hub_thread_processors(void);
/* Keeps THREAD on the NTH (modulo their number) of the processors that this process may run on. Where the system refuses, the
 * thread runs as before. */
void hub_thread_bind(pthread_t thread, size_t nth);
