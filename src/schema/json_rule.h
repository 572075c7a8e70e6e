/* The inside of a compiled JSON Schema: json_schema.c makes rules, json_check.c asks them. */
#pragma once

#include "src/schema/json_schema.h"
#include "src/schema/pattern.h"

enum { /* types, or-ed */
       HUB_RULE_NULL = 1,
       HUB_RULE_BOOL = 2,
       HUB_RULE_INTEGER = 4,
       HUB_RULE_NUMBER = 8,
       HUB_RULE_STRING = 16,
       HUB_RULE_ARRAY = 32,
       HUB_RULE_OBJECT = 64,
       HUB_RULE_ANY = 127
};

struct hub_json_member {
    struct hub_span name; /* in order of names */
    const struct hub_json_schema *rule;
    int8_t required; /* its bit; -1: not required */
};

struct hub_json_schema { /* a rule; the whole schema is one */
    unsigned types;
    const struct hub_span *values; /* const, enum: canonical texts, quotes included; NULL: any */
    size_t value_count;
    const struct hub_pattern *pattern; /* NULL: any text */
    uint64_t length_min, length_max;   /* characters */
    int64_t number_min, number_max;    /* of whole numbers */
    bool bounded;                      /* they were given */
    const struct hub_json_member *members;
    size_t member_count;
    uint64_t required;                  /* bits of members that must be there */
    const struct hub_json_schema *rest; /* for other members; NULL: there must be none */
    const struct hub_json_schema *items;
    uint64_t items_min, items_max;
    const struct hub_json_schema *const *alternatives; /* oneOf; NULL: what stands above */
    size_t alternative_count;
};

extern const struct hub_json_schema hub_json_rule_any;
