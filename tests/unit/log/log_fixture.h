/* A folder of its own for an event log, and the log, which a test opens as it needs it and which is closed behind it. For tests, which
 * include cmocka before. */
#pragma once

#include <stdlib.h>

#include "src/log/log.h"
#include "tests/temp_folder.h"

struct fixture {
    char folder[512];
    struct hub_log *log; /* NULL: not open */
    struct hub_error err;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    return f == NULL || temp_folder_new(f->folder) == NULL;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    hub_log_close(f->log, false);
    temp_folder_remove(f->folder);
    free(f);
    return 0;
}
