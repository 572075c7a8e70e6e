#include "src/identity/identity.h"

static const char *const KINDS[] = {
    [HUB_FACT_SAME] = "same",     [HUB_FACT_MERGE] = "merge",     [HUB_FACT_LINK] = "link",
    [HUB_FACT_UNLINK] = "unlink", [HUB_FACT_RETRACT] = "retract", [HUB_FACT_MANUAL] = "manual",
    [HUB_FACT_MATCH] = "match",
};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

const char *hub_identity_kind_name(enum hub_fact_kind kind)
{
    HUB_ASSERT((unsigned)kind < KIND_COUNT);
    return KINDS[kind];
}

/* Cuts the text before the next MARK off *REST. */
static struct hub_span cut(struct hub_span *rest, uint8_t mark)
{
    const uint8_t *end = rest->len != 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    struct hub_span head = hub_span_of(rest->ptr, end != NULL ? (size_t)(end - rest->ptr) : rest->len);
    size_t used = head.len + (end != NULL ? 1 : 0);
    *rest = hub_span_of(rest->ptr + used, rest->len - used);
    return head;
}

static size_t count_of(struct hub_span text, uint8_t mark)
{
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == mark;
    return count;
}

static bool names_token(const struct hub_identity_statement *statement, struct hub_span token)
{
    for (uint32_t i = 0; i < statement->count; i++) {
        if (hub_span_equal(statement->tokens[i], token))
            return true;
    }
    return false;
}

static enum hub_result parse_fact(struct hub_arena *arena, struct hub_span text,
                                  struct hub_identity_statement *out, struct hub_error *err)
{
    out->speaker = cut(&text, ':');
    struct hub_span kind = cut(&out->speaker, '@');
    unsigned at = 0;
    while (at < KIND_COUNT && !hub_span_is(kind, KINDS[at]))
        at++;
    if (at == KIND_COUNT)
        return hub_fail(err, HUB_SYNTAX, "an identity fact of an unknown kind", NULL);
    if (out->speaker.len > HUB_IDENTITY_TOKEN_MAX)
        return hub_fail(err, HUB_SYNTAX, "an identity fact of a speaker that is none", NULL);
    out->kind = (enum hub_fact_kind)at;
    size_t cap = count_of(text, ',');
    struct hub_span *tokens = HUB_ARENA_ARRAY(arena, struct hub_span, cap);
    struct hub_span *tags = HUB_ARENA_ARRAY(arena, struct hub_span, cap);
    if (tokens == NULL || tags == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    out->tokens = tokens;
    out->tags = tags;
    for (size_t i = 0; i < cap; i++) {
        struct hub_span tag = cut(&text, ',');
        struct hub_span token = cut(&tag, '~');
        if (token.len == 0 || token.len > HUB_IDENTITY_TOKEN_MAX || tag.len > HUB_IDENTITY_TOKEN_MAX)
            return hub_fail(err, HUB_SYNTAX, "an identity fact with a token that is none", NULL);
        if (names_token(out, token))
            continue;
        tokens[out->count] = token;
        tags[out->count++] = tag;
    }
    if (out->count < 2 && out->kind != HUB_FACT_SAME)
        return hub_fail(err, HUB_SYNTAX, "an identity fact of one token only", NULL);
    return HUB_OK;
}

enum hub_result hub_identity_parse(struct hub_arena *arena, struct hub_span text,
                                   struct hub_identity_statement **out, size_t *count, struct hub_error *err)
{
    *out = NULL;
    *count = 0;
    if (text.len == 0)
        return HUB_OK;
    size_t facts = count_of(text, ';');
    struct hub_identity_statement *list = HUB_ARENA_ARRAY(arena, struct hub_identity_statement, facts);
    if (list == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < facts; i++) {
        list[i].order.n = (uint32_t)i;
        HUB_TRY(parse_fact(arena, cut(&text, ';'), &list[i], err));
    }
    *out = list;
    *count = facts;
    return HUB_OK;
}
