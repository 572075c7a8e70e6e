/* Inside the compiler of the mapping tables: what its files share. One thread. */
#pragma once

#include "adapters/formats/hl7v2/map_model.h"
#include "adapters/formats/hl7v2/map_read.h"
#include "src/base/problem.h"
#include "src/codec/yaml.h"
#include "src/schema/table.h"

enum { MAP_SLOTS_MAX = 200, MAP_TARGETS_MAX = 300, MAP_CODES_MAX = 300, MAP_KEYS_MAX = 64, MAP_OVERLAYS_MAX = 32, MAP_MOVED_MAX = 2000, MAP_CONSTANTS_MAX = 1000, MAP_KNOWN_PARTS_MAX = 500 };

struct map_overlay {
    const char *file;
    struct hub_yaml *yaml;
};

/* A node that an overlay put into another file's tree. */
struct map_moved {
    const struct hub_yaml *node;
    const char *file;
};

struct map_named_codes {
    const char *name;
    const struct hub_codes *codes;
};

struct map_named_key {
    const char *name;
    struct hub_yaml *yaml;
    const char *file;
    struct map_key *key; /* in the arena */
    int state; /* 0 untouched, 1 being compiled, 2 done */
};

struct map_compiler {
    struct map_tables *tables;
    struct hub_arena *arena; /* the tables' */
    struct hub_problems *problems;
    const char *folder;
    const char *file;  /* being compiled */
    const char *table; /* name of the table being compiled */
    uint16_t self;     /* its segment, MAP_NONE in a data type table */
    bool nested;       /* `.` paths are allowed */
    struct map_overlay overlays[MAP_OVERLAYS_MAX];
    size_t overlay_count;
    struct map_moved moved[MAP_MOVED_MAX];
    size_t moved_count;
    const char *slots[MAP_SLOTS_MAX];
    const char *slot_types[MAP_SLOTS_MAX]; /* made by some table; NULL: only referred to */
    const char *slot_files[MAP_SLOTS_MAX];
    uint32_t slot_lines[MAP_SLOTS_MAX];
    struct map_target *targets[MAP_TARGETS_MAX];
    struct hub_yaml *target_yaml[MAP_TARGETS_MAX];
    const char *target_files[MAP_TARGETS_MAX];
    struct map_named_codes codes[MAP_CODES_MAX];
    size_t code_count;
    struct hub_tables code_tables;
    struct map_named_key keys[MAP_KEYS_MAX];
    size_t key_count;
    struct map_part parts[MAP_KNOWN_PARTS_MAX];          /* the first of each, by map_part.known - 1 */
    const struct map_cond *constants[MAP_CONSTANTS_MAX]; /* the first of each, by map_cond.constant - 1 */
};

/* map_compile.c */
void map_problem(struct map_compiler *c, uint32_t line, const char *what, const char *detail);
void *map_zalloc(struct map_compiler *c, size_t count, size_t size);
/* Number of a segment name (given), made when new. MAP_NONE with a problem when there are too many. */
uint16_t map_intern_segment(struct map_compiler *c, const char *id, uint32_t line);
uint16_t map_intern_slot(struct map_compiler *c, const char *name, uint32_t line);
const struct hub_codes *map_find_codes(struct map_compiler *c, const char *name, uint32_t line);
const struct map_target *map_find_target(struct map_compiler *c, const char *type, uint32_t line);
/* The file NODE comes from. */
const char *map_file_of(const struct map_compiler *c, const struct hub_yaml *node);
/* true, false or absent (FALLBACK). */
bool map_yaml_bool(struct map_compiler *c, struct hub_yaml *map, const char *key, bool absent);

/* map_compile_path.c */
bool map_is_segment_name(const char *text, size_t len);
/* The path at TEXT; *END behind it. False when there is none. */
bool map_scan_path(struct map_compiler *c, const char *text, const char **end, struct map_path *out, uint32_t line);
/* The whole of TEXT. A problem otherwise. */
bool map_parse_path(struct map_compiler *c, const char *text, struct map_path *out, uint32_t line);
const struct map_format *map_parse_format(struct map_compiler *c, const char *text, uint32_t line);

/* map_compile_cond.c. NULL with a problem. */
const struct map_cond *map_parse_cond(struct map_compiler *c, const char *text, uint32_t line);
/* `when` of MAP, NULL when absent. */
const struct map_cond *map_when(struct map_compiler *c, struct hub_yaml *map);
/* The same of another key. */
const struct map_cond *map_condition(struct map_compiler *c, struct hub_yaml *map, const char *key);

/* map_compile_need.c */
/* The bits that tell which of RULES have something to do. */
void map_index_rules(struct map_compiler *c, struct map_rules *rules);
/* Gives what COND asks for more than once in a message, or a segment, a place for the answer. */
void map_find_known(struct map_compiler *c, struct map_cond *cond);

/* map_compile_rule.c */
void map_compile_rules(struct map_compiler *c, struct hub_yaml *list, struct map_rules *out);

/* map_compile_entry.c */
/* Where a run keeps the text of this kind at PATH, the same for all who ask; 0: nowhere. */
uint16_t map_number_part(struct map_compiler *c, enum map_part_kind kind, const struct map_path *path);
bool map_compile_parts(struct map_compiler *c, struct hub_yaml *list, struct map_parts *out);
void map_compile_key(struct map_compiler *c, struct hub_yaml *yaml, struct map_key *out);
const struct map_entry *map_compile_entry(struct map_compiler *c, struct hub_yaml *yaml);

/* map_compile_segment.c */
void map_compile_segment(struct map_compiler *c, const struct hub_table *table);
void map_merge_overlays(struct map_compiler *c, struct hub_tables *segments, struct hub_tables *datatypes,
                        struct hub_tables *messages);

/* map_compile_message.c */
void map_compile_messages(struct map_compiler *c, const struct hub_tables *messages);
