/* A sealed event taken apart where it stands: its resources are copied into the timeline as they are, so no tree is made of
 * them. Private to src/timeline. */
#pragma once

#include "src/base/arena.h"
#include "src/event/entry_view.h"
#include "src/event/head.h"

/* One resource of the event; views into its text. */
struct timeline_resource {
    struct hub_span text, type, id;
    struct hub_entry_view view;
    uint32_t ordinal; /* place in data.entry */
    bool entry;       /* it has the entry extension */
    bool needed;      /* a supporting resource that an entry leads to: find_support */
    size_t first_reference, reference_count;
};

struct timeline_event_text {
    struct hub_event_head head;
    struct timeline_resource *resources; /* those with an id */
    size_t count, cap;
    struct hub_span *references; /* "<Type>/<id>" of Reference.reference and Attachment.url */
    size_t reference_count, reference_cap;
    bool test; /* some resource, or the Bundle, is labelled HTEST */
};

/* TEXT must outlive OUT, whose lists are in ARENA. HUB_SYNTAX: not an event in canonical form. */
enum hub_result timeline_event_text(struct hub_arena *arena, struct hub_span text, struct timeline_event_text *out,
                                    struct hub_error *err) HUB_MUST_USE;
