/* Inside the mapping engine while one message runs: what its files share. One thread, one arena a message. */
#pragma once

#include "adapters/formats/hl7v2/hl7_time.h"
#include "adapters/formats/hl7v2/map.h"
#include "adapters/formats/hl7v2/map_model.h"
#include "adapters/formats/hl7v2/map_read.h"
#include "src/event/authority.h"

enum { MAP_DEPTH_MAX = 12 };

struct map_res;
struct map_group;

struct map_made { /* a resource that a segment made or added to */
    struct map_res *res;
    struct map_made *next;
};

struct map_seg {
    const struct hub_hl7_segment *hl7;
    uint16_t name;  /* number of its name, MAP_NONE when no table mentions it */
    uint32_t index; /* in the message */
    struct map_group *group;
    struct map_seg *prev, *next; /* in the group itself */
    struct map_seg *after;       /* next of the same patient (or of the head) */
    struct map_seg *before;      /* the one mapped before it in the event */
    struct map_made *made, *made_last;
};

/* Segments of one name in a group (child NULL) or below it, by the kind of child group. */
struct map_seg_index {
    uint16_t name;
    const struct map_group_def *child;
    struct map_seg *first, *last;
    struct map_seg_index *next;
};

struct map_res_index {
    uint16_t slot;
    const struct map_group_def *child;
    struct map_res *first, *last;
    struct map_res_index *next;
};

struct map_group {
    const struct map_group_def *def;
    struct map_group *parent;
    struct map_group *first_child, *last_child, *sibling, *before; /* siblings after and before */
    struct map_seg *first, *last;
    struct map_seg_index *segs;
    struct map_res_index *resources;
    struct map_res *made_first, *made_last; /* in this group itself */
    uint16_t position; /* while segments are placed: item of the last one */
};

struct map_patient {
    struct map_group *group; /* NULL: the root */
    struct map_seg *first, *last;
};

struct map_join {
    struct hub_json *node;
    const char *between;
    struct map_line *first, *last;
    size_t len;
    uint32_t count;
    struct map_join *next;
};
struct map_line {
    struct hub_span text;
    struct map_line *next;
};

struct map_deleted {
    const struct map_rule *rule;
    struct hub_span at;
    struct map_deleted *next;
};

struct map_res {
    const char *type;
    const struct map_decl *decl; /* NULL: made by a data type */
    struct map_seg *seg;         /* that made it */
    struct map_group *group;
    struct hub_json *json;
    uint32_t ordinal;
    enum hub_mode mode;
    struct map_res *group_next;
    struct map_join *joins;
    struct map_deleted *deleted;
    struct hub_span label;
    const struct map_res *same; /* an equal one that stands for it */
    bool labelled;
    bool dropped;
    bool referenced;
};

struct map_pending { /* a reference rule, carried out when all resources are there */
    const struct map_rule *rule;
    struct map_res *res;
    struct hub_json *element;
    struct map_seg *seg;
    struct map_pending *next;
};

struct map_support { /* a resource made by a data type, by the text it was made of */
    const struct map_target *target;
    struct hub_span text;
    uint32_t hash;
    struct map_res *res;
    struct map_support *next;
};

enum { MAP_SUPPORT_SLOTS = 64 };

enum { MAP_HOLDS = 1, MAP_FAILS = 2 };

struct map_reached {
    const struct map_seg *from; /* NULL: not asked yet */
    struct map_seg *seg;
};

struct map_known_part { /* of a key */
    const struct map_seg *seg; /* that it was read from; NULL: not yet */
    struct hub_span text;
};

struct map_known_time {
    struct hub_span raw; /* where it stands in the message; empty: free */
    struct hub_when when;
};

struct map_known_authority {
    struct hub_span raw; /* the HD or what holds it; empty: free */
    uint8_t level;
    bool from_second;
    struct hub_authority_view view;
};

enum { MAP_TIME_SLOTS = 32, MAP_AUTHORITY_SLOTS = 8 };

struct map_run {
    const struct map_tables *tables;
    const struct hub_map_options *options;
    struct hub_arena *arena;
    const struct hub_hl7 *message;
    struct hub_map_trace *trace;
    struct hub_error *err;
    const struct map_message *definition;
    bool by_trigger; /* the definition names this very trigger, not only its structure */
    struct hub_span original;
    struct hub_span type, trigger;
    uint32_t version; /* 2.5.1 -> 251, 0 = not said */
    struct hub_span facility, application;
    struct hub_span facility_urn, application_urn;
    struct hub_when message_time;
    struct hub_hl7_zone zone;
    struct map_seg *segs;
    uint32_t seg_count;
    struct map_group *root;
    struct map_seg *head_first, *head_last;
    struct map_patient *patients;
    uint32_t patient_count;
    uint32_t patient_cap;
    /* the event being made */
    const struct map_group *patient_group; /* its patient's, NULL: the whole message is one's */
    struct map_res **res;
    uint32_t res_count, res_cap;
    struct hub_reference *refs;
    uint32_t ref_count, ref_cap;
    struct map_pending *pending_first, *pending_last;
    struct map_support *support[MAP_SUPPORT_SLOTS];
    struct map_res **slot_only; /* by slot: the only resource of the event, NULL: none */
    uint32_t *slot_counts;
    struct map_seg *previous; /* the segment before the present one in the event */
    struct map_res **labels;  /* hash table by label, made when a reference first asks */
    size_t label_mask;
    /* what was found out about the message */
    uint8_t *constants;       /* by map_cond.constant: MAP_HOLDS, MAP_FAILS, 0 = not asked yet */
    struct map_reached *reached; /* by segment name: the last answer of map_reach */
    struct map_known_part *parts; /* by map_part.known: the last text of each */
    struct map_known_time times[MAP_TIME_SLOTS];
    struct map_known_authority authorities[MAP_AUTHORITY_SLOTS];
    struct hub_span data_raw, data; /* the last ED-5, and its base64: it may be megabytes, and two resources show it */
};

struct map_scope {
    struct map_run *run;
    struct map_seg *seg;
    struct map_value value; /* `.` */
    const struct map_split *split; /* of value; NULL: none kept */
    struct map_res *res;
    struct hub_json *element; /* `to` is relative to it */
    struct hub_json **single; /* a data type that gives a single value puts it here */
    uint16_t depth;
    bool merging; /* adding the lines of a merged segment */
};

/* map_group.c */
/* Reads the message into groups, segments into patients. */
enum hub_result map_place(struct map_run *run) HUB_MUST_USE;
/* The segment NAME as seen from FROM (docs/MAPPING.md section 3); NULL when there is none in reach. */
struct map_seg *map_reach_far(const struct map_run *run, struct map_seg *from, uint16_t name);
static inline struct map_seg *map_reach(const struct map_run *run, struct map_seg *from, uint16_t name)
{
    struct map_reached *known = &run->reached[name];
    if (known->from != from)
        *known = (struct map_reached){from, map_reach_far(run, from, name)};
    return known->seg;
}
/* Notes a resource in its group and the groups around it. */
enum hub_result map_group_add(struct map_run *run, struct map_group *group, struct map_res *res) HUB_MUST_USE;
/* The nearest resource of that slot as seen from GROUP. */
struct map_res *map_reach_resource(const struct map_run *run, const struct map_group *group, uint16_t slot);
/* The one made in GROUP itself, NULL when none. */
struct map_res *map_group_own(const struct map_group *group, uint16_t slot);
/* Forgets the resources of all groups outside patients, before the next patient's event. */
void map_group_forget(struct map_group *group, const struct map_group_def *patient);

/* map_read.c */
struct map_reader {
    struct map_run *run;
    const struct map_path *path;
    struct hub_span rest;
    struct map_value self;
    uint16_t at;
    uint8_t marks;
    bool single; /* one value at most: self */
    bool done;
};
static inline struct map_seg *map_segment_of(const struct map_scope *scope, const struct map_path *path)
{
    return path->segment == scope->seg->name ? scope->seg : map_reach(scope->run, scope->seg, path->segment);
}
/* Part N of the present value, which has one. */
static inline struct map_value map_split_part(const struct map_scope *scope, unsigned n)
{
    const uint8_t level = (uint8_t)(scope->value.level < 3 ? scope->value.level + 1 : 3);
    return map_value_of(scope->split->part[n - 1], level, scope->value.marks);
}
/* The present value or the part of it that PATH names; none when it says nothing. */
struct map_value map_read_self(const struct map_scope *scope, const struct map_path *path);
void map_reader_init(struct map_reader *reader, const struct map_scope *scope, const struct map_path *path);
/* The next value that is not empty and not "". */
bool map_reader_next(struct map_reader *reader, struct map_value *out);
/* The first such value; len 0 when there is none. */
struct map_value map_read_segment(const struct map_scope *scope, const struct map_path *path);
static inline struct map_value map_read(const struct map_scope *scope, const struct map_path *path)
{
    return path->segment == MAP_SELF ? map_read_self(scope, path) : map_read_segment(scope, path);
}
/* Text of the first value, unescaped and trimmed, its first part only. Empty when absent. */
struct hub_span map_read_code(const struct map_scope *scope, const struct map_path *path);
/* The raw field a path names (all repetitions), of the present value for MAP_SELF. */
struct hub_span map_read_raw(const struct map_scope *scope, const struct map_path *path);
/* Cuts VALUE into its parts. */
void map_split_value(const struct map_run *run, struct map_value value, struct map_split *split);
static inline struct map_value map_part_of(const struct map_run *run, struct map_value value, unsigned n)
{
    return map_part_in(run->message, value, n);
}
static inline struct map_value map_first_part(const struct map_run *run, struct map_value value)
{
    return map_first_in(run->message, value);
}
struct hub_span map_plain_of(const struct map_run *run, struct map_value raw);
/* Unescaped and trimmed. */
static inline struct hub_span map_plain(const struct map_run *run, struct map_value raw)
{
    struct hub_span text = map_span(raw);
    return (raw.marks & HUB_HL7_ESCAPES) != 0 || map_needs_trim(text) ? map_plain_of(run, raw) : text;
}
/* The first part of VALUE as text. */
static inline struct hub_span map_first_plain(const struct map_run *run, struct map_value value)
{
    return map_plain(run, map_first_part(run, value));
}

/* map_cond.c */
bool map_cond_ask(const struct map_scope *scope, const struct map_cond *cond);
static inline bool map_cond_true(const struct map_scope *scope, const struct map_cond *cond)
{
    const uint8_t known = scope->run->constants[cond->constant];
    return known != 0 ? known == MAP_HOLDS : map_cond_ask(scope, cond);
}
int map_choose(const struct map_scope *scope, const struct map_choices *choices);

/* map_time.c */
/* Texts of the message are read once: the same field is asked for by many rules and keys. */
bool map_time_when(struct map_run *run, struct hub_span raw, struct hub_when *out);
/* Text for a FHIR type; false when RAW is no such time. */
bool map_time_text(struct map_run *run, enum map_type type, struct hub_span raw, struct hub_span *out);

/* map_value.c */
struct hub_json *map_string_of(const struct map_run *run, struct hub_span text);
/* A FHIR string made of values with MARKS. Control characters, which FHIR forbids below U+0020 but for tab and line ends,
 * show as U+FFFD; the original message keeps them. NULL: no memory. */
static inline struct hub_json *map_string(const struct map_run *run, struct hub_span text, uint8_t marks)
{
    return (marks & (HUB_HL7_CONTROLS | HUB_HL7_ESCAPES)) != 0 ? map_string_of(run, text) : hub_json_string(run->arena, text);
}
/* VALUE as JSON of a built-in type, NULL when it cannot be converted (or memory is out: *RESULT). */
struct hub_json *map_convert(const struct map_scope *scope, const struct map_rule *rule, struct map_value value,
                             enum hub_result *result);
/* A quantity's value and comparator into OBJECT; false when VALUE is none. */
bool map_quantity(const struct map_scope *scope, struct map_value value, struct hub_json *object, enum hub_result *result);
/* Codes of a CodeableConcept or Coding through a list. */
enum hub_result map_apply_codes(const struct map_run *run, struct hub_json *object, const struct hub_codes *codes,
                                enum map_codes_on on) HUB_MUST_USE;
enum hub_result map_format_text(const struct map_scope *scope, const struct map_format *format, struct hub_span *out) HUB_MUST_USE;
/* The system uri of a coding system's name. */
struct hub_span map_coding_system(const struct map_run *run, struct hub_span name);
/* HD, or the HD parts of a longer value, as canonical system. */
enum hub_result map_authority(struct map_run *run, struct map_value value, bool from_second,
                              struct hub_authority_view *out) HUB_MUST_USE;

/* map_rule.c */
enum hub_result map_run_rules(struct map_scope *scope, const struct map_rules *rules) HUB_MUST_USE;
enum hub_result map_new_resource(struct map_run *run, const char *type, struct map_res **out) HUB_MUST_USE;
enum hub_result map_add_reference(struct map_run *run, struct hub_json *element, const struct map_res *target) HUB_MUST_USE;
enum hub_result map_finish_joins(struct map_run *run) HUB_MUST_USE;

/* map_ref.c */
enum hub_result map_resolve_references(struct map_run *run) HUB_MUST_USE;

/* map_share.c */
/* References to an organization, practitioner or place go to the first one with equal content. Before any is taken out. */
enum hub_result map_share_equal(struct map_run *run) HUB_MUST_USE;

/* map_key.c */
/* Evaluates KEY in the reach of SEG. *OUT has no parts when no alternative is complete. */
enum hub_result map_key_of(struct map_run *run, struct map_seg *seg, const struct map_key *key, struct hub_fact_key *out) HUB_MUST_USE;
/* Parts as one text, for labels; empty when a required part is missing. */
enum hub_result map_parts_text(struct map_run *run, struct map_seg *seg, const struct map_parts *parts, struct hub_span *out) HUB_MUST_USE;
/* The value of one part, empty when absent. */
enum hub_result map_part_text(struct map_run *run, struct map_seg *seg, const struct map_part *part, struct hub_span *out) HUB_MUST_USE;

/* map_entry.c */
/* Fills the entries of all resources of the event and its time. */
enum hub_result map_make_entries(struct map_run *run, struct hub_event *event) HUB_MUST_USE;

/* map_raw.c */
/* The part of the original bytes that is one patient's. */
enum hub_result map_raw(struct map_run *run, const struct map_patient *patient, struct hub_event *event) HUB_MUST_USE;

/* map_identity.c */
enum hub_result map_identify(struct map_run *run, const struct map_patient *patient, struct hub_event *event) HUB_MUST_USE;

/* map_trace.c */
void map_trace_note_made(struct map_run *run, const struct map_rule *rule, const struct hub_json *node, struct hub_span raw);
void map_trace_note_used(struct map_run *run, struct hub_span raw);
void map_trace_note_converted(const struct map_scope *scope, const struct map_rule *rule, struct map_value value);
static inline void map_trace_made(struct map_run *run, const struct map_rule *rule, const struct hub_json *node, struct hub_span raw)
{
    if (run->trace != NULL)
        map_trace_note_made(run, rule, node, raw);
}
static inline void map_trace_used(struct map_run *run, struct hub_span raw)
{
    if (run->trace != NULL)
        map_trace_note_used(run, raw);
}
/* What map_convert takes of VALUE for RULE. */
static inline void map_trace_converted(const struct map_scope *scope, const struct map_rule *rule, struct map_value value)
{
    if (scope->run->trace != NULL)
        map_trace_note_converted(scope, rule, value);
}
/* AGAIN is the same text as FIRST and was used in the same places. */
void map_trace_same(struct map_run *run, struct hub_span first, struct hub_span again);
void map_trace_event(struct map_run *run, uint32_t event);
/* The fields a segment's table declares as used; those that told a merged segment's place. */
void map_trace_uses(struct map_run *run, const struct map_seg *seg, const struct map_segment_table *table);
void map_trace_merged(struct map_run *run, struct map_seg *seg, const struct map_merge *merge);
