/* The libraries this program runs with: their versions, told by the module that owns each, and versions that are known
 * to be bad. For `check`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct hub_cli_library {
    const char *name;
    const char *(*version)(void); /* "3.0.15", static storage */
    struct hub_cli_library_range {
        const char *from, *before; /* bad from FROM on, good again with BEFORE */
        const char *why;
    } bad[3];
};
extern const struct hub_cli_library hub_cli_libraries[]; /* ended by a NULL name */

/* Numbers compare by their parts ("3.0.9" is before "3.0.15"); what follows them ("-stable") does not count. */
bool hub_cli_version_before(const char *a, const char *b);
/* Why VERSION of this library must not be used, NULL when nothing is known against it. */
const char *hub_cli_library_bad(const struct hub_cli_library *library, const char *version);
