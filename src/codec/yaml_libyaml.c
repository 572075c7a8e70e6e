/* The only user of libyaml: events become a tree in the arena. */
#include "src/codec/yaml.h"

#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "src/base/mem.h"

struct reader {
    yaml_parser_t parser;
    struct hub_arena *arena;
    const char *file;
    struct hub_problems *problems;
};

static void *complain(struct reader *r, uint32_t line, const char *what, const char *mend)
{
    hub_problems_add(r->problems, HUB_SEVERITY_ERROR, r->file, line, NULL, what, mend, NULL);
    return NULL;
}

static uint32_t line_of(const yaml_event_t *event)
{
    return (uint32_t)event->start_mark.line + 1;
}

static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return true;
    uint32_t line = (uint32_t)r->parser.problem_mark.line + 1;
    if (r->parser.error == YAML_MEMORY_ERROR)
        (void)complain(r, line, hub_result_text(HUB_NO_MEMORY), NULL);
    else /* libyaml's problems are static texts */
        hub_problems_add(r->problems, HUB_SEVERITY_ERROR, r->file, line, NULL, "not well-formed YAML",
                         "check indentation, quotes and colons near this line", "%s",
                         r->parser.problem != NULL ? r->parser.problem : "");
    return false;
}

static struct hub_yaml *new_node(struct reader *r, enum hub_yaml_type type, uint32_t line)
{
    struct hub_yaml *node = HUB_ARENA_NEW(r->arena, struct hub_yaml);
    if (node == NULL)
        return complain(r, line, hub_result_text(HUB_NO_MEMORY), NULL);
    node->type = type;
    node->line = line;
    return node;
}

static struct hub_yaml *read_node(struct reader *r, yaml_event_t *event, unsigned depth);

static struct hub_yaml *read_scalar(struct reader *r, const yaml_event_t *event)
{
    struct hub_span value = hub_span_of(event->data.scalar.value, event->data.scalar.length);
    if (value.len != 0 && memchr(value.ptr, 0, value.len) != NULL)
        return complain(r, line_of(event), "a NUL character in a text", "remove it");
    struct hub_yaml *node = new_node(r, HUB_YAML_SCALAR, line_of(event));
    if (node == NULL)
        return NULL;
    struct hub_span copy = hub_arena_copy(r->arena, value);
    if (copy.ptr == NULL)
        return complain(r, line_of(event), hub_result_text(HUB_NO_MEMORY), NULL);
    node->text = (const char *)copy.ptr;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return node;
}

static void add_child(struct hub_yaml *parent, struct hub_yaml **tail, struct hub_yaml *child)
{
    if (*tail != NULL)
        (*tail)->next = child;
    else
        parent->first = child;
    *tail = child;
    parent->count++;
}

static struct hub_yaml *read_list(struct reader *r, const yaml_event_t *start, unsigned depth)
{
    struct hub_yaml *list = new_node(r, HUB_YAML_LIST, line_of(start));
    struct hub_yaml *tail = NULL;
    while (list != NULL) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return NULL;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        struct hub_yaml *child = end ? NULL : read_node(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (end)
            return list;
        if (child == NULL)
            return NULL;
        add_child(list, &tail, child);
    }
    return NULL;
}

/* The key's text, NULL after a complaint. */
static const char *read_key(struct reader *r, const yaml_event_t *event, struct hub_yaml *map)
{
    uint32_t line = line_of(event);
    if (event->type != YAML_SCALAR_EVENT)
        return complain(r, line, "a key that is not a plain text", "keys are simple words");
    struct hub_yaml *scalar = read_scalar(r, event);
    if (scalar == NULL)
        return NULL;
    for (const struct hub_yaml *m = map->first; m != NULL; m = m->next) {
        if (strcmp(m->key, scalar->text) == 0) {
            hub_problems_add(r->problems, HUB_SEVERITY_ERROR, r->file, line, scalar->text, "the same key twice",
                             "keep one of them", "first in line %u", m->key_line);
            return NULL;
        }
    }
    return scalar->text;
}

static struct hub_yaml *read_map(struct reader *r, const yaml_event_t *start, unsigned depth)
{
    struct hub_yaml *map = new_node(r, HUB_YAML_MAP, line_of(start));
    struct hub_yaml *tail = NULL;
    while (map != NULL) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return NULL;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        uint32_t key_line = line_of(&event);
        const char *key = end ? NULL : read_key(r, &event, map);
        yaml_event_delete(&event);
        if (end)
            return map;
        if (key == NULL || !next_event(r, &event))
            return NULL;
        struct hub_yaml *child = read_node(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (child == NULL)
            return NULL;
        child->key = key;
        child->key_line = key_line;
        add_child(map, &tail, child);
    }
    return NULL;
}

static bool has_tag_or_anchor(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL;
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return false;
}

static struct hub_yaml *read_node(struct reader *r, yaml_event_t *event, unsigned depth)
{
    if (depth > HUB_YAML_DEPTH_MAX)
        return complain(r, line_of(event), "nested too deep", NULL);
    if (has_tag_or_anchor(event))
        return complain(r, line_of(event), "tags, anchors and aliases are not used here",
                        "write the value out, and quote texts that begin with !, & or *");
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return read_list(r, event, depth);
    case YAML_MAPPING_START_EVENT:
        return read_map(r, event, depth);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_ALIAS_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return complain(r, line_of(event), "not well-formed YAML", NULL);
}

/* Skips to the document's content; *type tells what was found (kept in *event only for content). */
static bool next_content(struct reader *r, yaml_event_t *event, bool *content)
{
    for (;;) {
        if (!next_event(r, event))
            return false;
        yaml_event_type_t type = event->type;
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
            yaml_event_delete(event);
            continue;
        }
        *content = type != YAML_STREAM_END_EVENT;
        if (!*content)
            yaml_event_delete(event);
        return true;
    }
}

static struct hub_yaml *read_document(struct reader *r)
{
    yaml_event_t event;
    bool content;
    if (!next_content(r, &event, &content))
        return NULL;
    if (!content)
        return new_node(r, HUB_YAML_MAP, 1);
    struct hub_yaml *root = read_node(r, &event, 0);
    yaml_event_delete(&event);
    if (root == NULL || !next_content(r, &event, &content))
        return NULL;
    if (!content)
        return root;
    uint32_t line = line_of(&event);
    yaml_event_delete(&event);
    return complain(r, line, "more than one document in a file", "keep one");
}

struct hub_yaml *hub_yaml_parse(struct hub_arena *arena, const char *file, struct hub_span text,
                                struct hub_problems *problems)
{
    struct reader r = {.arena = arena, .file = file, .problems = problems};
    if (text.len > HUB_YAML_BYTES_MAX)
        return complain(&r, 0, "the file is too large", NULL);
    if (!yaml_parser_initialize(&r.parser))
        return complain(&r, 0, hub_result_text(HUB_NO_MEMORY), NULL);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, text.len != 0 ? text.ptr : (const uint8_t *)"", text.len);
    struct hub_yaml *root = read_document(&r);
    yaml_parser_delete(&r.parser);
    return root;
}

struct hub_yaml *hub_yaml_load(struct hub_arena *arena, const char *path, struct hub_problems *problems)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        hub_problems_add(problems, HUB_SEVERITY_ERROR, path, 0, NULL, "cannot open the file",
                         "check the path and its permissions", "%s", strerrordesc_np(errno));
        return NULL;
    }
    uint8_t *text = hub_mem_resize(NULL, HUB_YAML_BYTES_MAX + 1);
    size_t len = text != NULL ? fread(text, 1, HUB_YAML_BYTES_MAX + 1, file) : 0;
    bool failed = text == NULL || ferror(file) != 0;
    (void)fclose(file);
    struct hub_yaml *root = NULL;
    if (failed)
        hub_problems_add(problems, HUB_SEVERITY_ERROR, path, 0, NULL, "cannot read the file", NULL, NULL);
    else
        root = hub_yaml_parse(arena, path, hub_span_of(text, len), problems);
    hub_mem_free(text);
    return root;
}

const char *hub_libyaml_version(void)
{
    return yaml_get_version_string();
}
