#include "src/policy/policy.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/policy/trie.h"

static const char *const class_names[HUB_DATA_CLASSES] = {
    [HUB_DATA_CLEAR] = "clear",       [HUB_DATA_IDENTITY] = "identity",
    [HUB_DATA_CONTACT] = "contact",   [HUB_DATA_FINANCIAL] = "financial",
    [HUB_DATA_CLINICAL] = "clinical", [HUB_DATA_SENSITIVE] = "sensitive",
    [HUB_DATA_RAW] = "raw",
};

const char *hub_data_class_name(enum hub_data_class class_)
{
    return (unsigned)class_ < HUB_DATA_CLASSES ? class_names[class_] : "";
}

bool hub_data_class_of(struct hub_span name, enum hub_data_class *out)
{
    for (unsigned i = 0; i < HUB_DATA_CLASSES; i++) {
        if (hub_span_is(name, class_names[i])) {
            *out = (enum hub_data_class)i;
            return true;
        }
    }
    return false;
}

const char *hub_suite_name(enum hub_suite suite)
{
    switch (suite) {
    case HUB_SUITE_XC20P:
        return "xc20p";
    case HUB_SUITE_AES256GCM:
        return "aes256gcm";
    }
    return "";
}

bool hub_suite_of(struct hub_span name, enum hub_suite *out)
{
    for (unsigned i = HUB_SUITE_XC20P; i <= HUB_SUITE_AES256GCM; i++) {
        if (hub_span_is(name, hub_suite_name((enum hub_suite)i))) {
            *out = (enum hub_suite)i;
            return true;
        }
    }
    return false;
}

void hub_policy_free(struct hub_policy *policy)
{
    if (policy == NULL)
        return;
    hub_arena_deinit(&policy->arena);
    hub_mem_free(policy);
}

const char *hub_policy_name(const struct hub_policy *policy)
{
    return policy->name;
}

enum hub_suite hub_policy_suite(const struct hub_policy *policy)
{
    return policy->suite;
}

const struct hub_policy_node *hub_policy_member(const struct hub_policy_node *node, struct hub_json_key name)
{
    if (node == NULL || node->slots == NULL)
        return NULL;
    const uint64_t brief = hub_policy_brief(name);
    for (uint32_t at = hub_policy_slot(brief);; at++) { /* an empty slot is always met */
        const struct hub_policy_child *child = &node->slots[at & node->slot_mask];
        if (child->node == NULL)
            return NULL;
        if (child->brief == brief && (name.len <= 4 || memcmp(name.ptr + 4, child->node->name + 4, name.len - 4) == 0))
            return child->node;
    }
}

const struct hub_policy_node *hub_policy_child(const struct hub_policy_node *node, const char *name, size_t name_len)
{
    return name_len <= UINT32_MAX ? hub_policy_member(node, hub_json_key(name, name_len)) : NULL;
}

const struct hub_policy_node *hub_policy_resource(const struct hub_policy *policy, const char *resource_type)
{
    const struct hub_policy_node *node =
        hub_policy_child(&policy->root, resource_type, strlen(resource_type));
    return node != NULL ? node : policy->any;
}

enum hub_data_class hub_policy_node_class(const struct hub_policy_node *node)
{
    return node != NULL ? node->class_ : HUB_DATA_CLINICAL;
}

bool hub_policy_node_mixed(const struct hub_policy_node *node)
{
    return node != NULL && node->mixed;
}

bool hub_policy_node_keeps(const struct hub_policy_node *node)
{
    return node != NULL && node->keeps;
}

bool hub_policy_node_masked(const struct hub_policy_node *node)
{
    return node != NULL && node->masked;
}

bool hub_policy_node_needed(const struct hub_policy_node *node)
{
    return node != NULL && node->needed;
}

bool hub_policy_lifts(const struct hub_policy *policy, struct hub_span system, struct hub_span code)
{
    return hub_policy_codes_have(&policy->lifts, system, code);
}

bool hub_policy_label_clear(const struct hub_policy *policy, struct hub_span system, struct hub_span code)
{
    return hub_policy_codes_have(&policy->clear_labels, system, code);
}
