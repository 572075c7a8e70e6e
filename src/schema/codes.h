/* Code lists: one system's codes to another's (docs/MAPPING.md section 5.1). Compiled from YAML into a hash
 * table; immutable afterwards, any thread may look up. */
#pragma once

#include "src/base/arena.h"
#include "src/base/problem.h"
#include "src/base/span.h"
#include "src/codec/yaml.h"

struct hub_code {
    struct hub_span source; /* the code as the table names it */
    struct hub_span code;   /* empty: known, deliberately without target */
    struct hub_span system;
    struct hub_span display;
};

enum hub_unmapped { HUB_UNMAPPED_KEEP, HUB_UNMAPPED_OMIT, HUB_UNMAPPED_CODE };

struct hub_codes {
    const char *name;
    struct hub_span source; /* system of the source codes, empty if the table names none */
    struct hub_span system; /* of the results */
    enum hub_unmapped unmapped;
    struct hub_code other; /* for HUB_UNMAPPED_CODE */
    struct hub_code *items;
    size_t count;
    uint32_t *slots; /* hash table: index + 1, 0 = free */
    uint32_t slot_mask;
};

/* Compiles BASE and then OVERLAYS (maps with the same keys, may be NULL ended list of none) into OUT. Problems
 * go to PROBLEMS with the file of each. */
struct hub_codes_source {
    const char *file;
    struct hub_yaml *yaml;
};
void hub_codes_compile(struct hub_arena *arena, const char *name, const struct hub_codes_source *sources, size_t source_count,
                       struct hub_codes *out, struct hub_problems *problems);
/* Exact match, else one without regard to case, else NULL. */
const struct hub_code *hub_codes_find(const struct hub_codes *codes, struct hub_span code);
