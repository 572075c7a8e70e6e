/* The mapping tables after compilation (docs/MAPPING.md): names are numbers and pointers, nothing is looked up
 * by text while a message runs. Built by map_compile*.c, immutable afterwards, any thread may read. */
#pragma once

#include "src/base/arena.h"
#include "src/base/span.h"
#include "src/config/config.h"
#include "src/event/event.h"
#include "src/schema/codes.h"
#include "src/schema/element.h"

enum {
    MAP_SELF = 0xffff,      /* map_path.segment: the present value */
    MAP_REP_LAST = 0xffff,  /* map_path.rep_from */
    MAP_SEGMENTS_MAX = 400, /* different segment names of all tables */
    MAP_PARTS_MAX = 40,     /* components of a data type that rules can name */
    MAP_NONE = 0xffff,
};

struct map_path {
    const char *name; /* as written: "OBX-14"; static for the tables' life */
    uint16_t segment; /* number of the segment name, or MAP_SELF */
    uint16_t field;
    uint16_t rep_from; /* 1-based; 0 = all */
    uint16_t rep_to;   /* 0 = open end */
    uint8_t component; /* 0 = whole */
    uint8_t subcomponent;
};

enum map_cond_op {
    MAP_AND,
    MAP_OR,
    MAP_NOT,
    MAP_VALUED,
    MAP_EMPTY,
    MAP_DELETED,
    MAP_IN,
    MAP_TRIGGER_IN,
    MAP_TYPE_IN,
    MAP_VERSION,
    MAP_COUNT,
    MAP_LENGTH,
    MAP_PRESENT,
    MAP_SET,
    MAP_PID18,
    MAP_LENIENT,
};

enum map_compare { MAP_EQ, MAP_NE, MAP_LT, MAP_LE, MAP_GT, MAP_GE };

struct map_cond {
    enum map_cond_op op;
    uint16_t constant; /* the same for the whole message: where its answer is kept (map_run.constants); 0: it is not */
    uint16_t known;    /* MAP_IN, MAP_LENGTH: where the code at `path` is kept (map_run.parts); 0: it is not */
    struct map_cond *left, *right;
    struct map_path path;
    const struct hub_span *values; /* MAP_IN, _TRIGGER_IN, _TYPE_IN */
    uint16_t value_count;
    enum map_compare compare;
    uint32_t number; /* count, length; version as 2.5.1 -> 251 */
    uint16_t segment;
    struct hub_element element; /* MAP_SET */
};

enum map_type {
    MAP_T_STRING,
    MAP_T_TEXT,
    MAP_T_CODE,
    MAP_T_URI,
    MAP_T_OID,
    MAP_T_DECIMAL,
    MAP_T_INTEGER,
    MAP_T_POSITIVE,
    MAP_T_UNSIGNED,
    MAP_T_BOOLEAN,
    MAP_T_DATE,
    MAP_T_DATETIME,
    MAP_T_INSTANT,
    MAP_T_TIME,
    MAP_T_BASE64,
    MAP_T_QUANTITY,
    MAP_T_SYSTEM,
    MAP_T_AUTHORITY,        /* an HD */
    MAP_T_NUMBER_AUTHORITY, /* the HD behind a number: EI-2 to EI-4 */
    MAP_T_ASSIGNER,         /* CX-4, or where it names none whom the feed's identifiers are of */
    MAP_T_TABLE, /* a target of a data type table */
    MAP_T_RULES, /* nested rules */
    MAP_T_VALUE, /* a constant */
    MAP_T_FORMAT,
};

enum map_piece_kind { MAP_PIECE_TEXT, MAP_PIECE_PATH, MAP_PIECE_OPEN, MAP_PIECE_CLOSE };
struct map_piece {
    enum map_piece_kind kind;
    struct hub_span text;
    struct map_path path;
};
struct map_format {
    const struct map_piece *pieces;
    uint16_t count;
};

/* Most rules read what was not sent. Which ones have something to do is told by bits, before any rule is looked at: of the
 * segment's fields (hub_hl7_segment.filled), or of the present value's parts (map_split.filled) where there is one. */
struct map_rule_bits { /* of 64 rules; in what is counted by rule, bit n is the nth of them */
    uint64_t always;        /* rules that may have something to do in any case */
    uint64_t reads;         /* fields or parts that some rule reads */
    const uint64_t *by_bit; /* by such a field or part: the rules that read it */
    const uint64_t *needs;  /* by rule: fields or parts that must all be there as well */
    uint64_t told;          /* rules of whose condition these bits tell everything */
};

struct map_rule;
struct map_rules {
    const struct map_rule *const *items;
    const struct map_rule_bits *bits; /* one for each 64 of them */
    uint16_t count;
    bool by_field; /* the bits are fields */
};

enum map_codes_on { MAP_CODES_NONE, MAP_CODES_CONCEPT, MAP_CODES_CODING };

struct map_target { /* of a data type table */
    const char *table; /* "XPN" */
    const char *name;  /* "HumanName" */
    const char *resource; /* NULL: an element */
    enum map_codes_on codes_on;
    struct map_rules rules;
    uint32_t number;
    uint32_t line;
};

struct map_case {
    const struct hub_span *values; /* none: default */
    uint16_t value_count;
    struct map_rules rules;
};

enum map_part_kind {
    MAP_PART_SUBJECT,
    MAP_PART_VALUE,
    MAP_PART_TEXT,
    MAP_PART_CODE,
    MAP_PART_ORDER,
    MAP_PART_VISIT,
    MAP_PART_ID,
    MAP_PART_AUTHORITY,
    MAP_PART_TIME,
    MAP_PART_FACILITY,
    MAP_PART_APPLICATION,
    MAP_PART_LITERAL,
    MAP_PART_ORDINAL,
    MAP_PART_KEY, /* another key's parts */
    MAP_PART_WORD, /* the code that a condition asks for; no word of the tables */
};

struct map_key;
struct map_part {
    enum map_part_kind kind;
    bool optional;
    uint16_t known; /* where its text is kept (map_run.parts); 0: it is not */
    struct map_path path;
    struct hub_span literal;
    const struct map_key *key;
};
struct map_parts {
    const struct map_part *items;
    uint16_t count;
};
struct map_alternative {
    const struct map_cond *when;
    struct map_parts parts;
};
struct map_key { /* first complete alternative counts; count 0 = no key */
    const struct map_alternative *items;
    uint16_t count;
};

enum map_ref_all { MAP_REF_ONE, MAP_REF_BELOW, MAP_REF_EVENT };
struct map_ref {
    uint16_t slot; /* resource name's number */
    enum map_ref_all all;
    const struct map_cond *before; /* of the group's instance right before, which must hold there; NULL: of this one */
    struct map_parts match;
    bool has_back;
    struct hub_element back;
};

/* How a rule is carried out: the usual ones without detours. */
enum map_way {
    MAP_WAY_ANY,
    MAP_WAY_VALUE,     /* one value at most, of a built-in type, into its place */
    MAP_WAY_STRUCTURE, /* one path, into objects */
    MAP_WAY_CONSTANT,  /* nothing read */
    MAP_WAY_CASES,
    MAP_WAY_REFERENCE,
};

/* What every rule that has something to do is asked comes first: it is one line of the cache or two. */
struct map_rule {
    enum map_way way;
    enum map_type type;
    uint8_t part; /* what it reads is just this part of the present value; 0: something else */
    bool has_to;
    bool fallback;
    bool display;
    uint16_t from_count;
    uint16_t case_count;
    const struct map_cond *when;
    const struct map_path *from;
    struct hub_element to; /* count 0: the present element */
    const struct hub_codes *codes;
    const struct map_target *target;
    const char *join; /* NULL: none */
    const struct map_rule *otherwise;
    const struct hub_json *value;
    struct map_rules rules;
    const struct map_format *format;
    const struct map_path *by;
    const struct map_case *cases;
    const struct map_ref *ref;
    const char *deletes; /* what "" in its field deletes; NULL: the element it writes */
    const char *id;
    const char *table; /* where it stands */
    uint32_t line;
};

struct map_choice { /* {when, use}; the last one without condition */
    const struct map_cond *when;
    int use;
};
struct map_choices {
    const struct map_choice *items;
    uint16_t count;
};
struct map_time_source {
    const struct map_cond *when;
    struct map_path path;
};
struct map_times {
    const struct map_time_source *items;
    uint16_t count;
};

struct map_entry {
    enum hub_kind kind;
    struct map_key keys[HUB_KEYS_MAX];
    struct map_parts tie;
    struct map_choices mode;
    struct map_choices act;
    const struct hub_span *first_class; /* status values of class 0 */
    uint16_t first_class_count;
    struct map_times effective;
    struct map_times version;
    struct map_key list;
    struct map_times list_version;
    bool list_marks;
    bool untimed; /* its effective time does not count for the event's */
    bool alone;   /* it does where nothing else of the event has one */
    struct map_key measure;
    struct map_key location;
    struct map_key encounter;
};

enum map_per { MAP_PER_SEGMENT, MAP_PER_GROUP, MAP_PER_PATIENT };

struct map_merge {
    const struct map_cond *when;
    const struct map_path *same;
    uint16_t same_count;
    struct map_rules rules;
};

struct map_decl { /* a resource of a segment table */
    const char *name;
    uint16_t slot;
    const char *resource; /* NULL: extends */
    const uint16_t *extends;
    uint16_t extends_count;
    const uint16_t *over; /* the only segments that may stand between; NULL: any */
    uint16_t over_count;
    const uint16_t *of; /* the only segments whose resource it adds to; NULL: any */
    uint16_t of_count;
    enum map_per per;
    const struct map_cond *when;
    const struct map_entry *entry;
    const struct map_merge *merge;
    struct map_parts label;
    struct map_rules rules;
    uint32_t line;
    const char *table;
};

struct map_segment_table {
    const char *name;
    const struct map_decl *decls;
    uint16_t decl_count;
    const struct map_path *uses;
    uint16_t use_count;
};

struct map_segment_name {
    char id[4];
    bool foreign; /* read from other segments: groups index it */
    const struct map_segment_table *table; /* NULL: none */
};

struct map_group_def;
struct map_item {
    uint16_t segment; /* MAP_NONE: a group */
    struct map_group_def *group;
    bool required;
    bool repeats;
};
struct map_group_def {
    const char *name;
    struct map_group_def *parent;
    uint16_t index; /* among the parent's items */
    bool opens_patient;
    struct map_item *items;
    uint16_t item_count;
    uint64_t *contains; /* bit set of segment numbers, anywhere below */
    uint64_t *begins;   /* may stand first */
};

struct map_message {
    const char *name;
    const struct hub_span *triggers; /* "ADT^A01" */
    uint16_t trigger_count;
    struct map_group_def *root;
    struct map_group_def *patient; /* NULL: the whole message is one patient's */
    bool needs_pid;
    bool does_merge;
    bool does_delete;
    bool does_visits; /* MRG joins two visit numbers of one patient (A42, A50) */
    bool does_links;  /* two PIDs are linked (A24), or held apart (A37) */
};

/* A hash of segment names: three characters to their number. */
enum { MAP_NAME_SLOTS = 2048 };

struct map_tables {
    struct hub_arena arena;
    struct map_segment_name segments[MAP_SEGMENTS_MAX];
    uint16_t segment_count;
    uint16_t name_slots[MAP_NAME_SLOTS]; /* number + 1 */
    uint16_t set_words;                  /* of map_group_def bit sets */
    const struct map_message *messages;
    uint16_t message_count;
    const struct map_message *fallback; /* _default */
    uint16_t constant_count;            /* conditions that hold for a whole message, 1-based */
    uint16_t part_count;                /* different parts of keys, and codes of conditions, that read a path; 1-based */
    uint16_t slot_count;                /* resource names */
    uint16_t slot_patient;              /* slot of the resource named `patient`, MAP_NONE if none is */
    uint32_t target_count;
    const struct hub_codes *coding_systems;
    uint16_t pid, pv1, mrg, msh, evn; /* segment numbers that code knows */
};

/* The number of a segment name, MAP_NONE when no table mentions it. */
uint16_t map_segment_number(const struct map_tables *tables, const char id[4]);
