/* Paths (docs/MAPPING.md section 3) and text formats of the tables. */
#include "adapters/formats/hl7v2/map_compile.h"

#include <stdlib.h>
#include <string.h>

enum { PIECES_MAX = 64 };

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool is_upper(char ch)
{
    return (ch >= 'A' && ch <= 'Z') || is_digit(ch);
}

bool map_is_segment_name(const char *text, size_t len)
{
    return len == 3 && is_upper(text[0]) && !is_digit(text[0]) && is_upper(text[1]) && is_upper(text[2]);
}

/* A number from 1 to MAX at *P. */
static bool scan_number(const char **p, unsigned long max, unsigned long *out)
{
    char *end = NULL;
    if (!is_digit(**p))
        return false;
    *out = strtoul(*p, &end, 10);
    *p = end;
    return *out >= 1 && *out <= max;
}

static bool scan_repetition(const char **p, struct map_path *out)
{
    unsigned long n = 0;
    if (strncmp(*p, "[last]", 6) == 0) {
        out->rep_from = MAP_REP_LAST;
        *p += 6;
        return true;
    }
    *p += 1;
    if (!scan_number(p, 10000, &n))
        return false;
    out->rep_from = out->rep_to = (uint16_t)n;
    if (strncmp(*p, "..]", 3) == 0) {
        out->rep_to = 0;
        *p += 3;
        return true;
    }
    return *(*p)++ == ']';
}

/* ".1" or ".1.2" at *P. */
static bool scan_parts(const char **p, struct map_path *out)
{
    unsigned long n = 0;
    if (**p != '.' || !is_digit((*p)[1]))
        return true;
    (*p)++;
    if (!scan_number(p, MAP_PARTS_MAX, &n))
        return false;
    out->component = (uint8_t)n;
    if (**p != '.' || !is_digit((*p)[1]))
        return true;
    (*p)++;
    if (!scan_number(p, MAP_PARTS_MAX, &n))
        return false;
    out->subcomponent = (uint8_t)n;
    return true;
}

static bool scan_segment_path(struct map_compiler *c, const char **p, struct map_path *out, uint32_t line)
{
    char id[4] = {(*p)[0], (*p)[1], (*p)[2], '\0'};
    unsigned long field = 0;
    out->segment = map_intern_segment(c, id, line);
    if (out->segment == MAP_NONE)
        return false;
    if (out->segment != c->self)
        c->tables->segments[out->segment].foreign = true;
    *p += 3;
    if (*(*p)++ != '-' || !scan_number(p, 1000, &field))
        return false;
    out->field = (uint16_t)field;
    if (**p == '[' && !scan_repetition(p, out))
        return false;
    return scan_parts(p, out);
}

bool map_scan_path(struct map_compiler *c, const char *text, const char **end, struct map_path *out, uint32_t line)
{
    memset(out, 0, sizeof *out);
    const char *p = text;
    bool good = false;
    if (*p == '.') {
        out->segment = MAP_SELF;
        good = c->nested && (is_digit(p[1]) ? scan_parts(&p, out) : (p++, true));
    } else if (strlen(p) >= 5 && map_is_segment_name(p, 3) && p[3] == '-') {
        good = scan_segment_path(c, &p, out, line);
    }
    if (!good)
        return false;
    out->name = (const char *)hub_arena_copy(c->arena, hub_span_of(text, (size_t)(p - text))).ptr;
    *end = p;
    return out->name != NULL;
}

bool map_parse_path(struct map_compiler *c, const char *text, struct map_path *out, uint32_t line)
{
    const char *end = NULL;
    if (map_scan_path(c, text, &end, out, line) && *end == '\0')
        return true;
    map_problem(c, line, "not a path of the message", text);
    return false;
}

static bool add_text(struct map_compiler *c, struct map_piece *pieces, uint16_t *count, const char *from, size_t len)
{
    if (len == 0)
        return true;
    char *copy = hub_arena_bytes(c->arena, len + 1);
    if (*count == PIECES_MAX || copy == NULL)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool line_feed = from[i] == '\\' && i + 1 < len && from[i + 1] == 'n';
        copy[n++] = line_feed ? '\n' : from[i];
        i += line_feed ? 1 : 0;
    }
    pieces[(*count)++] = (struct map_piece){.kind = MAP_PIECE_TEXT, .text = hub_span_of(copy, n)};
    return true;
}

static bool add_path(struct map_compiler *c, struct map_piece *piece, const char **p, uint32_t line)
{
    const char *end = NULL;
    piece->kind = MAP_PIECE_PATH;
    if (!map_scan_path(c, *p + 1, &end, &piece->path, line) || *end != '}')
        return false;
    *p = end + 1;
    return true;
}

const struct map_format *map_parse_format(struct map_compiler *c, const char *text, uint32_t line)
{
    struct map_piece pieces[PIECES_MAX];
    uint16_t count = 0;
    int depth = 0;
    bool good = true;
    const char *p = text;
    while (*p != '\0' && good) {
        size_t plain = strcspn(p, "{[]");
        good = add_text(c, pieces, &count, p, plain);
        p += plain;
        if (*p == '\0' || !good)
            break;
        good = count < PIECES_MAX;
        if (good && *p == '{') {
            good = add_path(c, &pieces[count++], &p, line);
        } else if (good) {
            depth += *p == '[' ? 1 : -1;
            good = depth == 0 || depth == 1;
            pieces[count++] = (struct map_piece){.kind = *p == '[' ? MAP_PIECE_OPEN : MAP_PIECE_CLOSE};
            p++;
        }
    }
    struct map_format *out = map_zalloc(c, 1, sizeof *out);
    struct map_piece *copy = map_zalloc(c, count, sizeof *copy);
    if (!good || depth != 0 || out == NULL || copy == NULL) {
        map_problem(c, line, "not a format", text);
        return NULL;
    }
    memcpy(copy, pieces, count * sizeof *copy);
    out->pieces = copy;
    out->count = count;
    return out;
}
