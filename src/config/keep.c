/* What a reload may not change stays as it was: the rows say which options these are. */
#include <string.h>

#include "src/config/config.h"
#include "src/config/option.h"

struct keeping {
    struct hub_config *next;
    struct hub_problems *problems;
    uint32_t line;
};

static void *at(void *base, size_t offset)
{
    return (char *)base + offset;
}

static const void *at_const(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static void say(const struct keeping *k, const char *path)
{
    hub_problems_add(k->problems, HUB_SEVERITY_WARNING, k->next->path, k->line, path,
                     "changed, and needs a restart: the old value stays in force",
                     "restart the hub when it suits", NULL);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_secret(const struct hub_secret_ref *a, const struct hub_secret_ref *b)
{
    return same_text(a->file, b->file) && same_text(a->env, b->env) &&
           same_text(a->credential, b->credential) && same_text(a->command, b->command);
}

static bool same_texts(const struct hub_option *row, const void *a, const void *b)
{
    size_t count = *(const size_t *)at_const(a, row->count_offset);
    const char *const *left = *(const char *const *const *)at_const(a, row->offset);
    const char *const *right = *(const char *const *const *)at_const(b, row->offset);
    bool same = count == *(const size_t *)at_const(b, row->count_offset);
    for (size_t i = 0; same && i < count; i++)
        same = strcmp(left[i], right[i]) == 0;
    return same;
}

/* The bytes of a plain value; 0: not one. */
static size_t plain_size(enum hub_option_type type)
{
    switch (type) {
    case HUB_OPTION_BOOL:
    case HUB_OPTION_SWITCH:
        return sizeof(bool);
    case HUB_OPTION_ENUM:
        return sizeof(unsigned);
    case HUB_OPTION_COUNT:
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        return sizeof(uint32_t);
    case HUB_OPTION_SIZE:
        return sizeof(uint64_t);
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
    case HUB_OPTION_SECRET:
    case HUB_OPTION_SECTION:
    case HUB_OPTION_ITEMS:
    case HUB_OPTION_VARIANT:
        return 0;
    }
    return 0;
}

static void keep_section(const struct keeping *k, const struct hub_section *section, void *next,
                         const void *base, bool all, const char *path);

/* A section that came or went is as it was, whatever its rows say: half a section is none. */
static void keep_nested(const struct keeping *k, const struct hub_option *row, void *next, const void *base,
                        bool all, const char *path)
{
    bool whole = all;
    if (row->present_offset != HUB_OPTION_NO_OFFSET) {
        bool *here = at(next, row->present_offset);
        bool was = *(const bool *)at_const(base, row->present_offset);
        if (*here != was)
            say(k, path);
        whole = whole || *here != was;
        *here = was;
    }
    keep_section(k, row->section, at(next, row->offset), at_const(base, row->offset), whole, path);
}

static void keep_variant(const struct keeping *k, const struct hub_option *row, void *next, const void *base,
                         bool all, const char *path)
{
    const char **name = at(next, row->offset);
    const char *was = *(const char *const *)at_const(base, row->offset);
    bool changed = !same_text(*name, was);
    if (changed)
        say(k, path);
    *name = was;
    for (const struct hub_variant *v = row->variants; was != NULL && v->name != NULL; v++) {
        char below[96];
        (void)snprintf(below, sizeof(below), "%s.%s", path, v->name);
        if (strcmp(v->name, was) == 0 && v->section != NULL)
            keep_section(k, v->section, next, base, all || changed, below);
    }
}

static void keep_lists(const struct hub_option *row, void *next, const void *base)
{
    memcpy(at(next, row->offset), at_const(base, row->offset), sizeof(void *));
    memcpy(at(next, row->count_offset), at_const(base, row->count_offset), sizeof(size_t));
}

static void keep_row(const struct keeping *k, const struct hub_option *row, void *next, const void *base,
                     bool all, const char *path)
{
    bool same = true;
    size_t size = plain_size(row->type);
    if (row->type == HUB_OPTION_SECTION) {
        keep_nested(k, row, next, base, all, path);
        return;
    }
    if (row->type == HUB_OPTION_VARIANT) {
        keep_variant(k, row, next, base, all, path);
        return;
    }
    if (row->type == HUB_OPTION_ITEMS || (!all && (row->flags & HUB_OPTION_RELOAD) != 0))
        return; /* lists of sections: feeds have hub_config_keep itself, the others reload */
    if (row->type == HUB_OPTION_TEXTS || row->type == HUB_OPTION_PATHS) {
        same = same_texts(row, next, base);
        keep_lists(row, next, base);
    } else if (row->type == HUB_OPTION_SECRET) {
        same = same_secret(at(next, row->offset), at_const(base, row->offset));
        memcpy(at(next, row->offset), at_const(base, row->offset), sizeof(struct hub_secret_ref));
    } else if (size != 0) {
        same = memcmp(at(next, row->offset), at_const(base, row->offset), size) == 0;
        memcpy(at(next, row->offset), at_const(base, row->offset), size);
    } else {
        same = same_text(*(const char **)at(next, row->offset),
                         *(const char *const *)at_const(base, row->offset));
        memcpy(at(next, row->offset), at_const(base, row->offset), sizeof(char *));
    }
    if (!same && !all)
        say(k, path);
}

static void keep_section(const struct keeping *k, const struct hub_section *section, void *next,
                         const void *base, bool all, const char *path)
{
    for (const struct hub_option *row = section->rows; row->name != NULL; row++) {
        char below[96];
        (void)snprintf(below, sizeof(below), "%s%s%s", path, path[0] != '\0' ? "." : "", row->name);
        keep_row(k, row, next, base, all, below);
    }
}

static const struct hub_option *feeds_row(void)
{
    const struct hub_option *row = hub_config_rows()->rows;
    while (strcmp(row->name, "feeds") != 0)
        row++;
    return row;
}

static const struct hub_feed *feed_by_id(const struct hub_feed *feeds, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(feeds[i].id, id) == 0)
            return &feeds[i];
    return NULL;
}

/* In BASE's order, so that counts and listeners stay with their feeds. */
static enum hub_result keep_feeds(struct keeping *k, const struct hub_config *base)
{
    struct hub_config *next = k->next;
    struct hub_feed *feeds =
        HUB_ARENA_ARRAY(next->owner, struct hub_feed, base->feed_count != 0 ? base->feed_count : 1);
    HUB_ENSURE(feeds != NULL, HUB_NO_MEMORY);
    for (size_t i = 0; i < base->feed_count; i++) {
        const struct hub_feed *found = feed_by_id(next->feeds, next->feed_count, base->feeds[i].id);
        if (found == NULL) {
            hub_problems_add(k->problems, HUB_SEVERITY_ERROR, next->path, 0, base->feeds[i].name,
                             "this feed runs and is not in the configuration any more",
                             "restart the hub to take it away", NULL);
            return HUB_CONFIG;
        }
        feeds[i] = *found;
        k->line = found->line;
        keep_section(k, feeds_row()->section, &feeds[i], &base->feeds[i], false, base->feeds[i].name);
    }
    for (size_t i = 0; i < next->feed_count; i++) {
        k->line = next->feeds[i].line;
        if (feed_by_id(base->feeds, base->feed_count, next->feeds[i].id) == NULL)
            hub_problems_add(k->problems, HUB_SEVERITY_WARNING, next->path, k->line, next->feeds[i].name,
                             "a new feed, and needs a restart", "restart the hub when it suits", NULL);
    }
    next->feeds = feeds;
    next->feed_count = base->feed_count;
    return HUB_OK;
}

enum hub_result hub_config_keep(struct hub_config *next, const struct hub_config *base,
                                struct hub_problems *problems)
{
    struct keeping k = {.next = next, .problems = problems};
    if (next->schema_dir == NULL) /* the installation's, filled in at the start */
        next->schema_dir = base->schema_dir;
    keep_section(&k, hub_config_rows(), next, base, false, "");
    return keep_feeds(&k, base);
}
