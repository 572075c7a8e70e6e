#include "src/pipeline/commit_record.h"

#include <stdio.h>

#include "src/audit/entry.h"
#include "src/base/mem.h"
#include "src/codec/encode.h"

enum {
    HASH_TEXT_LEN = 2 * HUB_HASH_LEN,
    PATIENT_TEXT_MAX = HUB_EVENT_ID_LEN + 1 + HUB_TOKEN_LEN + 1 + HUB_KEY_ID_LEN,
};

/* Writes an audit section: BUILDER's entry right into the record. */
static void add_entry(struct hub_buf *out, struct hub_audit_builder *builder)
{
    struct hub_buf entry;
    hub_buf_init(&entry, HUB_AUDIT_ENTRY_MAX, false);
    hub_audit_end(builder, &entry);
    if (hub_buf_result(&entry) == HUB_OK)
        hub_record_add(out, HUB_SECTION_AUDIT, hub_buf_view(&entry));
    else
        out->failed = hub_buf_result(&entry);
    hub_buf_deinit(&entry);
}

static void begin(struct hub_audit_builder *builder, enum hub_audit_kind kind,
                  const struct hub_commit_item *item, const struct hub_commit_facts *facts)
{
    hub_audit_begin(builder, kind, facts->recorded_us);
    hub_audit_text(builder, "message", item->dedup.message_id);
    hub_audit_text(builder, "feed", item->feed);
    hub_audit_text(builder, "sender", item->sender);
    hub_audit_text(builder, "trigger", item->trigger);
    hub_audit_text(builder, "answer", item->dedup.answer);
    hub_audit_text(builder, "control", item->dedup.control_token);
    if (facts->control_reused)
        hub_audit_text(builder, "flag", "control-id-reused");
    if (kind != HUB_AUDIT_REVISED)
        return;
    hub_audit_text(builder, "who", item->who);
    hub_audit_text(builder, "rules", item->rules);
    hub_audit_number(builder, "revision", (int64_t)item->dedup.count);
}

/* Of a record with events. */
static enum hub_audit_kind kind_of(const struct hub_commit_item *item)
{
    return item->kind == HUB_RECORD_REVISED ? HUB_AUDIT_REVISED : HUB_AUDIT_ACCEPTED;
}

/* Puts the recorded time into event INDEX (at START in the item's bytes) and gives its hash. */
static void finish_event(struct hub_commit_item *item, size_t index, size_t start, int64_t recorded_us,
                         uint8_t digest[HUB_HASH_LEN])
{
    const struct hub_sealed *sealed = &item->events[index];
    size_t len = item->event_lens[index];
    HUB_ASSERT(len <= item->json.len - start && sealed->recorded_at <= len &&
               HUB_TIME_TEXT_LEN <= len - sealed->recorded_at);
    uint8_t *event = item->json.ptr + start;
    char time[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(recorded_us, time);
    memcpy(event + sealed->recorded_at, time, HUB_TIME_TEXT_LEN);
    struct hub_sha256 state = sealed->prefix;
    hub_sha256_update(&state, hub_span_of(event + sealed->recorded_at, len - sealed->recorded_at));
    hub_sha256_final(&state, digest);
}

/* Of a message about several patients: each event's id, subject and, if one was made for it, secret. */
static void add_patients(struct hub_commit_item *item, const struct hub_commit_facts *facts,
                         struct hub_span *spans, char *texts, struct hub_buf *out)
{
    for (size_t i = 0; i < item->event_count; i++) {
        const struct hub_sealed *sealed = &item->events[i];
        char *text = texts + i * (PATIENT_TEXT_MAX + 1);
        int len = snprintf(text, PATIENT_TEXT_MAX + 1, "%s %s%s%s", sealed->id.text, sealed->subject.text,
                           sealed->new_secret ? " " : "", sealed->new_secret ? sealed->secret_id.text : "");
        spans[i] = hub_span_of(text, (size_t)len);
    }
    /* items here are a little longer than the audit log's 64 characters: half as many to an entry surely fit
     */
    for (size_t from = 0; from < item->event_count; from += HUB_AUDIT_LIST_MAX / 2) {
        struct hub_audit_builder builder;
        size_t count = item->event_count - from < HUB_AUDIT_LIST_MAX / 2 ? item->event_count - from
                                                                         : HUB_AUDIT_LIST_MAX / 2;
        begin(&builder, kind_of(item), item, facts);
        hub_audit_number(&builder, "part", (int64_t)(from / (HUB_AUDIT_LIST_MAX / 2)) + 2);
        hub_audit_list(&builder, "patients", spans + from, count);
        add_entry(out, &builder);
    }
}

static enum hub_result accepted(struct hub_commit_item *item, const struct hub_commit_facts *facts,
                                struct hub_buf *out)
{
    size_t text_len = (PATIENT_TEXT_MAX > HASH_TEXT_LEN ? PATIENT_TEXT_MAX : HASH_TEXT_LEN) + 1;
    char *texts = hub_mem_array(item->event_count, text_len);
    struct hub_span *spans = hub_mem_array(item->event_count, sizeof *spans);
    struct hub_audit_builder builder;
    enum hub_result result = texts == NULL || spans == NULL ? HUB_NO_MEMORY : HUB_OK;
    if (result != HUB_OK)
        goto out;
    size_t start = 0;
    for (size_t i = 0; i < item->event_count; i++) {
        char *hash = texts + i * (HASH_TEXT_LEN + 1);
        uint8_t digest[HUB_HASH_LEN];
        finish_event(item, i, start, facts->recorded_us + (int64_t)i, digest);
        (void)hub_encode(HUB_HEX, hub_span_of(digest, sizeof digest), hash, HASH_TEXT_LEN + 1);
        hub_record_add(out, HUB_SECTION_EVENT_HASH, hub_span_of(digest, sizeof digest));
        hub_record_add(out, HUB_SECTION_EVENT, hub_span_of(item->json.ptr + start, item->event_lens[i]));
        spans[i] = hub_span_of(hash, HASH_TEXT_LEN);
        start += item->event_lens[i];
    }
    begin(&builder, kind_of(item), item, facts);
    if (item->event_count != 0) {
        const struct hub_sealed *first = &item->events[0];
        hub_audit_text(&builder, "event", first->id.text);
        hub_audit_text(&builder, "subject", first->subject.text);
        if (first->new_secret)
            hub_audit_text(&builder, "secret_created", first->secret_id.text);
    }
    if (item->event_count > 1)
        hub_audit_number(&builder, "patients", (int64_t)item->event_count);
    hub_audit_list(&builder, HUB_AUDIT_EVENTS, spans, item->event_count);
    add_entry(out, &builder);
    if (item->event_count > 1)
        add_patients(item, facts, spans, texts, out);
out:
    hub_mem_free(texts);
    hub_mem_free(spans);
    return result;
}

static void rejected(const struct hub_commit_item *item, enum hub_record_kind kind,
                     const struct hub_commit_facts *facts, struct hub_buf *out)
{
    struct hub_audit_builder builder;
    if (kind == HUB_RECORD_REJECTED)
        hub_record_add(out, HUB_SECTION_DEAD_LETTER, hub_buf_view(&item->json));
    /* on_error: accept answers AA to what is kept as a dead letter: that was not rejected */
    const enum hub_audit_kind kinds[] = {HUB_AUDIT_REJECTED, HUB_AUDIT_DEAD_LETTERED};
    size_t from = strcmp(item->dedup.answer, "AA") == 0 ? 1 : 0;
    size_t to = kind == HUB_RECORD_REJECTED || from == 1 ? 2 : 1;
    for (size_t i = from; i < to; i++) {
        begin(&builder, kinds[i], item, facts);
        hub_audit_text(&builder, "code", hub_result_row(item->why.result)->metric);
        hub_audit_text(&builder, "at", item->why.place);
        if (kind == HUB_RECORD_REPEATED)
            hub_audit_number(&builder, "repeat", (int64_t)facts->repeats + 1);
        add_entry(out, &builder);
    }
}

/* The submitter's own entries, each as be32 length and bytes. */
static void given_entries(const struct hub_commit_item *item, struct hub_buf *out)
{
    struct hub_span rest = hub_buf_view(&item->audit);
    while (rest.len >= 4) {
        size_t len =
            (size_t)rest.ptr[0] << 24 | (size_t)rest.ptr[1] << 16 | (size_t)rest.ptr[2] << 8 | rest.ptr[3];
        rest = hub_span_of(rest.ptr + 4, rest.len - 4);
        HUB_ASSERT(len <= rest.len && len <= HUB_AUDIT_ENTRY_MAX);
        hub_record_add(out, HUB_SECTION_AUDIT, hub_span_of(rest.ptr, len));
        rest = hub_span_of(rest.ptr + len, rest.len - len);
    }
    HUB_ASSERT(rest.len == 0);
}

enum hub_result hub_commit_record(struct hub_commit_item *item, enum hub_record_kind kind,
                                  const struct hub_commit_facts *facts, struct hub_buf *out)
{
    enum hub_result result = HUB_OK;
    hub_record_begin(out, kind, facts->recorded_us, item->feed != NULL ? item->feed : "");
    switch (kind) {
    case HUB_RECORD_MESSAGE:
    case HUB_RECORD_REVISED:
        hub_record_add_dedup(out, &item->dedup);
        result = accepted(item, facts, out);
        break;
    case HUB_RECORD_REJECTED:
    case HUB_RECORD_REPEATED:
        hub_record_add_dedup(out, &item->dedup);
        rejected(item, kind, facts, out);
        break;
    case HUB_RECORD_AUDIT:
        break;
    case HUB_RECORD_KEY:
        hub_record_add(out, HUB_SECTION_KEY, hub_buf_view(&item->json));
        break;
    case HUB_RECORD_STATE:
    case HUB_RECORD_CARRIED:
        hub_buf_append_span(out, hub_buf_view(&item->json));
        break;
    }
    for (size_t i = 0; i < item->resolve_count; i++)
        hub_record_add_state(out, "deadletter", item->resolves[i], "resolved");
    if (item->last_part[0] != '\0')
        hub_record_add_state(out, "part", item->last_part, item->dedup.message_id);
    given_entries(item, out);
    return result != HUB_OK ? result : hub_buf_result(out);
}

static void key_entry(const struct hub_commit_key *key, enum hub_audit_kind kind, int64_t recorded_us,
                      const char *list, struct hub_buf *out)
{
    struct hub_audit_builder builder;
    hub_audit_begin(&builder, kind, recorded_us);
    hub_audit_span(&builder, "who", key->by);
    if (key->role.len == 0) /* a record about a role is no key */
        hub_audit_span(&builder, "key", key->id);
    hub_audit_span(&builder, "class", key->class_);
    hub_audit_span(&builder, "cause", key->cause);
    hub_audit_span(&builder, "role", key->role);
    if (key->epoch != 0)
        hub_audit_number(&builder, "epoch", (int64_t)key->epoch);
    if (list != NULL && strcmp(list, "roles") == 0)
        hub_audit_list(&builder, list, key->roles, key->role_count);
    else if (list != NULL)
        hub_audit_list(&builder, list, &key->subject, 1);
    add_entry(out, &builder);
}

void hub_commit_record_key(const struct hub_commit_key *key, int64_t recorded_us, struct hub_buf *out)
{
    hub_record_begin(out, HUB_RECORD_KEY, recorded_us, "");
    hub_record_add(out, HUB_SECTION_KEY, key->json);
    if (hub_span_is(key->kind, "class-key")) {
        key_entry(key, key->granted ? HUB_AUDIT_KEY_GRANTED : HUB_AUDIT_KEY_CREATED, recorded_us, "roles", out);
        if (!key->granted && key->epoch > 1)
            key_entry(key, HUB_AUDIT_KEY_ROTATED, recorded_us, NULL, out);
    } else if (hub_span_is(key->kind, "shredded")) {
        key_entry(key, HUB_AUDIT_KEY_SHREDDED, recorded_us, "tokens", out);
    } else if (hub_span_is(key->kind, "role-revoked")) {
        key_entry(key, HUB_AUDIT_KEY_REVOKED, recorded_us, NULL, out);
    } else if (hub_span_is(key->kind, "role-granted")) {
        key_entry(key, HUB_AUDIT_KEY_GRANTED, recorded_us, NULL, out);
    }
}
