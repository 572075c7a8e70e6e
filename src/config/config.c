#include "src/config/config.h"

#include <stdio.h>
#include <string.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/config/check.h"
#include "src/config/option.h"

enum { ARENA_BYTES_MAX = 64 * 1024 * 1024 };

static struct hub_config *new_config(void)
{
    struct hub_arena *arena = hub_mem_alloc(sizeof *arena);
    if (arena == NULL)
        return NULL;
    hub_arena_init(arena, ARENA_BYTES_MAX);
    struct hub_config *config = HUB_ARENA_NEW(arena, struct hub_config);
    if (config == NULL) {
        hub_arena_deinit(arena);
        hub_mem_free(arena);
        return NULL;
    }
    config->owner = arena;
    return config;
}

void hub_config_free(struct hub_config *config)
{
    if (config == NULL)
        return;
    struct hub_arena *arena = config->owner; /* holds config itself */
    hub_arena_deinit(arena);
    hub_mem_free(arena);
}

static bool set_location(struct hub_config *config, const char *path)
{
    const char *slash = strrchr(path, '/');
    config->path = hub_arena_printf(config->owner, "%s", path);
    if (slash == NULL)
        config->folder = ".";
    else if (slash == path)
        config->folder = "/";
    else
        config->folder = hub_arena_printf(config->owner, "%.*s", (int)(slash - path), path);
    return config->path != NULL && config->folder != NULL;
}

/* TREE is NULL when the file could not be read: its problems are there already. */
static void fill(struct hub_config *config, struct hub_yaml *tree, struct hub_problems *problems)
{
    struct hub_option_context context = {config->owner, config->path, config->folder, problems};
    if (tree->type != HUB_YAML_MAP) {
        hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, tree->line, "", "not a configuration",
                         "write a map of keys; `chartline init DIR` makes a first one", NULL);
        return;
    }
    hub_option_load(&context, hub_config_rows(), tree, config, "");
    hub_config_check(config, tree, problems);
}

static struct hub_config *load(const char *path, const struct hub_span *text, struct hub_problems *problems)
{
    size_t errors_before = problems->errors;
    struct hub_config *config = new_config();
    if (config == NULL || !set_location(config, path)) {
        hub_problems_add(problems, HUB_SEVERITY_ERROR, path, 0, "", "out of memory", NULL, NULL);
        hub_config_free(config);
        return NULL;
    }
    struct hub_yaml *tree = text != NULL ? hub_yaml_parse(config->owner, config->path, *text, problems)
                                         : hub_yaml_load(config->owner, config->path, problems);
    if (tree != NULL)
        fill(config, tree, problems);
    else if (problems->errors == errors_before)
        hub_problems_add(problems, HUB_SEVERITY_ERROR, path, 0, "", "cannot be read", NULL, NULL);
    if (problems->errors == errors_before)
        return config;
    hub_config_free(config);
    return NULL;
}

struct hub_config *hub_config_load(const char *path, struct hub_problems *problems)
{
    return load(path, NULL, problems);
}

struct hub_config *hub_config_parse(const char *path, struct hub_span text, struct hub_problems *problems)
{
    return load(path, &text, problems);
}

struct hub_config *hub_config_new(const char *schema_dir)
{
    static const char text[] = "hub: {name: map, root_key: {file: none}}\n"
                               "feeds: [{name: map, id: map, transport: {mllp: {listen: \"127.0.0.1:1\"}}, "
                               "format: {hl7v2: {timezone: UTC, processing: [P, T, D]}}}]\n";
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_config_parse("hub.yaml", hub_span_of(text, sizeof text - 1), &problems);
    hub_problems_deinit(&problems);
    if (config == NULL)
        return NULL;
    /* No zone on purpose: MSH-7's offset, else UTC (RULES, Zones). */
    config->feeds[0].timezone = NULL;
    config->schema_dir = hub_arena_printf(config->owner, "%s", schema_dir);
    if (config->schema_dir == NULL) {
        hub_config_free(config);
        return NULL;
    }
    return config;
}

bool hub_config_uses_kafka(const struct hub_config *config)
{
    return config->bus != NULL && strcmp(config->bus, "kafka") == 0;
}

bool hub_config_date(const char *text, int64_t *us)
{
    char full[24];
    if (strlen(text) != 10)
        return false;
    (void)snprintf(full, sizeof full, "%sT00:00:00Z", text);
    return hub_time_parse(full, strlen(full), us) == 0;
}

const struct hub_feed *hub_config_feed(const struct hub_config *config, const char *name)
{
    for (size_t i = 0; i < config->feed_count; i++)
        if (config->feeds[i].name != NULL && strcmp(config->feeds[i].name, name) == 0)
            return &config->feeds[i];
    return NULL;
}
