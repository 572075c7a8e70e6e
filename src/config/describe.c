#include "src/config/describe.h"

#include <string.h>

#include "src/codec/json.h"
#include "src/config/option.h"
#include "src/config/value.h"

static const char intro[] = "# Configuration\n"
                            "\n"
                            "One hub is configured by one file, `hub.yaml`; `chartline init DIR` makes a "
                            "first one that runs as it is, and\n"
                            "`chartline check` says everything that is wrong with it at once. This page is "
                            "written by the program's own table of\n"
                            "options (`make docs`); a test compares them.\n"
                            "\n";

/* --- documentation --- */

static void range_text(const struct hub_option *row, struct hub_buf *out)
{
    char low[32], high[32];
    int64_t scale = hub_option_scale(row->type);
    switch (row->type) {
    case HUB_OPTION_COUNT:
        hub_buf_printf(out, "%lld to %lld", (long long)row->min, (long long)row->max);
        return;
    case HUB_OPTION_SIZE:
        hub_value_size_text(row->min, low);
        hub_value_size_text(row->max, high);
        if (row->max == INT64_MAX)
            hub_buf_printf(out, "from %s", low);
        else
            hub_buf_printf(out, "%s to %s", low, high);
        return;
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        hub_value_duration_text(row->min * scale, low);
        hub_value_duration_text(row->max * scale, high);
        hub_buf_printf(out, "%s to %s", low, high);
        return;
    case HUB_OPTION_SWITCH:
    case HUB_OPTION_ENUM:
        for (size_t i = 0; row->choices[i] != NULL; i++)
            hub_buf_printf(out, "%s`%s`", i > 0 ? ", " : "", row->choices[i]);
        return;
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
    case HUB_OPTION_BOOL:
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
    case HUB_OPTION_SECRET:
    case HUB_OPTION_SECTION:
    case HUB_OPTION_ITEMS:
    case HUB_OPTION_VARIANT:
        hub_buf_append_str(out, hub_option_type_text(row));
        return;
    }
}

static void default_text(const struct hub_option *row, struct hub_buf *out)
{
    if ((row->flags & HUB_OPTION_REQUIRED) != 0)
        hub_buf_append_str(out, "required");
    else if (row->value != NULL)
        hub_buf_printf(out, "`%s`", row->value);
}

static void docs_rows(const struct hub_section *section, const char *prefix, struct hub_buf *out);

/* Rows of what lies under ROW, with its path in front. */
static void docs_below(const struct hub_option *row, const char *path, struct hub_buf *out)
{
    char below[128];
    if (row->type == HUB_OPTION_SECTION || row->type == HUB_OPTION_SECRET)
        docs_rows(row->section, path, out);
    if (row->type == HUB_OPTION_ITEMS) {
        (void)snprintf(below, sizeof below, "%s[]", path);
        docs_rows(row->section, below, out);
    }
    for (const struct hub_variant *v = row->variants; row->type == HUB_OPTION_VARIANT && v->name != NULL;
         v++) {
        (void)snprintf(below, sizeof below, "%s.%s", path, v->name);
        hub_buf_printf(out, "| `%s` | map | | %s%s |\n", below, v->description,
                       v->section == NULL ? " (not built into this version)" : "");
        if (v->section != NULL)
            docs_rows(v->section, below, out);
    }
}

static void docs_rows(const struct hub_section *section, const char *prefix, struct hub_buf *out)
{
    for (const struct hub_option *row = section->rows; row->name != NULL; row++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", row->name);
        hub_buf_printf(out, "| `%s` | ", path);
        range_text(row, out);
        hub_buf_append_str(out, " | ");
        default_text(row, out);
        hub_buf_printf(out, " | %s%s |\n", row->description,
                       (row->flags & HUB_OPTION_RELOAD) != 0 ? " (`reload`)" : "");
        docs_below(row, path, out);
    }
}

static void docs_heading(const char *title, const char *text, struct hub_buf *out)
{
    hub_buf_printf(out, "## %s\n\n", title);
    if (text != NULL)
        hub_buf_printf(out, "%s\n\n", text);
    hub_buf_append_str(out, "| key | value | default | meaning |\n|---|---|---|---|\n");
}

void hub_config_docs(struct hub_buf *out)
{
    const struct hub_section *top = hub_config_rows();
    hub_buf_append_str(out, intro);
    hub_buf_printf(out, "%s\n\n", top->text);
    for (const struct hub_option *row = top->rows; row->name != NULL; row++) {
        docs_heading(
            row->name,
            row->section != NULL && row->section->text != NULL ? row->section->text : row->description, out);
        if (row->type == HUB_OPTION_VARIANT)
            docs_below(row, row->name, out);
        else
            docs_rows(row->section, "", out);
        hub_buf_append_byte(out, '\n');
    }
    out->len -= out->len > 0;
}

/* --- JSON Schema --- */

static void schema_section(const struct hub_section *section, struct hub_buf *out);

static void string_member(struct hub_buf *out, const char *name, const char *value)
{
    hub_buf_printf(out, ",\"%s\":", name);
    hub_json_write_string(out, hub_span_str(value));
}

static void schema_choices(const struct hub_option *row, struct hub_buf *out)
{
    hub_buf_append_str(out, "\"enum\":[");
    for (size_t i = 0; row->choices[i] != NULL; i++)
        hub_buf_printf(out, "%s\"%s\"", i > 0 ? "," : "", row->choices[i]);
    hub_buf_append_byte(out, ']');
}

static void schema_variant(const struct hub_option *row, struct hub_buf *out)
{
    hub_buf_append_str(out, "\"type\":\"object\",\"minProperties\":1,\"maxProperties\":1,"
                            "\"additionalProperties\":false,\"properties\":{");
    bool first = true;
    for (const struct hub_variant *v = row->variants; v->name != NULL; v++) {
        if (v->section == NULL)
            continue;
        hub_buf_printf(out, "%s\"%s\":{", first ? "" : ",", v->name);
        schema_section(v->section, out);
        hub_buf_append_byte(out, '}');
        first = false;
    }
    hub_buf_append_byte(out, '}');
}

static void schema_type(const struct hub_option *row, struct hub_buf *out)
{
    switch (row->type) {
    case HUB_OPTION_TEXT:
    case HUB_OPTION_PATH:
        hub_buf_append_str(out, "\"type\":\"string\",\"minLength\":1");
        return;
    case HUB_OPTION_NAME:
        hub_buf_append_str(out, "\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9._-]+$\"");
        return;
    case HUB_OPTION_LISTEN:
        hub_buf_append_str(out, "\"type\":\"string\",\"pattern\":\"^.+:[0-9]+$\"");
        return;
    case HUB_OPTION_BOOL:
        hub_buf_append_str(out, "\"type\":\"boolean\"");
        return;
    case HUB_OPTION_SWITCH:
    case HUB_OPTION_ENUM:
        schema_choices(row, out);
        return;
    case HUB_OPTION_COUNT:
        hub_buf_printf(out, "\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld", (long long)row->min,
                       (long long)row->max);
        return;
    case HUB_OPTION_SIZE:
        hub_buf_append_str(out,
                           "\"type\":[\"integer\",\"string\"],\"pattern\":\"^[0-9]+(B|KiB|MiB|GiB|TiB)?$\"");
        return;
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        hub_buf_append_str(out,
                           "\"type\":[\"integer\",\"string\"],\"pattern\":\"^(0|[0-9]+(us|ms|s|m|h|d))$\"");
        return;
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
        hub_buf_printf(
            out, "\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":%lld,\"maxItems\":%lld",
            (long long)row->min, (long long)row->max);
        return;
    case HUB_OPTION_SECRET:
        schema_section(row->section, out);
        hub_buf_append_str(out, ",\"minProperties\":1,\"maxProperties\":1");
        return;
    case HUB_OPTION_SECTION:
        schema_section(row->section, out);
        return;
    case HUB_OPTION_ITEMS:
        hub_buf_printf(out, "\"type\":\"array\",\"maxItems\":%lld,\"items\":{", (long long)row->max);
        schema_section(row->section, out);
        hub_buf_append_byte(out, '}');
        return;
    case HUB_OPTION_VARIANT:
        schema_variant(row, out);
        return;
    }
}

static void schema_section(const struct hub_section *section, struct hub_buf *out)
{
    bool first = true;
    hub_buf_append_str(out, "\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (const struct hub_option *row = section->rows; row->name != NULL; row++) {
        hub_buf_printf(out, "%s\"%s\":{", row == section->rows ? "" : ",", row->name);
        schema_type(row, out);
        string_member(out, "description", row->description);
        if (row->value != NULL && row->type != HUB_OPTION_TEXTS && row->type != HUB_OPTION_BOOL &&
            row->type != HUB_OPTION_COUNT)
            string_member(out, "default", row->value);
        hub_buf_append_byte(out, '}');
    }
    hub_buf_append_str(out, "},\"required\":[");
    for (const struct hub_option *row = section->rows; row->name != NULL; row++)
        if ((row->flags & HUB_OPTION_REQUIRED) != 0) {
            hub_buf_printf(out, "%s\"%s\"", first ? "" : ",", row->name);
            first = false;
        }
    hub_buf_append_byte(out, ']');
}

void hub_config_schema(struct hub_buf *out)
{
    struct hub_buf flat;
    struct hub_arena arena;
    struct hub_json *tree = NULL;
    hub_buf_init(&flat, 1 << 20, false);
    hub_arena_init(&arena, 1 << 24);
    hub_buf_append_str(&flat, "{\"$schema\":\"https://json-schema.org/draft/2020-12/"
                              "schema\",\"$id\":\"chartline:config/hub\",\"title\":\"hub.yaml\",");
    schema_section(hub_config_rows(), &flat);
    hub_buf_append_byte(&flat, '}');
    /* Through the tree: proves that it is JSON, and gives it its canonical order. */
    if (hub_buf_result(&flat) == HUB_OK &&
        hub_json_parse(&arena, hub_buf_view(&flat), &tree, NULL) == HUB_OK) {
        hub_json_write_pretty(out, tree);
        hub_buf_append_byte(out, '\n');
    }
    hub_arena_deinit(&arena);
    hub_buf_deinit(&flat);
}
