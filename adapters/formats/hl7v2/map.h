/* The mapping engine of HL7 v2: a parsed message to patient events, by the tables of schemas/hl7v2
 * (docs/MAPPING.md). Tables are compiled once and immutable; a run keeps everything in the message's arena. */
#pragma once

#include "adapters/formats/hl7v2/hl7.h"
#include "src/base/arena.h"
#include "src/base/problem.h"
#include "src/config/config.h"
#include "src/event/event.h"

struct map_tables;
struct hub_tz;

/* Compiles SCHEMA_DIR/hl7v2 with the OVERLAYS (files, in order). NULL with PROBLEMS. */
struct map_tables *hub_map_compile(const char *schema_dir, const char *const *overlays, size_t overlay_count,
                                   struct hub_problems *problems);
void hub_map_free(struct map_tables *tables);

/* What a run needs to know besides the message. */
struct hub_map_options {
    const struct hub_config *config; /* may be NULL */
    const struct hub_feed *feed;     /* NULL: lenient, no feed */
    const struct hub_tz *zone;       /* the feed's, NULL: none */
    bool lenient;                    /* merges and deletes that no table implements are mapped as far as known */
    uint32_t resources_max;          /* an event */
    uint32_t patients_max;           /* a message */
};

/* What `map --explain` and `--coverage` ask for; everything in the arena. */
struct hub_map_trace;

/* The events of MESSAGE (UTF-8 views) into OUT, whose trigger, control_id and message_time are filled in too.
 * ORIGINAL are the bytes before the character set was changed (raw). TRACE may be NULL. */
enum hub_result hub_map_run(const struct map_tables *tables, const struct hub_map_options *options, struct hub_arena *arena,
                            const struct hub_hl7 *message, struct hub_span original, struct hub_map_trace *trace,
                            struct hub_decoded *out, struct hub_error *err) HUB_MUST_USE;

/* FLAGS of hub_format.inspect. NULL when the arena is full. */
struct hub_map_trace *hub_map_trace_new(struct hub_arena *arena, const struct hub_hl7 *message, unsigned flags);
/* The report of hub_format.inspect (src/pipeline/adapter.h). NULL when the arena is full. */
struct hub_json *hub_map_trace_report(struct hub_map_trace *trace, const struct hub_decoded *decoded);
