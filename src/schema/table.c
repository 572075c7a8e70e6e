#include "src/schema/table.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void hub_table_problem(struct hub_problems *problems, const char *file, uint32_t line, const char *what, const char *detail)
{
    hub_problems_add(problems, HUB_SEVERITY_ERROR, file, line, NULL, what, NULL, detail != NULL ? "%s" : NULL,
                     detail != NULL ? detail : "");
}

static int is_yaml(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static void load_one(struct hub_arena *arena, const char *folder, const char *file_name, const char *top_key,
                     struct hub_tables *out, struct hub_problems *problems)
{
    const char *file = hub_arena_printf(arena, "%s/%s", folder, file_name);
    if (file == NULL) {
        hub_table_problem(problems, folder, 0, "out of memory", NULL);
        return;
    }
    struct hub_yaml *yaml = hub_yaml_load(arena, file, problems);
    if (yaml == NULL)
        return;
    const char *name = hub_yaml_get_text(yaml, top_key);
    size_t base_len = strlen(file_name) - 5;
    if (name == NULL || strlen(name) != base_len || memcmp(name, file_name, base_len) != 0) {
        hub_table_problem(problems, file, yaml->line, "the table does not begin with its kind and the file's name", top_key);
        return;
    }
    out->items[out->count++] = (struct hub_table){name, file, yaml};
}

void hub_tables_load(struct hub_arena *arena, const char *folder, const char *top_key, struct hub_tables *out,
                     struct hub_problems *problems)
{
    memset(out, 0, sizeof *out);
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_yaml, alphasort);
    if (count < 0) {
        hub_table_problem(problems, folder, 0, "the folder of tables cannot be read", strerrordesc_np(errno));
        return;
    }
    out->items = HUB_ARENA_ARRAY(arena, struct hub_table, (size_t)count + 1);
    if (out->items == NULL)
        hub_table_problem(problems, folder, 0, "out of memory", NULL);
    for (int i = 0; i < count; i++) {
        if (out->items != NULL)
            load_one(arena, folder, names[i]->d_name, top_key, out, problems);
        free(names[i]); /* libc's memory */
    }
    free((void *)names); /* libc's memory */
}

struct hub_table *hub_tables_find(const struct hub_tables *tables, const char *name)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(tables->items[i].name, name) == 0)
            return &tables->items[i];
    }
    return NULL;
}
