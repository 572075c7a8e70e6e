/* Element paths of FHIR resources (docs/MAPPING.md section 4): parsed once, then walked in JSON trees
 * without looking at text again. Parsing allocates in the loader's arena; use is free of state. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/codec/json.h"

enum hub_step_kind {
    HUB_STEP_MEMBER, /* name */
    HUB_STEP_APPEND, /* name[] or extension(URL): a new array element */
    HUB_STEP_FIRST,  /* name[1]: the first array element, made if missing */
};

struct hub_step {
    enum hub_step_kind kind;
    struct hub_json_key name;
    const char *url; /* extension(URL), else NULL */
};

struct hub_element {
    const char *text; /* as written */
    const struct hub_step *steps;
    uint16_t count;  /* 0: the present element itself (".") */
    bool repeats;    /* an [] or extension() on the way: takes several values */
    const char *top; /* first step's name without a leading "_" */
};

/* False when TEXT is no element path or memory is out. */
bool hub_element_parse(struct hub_arena *arena, const char *text, struct hub_element *out);
/* The element where it exists as a single one (no append step), else NULL. */
struct hub_json *hub_element_get(const struct hub_json *object, const struct hub_element *element);
/* Puts NODE (part of no tree) where ELEMENT leads, making the steps on the way: sets a member, adds an array
 * element, merges the members of an object into one that is there. *PLACED (may be NULL) is the node that now
 * holds the value. count must not be 0. */
enum hub_result hub_element_put(struct hub_arena *arena, struct hub_json *object, const struct hub_element *element,
                                struct hub_json *node, struct hub_json **placed) HUB_MUST_USE;
