#include "src/codec/yaml.h"

struct hub_yaml *hub_yaml_get(struct hub_yaml *map, const char *key)
{
    if (map == NULL || map->type != HUB_YAML_MAP)
        return NULL;
    for (struct hub_yaml *m = map->first; m != NULL; m = m->next) {
        if (strcmp(m->key, key) == 0) {
            m->used = true;
            return m;
        }
    }
    return NULL;
}

const char *hub_yaml_get_text(struct hub_yaml *map, const char *key)
{
    const struct hub_yaml *m = hub_yaml_get(map, key);
    return m != NULL && m->type == HUB_YAML_SCALAR ? m->text : NULL;
}

enum { DISTANCE_MAX = 3, NAME_MAX_COMPARED = 40 };

/* Edits between two short names (Levenshtein), for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > NAME_MAX_COMPARED || b_len > NAME_MAX_COMPARED)
        return SIZE_MAX;
    size_t row[NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[b_len];
}

static const char *nearest(const char *key, const char *const *known)
{
    const char *best = NULL;
    size_t best_distance = DISTANCE_MAX + 1;
    for (; known != NULL && *known != NULL; known++) {
        size_t d = distance(key, *known);
        if (d < best_distance) {
            best_distance = d;
            best = *known;
        }
    }
    return best;
}

void hub_yaml_check_unused(const struct hub_yaml *map, const char *file, const char *const *known,
                           struct hub_problems *problems)
{
    if (map == NULL || map->type != HUB_YAML_MAP)
        return;
    for (const struct hub_yaml *m = map->first; m != NULL; m = m->next) {
        if (m->used)
            continue;
        const char *near = nearest(m->key, known);
        if (near != NULL)
            hub_problems_add(problems, HUB_SEVERITY_ERROR, file, m->key_line, m->key, "unknown key",
                             "correct or remove it", "did you mean '%s'?", near);
        else
            hub_problems_add(problems, HUB_SEVERITY_ERROR, file, m->key_line, m->key, "unknown key",
                             "correct or remove it", NULL);
    }
}
