#include "src/base/problem.h"

#include <stdarg.h>
#include <string.h>

#include "src/base/mem.h"

void hub_problems_init(struct hub_problems *problems)
{
    memset(problems, 0, sizeof *problems);
}

void hub_problems_deinit(struct hub_problems *problems)
{
    hub_mem_free(problems->items);
    memset(problems, 0, sizeof *problems);
}

static struct hub_problem *next_item(struct hub_problems *problems)
{
    if (problems->count == problems->cap) {
        size_t cap = problems->cap == 0 ? 16 : problems->cap * 2;
        if (cap > HUB_PROBLEMS_MAX)
            cap = HUB_PROBLEMS_MAX;
        if (cap == problems->cap)
            return NULL;
        struct hub_problem *items = hub_mem_resize(problems->items, cap * sizeof *items);
        if (items == NULL)
            return NULL;
        problems->items = items;
        problems->cap = cap;
    }
    struct hub_problem *item = &problems->items[problems->count++];
    memset(item, 0, sizeof *item);
    return item;
}

void hub_problems_add(struct hub_problems *problems, enum hub_severity severity, const char *file, uint32_t line,
                      const char *name, const char *what, const char *mend, const char *detail_format, ...)
{
    if (severity == HUB_SEVERITY_ERROR)
        problems->errors++;
    struct hub_problem *item = next_item(problems);
    if (item == NULL) {
        problems->dropped++;
        return;
    }
    item->severity = severity;
    (void)hub_fail(&item->error, HUB_CONFIG, what, mend);
    if (file != NULL)
        (void)hub_error_in(&item->error, file, line);
    if (name != NULL)
        (void)snprintf(item->name, sizeof item->name, "%s", name);
    if (detail_format != NULL) {
        va_list args;
        va_start(args, detail_format);
        (void)vsnprintf(item->detail, sizeof item->detail, detail_format, args);
        va_end(args);
    }
}

static const char *severity_text(enum hub_severity severity)
{
    switch (severity) {
    case HUB_SEVERITY_NOTE:
        return "note";
    case HUB_SEVERITY_WARNING:
        return "warning";
    case HUB_SEVERITY_ERROR:
        return "error";
    }
    return "error";
}

size_t hub_problems_print(const struct hub_problems *problems, FILE *out)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *p = &problems->items[i];
        (void)fprintf(out, "%s: ", severity_text(p->severity));
        if (p->error.path[0] != '\0')
            (void)fprintf(out, p->error.line != 0 ? "%s:%u: " : "%s: ", p->error.path, p->error.line);
        if (p->name[0] != '\0')
            (void)fprintf(out, "%s: ", p->name);
        (void)fputs(p->error.what, out);
        if (p->detail[0] != '\0')
            (void)fprintf(out, ": %s", p->detail);
        if (p->error.mend[0] != '\0')
            (void)fprintf(out, "; %s", p->error.mend);
        (void)fputc('\n', out);
    }
    if (problems->dropped != 0)
        (void)fprintf(out, "error: %zu further problems are not shown\n", problems->dropped);
    return problems->errors;
}
