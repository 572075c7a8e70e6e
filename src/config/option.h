/* Configuration options as rows (the room behind config.h). A row says where a value goes, what it may be,
 * its default as text and what it is for; the same rows load a file, dump a configuration, and write
 * docs/CONFIGURATION.md and the JSON Schema, so that none of these can drift from the others.
 *
 * A section is a list of rows over one structure. A nested section has its fields in the same structure,
 * at its row's offset. Loading refuses what no row names. One thread at a time. */
#pragma once

#include "src/base/arena.h"
#include "src/base/problem.h"
#include "src/codec/yaml.h"
#include "src/config/config.h"

enum hub_option_type {
    HUB_OPTION_TEXT,    /* const char *: no control characters */
    HUB_OPTION_NAME,    /* const char *: letters, digits, '.', '_', '-' */
    HUB_OPTION_PATH,    /* const char *: joined to the folder of hub.yaml */
    HUB_OPTION_LISTEN,  /* const char *: host:port */
    HUB_OPTION_BOOL,    /* bool */
    HUB_OPTION_SWITCH,  /* bool: choices[0] is false, choices[1] true */
    HUB_OPTION_ENUM,    /* unsigned: index into choices */
    HUB_OPTION_COUNT,   /* uint32_t */
    HUB_OPTION_SIZE,    /* uint64_t: bytes, with B, KiB, MiB, GiB or TiB */
    HUB_OPTION_MILLIS,  /* uint32_t: a duration with us, ms, s, m, h or d */
    HUB_OPTION_MICROS,  /* uint32_t: likewise, kept in microseconds */
    HUB_OPTION_SECONDS, /* uint32_t: likewise, kept in seconds: for what may be years */
    HUB_OPTION_TEXTS,   /* const char **, NULL ended, and a size_t count */
    HUB_OPTION_PATHS,   /* likewise, joined */
    HUB_OPTION_SECRET,  /* struct hub_secret_ref */
    HUB_OPTION_SECTION, /* nested rows in the same structure, at `offset` */
    HUB_OPTION_ITEMS, /* a list of maps: pointer to an array of `item_size` structures, and a size_t count */
    HUB_OPTION_VARIANT, /* a map with exactly one member; its name goes to a const char * */
};

enum hub_option_flag {
    HUB_OPTION_REQUIRED = 1,
    HUB_OPTION_SECRET_VALUE = 2, /* never shown in a dump */
    HUB_OPTION_RELOAD = 4,       /* a reload takes a new value without a restart */
};

struct hub_section;

struct hub_variant { /* one permitted member of a HUB_OPTION_VARIANT */
    const char *name;
    const struct hub_section *section; /* NULL: known, not built into this version */
    const char *description;
};

struct hub_option {
    const char *name;
    enum hub_option_type type;
    size_t offset;
    const char *value; /* default as text, lists comma separated; NULL: none */
    int64_t min, max;  /* numbers, sizes (bytes), durations (in the type's unit), list items */
    unsigned flags;
    const char *description;
    const char *mend;                   /* for a missing required key; NULL: the description */
    const char *const *choices;         /* ENUM, SWITCH; NULL ended */
    const struct hub_section *section;  /* SECTION, ITEMS */
    const struct hub_variant *variants; /* VARIANT; ended by a NULL name */
    size_t count_offset;                /* TEXTS, PATHS, ITEMS */
    size_t present_offset; /* SECTION: a bool told whether the key stood there; HUB_OPTION_NO_OFFSET: none */
    size_t item_size;      /* ITEMS */
    size_t line_offset;    /* ITEMS: uint32_t line of the item; HUB_OPTION_NO_OFFSET: none */
};
#define HUB_OPTION_NO_OFFSET SIZE_MAX

struct hub_section {
    const char *title;             /* heading in the documentation; NULL: listed under its parent */
    const char *text;              /* a paragraph under it, may be NULL */
    const struct hub_option *rows; /* ended by a NULL name */
};

extern const struct hub_section hub_config_secret_section; /* over struct hub_secret_ref */
extern const struct hub_section hub_config_kafka_section;  /* bus.kafka, over struct hub_config */

/* The whole of hub.yaml over struct hub_config; static storage. */
const struct hub_section *hub_config_rows(void);

struct hub_option_context {
    struct hub_arena *arena; /* of the configuration */
    const char *file;
    const char *folder; /* relative paths start here; "" or "." leaves them as they are */
    struct hub_problems *problems;
};

/* Fills BASE from MAP by SECTION's rows; PATH is MAP's own position for messages ("" at the top). MAP NULL:
 * defaults only, and required keys are not asked for. Problems go to CONTEXT. */
void hub_option_load(const struct hub_option_context *context, const struct hub_section *section,
                     struct hub_yaml *map, void *base, const char *path);

/* Microseconds of one unit of a duration's type; 1 for all others. */
int64_t hub_option_scale(enum hub_option_type type);
/* What a value of this type looks like, for documentation: "size", "duration", "list of paths". */
const char *hub_option_type_text(const struct hub_option *row);
/* PATH from FOLDER, in the arena; NULL when the arena is full. */
const char *hub_option_join(struct hub_arena *arena, const char *folder, const char *path);
/* The address of LISTEN is a loopback address or "localhost". */
bool hub_option_loopback(const char *listen);
