/* Reads a protect policy and the table of what FHIR needs, and compiles both into one trie. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/buf.h"
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/codec/yaml.h"
#include "src/crypto/crypto.h"
#include "src/policy/trie.h"

enum { POLICY_BYTES_MAX = 8 * 1024 * 1024, DEPTH_MAX = 16, RULES_MAX = 20000 };

#define CLASS_MEND "use clear, identity, contact, financial, clinical, sensitive or raw"

struct loader {
    struct hub_policy *policy;
    struct hub_arena *scratch; /* the YAML trees */
    const char *file;
    struct hub_problems *problems;
    struct hub_yaml *facts; /* `resources` of required.yaml */
    size_t rules;
    bool out_of_memory;
};

static void problem(struct loader *l, uint32_t line, const char *name, const char *what, const char *mend)
{
    hub_problems_add(l->problems, HUB_SEVERITY_ERROR, l->file, line, name, what, mend, NULL);
}

/* --- building --- */

static struct hub_policy_node *child_make(struct loader *l, struct hub_policy_node *node,
                                          struct hub_span name)
{
    struct hub_policy_node **end = &node->first;
    for (; *end != NULL; end = &(*end)->next) {
        if ((*end)->name_len == name.len && memcmp((*end)->name, name.ptr, name.len) == 0)
            return *end;
    }
    struct hub_policy_node *child = HUB_ARENA_NEW(&l->policy->arena, struct hub_policy_node);
    struct hub_span copy = hub_arena_copy(&l->policy->arena, name);
    if (child == NULL || copy.ptr == NULL || ++l->rules > RULES_MAX) {
        l->out_of_memory = true;
        return NULL;
    }
    child->name = (const char *)copy.ptr;
    child->name_len = (uint32_t)copy.len;
    *end = child;
    node->child_count++;
    return child;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* contact.telecom: names of letters and digits with dots between. */
static bool path_valid(const char *path)
{
    unsigned depth = 1;
    bool start = true;
    for (const char *c = path; *c != '\0'; c++) {
        if (*c == '.') {
            if (start || ++depth > DEPTH_MAX)
                return false;
            start = true;
        } else if (is_letter(*c) || (!start && *c >= '0' && *c <= '9')) {
            start = false;
        } else {
            return false;
        }
    }
    return !start;
}

/* The node of a dotted path below NODE, made when absent. */
static struct hub_policy_node *path_make(struct loader *l, struct hub_policy_node *node, const char *path)
{
    while (node != NULL) {
        size_t len = strcspn(path, ".");
        node = child_make(l, node, hub_span_of(path, len));
        if (path[len] == '\0')
            return node;
        path += len + 1;
    }
    return NULL;
}

static void rule_set(struct hub_policy_node *node, enum hub_data_class class_, uint32_t line)
{
    if (node == NULL)
        return;
    node->class_ = class_;
    node->ruled = true;
    node->line = line;
}

/* --- rules of one resource type --- */

/* What all resources have; not repeated in the table. */
static const char *const common[] = {"meta",      "implicitRules", "language",          "text",
                                     "contained", "extension",     "modifierExtension", NULL};

static bool known_element(struct hub_yaml *elements, const char *path)
{
    size_t len = strcspn(path, ".");
    for (const char *const *name = common; *name != NULL; name++) {
        if (strlen(*name) == len && memcmp(*name, path, len) == 0)
            return true;
    }
    for (const struct hub_yaml *e = elements->first; e != NULL; e = e->next) {
        if (e->text != NULL && strlen(e->text) == len && memcmp(e->text, path, len) == 0)
            return true;
    }
    return false;
}

/* "deceased[x]": the rule goes to every concrete name of the choice. False: no such choice. */
static bool choice_rule(struct loader *l, struct hub_policy_node *type, struct hub_yaml *elements,
                        const char *path, enum hub_data_class class_, uint32_t line)
{
    size_t len = strlen(path) - 3;
    bool found = false;
    for (const struct hub_yaml *e = elements != NULL ? elements->first : NULL; e != NULL; e = e->next) {
        if (e->text == NULL || strncmp(e->text, path, len) != 0 || e->text[len] < 'A' || e->text[len] > 'Z')
            continue;
        rule_set(child_make(l, type, hub_span_str(e->text)), class_, line);
        found = true;
    }
    return found;
}

static void load_rule(struct loader *l, struct hub_policy_node *type, struct hub_yaml *elements,
                      const struct hub_yaml *rule)
{
    enum hub_data_class class_;
    if (rule->type != HUB_YAML_SCALAR || !hub_data_class_of(hub_span_str(rule->text), &class_)) {
        problem(l, rule->line, rule->key, "not a data class", CLASS_MEND);
        return;
    }
    size_t len = strlen(rule->key);
    if (strcmp(rule->key, "*") == 0) {
        rule_set(type, class_, rule->key_line);
    } else if (len > 3 && strcmp(rule->key + len - 3, "[x]") == 0) {
        if (!choice_rule(l, type, elements, rule->key, class_, rule->key_line))
            problem(l, rule->key_line, rule->key, "no such choice of elements in this resource type",
                    "correct or remove it");
    } else if (!path_valid(rule->key)) {
        problem(l, rule->key_line, rule->key, "not an element path",
                "write names with dots between, such as contact.telecom, or * for the rest");
    } else if (elements != NULL && !known_element(elements, rule->key)) {
        problem(l, rule->key_line, rule->key, "no such element in this resource type",
                "correct or remove it");
    } else {
        rule_set(path_make(l, type, rule->key), class_, rule->key_line);
    }
}

static void load_type(struct loader *l, const struct hub_yaml *rules)
{
    bool any = strcmp(rules->key, "*") == 0;
    struct hub_yaml *fact = any ? NULL : hub_yaml_get(l->facts, rules->key);
    if (!any && fact == NULL) {
        problem(l, rules->key_line, rules->key,
                "not a resource type that schemas/fhir/r4/required.yaml knows",
                "correct the name, or add the type's facts there");
        return;
    }
    if (rules->type != HUB_YAML_MAP) {
        problem(l, rules->line, rules->key, "rules are a map of element path and class",
                "see policies/protect/default.yaml");
        return;
    }
    struct hub_policy_node *type =
        any ? l->policy->any : child_make(l, &l->policy->root, hub_span_str(rules->key));
    for (const struct hub_yaml *rule = rules->first; rule != NULL && type != NULL; rule = rule->next)
        load_rule(l, type, fact != NULL ? hub_yaml_get(fact, "elements") : NULL, rule);
}

/* --- code lists --- */

/* Adds "system|code" texts of LIST to CODES. */
static void load_codes(struct loader *l, const struct hub_yaml *list, struct hub_policy_codes *codes)
{
    if (list == NULL)
        return;
    if (list->type != HUB_YAML_LIST) {
        problem(l, list->line, list->key, "not a list", "write [\"system|code\", ...]");
        return;
    }
    for (const struct hub_yaml *e = list->first; e != NULL; e = e->next) {
        const char *bar = e->type == HUB_YAML_SCALAR ? strrchr(e->text, '|') : NULL;
        if (bar == NULL || bar == e->text || bar[1] == '\0' || strcmp(bar, "|*") == 0)
            problem(l, e->line, list->key, "not a code", "write \"system|code\", or its beginning and *");
        else if (!hub_policy_codes_add(&l->policy->arena, codes, hub_span_of(e->text, (size_t)(bar - e->text)),
                                       hub_span_str(bar + 1)))
            l->out_of_memory = true;
    }
}

/* --- facts of FHIR --- */

/* Rules of every type go to each, where the type has none of its own. */
static void inherit_any(struct loader *l, const struct hub_policy_node *from, struct hub_policy_node *to)
{
    for (const struct hub_policy_node *rule = from->first; rule != NULL && to != NULL; rule = rule->next) {
        struct hub_policy_node *node = child_make(l, to, hub_span_of(rule->name, rule->name_len));
        if (node != NULL && !node->ruled && rule->ruled)
            rule_set(node, rule->class_, rule->line);
        inherit_any(l, rule, node);
    }
}

static void load_fact(struct loader *l, struct hub_policy_node *type, struct hub_yaml *row, const char *file)
{
    const char *min = hub_yaml_get_text(row, "min");
    const char *invariant = hub_yaml_get_text(row, "invariant");
    const char *binding = hub_yaml_get_text(row, "binding");
    if (row->type != HUB_YAML_MAP || (min == NULL && invariant == NULL) || !path_valid(row->key)) {
        hub_problems_add(l->problems, HUB_SEVERITY_ERROR, file, row->key_line, row->key, "not a fact",
                         "write path: {min: 1} or {invariant: key}, with binding: required where it is",
                         NULL);
        return;
    }
    hub_yaml_check_unused(row, file, (const char *const[]){"min", "invariant", "binding", NULL}, l->problems);
    struct hub_policy_node *node = path_make(l, type, row->key);
    if (node == NULL)
        return;
    node->masked = true;
    node->needed = binding != NULL && strcmp(binding, "required") == 0;
    if (node->needed && node->ruled && node->class_ != HUB_DATA_CLEAR)
        hub_problems_add(l->problems, HUB_SEVERITY_ERROR, l->file, node->line, row->key,
                         "seals an element that a valid resource needs in the clear",
                         "remove the rule or write clear", "%s has a required code%s%s", type->name,
                         invariant != NULL ? ", constraint " : "", invariant != NULL ? invariant : "");
}

static void load_facts(struct loader *l, const char *file)
{
    for (struct hub_yaml *t = l->facts->first; t != NULL; t = t->next) {
        struct hub_policy_node *type = child_make(l, &l->policy->root, hub_span_str(t->key));
        if (type == NULL)
            return;
        inherit_any(l, l->policy->any, type);
        struct hub_yaml *required = hub_yaml_get(t, "required");
        (void)hub_yaml_get(t, "elements");
        hub_yaml_check_unused(t, file, (const char *const[]){"elements", "required", NULL}, l->problems);
        for (struct hub_yaml *row = required != NULL ? required->first : NULL; row != NULL; row = row->next)
            load_fact(l, type, row, file);
    }
}

/* --- compiling --- */

static bool make_slots(struct loader *l, struct hub_policy_node *node)
{
    uint32_t count = 2;
    while (count < 2 * node->child_count)
        count *= 2;
    node->slots = HUB_ARENA_ARRAY(&l->policy->arena, struct hub_policy_child, count);
    node->slot_mask = count - 1;
    for (const struct hub_policy_node *c = node->first; c != NULL && node->slots != NULL; c = c->next) {
        const uint64_t brief = hub_policy_brief(hub_json_key(c->name, c->name_len));
        uint32_t at = hub_policy_slot(brief);
        while (node->slots[at & node->slot_mask].node != NULL)
            at++;
        node->slots[at & node->slot_mask] = (struct hub_policy_child){brief, c};
    }
    return node->slots != NULL;
}

static void compile(struct loader *l, struct hub_policy_node *node, enum hub_data_class inherited)
{
    if (!node->ruled)
        node->class_ = inherited;
    if (node->child_count != 0 && !make_slots(l, node))
        l->out_of_memory = true;
    bool masked_below = false;
    for (struct hub_policy_node *c = node->first; c != NULL; c = c->next) {
        compile(l, c, node->class_);
        node->differs = node->differs || c->differs || c->class_ != node->class_;
        masked_below = masked_below || c->masked;
    }
    node->keeps = node->masked && masked_below;
    node->mixed = node->differs || node->keeps;
}

/* --- files --- */

static bool read_file(struct loader *l, const char *path, struct hub_span *out)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        hub_problems_add(l->problems, HUB_SEVERITY_ERROR, path, 0, NULL, "cannot be read",
                         "check the path and its permissions", NULL);
        return false;
    }
    /* not in the arena: what it gives away is wiped again, the 4 MiB of a file that are not there too */
    uint8_t *text = hub_mem_resize(NULL, HUB_YAML_BYTES_MAX);
    size_t got = text != NULL ? fread(text, 1, HUB_YAML_BYTES_MAX, f) : 0;
    bool good = ferror(f) == 0 && got < HUB_YAML_BYTES_MAX;
    (void)fclose(f);
    *out = text != NULL && good ? hub_arena_copy(l->scratch, hub_span_of(text, got)) : HUB_SPAN_NONE;
    hub_mem_free(text);
    if (!good)
        hub_problems_add(l->problems, HUB_SEVERITY_ERROR, path, 0, NULL, "cannot be read whole",
                         "a policy is smaller than 4 MiB", NULL);
    else if (out->ptr == NULL)
        l->out_of_memory = true;
    return out->ptr != NULL;
}

/* Paths start at the policy's folder. */
static void load_lists(struct loader *l, const struct hub_yaml *lists, struct hub_buf *all)
{
    const char *slash = strrchr(l->file, '/');
    const int folder = slash != NULL ? (int)(slash - l->file) + 1 : 0;
    if (lists == NULL)
        return;
    if (lists->type != HUB_YAML_LIST) {
        problem(l, lists->line, "lists", "not a list", "write [../sensitive/hiv.yaml, ...]");
        return;
    }
    for (const struct hub_yaml *e = lists->first; e != NULL; e = e->next) {
        struct hub_span text;
        if (e->type != HUB_YAML_SCALAR || e->text[0] == '\0') {
            problem(l, e->line, "lists", "not a file", "write its path from this file's folder");
            continue;
        }
        const char *path = hub_arena_printf(l->scratch, "%.*s%s", e->text[0] == '/' ? 0 : folder, l->file, e->text);
        if (path == NULL) {
            l->out_of_memory = true;
            return;
        }
        if (!read_file(l, path, &text))
            continue;
        hub_buf_append_span(all, text);
        if (!hub_policy_codes_load(&l->policy->arena, l->scratch, path, text, &l->policy->lifts, l->problems))
            l->out_of_memory = true;
    }
}

/* The policy's name changes with every byte of what it is made of: the file and the lists that it names. */
static void load_name(struct loader *l, struct hub_yaml *root, struct hub_span text)
{
    const char *name = hub_yaml_get_text(root, "policy");
    if (name == NULL || name[0] == '\0' || strlen(name) > 60 || strpbrk(name, " @;,\"\\") != NULL) {
        problem(l, root->line, "policy", "the policy has no name",
                "write policy: protect/YYYY-MM at its start");
        return;
    }
    uint8_t hash[HUB_HASH_LEN];
    char hex[17];
    struct hub_buf all;
    hub_buf_init(&all, POLICY_BYTES_MAX, false);
    hub_buf_append_span(&all, text);
    load_lists(l, hub_yaml_get(root, "lists"), &all);
    if (hub_buf_result(&all) != HUB_OK)
        l->out_of_memory = true;
    hub_blake2b(NULL, hub_buf_view(&all), hash, sizeof hash);
    hub_buf_deinit(&all);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, 8), hex, sizeof hex);
    (void)snprintf(l->policy->name, sizeof l->policy->name, "%s@%s", name, hex);
}

static void load_document(struct loader *l, struct hub_yaml *root, struct hub_span text)
{
    static const char *const known[] = {"policy", "suite",        "default",   "sensitive",
                                        "lists",  "clear_labels", "resources", NULL};
    load_name(l, root, text);
    struct hub_yaml *suite = hub_yaml_get(root, "suite");
    l->policy->suite = HUB_SUITE_XC20P;
    if (suite != NULL &&
        (suite->type != HUB_YAML_SCALAR || !hub_suite_of(hub_span_str(suite->text), &l->policy->suite)))
        problem(l, suite->line, "suite", "not a suite", "use xc20p or aes256gcm");
    struct hub_yaml *default_class = hub_yaml_get(root, "default");
    l->policy->default_class = HUB_DATA_CLINICAL;
    if (default_class != NULL &&
        (default_class->text == NULL || default_class->type != HUB_YAML_SCALAR ||
         !hub_data_class_of(hub_span_str(default_class->text), &l->policy->default_class) ||
         l->policy->default_class == HUB_DATA_CLEAR))
        problem(l, default_class->line, "default", "not a class that seals", CLASS_MEND ", but not clear");
    load_codes(l, hub_yaml_get(root, "sensitive"), &l->policy->lifts);
    load_codes(l, hub_yaml_get(root, "clear_labels"), &l->policy->clear_labels);
    hub_policy_codes_close(&l->policy->lifts);
    hub_policy_codes_close(&l->policy->clear_labels);
    struct hub_yaml *resources = hub_yaml_get(root, "resources");
    if (resources == NULL || resources->type != HUB_YAML_MAP)
        problem(l, root->line, "resources", "the policy has no rules", "see policies/protect/default.yaml");
    for (const struct hub_yaml *t = resources != NULL && resources->type == HUB_YAML_MAP ? resources->first
                                                                                         : NULL;
         t != NULL; t = t->next)
        load_type(l, t);
    hub_yaml_check_unused(root, l->file, known, l->problems);
}

static void load_files(struct loader *l, const char *schema_dir)
{
    struct hub_span text;
    const char *facts_path = hub_arena_printf(l->scratch, "%s/fhir/r4/required.yaml", schema_dir);
    struct hub_yaml *facts = facts_path != NULL ? hub_yaml_load(l->scratch, facts_path, l->problems) : NULL;
    if (facts == NULL || !read_file(l, l->file, &text))
        return;
    l->facts = hub_yaml_get(facts, "resources");
    if (l->facts == NULL || l->facts->type != HUB_YAML_MAP) {
        hub_problems_add(l->problems, HUB_SEVERITY_ERROR, facts_path, 1, "resources",
                         "the table has no resources", NULL, NULL);
        return;
    }
    struct hub_yaml *root = hub_yaml_parse(l->scratch, l->file, text, l->problems);
    if (root == NULL)
        return;
    load_document(l, root, text);
    load_facts(l, facts_path);
    compile(l, &l->policy->root, l->policy->default_class);
    compile(l, l->policy->any, l->policy->default_class);
}

struct hub_policy *hub_policy_load(const char *path, const char *schema_dir, struct hub_problems *problems)
{
    struct hub_policy *policy = hub_mem_alloc(sizeof *policy);
    struct hub_arena scratch;
    hub_arena_init(&scratch, 64 * 1024 * 1024);
    struct loader l = {.policy = policy, .scratch = &scratch, .file = path, .problems = problems};
    size_t errors = problems->errors;
    if (policy != NULL) {
        hub_arena_init(&policy->arena, POLICY_BYTES_MAX);
        policy->any = HUB_ARENA_NEW(&policy->arena, struct hub_policy_node);
    }
    if (policy == NULL || policy->any == NULL) {
        l.out_of_memory = true;
    } else {
        policy->root.name = policy->any->name = "*";
        policy->root.name_len = policy->any->name_len = 1;
        load_files(&l, schema_dir);
    }
    if (l.out_of_memory || scratch.failed || policy->arena.failed)
        problem(&l, 0, NULL, "too large, or out of memory", NULL);
    hub_arena_deinit(&scratch);
    if (problems->errors != errors) {
        hub_policy_free(policy);
        return NULL;
    }
    return policy;
}
