/* What makes an event a revision: which events it takes the place of, and the place in time that it keeps. */
#include "src/protect/seal_internal.h"

bool hub_revision_withdraws(const struct hub_origin *origin)
{
    return origin->revised != NULL && origin->revised->withdrawn != NULL;
}

void hub_revision_write_origin(const struct hub_prepared *p, const struct hub_origin *origin, struct hub_buf *json)
{
    char recorded[HUB_TIME_TEXT_LEN + 1];
    if (origin->revised == NULL)
        return;
    hub_attribute_write(json, "origin", hub_span_str(p->origin.text));
    hub_time_format(origin->revised->recorded_us + (int64_t)p->index, recorded);
    hub_attribute_write(json, "originrecorded", hub_span_str(recorded));
}

void hub_revision_write_number(const struct hub_origin *origin, struct hub_buf *json)
{
    if (origin->revised == NULL)
        return;
    hub_buf_append_str(json, ",\"revision\":\"");
    hub_buf_append_u64(json, origin->revision);
    hub_buf_append_byte(json, '"');
}

/* Each event of the revision before that has this subject, and whatever that one took the place of: a reader that
 * sees only some of them knows all the same. */
void hub_revision_write_supersedes(const struct hub_prepared *p, const struct hub_origin *origin, struct hub_buf *json)
{
    const struct hub_revision *revised = origin->revised;
    bool first = true;
    if (revised == NULL)
        return;
    hub_buf_append_str(json, ",\"supersedes\":\"");
    for (size_t i = 0; i < revised->prior_count; i++) {
        const struct hub_prior *prior = &revised->priors[i];
        if (!hub_span_is(prior->subject, p->subject.text))
            continue;
        const struct hub_span ids[] = {prior->id, prior->supersedes};
        for (size_t k = 0; k < 2; k++) {
            if (ids[k].len == 0)
                continue;
            if (!first)
                hub_buf_append_byte(json, ',');
            hub_buf_append_span(json, ids[k]);
            first = false;
        }
    }
    hub_buf_append_byte(json, '"');
}
