/* Who an event is about (RULES, Identifiers and authorities): which identifiers of PID-3 and MRG-1 make tokens,
 * which one is the subject, and what the message states about their sameness. */
#include "adapters/formats/hl7v2/map_run.h"

#include <limits.h>
#include <string.h>

enum { IDENTIFIERS_MAX = 200 };

struct candidate {
    struct hub_identifier identifier;
    unsigned rank;
    bool trusted;
};

struct collector {
    struct map_run *run;
    struct candidate *items;
    uint16_t count, cap;
};

static struct hub_span part(const struct map_run *run, struct map_value cx, unsigned n)
{
    return map_first_plain(run, map_part_of(run, cx, n));
}

static bool is_trusted(const struct map_run *run, struct hub_span system)
{
    const struct hub_feed *feed = run->options->feed;
    const struct hub_config *config = run->options->config;
    for (size_t i = 0; feed != NULL && config != NULL && i < feed->trust_link_count; i++) {
        for (size_t k = 0; k < config->authority_count; k++) {
            if (strcmp(config->authorities[k].name, feed->trust_links[i]) == 0 && hub_span_is(system, config->authorities[k].system))
                return true;
        }
        if (hub_span_is(system, feed->trust_links[i]))
            return true;
    }
    return false;
}

static bool is_known(const struct collector *c, struct hub_span system, struct hub_span value)
{
    for (uint16_t i = 0; i < c->count; i++) {
        if (hub_span_equal(c->items[i].identifier.system, system) && hub_span_equal(c->items[i].identifier.value, value))
            return true;
    }
    return false;
}

/* Room for what these fields list, so that an ordinary message does not clear pages for nothing. */
static uint16_t room_for(const struct map_run *run, const struct map_seg *pid, const struct map_seg *mrg)
{
    uint32_t count = hub_hl7_repetitions(run->message, hub_hl7_field(pid->hl7, 3));
    count += mrg != NULL ? hub_hl7_repetitions(run->message, hub_hl7_field(mrg->hl7, 1)) : 0;
    return count < IDENTIFIERS_MAX ? (uint16_t)(count + 1) : IDENTIFIERS_MAX;
}

static enum hub_result add_cx(struct collector *c, struct map_value cx, const struct map_seg *seg, unsigned field, unsigned repetition)
{
    struct map_run *run = c->run;
    struct hub_authority_view authority;
    struct hub_span value = part(run, cx, 1);
    HUB_TRY(map_authority(run, map_part_of(run, cx, 4), false, &authority));
    if (!hub_identifier_eligible(&authority, part(run, cx, 5), value))
        return HUB_OK;
    if (run->options->feed != NULL && run->options->feed->known_authorities_only && !authority.configured) {
        (void)hub_fail(run->err, HUB_AUTHORITY, "an assigning authority that is not configured", "add it to authorities");
        (void)hub_error_at(run->err, "%s-%u[%u].4", seg->hl7->id, field, repetition);
        return HUB_AUTHORITY;
    }
    /* A placeholder would make one patient of all who have it. */
    if (hub_identifier_placeholder(run->options->config, value) || is_known(c, authority.system, value) || c->count == c->cap)
        return HUB_OK;
    c->items[c->count++] = (struct candidate){
        {authority.system, value, authority.primary, false}, authority.rank, is_trusted(run, authority.system)};
    return HUB_OK;
}

static enum hub_result add_field(struct collector *c, const struct map_seg *seg, unsigned field)
{
    struct hub_span rest = hub_hl7_field(seg->hl7, field);
    struct hub_span repetition = HUB_SPAN_NONE;
    unsigned at = 0;
    while (rest.len != 0 && hub_hl7_cut(&rest, c->run->message->delimiters.repetition, &repetition)) {
        at++;
        if (repetition.len != 0 && !hub_hl7_is_null(repetition))
            HUB_TRY(add_cx(c, map_value_of(repetition, 1, seg->hl7->marks), seg, field, at));
    }
    return HUB_OK;
}

/* The subject first: of the primary authority that stands first in `authorities`, else as sent. */
static void choose_subject(struct candidate *items, uint16_t count)
{
    uint16_t best = 0;
    unsigned best_rank = UINT_MAX;
    for (uint16_t i = 0; i < count; i++) {
        if (items[i].identifier.primary && items[i].rank < best_rank) {
            best = i;
            best_rank = items[i].rank;
        }
    }
    struct candidate chosen = items[best];
    memmove(items + 1, items, best * sizeof *items);
    items[0] = chosen;
}

static enum hub_result add_fact(struct map_run *run, struct hub_event *event, struct hub_identity_fact *facts, enum hub_fact_kind kind,
                                const uint16_t *which, uint16_t count)
{
    uint16_t *copy = hub_arena_zalloc(run->arena, count * sizeof *copy);
    HUB_ENSURE(copy != NULL, HUB_NO_MEMORY);
    memcpy(copy, which, count * sizeof *copy);
    facts[event->fact_count++] = (struct hub_identity_fact){kind, count, copy};
    return HUB_OK;
}

static const struct map_seg *find_segment(const struct map_seg *first, uint16_t name)
{
    while (first != NULL && first->name != name)
        first = first->after;
    return first;
}

static uint16_t index_of(const struct collector *c, const struct hub_identifier *wanted)
{
    for (uint16_t i = 0; i < c->count; i++) {
        if (hub_span_equal(c->items[i].identifier.system, wanted->system) &&
            hub_span_equal(c->items[i].identifier.value, wanted->value))
            return i;
    }
    return MAP_NONE;
}

/* A42 and A50 join two visits of one patient: both numbers are there, and nobody else's. */
static enum hub_result check_visits(const struct map_run *run, const struct map_seg *first, const struct map_seg *mrg)
{
    const struct map_seg *pv1 = find_segment(first, run->tables->pv1);
    const char *place = pv1 == NULL || hub_hl7_field(pv1->hl7, 19).len == 0 ? "PV1-19"
                        : mrg == NULL || hub_hl7_field(mrg->hl7, 5).len == 0 ? "MRG-5"
                                                                              : NULL;
    if (!run->definition->does_visits || run->options->lenient || place == NULL)
        return HUB_OK;
    (void)hub_fail(run->err, HUB_REQUIRED, "a merge of visits needs both visit numbers", NULL);
    (void)hub_error_at(run->err, "%s", place);
    return HUB_REQUIRED;
}

/* A merge that names no two patients would be filed as an update and lost. */
static enum hub_result check_merge(const struct map_run *run, const struct map_seg *mrg, uint16_t own_count, uint16_t all_count)
{
    const char *place = mrg == NULL ? "MRG" : own_count == 0 ? "PID-3" : "MRG-1";
    if (!run->definition->does_merge || run->options->lenient || (mrg != NULL && own_count != 0 && all_count != 0))
        return HUB_OK;
    (void)hub_fail(run->err, HUB_REQUIRED, "a merge needs two identifiers that make patients", "send them with their assigning authority");
    (void)hub_error_at(run->err, "%s", place);
    return HUB_REQUIRED;
}

/* Each identifier of MRG-1 is retired in favour of the subject. */
static enum hub_result merge_facts(struct collector *c, const struct map_seg *mrg, struct hub_event *event,
                                   struct hub_identity_fact *facts, uint16_t own_count)
{
    struct map_run *run = c->run;
    struct collector retired = {run, HUB_ARENA_ARRAY(run->arena, struct candidate, (size_t)c->cap), 0, c->cap};
    HUB_ENSURE(retired.items != NULL, HUB_NO_MEMORY);
    HUB_TRY(add_field(&retired, mrg, 1));
    HUB_TRY(check_merge(run, mrg, own_count, retired.count));
    for (uint16_t i = 0; i < retired.count; i++) {
        uint16_t at = index_of(c, &retired.items[i].identifier);
        if (run->definition->does_visits) {
            if (at != MAP_NONE || run->options->lenient)
                continue;
            (void)hub_fail(run->err, HUB_IDENTITY, "a merge of visits that names another patient", "merge the patients first (A40)");
            (void)hub_error_at(run->err, "MRG-1");
            return HUB_IDENTITY;
        }
        if (own_count != 0 && at == 0) {
            (void)hub_fail(run->err, HUB_IDENTITY, "a patient cannot be merged with itself", NULL);
            (void)hub_error_at(run->err, "MRG-1");
            return HUB_IDENTITY;
        }
        if (at == MAP_NONE) {
            if (c->count == c->cap)
                break;
            at = c->count;
            c->items[c->count++] = retired.items[i];
        }
        if (own_count != 0 && run->by_trigger && run->definition->does_merge)
            HUB_TRY(add_fact(run, event, facts, HUB_FACT_MERGE, (uint16_t[]){0, at}, 2));
    }
    return HUB_OK;
}

static enum hub_result same_fact(struct collector *c, struct hub_event *event, struct hub_identity_fact *facts)
{
    uint16_t which[IDENTIFIERS_MAX];
    bool trusted = false;
    for (uint16_t i = 0; i < c->count; i++) {
        which[i] = i;
        trusted = trusted || c->items[i].trusted;
    }
    return trusted ? add_fact(c->run, event, facts, HUB_FACT_SAME, which, c->count) : HUB_OK;
}

static enum hub_result bad_link(const struct map_run *run, enum hub_result result, const char *text, const char *place)
{
    (void)hub_fail(run->err, result, text, NULL);
    (void)hub_error_at(run->err, "%s", place);
    return result;
}

/* A24 links two patients, A37 holds them apart; the first one's event says it. */
static enum hub_result link_fact(struct collector *c, const struct map_patient *patient, struct hub_event *event,
                                 struct hub_identity_fact *facts)
{
    struct map_run *run = c->run;
    if (!run->by_trigger || !run->definition->does_links || patient != run->patients || run->options->lenient)
        return HUB_OK;
    const struct map_seg *pid = run->patient_count == 2 ? find_segment(run->patients[1].first, run->tables->pid) : NULL;
    if (pid == NULL)
        return bad_link(run, HUB_REQUIRED, "a link is about two patients", "PID[2]");
    const uint16_t room = room_for(run, pid, NULL);
    struct collector other = {run, HUB_ARENA_ARRAY(run->arena, struct candidate, (size_t)room), 0, room};
    HUB_ENSURE(other.items != NULL, HUB_NO_MEMORY);
    HUB_TRY(add_field(&other, pid, 3));
    if (c->count == 0 || other.count == 0)
        return bad_link(run, HUB_REQUIRED, "a link needs two identifiers that make patients", c->count == 0 ? "PID-3" : "PID[2]-3");
    choose_subject(other.items, other.count);
    if (index_of(c, &other.items[0].identifier) != MAP_NONE)
        return bad_link(run, HUB_IDENTITY, "a patient cannot be linked with itself", "PID[2]-3");
    HUB_ENSURE(c->count < c->cap, HUB_TOO_MANY);
    c->items[c->count++] = other.items[0];
    const enum hub_fact_kind kind = hub_span_is(run->trigger, "A37") ? HUB_FACT_UNLINK : HUB_FACT_LINK;
    return add_fact(run, event, facts, kind, (uint16_t[]){0, (uint16_t)(c->count - 1)}, 2);
}

enum hub_result map_identify(struct map_run *run, const struct map_patient *patient, struct hub_event *event)
{
    const struct map_seg *first = patient != NULL ? patient->first : run->head_first;
    const struct map_seg *pid = find_segment(first, run->tables->pid);
    const struct map_seg *mrg = find_segment(first, run->tables->mrg);
    event->has_patient = pid != NULL;
    event->speaker = run->application_urn;
    if (pid == NULL)
        return HUB_OK;
    HUB_TRY(check_visits(run, first, mrg));
    uint16_t room = (uint16_t)(room_for(run, pid, mrg) + 1); /* one more for whom a link names */
    struct collector c = {run, HUB_ARENA_ARRAY(run->arena, struct candidate, (size_t)room), 0, room};
    struct hub_identity_fact *facts = HUB_ARENA_ARRAY(run->arena, struct hub_identity_fact, (size_t)room + 1);
    HUB_ENSURE(c.items != NULL && facts != NULL, HUB_NO_MEMORY);
    HUB_TRY(add_field(&c, pid, 3));
    if (c.count > 1)
        choose_subject(c.items, c.count);
    event->facts = facts;
    if (c.count != 0)
        HUB_TRY(same_fact(&c, event, facts));
    HUB_TRY(link_fact(&c, patient, event, facts));
    HUB_TRY(mrg != NULL ? merge_facts(&c, mrg, event, facts, c.count) : check_merge(run, NULL, c.count, 0));
    struct hub_identifier *identifiers = HUB_ARENA_ARRAY(run->arena, struct hub_identifier, (size_t)c.count + 1);
    HUB_ENSURE(identifiers != NULL, HUB_NO_MEMORY);
    for (uint16_t i = 0; i < c.count; i++)
        identifiers[i] = c.items[i].identifier;
    event->identifiers = identifiers;
    event->identifier_count = c.count;
    return HUB_OK;
}
