/* All problems of a configuration at once: a list of hub_error with severities, in the order found.
 * Bounded; one more than the limit is counted only. One thread at a time. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "src/base/result.h"

enum hub_severity { HUB_SEVERITY_NOTE, HUB_SEVERITY_WARNING, HUB_SEVERITY_ERROR };

struct hub_problem {
    enum hub_severity severity;
    struct hub_error error;
    char name[96]; /* the configuration path or a configured name, e.g. feeds[0].transport.mllp.listen */
    char detail[400]; /* extra words made of configuration text or a registry's reason, never of a message */
};

struct hub_problems {
    struct hub_problem *items; /* heap */
    size_t count;
    size_t cap;
    size_t errors;
    size_t dropped;
};

enum { HUB_PROBLEMS_MAX = 1000 };

void hub_problems_init(struct hub_problems *problems);
void hub_problems_deinit(struct hub_problems *problems);
/* WHAT and MEND are static strings (MEND may be NULL); FILE, NAME and the formatted detail may be NULL / "". */
void hub_problems_add(struct hub_problems *problems, enum hub_severity severity, const char *file, uint32_t line,
                      const char *name, const char *what, const char *mend, const char *detail_format, ...)
    __attribute__((format(printf, 8, 9)));
/* "error: file:line: name: what: detail; mend" a line each. Returns the number of errors. */
size_t hub_problems_print(const struct hub_problems *problems, FILE *out);
