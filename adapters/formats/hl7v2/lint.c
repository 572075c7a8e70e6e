#include "adapters/formats/hl7v2/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/arena.h"
#include "src/codec/yaml.h"

enum { ARENA_MAX = 256 * 1024 * 1024, PATH_CAP = 4096 };

struct linter {
    struct hub_arena arena;
    const char *schema_dir;
    struct hub_problems *problems;
    const char *file;
    const char *const *overlays; /* before the one at hand */
    size_t before;
};

static void warn(struct linter *l, uint32_t line, const char *what, const char *mend, const char *detail)
{
    hub_problems_add(l->problems, HUB_SEVERITY_WARNING, l->file, line, NULL, what, mend, "%s", detail);
}

/* Problems of reading are not this one's. */
static struct hub_yaml *load(struct linter *l, const char *path)
{
    struct hub_problems ignored;
    hub_problems_init(&ignored);
    struct hub_yaml *yaml = hub_yaml_load(&l->arena, path, &ignored);
    hub_problems_deinit(&ignored);
    return yaml;
}

static struct hub_yaml *load_table(struct linter *l, const char *folder, const char *name)
{
    char path[PATH_CAP];
    (void)snprintf(path, sizeof path, "%s/hl7v2/%s/%s.yaml", l->schema_dir, folder, name);
    return load(l, path);
}

static struct hub_yaml *children(struct hub_yaml *node)
{
    return node != NULL && node->type != HUB_YAML_SCALAR ? node->first : NULL;
}

/* Same words; members of maps in any order. */
static bool same(struct hub_yaml *a, struct hub_yaml *b)
{
    if (a == NULL || b == NULL || a->type != b->type)
        return false;
    if (a->type == HUB_YAML_SCALAR)
        return strcmp(a->text, b->text) == 0;
    if (a->count != b->count)
        return false;
    struct hub_yaml *other = b->first;
    for (struct hub_yaml *item = a->first; item != NULL; item = item->next) {
        if (!same(item, a->type == HUB_YAML_MAP ? hub_yaml_get(b, item->key) : other))
            return false;
        other = other != NULL ? other->next : NULL;
    }
    return true;
}

static struct hub_yaml *rule_named(struct hub_yaml *rules, const char *id)
{
    for (struct hub_yaml *rule = children(rules); rule != NULL && id != NULL; rule = rule->next) {
        const char *own = rule->type == HUB_YAML_MAP ? hub_yaml_get_text(rule, "id") : NULL;
        if (own != NULL && strcmp(own, id) == 0)
            return rule;
    }
    return NULL;
}

/* --- fields that a segment does not have (HL7 v2.9, chapters 2 to 15) --- */

static unsigned fields_of(const char *segment)
{
    static const struct {
        char id[4];
        unsigned fields;
    } known[] = {{"AIG", 14}, {"AIL", 13}, {"AIP", 13}, {"AIS", 13}, {"AL1", 6},  {"DG1", 26}, {"EVN", 7},  {"FT1", 56},
                 {"GT1", 57}, {"IAM", 30}, {"IN1", 55}, {"IN2", 72}, {"IN3", 28}, {"MRG", 7},  {"MSH", 28}, {"NK1", 41},
                 {"NTE", 9},  {"OBR", 55}, {"OBX", 33}, {"ORC", 38}, {"PD1", 23}, {"PID", 40}, {"PR1", 25}, {"PRB", 28},
                 {"PRT", 25}, {"PV1", 54}, {"PV2", 50}, {"RGS", 3},  {"ROL", 14}, {"RXA", 29}, {"RXC", 11}, {"RXD", 36}, {"RXE", 46},
                 {"RXG", 33}, {"RXO", 37}, {"RXR", 6},  {"SCH", 27}, {"SPM", 35}, {"TQ1", 14}, {"TXA", 28}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(known[i].id, segment, 3) == 0)
            return known[i].fields;
    }
    return 0;
}

static bool is_upper_or_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Each "SEG-n" in TEXT. */
static void check_fields(struct linter *l, const char *text, uint32_t line)
{
    for (const char *at = text; *at != '\0'; at++) {
        const bool starts = at == text || !is_upper_or_digit(at[-1]);
        if (!starts || !is_upper_or_digit(at[0]) || !is_upper_or_digit(at[1]) || !is_upper_or_digit(at[2]) || at[3] != '-')
            continue;
        unsigned long field = strtoul(at + 4, NULL, 10);
        const unsigned most = fields_of(at);
        if (most != 0 && (field == 0 || field > most)) {
            char detail[64];
            (void)snprintf(detail, sizeof detail, "%.3s-%lu, the last one is %.3s-%u", at, field, at, most);
            warn(l, line, "a field that the segment does not have", "look the number up again; sites keep their own data in Z segments",
                 detail);
        }
    }
}

static void check_all_fields(struct linter *l, struct hub_yaml *node)
{
    if (node->type == HUB_YAML_SCALAR && node->text != NULL && (node->key == NULL || strcmp(node->key, "note") != 0))
        check_fields(l, node->text, node->line);
    for (struct hub_yaml *child = children(node); child != NULL; child = child->next)
        check_all_fields(l, child);
}

/* --- rules --- */

/* Writes TO whatever the message, and nothing else decides what stands there. */
static bool writes_always(struct hub_yaml *rule)
{
    return hub_yaml_get(rule, "value") != NULL && hub_yaml_get(rule, "from") == NULL && hub_yaml_get(rule, "when") == NULL &&
           hub_yaml_get(rule, "fallback") == NULL;
}

static const char *single_target(struct hub_yaml *rule)
{
    const char *to = rule->type == HUB_YAML_MAP ? hub_yaml_get_text(rule, "to") : NULL;
    return to != NULL && strchr(to, '[') == NULL ? to : NULL;
}

static bool is_fallback(struct hub_yaml *rule)
{
    const char *text = hub_yaml_get_text(rule, "fallback");
    return text != NULL && strcmp(text, "true") == 0;
}

/* RULE's element is written again, always, by one that comes later; or always before it, and it only falls back. */
static void check_reach(struct linter *l, struct hub_yaml *rules, struct hub_yaml *rule, const char *id)
{
    const char *to = single_target(rule);
    bool later = false;
    for (struct hub_yaml *other = children(rules); other != NULL && to != NULL; other = other->next) {
        const char *target = single_target(other), *name = other->type == HUB_YAML_MAP ? hub_yaml_get_text(other, "id") : NULL;
        later = later || other == rule;
        if (other == rule || target == NULL || strcmp(target, to) != 0 || !writes_always(other))
            continue;
        if (later && !is_fallback(rule))
            warn(l, rule->line, "a rule that is never seen: a later one always writes the same element", "remove one of them, or give the later one `fallback: true`",
                 name != NULL ? name : id);
        else if (!later && is_fallback(rule))
            warn(l, rule->line, "a rule that is never seen: the element is always written before it, and it only falls back",
                 "remove one of them", name != NULL ? name : id);
    }
}

static void check_rule(struct linter *l, struct hub_yaml *base, struct hub_yaml *rules, struct hub_yaml *rule)
{
    const char *id = rule->type == HUB_YAML_MAP ? hub_yaml_get_text(rule, "id") : NULL;
    struct hub_yaml *was = rule_named(base, id);
    if (id == NULL)
        return;
    if (was != NULL && same(was, rule))
        warn(l, rule->line, "a rule that changes nothing: the table has the same one", "remove it", id);
    check_reach(l, rules, rule, id);
    /* with the base table's: the overlay's comes last unless it takes a place there */
    for (struct hub_yaml *other = children(base); other != NULL && was == NULL; other = other->next) {
        const char *to = single_target(rule), *target = single_target(other);
        if (to != NULL && target != NULL && strcmp(to, target) == 0 && is_fallback(rule) && writes_always(other))
            warn(l, rule->line, "a rule that is never seen: the table always writes the element, and it only falls back",
                 "replace the table's rule by its id", id);
    }
}

static void check_rules(struct linter *l, struct hub_yaml *base, struct hub_yaml *rules)
{
    for (struct hub_yaml *rule = children(rules); rule != NULL; rule = rule->next)
        check_rule(l, base, rules, rule);
}

/* HOLDERS: `resources` of a segment, `targets` of a data type. */
static void check_holders(struct linter *l, struct hub_yaml *base, struct hub_yaml *holders)
{
    for (struct hub_yaml *holder = children(holders); holder != NULL; holder = holder->next)
        check_rules(l, hub_yaml_get(hub_yaml_get(base, holder->key), "rules"), hub_yaml_get(holder, "rules"));
}

/* --- code lists --- */

static void check_codes(struct linter *l, struct hub_yaml *list)
{
    struct hub_yaml *base = load_table(l, "codes", list->key), *map = hub_yaml_get(list, "map");
    if (base == NULL && hub_yaml_get(list, "unmapped") == NULL)
        warn(l, list->key_line, "a code list that does not say what becomes of other codes: they are passed on as they are",
             "say `unmapped: keep`, `omit` or `{code: ...}`", list->key);
    for (struct hub_yaml *item = children(map); item != NULL; item = item->next) {
        struct hub_yaml *was = hub_yaml_get(hub_yaml_get(base, "map"), item->key);
        if (was != NULL && same(was, item))
            warn(l, item->key_line, "a code that changes nothing: the list has the same", "remove it", item->key);
    }
    if (base != NULL && children(map) == NULL && list->count <= 1)
        warn(l, list->key_line, "a code list that changes nothing", "remove it, or give it a map", list->key);
}

/* Whether any rule of the tables or of this overlay names the list: `codes: NAME`. */
static bool names_list(struct hub_yaml *node, const char *name)
{
    if (node == NULL)
        return false;
    if (node->type == HUB_YAML_SCALAR)
        return node->key != NULL && strcmp(node->key, "codes") == 0 && strcmp(node->text, name) == 0;
    for (struct hub_yaml *child = node->first; child != NULL; child = child->next) {
        if (names_list(child, name))
            return true;
    }
    return false;
}

static void check_lists(struct linter *l, struct hub_yaml *overlay)
{
    for (struct hub_yaml *list = children(hub_yaml_get(overlay, "codes")); list != NULL; list = list->next) {
        check_codes(l, list);
        bool used = load_table(l, "codes", list->key) != NULL || names_list(hub_yaml_get(overlay, "segments"), list->key) ||
                    names_list(hub_yaml_get(overlay, "datatypes"), list->key);
        for (size_t i = 0; i < l->before && !used; i++) {
            struct hub_yaml *other = load(l, l->overlays[i]);
            used = other != NULL && (names_list(hub_yaml_get(other, "segments"), list->key) ||
                                     names_list(hub_yaml_get(other, "datatypes"), list->key));
        }
        if (!used)
            warn(l, list->key_line, "a code list that no rule uses", "name it in a rule (`codes:`), or remove it", list->key);
    }
}

/* --- overlays --- */

static bool changes_something(struct hub_yaml *overlay)
{
    for (struct hub_yaml *part = children(overlay); part != NULL; part = part->next) {
        if (part->type != HUB_YAML_SCALAR && part->count != 0)
            return true;
    }
    return false;
}

static void check_overlay(struct linter *l, struct hub_yaml *overlay)
{
    if (!changes_something(overlay))
        warn(l, overlay->line, "an overlay that changes nothing", "take it out of the feed's mapping", "it is empty");
    for (struct hub_yaml *s = children(hub_yaml_get(overlay, "segments")); s != NULL; s = s->next)
        check_holders(l, hub_yaml_get(load_table(l, "segments", s->key), "resources"), hub_yaml_get(s, "resources"));
    for (struct hub_yaml *d = children(hub_yaml_get(overlay, "datatypes")); d != NULL; d = d->next)
        check_holders(l, hub_yaml_get(load_table(l, "datatypes", d->key), "targets"), hub_yaml_get(d, "targets"));
    check_lists(l, overlay);
    check_all_fields(l, overlay);
}

void hub_map_lint(const char *schema_dir, const char *const *overlays, size_t count, struct hub_problems *problems)
{
    struct linter l = {.schema_dir = schema_dir, .problems = problems, .overlays = overlays};
    hub_arena_init(&l.arena, ARENA_MAX);
    for (size_t i = 0; i < count; i++) {
        l.file = overlays[i];
        l.before = i;
        struct hub_yaml *overlay = load(&l, overlays[i]);
        if (overlay != NULL)
            check_overlay(&l, overlay);
    }
    hub_arena_deinit(&l.arena);
}
