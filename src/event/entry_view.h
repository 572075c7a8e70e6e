/* The reading side of struct hub_entry: what the clear extension `urn:chartline:entry` of a sealed resource says.
 * Pure, any thread. */
#pragma once

#include "src/codec/json.h"
#include "src/event/event.h"

/* Views into the resource. Texts are empty when absent. */
struct hub_entry_view {
    enum hub_kind kind; /* by the resource's type when the extension names none (sensitive resources) */
    enum hub_mode mode;
    enum hub_act act;
    uint8_t status_class; /* 1 when absent */
    bool list_marks;
    struct hub_span facts[HUB_KEYS_MAX];
    uint32_t fact_count;
    struct hub_span effective, version, list, list_version, measure, location, encounter;
};

/* The first extension of RESOURCE with this url, NULL when there is none. */
struct hub_json *hub_extension_of(const struct hub_json *resource, const char *url);
/* From the extension's WORDS (its valueString) and the resource's TYPE. */
void hub_entry_view_words(struct hub_span words, struct hub_span type, struct hub_entry_view *out);
/* False: RESOURCE has no entry extension, it is no timeline entry. */
bool hub_entry_view_of(const struct hub_json *resource, struct hub_entry_view *out);
