/* Texts and canonical JSON (docs/FORMATS.md, "Canonical form"). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chart.h"

void refuse(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("refused: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes != 0 ? bytes : 1);
    if (memory == NULL)
        refuse("no memory");
    return memory;
}

void text_add(struct text *text, const void *bytes, size_t len)
{
    if (text->len + len + 1 > text->cap) {
        text->cap = 2 * (text->len + len + 64);
        text->bytes = realloc(text->bytes, text->cap);
        if (text->bytes == NULL)
            refuse("no memory");
    }
    if (len != 0)
        memcpy(text->bytes + text->len, bytes, len);
    text->len += len;
    text->bytes[text->len] = '\0';
}

void text_words(struct text *text, const char *words)
{
    text_add(text, words, strlen(words));
}

/* The shortest escapes; what is not below U+0020, a quote or a backslash stays as it is. */
static void add_string(struct text *text, const char *bytes, size_t len)
{
    static const char from[] = "\"\\\b\t\n\f\r", to[] = "\"\\btnfr";
    text_words(text, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        const char *found = c != 0 ? strchr(from, c) : NULL;
        char escape[8];
        if (found != NULL) {
            (void)snprintf(escape, sizeof escape, "\\%c", to[found - from]);
            text_words(text, escape);
        } else if (c < 0x20) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", c);
            text_words(text, escape);
        } else {
            text_add(text, &c, 1);
        }
    }
    text_words(text, "\"");
}

static int compare_names(const void *a, const void *b)
{
    yyjson_mut_val *x = *(yyjson_mut_val *const *)a, *y = *(yyjson_mut_val *const *)b;
    size_t lx = yyjson_mut_get_len(x), ly = yyjson_mut_get_len(y);
    int d = memcmp(yyjson_mut_get_str(x), yyjson_mut_get_str(y), lx < ly ? lx : ly);
    return d != 0 ? d : (lx > ly) - (lx < ly);
}

static void add_object(struct text *text, yyjson_mut_val *object)
{
    size_t count = yyjson_mut_obj_size(object), n = 0;
    yyjson_mut_val **names = allocate(count * sizeof *names);
    yyjson_mut_obj_iter iter = yyjson_mut_obj_iter_with(object);
    while (n < count)
        names[n++] = yyjson_mut_obj_iter_next(&iter);
    qsort(names, count, sizeof *names, compare_names);
    text_words(text, "{");
    for (size_t i = 0; i < count; i++) {
        text_words(text, i != 0 ? "," : "");
        add_string(text, yyjson_mut_get_str(names[i]), yyjson_mut_get_len(names[i]));
        text_words(text, ":");
        text_json(text, yyjson_mut_obj_iter_get_val(names[i]));
    }
    text_words(text, "}");
    free(names);
}

void text_json(struct text *text, yyjson_mut_val *node)
{
    if (yyjson_mut_is_obj(node)) {
        add_object(text, node);
    } else if (yyjson_mut_is_arr(node)) {
        yyjson_mut_arr_iter iter = yyjson_mut_arr_iter_with(node);
        text_words(text, "[");
        for (size_t i = 0; yyjson_mut_arr_iter_has_next(&iter); i++) {
            text_words(text, i != 0 ? "," : "");
            text_json(text, yyjson_mut_arr_iter_next(&iter));
        }
        text_words(text, "]");
    } else if (yyjson_mut_is_str(node)) {
        add_string(text, yyjson_mut_get_str(node), yyjson_mut_get_len(node));
    } else if (yyjson_mut_is_raw(node)) {
        text_add(text, yyjson_mut_get_raw(node), yyjson_mut_get_len(node));
    } else {
        text_words(text, yyjson_mut_is_null(node) ? "null" : yyjson_mut_get_bool(node) ? "true" : "false");
    }
}

yyjson_doc *json_read(const char *bytes, size_t len)
{
    size_t prefix = len > 5 && bytes[0] == '\0' ? 5 : 0;
    yyjson_doc *doc = yyjson_read(bytes + prefix, len - prefix, YYJSON_READ_NUMBER_AS_RAW);
    if (doc == NULL)
        refuse("a record that is no JSON");
    return doc;
}

const char *json_string(yyjson_val *object, const char *name)
{
    const char *string = yyjson_get_str(yyjson_obj_get(object, name));
    return string != NULL ? string : "";
}

long json_number(yyjson_val *object, const char *name)
{
    const char *digits = yyjson_get_raw(yyjson_obj_get(object, name));
    return digits != NULL ? strtol(digits, NULL, 10) : 0;
}
