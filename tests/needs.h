/* What a test needs and does not find. It says SKIP with the reason and how to get it, and fails where CI is set:
 * continuous integration has everything the project names. What lies beside the project (../shared) may be missing
 * there too, for the project stands alone. */
#ifndef TESTS_NEEDS_H
#define TESTS_NEEDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { TEST_SKIPPED = 77 }; /* exit code of a program that skips as a whole; ctest knows it */

static inline bool test_in_ci(void)
{
    const char *ci = getenv("CI");
    return ci != NULL && ci[0] != '\0';
}

/* Inside a test: a program or library of this machine is missing. REASON says which, and how to get it. */
#define test_skip(reason)                                                                                                \
    do {                                                                                                                 \
        print_message("SKIP: %s\n", reason);                                                                             \
        if (test_in_ci())                                                                                                \
            fail_msg("skipped where CI is set: %s", reason);                                                             \
        skip();                                                                                                          \
    } while (0)

/* Inside a test: what is not part of the project lies not beside it. */
#define test_skip_beside(reason)                                                                                         \
    do {                                                                                                                 \
        print_message("SKIP: %s\n", reason);                                                                             \
        skip();                                                                                                          \
    } while (0)

/* Before any test: ends the program. */
#define test_skip_all(reason)                                                                                            \
    do {                                                                                                                 \
        print_message("SKIP: %s\n", reason);                                                                             \
        exit(test_in_ci() ? 1 : TEST_SKIPPED);                                                                           \
    } while (0)

#endif
