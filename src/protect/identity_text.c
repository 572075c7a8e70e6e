/* The attributes `tokens` and `identity`: who the event is about, in tokens. */
#include "src/protect/seal_internal.h"

static const char *const fact_names[] = {
    [HUB_FACT_SAME] = "same",     [HUB_FACT_MERGE] = "merge",     [HUB_FACT_LINK] = "link",
    [HUB_FACT_UNLINK] = "unlink", [HUB_FACT_RETRACT] = "retract", [HUB_FACT_MANUAL] = "manual",
    [HUB_FACT_MATCH] = "match",
};

static bool same_token(const struct hub_prepared *p, uint16_t a, uint16_t b)
{
    return memcmp(p->tokens[a].text, p->tokens[b].text, HUB_TOKEN_LEN) == 0;
}

/* The subject first, each token once; a placeholder is nobody's. */
void hub_tokens_write(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *out)
{
    hub_buf_append_str(out, p->subject.text);
    for (uint16_t i = 0; i < event->identifier_count; i++) {
        bool seen = event->identifiers[i].placeholder ||
                    memcmp(p->tokens[i].text, p->subject.text, HUB_TOKEN_LEN) == 0;
        for (uint16_t j = 0; j < i && !seen; j++)
            seen = !event->identifiers[j].placeholder && same_token(p, i, j);
        if (seen)
            continue;
        hub_buf_append_byte(out, ',');
        hub_buf_append_str(out, p->tokens[i].text);
    }
}

/* How many different tokens the fact names, placeholders left out; writes them when OUT is given. */
static unsigned fact_tokens(const struct hub_prepared *p, const struct hub_event *event,
                            const struct hub_identity_fact *fact, struct hub_buf *out)
{
    unsigned count = 0;
    for (uint16_t i = 0; i < fact->count; i++) {
        const uint16_t at = fact->identifiers[i];
        bool skip = event->identifiers[at].placeholder;
        for (uint16_t j = 0; j < i && !skip; j++)
            skip = !event->identifiers[fact->identifiers[j]].placeholder &&
                   same_token(p, at, fact->identifiers[j]);
        if (skip)
            continue;
        if (out != NULL) {
            char tag[9];
            hub_buf_append_byte(out, count == 0 ? ':' : ',');
            hub_buf_append_str(out, p->tokens[at].text);
            if (event->identifiers[at].primary) {
                hub_keys_authority_tag(p->keys, event->identifiers[at].system, tag);
                hub_buf_append_byte(out, '~');
                hub_buf_append_str(out, tag);
            }
        }
        count++;
    }
    return count;
}

/* A feed may carry several applications; a list that one of them sends says nothing of another's. */
static void speaker_write(const struct hub_prepared *p, const struct hub_event *event, struct hub_buf *out)
{
    enum { SPEAKER_LEN = 8 };
    struct hub_hash_token token;
    hub_keys_measure_token(p->keys, "speaker", &event->speaker, 1, &token);
    hub_buf_append_byte(out, '@');
    hub_buf_append(out, token.text, SPEAKER_LEN);
}

enum hub_result hub_identity_write(const struct hub_prepared *p, const struct hub_event *event,
                                   struct hub_buf *out)
{
    bool first = true;
    for (uint16_t i = 0; i < event->fact_count; i++) {
        const struct hub_identity_fact *fact = &event->facts[i];
        for (uint16_t j = 0; j < fact->count; j++)
            HUB_ENSURE(fact->identifiers[j] < event->identifier_count, HUB_INTERNAL);
        const unsigned count = fact_tokens(p, event, fact, NULL);
        if (fact->kind == HUB_FACT_SAME ? count == 0 : count != 2)
            continue;
        if (!first)
            hub_buf_append_byte(out, ';');
        first = false;
        hub_buf_append_str(out, fact_names[fact->kind]);
        if (fact->kind == HUB_FACT_SAME && event->speaker.len != 0)
            speaker_write(p, event, out);
        (void)fact_tokens(p, event, fact, out);
    }
    return hub_buf_result(out);
}
