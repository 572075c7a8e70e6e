/* YAML files as trees with line numbers: configuration, policies, mapping tables.
 *
 * A strict subset: one document, string keys, no duplicate keys, no tags, no anchors or aliases; limits on
 * size and depth. Scalars stay text. The tree lives in the arena. Not thread safe. */
#pragma once

#include "src/base/arena.h"
#include "src/base/problem.h"
#include "src/base/span.h"

enum hub_yaml_type { HUB_YAML_SCALAR, HUB_YAML_LIST, HUB_YAML_MAP };

struct hub_yaml {
    enum hub_yaml_type type;
    uint32_t line;          /* 1-based */
    bool quoted;            /* the scalar stood in quotes (so "~" is a text) */
    const char *key;        /* in a map: the member's name, NUL ended */
    uint32_t key_line;
    const char *text;       /* scalar: UTF-8, NUL ended, no NUL inside */
    size_t count;           /* list, map */
    struct hub_yaml *first; /* children in the order of the file */
    struct hub_yaml *next;
    bool used; /* for strict readers: mark what was understood, complain about the rest */
};

enum { HUB_YAML_BYTES_MAX = 4 * 1024 * 1024, HUB_YAML_DEPTH_MAX = 32 };

/* Reads TEXT; every problem goes to PROBLEMS with FILE and line. NULL when there was an error. An empty
 * document is an empty map. */
struct hub_yaml *hub_yaml_parse(struct hub_arena *arena, const char *file, struct hub_span text, struct hub_problems *problems);
/* The same for a file of the disk. */
struct hub_yaml *hub_yaml_load(struct hub_arena *arena, const char *path, struct hub_problems *problems);
/* Member of a map, NULL when absent; marks it used. */
struct hub_yaml *hub_yaml_get(struct hub_yaml *map, const char *key);
/* Text of a scalar member, NULL when absent or no scalar; marks it used. */
const char *hub_yaml_get_text(struct hub_yaml *map, const char *key);
/* An error for each member of MAP that is not marked used: "unknown key", naming the nearest of KNOWN
 * (NULL-ended list, may be NULL). */
void hub_yaml_check_unused(const struct hub_yaml *map, const char *file, const char *const *known, struct hub_problems *problems);
/* Version of libyaml that this process runs with, static. */
const char *hub_libyaml_version(void);
