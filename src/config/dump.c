#include "src/config/describe.h"

#include <string.h>

#include "src/config/option.h"
#include "src/config/value.h"

struct dumping {
    FILE *out;
    int indent;
};

static const void *at(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static void begin(const struct dumping *d, const char *name)
{
    (void)fprintf(d->out, "%*s%s:", d->indent, "", name);
}

/* Double quoted: configuration texts hold no control characters. */
static void quoted(const struct dumping *d, const char *text)
{
    (void)fputc('"', d->out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', d->out);
        (void)fputc(*text, d->out);
    }
    (void)fputc('"', d->out);
}

static void dump_texts(const struct dumping *d, const struct hub_option *row, const void *base)
{
    const char *const *items = *(const char *const *const *)at(base, row->offset);
    size_t count = *(const size_t *)at(base, row->count_offset);
    begin(d, row->name);
    (void)fprintf(d->out, " [");
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(d->out, "%s", i > 0 ? ", " : "");
        quoted(d, items[i]);
    }
    (void)fprintf(d->out, "]\n");
}

static void dump_number(const struct dumping *d, const struct hub_option *row, const void *value)
{
    char text[32];
    if (row->type == HUB_OPTION_SIZE)
        hub_value_size_text((int64_t) * (const uint64_t *)value, text);
    else if (row->type == HUB_OPTION_COUNT)
        (void)snprintf(text, sizeof text, "%u", *(const uint32_t *)value);
    else
        hub_value_duration_text(
            (int64_t) * (const uint32_t *)value * hub_option_scale(row->type), text);
    begin(d, row->name);
    (void)fprintf(d->out, " %s\n", text);
}

static void dump_secret(const struct dumping *d, const struct hub_option *row,
                        const struct hub_secret_ref *ref)
{
    const char *source = ref->file != NULL         ? "file"
                         : ref->env != NULL        ? "env"
                         : ref->credential != NULL ? "credential"
                                                   : "command";
    begin(d, row->name);
    (void)fprintf(d->out, " (hidden, from a %s)\n", source);
}

static void dump_section(struct dumping *d, const struct hub_section *section, const void *base);

static void dump_nested(struct dumping *d, const char *name, const struct hub_section *section,
                        const void *base)
{
    if (section->rows[0].name == NULL) {
        begin(d, name);
        (void)fprintf(d->out, " {}\n");
        return;
    }
    begin(d, name);
    (void)fputc('\n', d->out);
    d->indent += 2;
    dump_section(d, section, base);
    d->indent -= 2;
}

static void dump_items(struct dumping *d, const struct hub_option *row, const void *base)
{
    const char *items = *(const char *const *)at(base, row->offset);
    size_t count = *(const size_t *)at(base, row->count_offset);
    begin(d, row->name);
    (void)fprintf(d->out, count == 0 ? " []\n" : "\n");
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(d->out, "%*s-\n", d->indent + 2, "");
        d->indent += 4;
        dump_section(d, row->section, items + i * row->item_size);
        d->indent -= 4;
    }
}

static void dump_variant(struct dumping *d, const struct hub_option *row, const void *base)
{
    const char *name = *(const char *const *)at(base, row->offset);
    const struct hub_variant *v = row->variants;
    while (v->name != NULL && (name == NULL || strcmp(v->name, name) != 0))
        v++;
    if (v->name == NULL || v->section == NULL)
        return;
    begin(d, row->name);
    (void)fputc('\n', d->out);
    d->indent += 2;
    dump_nested(d, v->name, v->section, base);
    d->indent -= 2;
}

/* A section that was left out: its flag says so, or a text it requires is missing. */
static bool is_there(const struct hub_option *row, const void *section_base, const void *base)
{
    if (row->present_offset != HUB_OPTION_NO_OFFSET)
        return *(const bool *)at(base, row->present_offset);
    for (const struct hub_option *inner = row->section->rows; inner->name != NULL; inner++) {
        bool text = inner->type == HUB_OPTION_TEXT || inner->type == HUB_OPTION_NAME ||
                    inner->type == HUB_OPTION_PATH || inner->type == HUB_OPTION_LISTEN;
        if (text && (inner->flags & HUB_OPTION_REQUIRED) != 0 &&
            *(const char *const *)at(section_base, inner->offset) == NULL)
            return false;
    }
    return true;
}

static void dump_row(struct dumping *d, const struct hub_option *row, const void *base)
{
    const void *value = at(base, row->offset);
    switch (row->type) {
    case HUB_OPTION_TEXT:
    case HUB_OPTION_NAME:
    case HUB_OPTION_PATH:
    case HUB_OPTION_LISTEN:
        if (*(const char *const *)value == NULL)
            return;
        begin(d, row->name);
        (void)fputc(' ', d->out);
        quoted(d, *(const char *const *)value);
        (void)fputc('\n', d->out);
        return;
    case HUB_OPTION_BOOL:
        begin(d, row->name);
        (void)fprintf(d->out, " %s\n", *(const bool *)value ? "true" : "false");
        return;
    case HUB_OPTION_SWITCH:
        begin(d, row->name);
        (void)fprintf(d->out, " %s\n", row->choices[*(const bool *)value ? 1 : 0]);
        return;
    case HUB_OPTION_ENUM:
        begin(d, row->name);
        (void)fprintf(d->out, " %s\n", row->choices[*(const unsigned *)value]);
        return;
    case HUB_OPTION_COUNT:
    case HUB_OPTION_SIZE:
    case HUB_OPTION_MILLIS:
    case HUB_OPTION_MICROS:
    case HUB_OPTION_SECONDS:
        dump_number(d, row, value);
        return;
    case HUB_OPTION_TEXTS:
    case HUB_OPTION_PATHS:
        dump_texts(d, row, base);
        return;
    case HUB_OPTION_SECRET:
        dump_secret(d, row, value);
        return;
    case HUB_OPTION_SECTION:
        if (is_there(row, value, base))
            dump_nested(d, row->name, row->section, value);
        return;
    case HUB_OPTION_ITEMS:
        dump_items(d, row, base);
        return;
    case HUB_OPTION_VARIANT:
        dump_variant(d, row, base);
        return;
    }
}

static void dump_section(struct dumping *d, const struct hub_section *section, const void *base)
{
    for (const struct hub_option *row = section->rows; row->name != NULL; row++)
        dump_row(d, row, base);
}

void hub_config_dump(const struct hub_config *config, FILE *out)
{
    struct dumping d = {out, 0};
    dump_section(&d, hub_config_rows(), config);
}
