/* Lists of codes: which are in them, and reading them from files of their own (policies/sensitive). */
#include <stdlib.h>
#include <string.h>

#include "src/codec/yaml.h"
#include "src/policy/trie.h"

enum { CODES_FIRST = 64, CODES_MAX = 200000, SYSTEMS_MAX = 64 };

/* --- building --- */

static void *grown(struct hub_arena *arena, const void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return (void *)(uintptr_t)items;
    const size_t next = *cap != 0 ? *cap * 2 : CODES_FIRST;
    void *out = next <= CODES_MAX ? hub_arena_alloc(arena, next * size) : NULL;
    if (out != NULL && count != 0)
        memcpy(out, items, count * size);
    if (out != NULL)
        *cap = next;
    return out;
}

static bool add_exact(struct hub_arena *arena, struct hub_policy_codes *codes, struct hub_span system,
                      struct hub_span code)
{
    struct hub_policy_code *items = grown(arena, codes->items, codes->count, &codes->cap, sizeof *items);
    if (items == NULL)
        return false;
    codes->items = items;
    items[codes->count++] = (struct hub_policy_code){system, code};
    return true;
}

static struct hub_policy_system *system_of(struct hub_arena *arena, struct hub_policy_codes *codes,
                                           struct hub_span system)
{
    for (size_t i = 0; i < codes->system_count; i++) {
        if (hub_span_equal(codes->systems[i].system, system))
            return &codes->systems[i];
    }
    if (codes->systems == NULL)
        codes->systems = hub_arena_alloc(arena, SYSTEMS_MAX * sizeof *codes->systems);
    if (codes->systems == NULL || codes->system_count == SYSTEMS_MAX)
        return NULL;
    struct hub_policy_system *out = &codes->systems[codes->system_count++];
    memset(out, 0, sizeof *out);
    out->system = system;
    return out;
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
}

static bool add_prefix(struct hub_arena *arena, struct hub_policy_codes *codes, struct hub_span system,
                       struct hub_span prefix)
{
    struct hub_policy_system *to = system_of(arena, codes, system);
    struct hub_span *items =
        to != NULL ? grown(arena, to->prefixes, to->count, &to->cap, sizeof *items) : NULL;
    if (items == NULL)
        return false;
    to->prefixes = items;
    items[to->count++] = prefix;
    const uint8_t first = upper(prefix.ptr[0]);
    codes->first[first / 64] |= UINT64_C(1) << first % 64;
    return true;
}

bool hub_policy_codes_add(struct hub_arena *arena, struct hub_policy_codes *codes, struct hub_span system,
                          struct hub_span code)
{
    const struct hub_span system_copy = hub_arena_copy(arena, system), copy = hub_arena_copy(arena, code);
    if (system_copy.ptr == NULL || copy.ptr == NULL)
        return false;
    return copy.len > 1 && copy.ptr[copy.len - 1] == '*'
               ? add_prefix(arena, codes, system_copy, hub_span_of(copy.ptr, copy.len - 1))
               : add_exact(arena, codes, system_copy, copy);
}

static int code_order(const void *a, const void *b)
{
    return hub_policy_code_compare(a, b);
}

void hub_policy_codes_close(struct hub_policy_codes *codes)
{
    for (size_t i = 0; i < codes->count; i++) {
        const unsigned bit = hub_policy_code_bit(codes->items[i].code);
        codes->filter[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    if (codes->count > 1)
        qsort(codes->items, codes->count, sizeof *codes->items, code_order);
}

/* --- asking --- */

static bool has_exact(const struct hub_policy_codes *codes, struct hub_span system, struct hub_span code)
{
    const struct hub_policy_code wanted = {system, code};
    const unsigned bit = hub_policy_code_bit(code);
    if ((codes->filter[bit / 64] >> bit % 64 & 1) == 0)
        return false;
    size_t low = 0, high = codes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int d = hub_policy_code_compare(&wanted, &codes->items[middle]);
        if (d == 0)
            return true;
        if (d < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* Senders write F10.20 as F1020 and in small letters: neither makes another diagnosis of it. */
static bool begins_with(struct hub_span code, struct hub_span prefix)
{
    size_t at = 0;
    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.ptr[i] == '.')
            continue;
        while (at < code.len && code.ptr[at] == '.')
            at++;
        if (at == code.len || upper(code.ptr[at++]) != upper(prefix.ptr[i]))
            return false;
    }
    return true;
}

static bool has_prefix(const struct hub_policy_codes *codes, struct hub_span system, struct hub_span code)
{
    const uint8_t first = code.len != 0 ? upper(code.ptr[0]) : 0;
    if ((codes->first[first / 64] >> first % 64 & 1) == 0)
        return false;
    for (size_t i = 0; i < codes->system_count; i++) {
        const struct hub_policy_system *of = &codes->systems[i];
        if (!hub_span_equal(of->system, system))
            continue;
        for (size_t k = 0; k < of->count; k++) {
            if (begins_with(code, of->prefixes[k]))
                return true;
        }
    }
    return false;
}

bool hub_policy_codes_have(const struct hub_policy_codes *codes, struct hub_span system, struct hub_span code)
{
    return has_exact(codes, system, code) || has_prefix(codes, system, code);
}

/* --- files --- */

static void problem(struct hub_problems *problems, const char *file, uint32_t line, const char *name, const char *what,
                    const char *mend)
{
    hub_problems_add(problems, HUB_SEVERITY_ERROR, file, line, name, what, mend, NULL);
}

static bool load_system(struct hub_arena *arena, const struct hub_yaml *system, const char *file,
                        struct hub_policy_codes *codes, struct hub_problems *problems)
{
    if (system->type != HUB_YAML_LIST || system->key[0] == '\0') {
        problem(problems, file, system->line, system->key, "not a list of codes",
                "write SYSTEM: [\"code\", \"prefix*\", ...]");
        return true;
    }
    for (const struct hub_yaml *e = system->first; e != NULL; e = e->next) {
        if (e->type != HUB_YAML_SCALAR || e->text[0] == '\0' || strcmp(e->text, "*") == 0)
            problem(problems, file, e->line, system->key, "not a code", "write a code, or its beginning and *");
        else if (!hub_policy_codes_add(arena, codes, hub_span_str(system->key), hub_span_str(e->text)))
            return false;
    }
    return true;
}

bool hub_policy_codes_load(struct hub_arena *arena, struct hub_arena *scratch, const char *file, struct hub_span text,
                           struct hub_policy_codes *codes, struct hub_problems *problems)
{
    static const char *const known[] = {"list", "codes", NULL};
    struct hub_yaml *root = hub_yaml_parse(scratch, file, text, problems);
    if (root == NULL)
        return true;
    const char *name = hub_yaml_get_text(root, "list");
    if (name == NULL || name[0] == '\0')
        problem(problems, file, root->line, "list", "the list has no name", "write list: sensitive/NAME at its start");
    struct hub_yaml *systems = hub_yaml_get(root, "codes");
    if (systems == NULL || systems->type != HUB_YAML_MAP)
        problem(problems, file, root->line, "codes", "the list has no codes",
                "write codes: {SYSTEM: [\"code\", \"prefix*\"]}");
    bool good = true;
    for (const struct hub_yaml *s = systems != NULL && systems->type == HUB_YAML_MAP ? systems->first : NULL;
         s != NULL && good; s = s->next)
        good = load_system(arena, s, file, codes, problems);
    hub_yaml_check_unused(root, file, known, problems);
    return good;
}
