/* Tables of a folder: YAML files whose top key names what they are ("segment: PID" in PID.yaml). Generic
 * over formats: what stands in a table is its reader's business. Loading threads only. */
#pragma once

#include "src/base/arena.h"
#include "src/base/problem.h"
#include "src/codec/yaml.h"

struct hub_table {
    const char *name; /* value of the top key, equals the file's name */
    const char *file; /* for messages */
    struct hub_yaml *yaml;
};

struct hub_tables {
    struct hub_table *items; /* in order of names; in the arena */
    size_t count;
};

/* Reads FOLDER/ *.yaml; every problem goes to PROBLEMS. A folder that is not there is an error. */
void hub_tables_load(struct hub_arena *arena, const char *folder, const char *top_key, struct hub_tables *out,
                     struct hub_problems *problems);
/* The table of that name, NULL when absent. */
struct hub_table *hub_tables_find(const struct hub_tables *tables, const char *name);

/* A problem of a table's line. WHAT is a literal; DETAIL (may be NULL) is text of the table. */
void hub_table_problem(struct hub_problems *problems, const char *file, uint32_t line, const char *what, const char *detail);
