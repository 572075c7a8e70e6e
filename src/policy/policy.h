/* Policies as data: which element is sealed under which class (policies/protect/NAME.yaml) and which role may
 * open which class (policies/access/roles.yaml). Compiled at load, immutable, any thread may read. */
#pragma once

#include "src/base/problem.h"
#include "src/base/result.h"
#include "src/base/span.h"
#include "src/codec/json.h"

enum hub_data_class { /* the number is the class byte of sealed fields */
    HUB_DATA_CLEAR = 0,
    HUB_DATA_IDENTITY = 1,
    HUB_DATA_CONTACT = 2,
    HUB_DATA_FINANCIAL = 3,
    HUB_DATA_CLINICAL = 4,
    HUB_DATA_SENSITIVE = 5,
    HUB_DATA_RAW = 6,
    HUB_DATA_CLASSES = 7
};
enum hub_suite { /* the number is the suite byte of sealed fields */
    HUB_SUITE_XC20P = 1,     /* XChaCha20-Poly1305 */
    HUB_SUITE_AES256GCM = 2, /* AES-256-GCM */
};
/* As a policy and the `seal` attribute write it: "xc20p", "aes256gcm". */
const char *hub_suite_name(enum hub_suite suite);
/* false when unknown. */
bool hub_suite_of(struct hub_span name, enum hub_suite *out);

/* "identity", ...; "clear" for 0. */
const char *hub_data_class_name(enum hub_data_class class_);
/* false when unknown. */
bool hub_data_class_of(struct hub_span name, enum hub_data_class *out);

struct hub_policy;      /* protect policy */
struct hub_policy_node; /* a position in it; NULL = no rule names it or anything below (then: its parent's class) */

/* NULL with problems. SCHEMA_DIR holds fhir/r4/required.yaml (what a valid resource needs); a policy that seals
 * an element which is needed in the clear is refused. */
struct hub_policy *hub_policy_load(const char *path, const char *schema_dir, struct hub_problems *problems);
void hub_policy_free(struct hub_policy *policy);
/* "protect/2026-11@<16 hex of the file's BLAKE2b>", static for the policy's life. */
const char *hub_policy_name(const struct hub_policy *policy);
/* What events are sealed with under this policy; XC20P unless it says otherwise. */
enum hub_suite hub_policy_suite(const struct hub_policy *policy);

/* The node of a resource type, then of its elements step by step (arrays make no step). `class_` of a node:
 * what its subtree has unless a deeper node says otherwise. */
const struct hub_policy_node *hub_policy_resource(const struct hub_policy *policy, const char *resource_type);
const struct hub_policy_node *hub_policy_child(const struct hub_policy_node *node, const char *name, size_t name_len);
const struct hub_policy_node *hub_policy_member(const struct hub_policy_node *node, struct hub_json_key name);
enum hub_data_class hub_policy_node_class(const struct hub_policy_node *node); /* NULL: HUB_DATA_CLINICAL */
/* Taking the element whole would be wrong: a deeper rule differs, or it must stay and needs children that are masked. */
bool hub_policy_node_mixed(const struct hub_policy_node *node);
/* It must stay itself and needs children that are masked: never taken whole, whatever the classes. */
bool hub_policy_node_keeps(const struct hub_policy_node *node);
/* The element must leave a data-absent-reason "masked" when it is sealed (cardinality or invariant). */
bool hub_policy_node_masked(const struct hub_policy_node *node);
/* No policy may seal it (required binding or invariant): stays clear in a resource lifted to SENSITIVE too. */
bool hub_policy_node_needed(const struct hub_policy_node *node);
/* A security label that stays clear whatever the class of `meta` (HTEST: test charts are marked without keys). */
bool hub_policy_label_clear(const struct hub_policy *policy, struct hub_span system, struct hub_span code);
/* A security label (system|code) or a code that lifts its resource into SENSITIVE. */
bool hub_policy_lifts(const struct hub_policy *policy, struct hub_span system, struct hub_span code);

struct hub_role {
    const char *name;
    bool classes[HUB_DATA_CLASSES];
    const char *public_key_path; /* joined; keys/roles/NAME.pub by default */
    uint32_t line;
};
struct hub_roles {
    struct hub_role *items;
    size_t count;
    void *owner;
};
/* FOLDER is where relative key paths start (of hub.yaml). */
struct hub_roles *hub_roles_load(const char *path, const char *folder, struct hub_problems *problems);
void hub_roles_free(struct hub_roles *roles);
const struct hub_role *hub_roles_find(const struct hub_roles *roles, const char *name);
