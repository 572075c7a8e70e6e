/* The compiled form of a protect policy, shared by its loader (policy_load.c) and its readers (policy.c).
 * Private to src/policy. */
#pragma once

#include "src/base/arena.h"
#include "src/policy/policy.h"

struct hub_policy_node {
    const char *name;
    uint32_t name_len;
    uint32_t line; /* of the rule, 0: none names this node itself */
    enum hub_data_class class_;
    bool ruled;   /* class_ comes from a rule of its own */
    bool masked;  /* a valid resource misses it */
    bool needed;  /* and a masked one is not valid either */
    bool differs; /* another class somewhere below */
    bool keeps;   /* what must stay itself and needs children of its own cannot be one placeholder */
    bool mixed;   /* differs or keeps */
    uint32_t child_count;
    struct hub_policy_child *slots;    /* the children by hash once compiled, a power of two and at most half of them full */
    uint32_t slot_mask;
    struct hub_policy_node *first;     /* in the order of the file */
    struct hub_policy_node *next;
};

struct hub_policy_child {
    uint64_t brief;                     /* of the name: tells most names apart */
    const struct hub_policy_node *node; /* NULL: the slot is empty */
};

/* The length and the first four bytes as a number. */
static inline uint64_t hub_policy_brief(struct hub_json_key name)
{
    return (uint64_t)name.len << 32 | name.head;
}

static inline uint32_t hub_policy_slot(uint64_t brief)
{
    return (uint32_t)(brief * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

struct hub_policy_code {
    struct hub_span system;
    struct hub_span code;
};

struct hub_policy_system { /* beginnings of codes of one system */
    struct hub_span system;
    struct hub_span *prefixes;
    size_t count, cap;
};

struct hub_policy_codes {
    struct hub_policy_code *items; /* sorted once closed */
    size_t count, cap;
    struct hub_policy_system *systems;
    size_t system_count;
    uint64_t first[4];  /* a bit for each first byte of a prefix */
    uint64_t filter[8]; /* a bit for each code's ends and length: most codes of an event are not in the list */
};

static inline unsigned hub_policy_code_bit(struct hub_span code)
{
    return code.len == 0 ? 0 : (code.ptr[0] * 37u + code.ptr[code.len - 1] * 11u + (unsigned)code.len) % 512;
}

struct hub_policy {
    struct hub_arena arena;
    char name[96];
    enum hub_data_class default_class;
    enum hub_suite suite;
    struct hub_policy_node root; /* children are resource types */
    struct hub_policy_node *any; /* rules of every type, "*" in the file */
    struct hub_policy_codes lifts;
    struct hub_policy_codes clear_labels;
};

/* codes.c. CODE may end in * (everything that begins so; dots and case do not count). Copied; false: out of memory. */
bool hub_policy_codes_add(struct hub_arena *arena, struct hub_policy_codes *codes, struct hub_span system,
                          struct hub_span code);
/* Once, before anything is asked. */
void hub_policy_codes_close(struct hub_policy_codes *codes);
bool hub_policy_codes_have(const struct hub_policy_codes *codes, struct hub_span system, struct hub_span code);
/* Adds the codes of a list file (its TEXT). False: out of memory. */
bool hub_policy_codes_load(struct hub_arena *arena, struct hub_arena *scratch, const char *file, struct hub_span text,
                           struct hub_policy_codes *codes, struct hub_problems *problems);

static inline int hub_policy_code_compare(const struct hub_policy_code *a, const struct hub_policy_code *b)
{
    int d = hub_span_compare(a->code, b->code);
    return d != 0 ? d : hub_span_compare(a->system, b->system);
}
