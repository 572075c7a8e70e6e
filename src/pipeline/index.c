#include "src/pipeline/index.h"

#include <pthread.h>
#include <stdio.h>

#include "src/base/mem.h"
#include "src/crypto/crypto.h"

enum { META, MESSAGE, CONTROL, DEAD_LETTER, KEY };

static const char *const families[] = {"meta", "message", "control", "deadletter", "key", NULL};

enum {
    VERSION = 1,
    ID_MAX = 32,
    MESSAGE_LEN = 36, /* of an encoded hub_index_message */
    STATS_COUNT = 6,
    META_LEN = 1 + 16 + 8 + 8 * STATS_COUNT, /* version, log id, position, counters */
    CONTROL_KEY_MAX = ID_MAX + 1 + 8,
    CATCH_UP_RECORDS = 1000,
    SLOTS_FIRST = 1024, /* a power of two */
};

/* What is staged for one message id; `dead` for its dead letter. */
struct slot {
    char id[ID_MAX + 1]; /* "" = free */
    bool has_message, has_dead;
    struct hub_index_message message;
    struct hub_index_message dead;
};

/* A control token's first user, staged. */
struct control {
    char token[ID_MAX + 1]; /* "" = free */
    char id[ID_MAX + 1];
};

struct hub_index {
    struct hub_kv *kv;
    struct hub_kv_batch *batch;
    uint8_t log_id[16];
    uint64_t position;        /* staged */
    uint64_t written;         /* the same, as in the store */
    struct hub_commit_stats stats; /* staged */
    pthread_mutex_t lock;
    struct hub_commit_stats shown; /* under lock */
    /* Hash tables with open addressing, at most half full; USED lists the places taken, so that a small group
     * does not pay for the table of a large one. */
    struct slot *slots;
    size_t *slots_used;
    size_t slot_cap, slot_count;
    struct control *controls;
    size_t *controls_used;
    size_t control_cap, control_count;
};

const char *const *hub_index_families(void)
{
    return families;
}

/* --- bytes --- */

static void put64(uint8_t *to, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(number >> (56 - 8 * i));
}

static uint64_t get64(const uint8_t *from)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | from[i];
    return number;
}

static void encode(const struct hub_index_message *message, uint8_t out[MESSAGE_LEN])
{
    out[0] = (uint8_t)message->kind;
    out[1] = message->resolved ? 1 : 0;
    memcpy(out + 2, message->answer, 2);
    put64(out + 4, message->record);
    put64(out + 12, (uint64_t)message->recorded_us);
    put64(out + 20, (uint64_t)message->last_us);
    put64(out + 28, message->repeats);
}

static enum hub_result decode(struct hub_span value, struct hub_index_message *out, struct hub_error *err)
{
    memset(out, 0, sizeof *out);
    if (value.len != MESSAGE_LEN || (value.ptr[0] != HUB_RECORD_MESSAGE && value.ptr[0] != HUB_RECORD_REJECTED) || value.ptr[1] > 1)
        return hub_fail(err, HUB_CORRUPT, "a value of the message index is damaged", "stop the hub and remove the index folder: it is rebuilt from the event log");
    out->kind = (enum hub_record_kind)value.ptr[0];
    out->resolved = value.ptr[1] != 0;
    memcpy(out->answer, value.ptr + 2, 2);
    out->record = get64(value.ptr + 4);
    out->recorded_us = (int64_t)get64(value.ptr + 12);
    out->last_us = (int64_t)get64(value.ptr + 20);
    out->repeats = get64(value.ptr + 28);
    return HUB_OK;
}

static void stats_words(struct hub_commit_stats *stats, uint64_t *words[STATS_COUNT])
{
    words[0] = &stats->messages;
    words[1] = &stats->events;
    words[2] = &stats->rejected;
    words[3] = &stats->dead_letters;
    words[4] = &stats->duplicates;
    words[5] = &stats->last_recorded_us;
}

static void stage_meta(struct hub_index *index)
{
    uint8_t value[META_LEN];
    uint64_t *words[STATS_COUNT];
    value[0] = VERSION;
    memcpy(value + 1, index->log_id, sizeof index->log_id);
    put64(value + 17, index->position);
    stats_words(&index->stats, words);
    for (size_t i = 0; i < STATS_COUNT; i++)
        put64(value + 25 + 8 * i, *words[i]);
    hub_kv_batch_put(index->batch, index->kv, META, HUB_SPAN("state"), hub_span_of(value, sizeof value));
}

static enum hub_result load_meta(struct hub_index *index, struct hub_error *err)
{
    struct hub_kv_value value;
    enum hub_result result = hub_kv_get(index->kv, META, HUB_SPAN("state"), &value, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    if (value.bytes.len != META_LEN || value.bytes.ptr[0] != VERSION)
        result = hub_fail(err, HUB_CORRUPT, "the message index is not of this version", "remove the index folder: it is rebuilt from the event log");
    else if (memcmp(value.bytes.ptr + 1, index->log_id, sizeof index->log_id) != 0)
        result = hub_fail(err, HUB_CORRUPT, "the message index belongs to another event log", "restore both from one copy, or remove the index folder: it is rebuilt");
    if (result == HUB_OK) {
        uint64_t *words[STATS_COUNT];
        index->position = get64(value.bytes.ptr + 17);
        stats_words(&index->stats, words);
        for (size_t i = 0; i < STATS_COUNT; i++)
            *words[i] = get64(value.bytes.ptr + 25 + 8 * i);
    }
    hub_kv_value_free(&value);
    return result;
}

/* The key of a token's use in RECORD; 0 is the token's first use. */
static size_t control_key(struct hub_span token, uint64_t record, uint8_t out[CONTROL_KEY_MAX])
{
    size_t len = token.len < ID_MAX ? token.len : ID_MAX;
    if (len != 0)
        memcpy(out, token.ptr, len);
    out[len] = 0;
    put64(out + len + 1, record);
    return len + 9;
}

/* --- staging --- */

static uint64_t hash(const char *id)
{
    uint64_t h = 1469598103934665603u;
    for (; *id != '\0'; id++)
        h = (h ^ (uint8_t)*id) * 1099511628211u;
    return h ^ h >> 32;
}

static size_t find_slot(const struct slot *slots, size_t cap, const char *id)
{
    size_t at = (size_t)hash(id) & (cap - 1);
    while (slots[at].id[0] != '\0' && strcmp(slots[at].id, id) != 0)
        at = (at + 1) & (cap - 1);
    return at;
}

static size_t find_control(const struct control *controls, size_t cap, const char *token)
{
    size_t at = (size_t)hash(token) & (cap - 1);
    while (controls[at].token[0] != '\0' && strcmp(controls[at].token, token) != 0)
        at = (at + 1) & (cap - 1);
    return at;
}

static bool grow_slots(struct hub_index *index)
{
    size_t cap = index->slot_cap == 0 ? SLOTS_FIRST : index->slot_cap * 2;
    struct slot *slots = hub_mem_array(cap, sizeof *slots);
    size_t *used = hub_mem_array(cap / 2, sizeof *used);
    if (slots == NULL || used == NULL) {
        hub_mem_free(slots);
        hub_mem_free(used);
        return false;
    }
    for (size_t i = 0; i < index->slot_count; i++) {
        const struct slot *from = &index->slots[index->slots_used[i]];
        used[i] = find_slot(slots, cap, from->id);
        slots[used[i]] = *from;
    }
    hub_mem_free(index->slots);
    hub_mem_free(index->slots_used);
    index->slots = slots;
    index->slots_used = used;
    index->slot_cap = cap;
    return true;
}

static bool grow_controls(struct hub_index *index)
{
    size_t cap = index->control_cap == 0 ? SLOTS_FIRST : index->control_cap * 2;
    struct control *controls = hub_mem_array(cap, sizeof *controls);
    size_t *used = hub_mem_array(cap / 2, sizeof *used);
    if (controls == NULL || used == NULL) {
        hub_mem_free(controls);
        hub_mem_free(used);
        return false;
    }
    for (size_t i = 0; i < index->control_count; i++) {
        const struct control *from = &index->controls[index->controls_used[i]];
        used[i] = find_control(controls, cap, from->token);
        controls[used[i]] = *from;
    }
    hub_mem_free(index->controls);
    hub_mem_free(index->controls_used);
    index->controls = controls;
    index->controls_used = used;
    index->control_cap = cap;
    return true;
}

static enum hub_result read_value(struct hub_index *index, unsigned family, struct hub_span id, struct hub_index_message *out, struct hub_error *err)
{
    struct hub_kv_value value;
    HUB_TRY(hub_kv_get(index->kv, family, id, &value, err));
    enum hub_result result = decode(value.bytes, out, err);
    hub_kv_value_free(&value);
    return result;
}

static enum hub_result no_memory(struct hub_error *err)
{
    return hub_fail(err, HUB_NO_MEMORY, "no memory for the message index", NULL);
}

/* The slot of ID, filled from the store when it is new. */
static enum hub_result stage(struct hub_index *index, const char *id, struct slot **out, struct hub_error *err)
{
    if ((index->slot_count + 1) * 2 > index->slot_cap && !grow_slots(index))
        return no_memory(err);
    size_t at = find_slot(index->slots, index->slot_cap, id);
    struct slot *slot = &index->slots[at];
    *out = slot;
    if (slot->id[0] != '\0')
        return HUB_OK;
    struct slot fresh = {0};
    (void)snprintf(fresh.id, sizeof fresh.id, "%s", id);
    enum hub_result result = read_value(index, MESSAGE, hub_span_str(id), &fresh.message, err);
    fresh.has_message = result == HUB_OK;
    if (result == HUB_OK && fresh.message.kind == HUB_RECORD_REJECTED)
        result = read_value(index, DEAD_LETTER, hub_span_str(id), &fresh.dead, err);
    fresh.has_dead = result == HUB_OK && fresh.message.kind == HUB_RECORD_REJECTED;
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    *slot = fresh;
    index->slots_used[index->slot_count++] = at;
    return HUB_OK;
}

static void put_message(struct hub_index *index, const struct slot *slot)
{
    uint8_t value[MESSAGE_LEN];
    encode(&slot->message, value);
    hub_kv_batch_put(index->batch, index->kv, MESSAGE, hub_span_str(slot->id), hub_span_of(value, sizeof value));
}

static void put_dead(struct hub_index *index, const struct slot *slot)
{
    uint8_t value[MESSAGE_LEN];
    encode(&slot->dead, value);
    hub_kv_batch_put(index->batch, index->kv, DEAD_LETTER, hub_span_str(slot->id), hub_span_of(value, sizeof value));
}

static const char *staged_control(const struct hub_index *index, const char *token)
{
    if (index->control_count == 0)
        return NULL;
    const struct control *found = &index->controls[find_control(index->controls, index->control_cap, token)];
    return found->token[0] != '\0' ? found->id : NULL;
}

/* The id that used TOKEN first: HUB_NOT_FOUND when nobody did. */
static enum hub_result first_user(struct hub_index *index, const char *token, char out[ID_MAX + 1], struct hub_error *err)
{
    const char *staged = staged_control(index, token);
    if (staged != NULL) {
        (void)snprintf(out, ID_MAX + 1, "%s", staged);
        return HUB_OK;
    }
    uint8_t key[CONTROL_KEY_MAX];
    struct hub_kv_value value;
    size_t len = control_key(hub_span_str(token), 0, key);
    HUB_TRY(hub_kv_get(index->kv, CONTROL, hub_span_of(key, len), &value, err));
    (void)snprintf(out, ID_MAX + 1, "%.*s", (int)(value.bytes.len < ID_MAX ? value.bytes.len : ID_MAX), (const char *)value.bytes.ptr);
    hub_kv_value_free(&value);
    return HUB_OK;
}

static enum hub_result stage_first_user(struct hub_index *index, const struct hub_dedup *dedup, struct hub_error *err)
{
    if ((index->control_count + 1) * 2 > index->control_cap && !grow_controls(index))
        return no_memory(err);
    size_t at = find_control(index->controls, index->control_cap, dedup->control_token);
    memcpy(index->controls[at].token, dedup->control_token, sizeof dedup->control_token);
    memcpy(index->controls[at].id, dedup->message_id, sizeof dedup->message_id);
    index->controls_used[index->control_count++] = at;
    return HUB_OK;
}

static enum hub_result apply_control(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup, struct hub_error *err)
{
    if (dedup->control_token[0] == '\0')
        return HUB_OK;
    char first[ID_MAX + 1];
    uint8_t key[CONTROL_KEY_MAX];
    enum hub_result result = first_user(index, dedup->control_token, first, err);
    if (result == HUB_NOT_FOUND)
        HUB_TRY(stage_first_user(index, dedup, err));
    else if (result != HUB_OK)
        return result;
    else if (strcmp(first, dedup->message_id) == 0)
        return HUB_OK;
    size_t len = control_key(hub_span_str(dedup->control_token), result == HUB_NOT_FOUND ? 0 : number, key);
    hub_kv_batch_put(index->batch, index->kv, CONTROL, hub_span_of(key, len), hub_span_str(dedup->message_id));
    return HUB_OK;
}

/* --- what records say --- */

static void apply_accepted(struct hub_index *index, struct slot *slot, const struct hub_index_message *fresh)
{
    index->stats.messages++;
    if (slot->has_dead && !slot->dead.resolved) {
        slot->dead.resolved = true;
        index->stats.dead_letters--;
        put_dead(index, slot);
    }
    slot->message = *fresh;
    slot->has_message = true;
    put_message(index, slot);
}

static void apply_rejected(struct hub_index *index, struct slot *slot, const struct hub_index_message *fresh)
{
    index->stats.rejected++;
    if (slot->has_dead) {
        slot->dead.repeats++;
        slot->dead.last_us = fresh->recorded_us;
        memcpy(slot->dead.answer, fresh->answer, sizeof slot->dead.answer);
    } else {
        index->stats.dead_letters++;
        slot->dead = *fresh;
        slot->has_dead = true;
    }
    slot->message = slot->dead;
    slot->has_message = true;
    put_dead(index, slot);
    put_message(index, slot);
}

static enum hub_result damaged(struct hub_error *err, uint64_t number)
{
    (void)hub_fail(err, HUB_CORRUPT, "a record of the event log cannot be read", NULL);
    hub_error_number(err, (int64_t)number);
    return HUB_CORRUPT;
}

static enum hub_result read_sections(struct hub_record_view *view, struct hub_dedup *dedup, uint64_t *events)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    memset(dedup, 0, sizeof *dedup);
    *events = 0;
    while ((result = hub_record_next(view, &kind, &bytes)) == HUB_OK) {
        if (kind == HUB_SECTION_EVENT)
            ++*events;
        if (kind == HUB_SECTION_DEDUP)
            HUB_TRY(hub_record_dedup(bytes, dedup));
    }
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result apply_message(struct hub_index *index, uint64_t number, const struct hub_record_view *view,
                                     const struct hub_dedup *dedup, struct hub_error *err)
{
    struct slot *slot = NULL;
    struct hub_index_message fresh = {
        .record = number, .recorded_us = view->recorded_us, .last_us = view->recorded_us, .kind = HUB_RECORD_REJECTED};
    if (dedup->message_id[0] == '\0')
        return damaged(err, number);
    memcpy(fresh.answer, dedup->answer, sizeof fresh.answer);
    HUB_TRY(stage(index, dedup->message_id, &slot, err));
    HUB_TRY(apply_control(index, number, dedup, err));
    if (view->kind == HUB_RECORD_MESSAGE) {
        fresh.kind = HUB_RECORD_MESSAGE;
        apply_accepted(index, slot, &fresh);
    } else {
        apply_rejected(index, slot, &fresh);
    }
    return HUB_OK;
}

/* Which key records the log holds, by their SHA-256. */
static enum hub_result apply_keys(struct hub_index *index, uint64_t number, struct hub_record_view view)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        uint8_t hash_of[HUB_HASH_LEN];
        uint8_t value[8];
        if (kind != HUB_SECTION_KEY)
            continue;
        hub_sha256_of(bytes, hash_of);
        put64(value, number);
        hub_kv_batch_put(index->batch, index->kv, KEY, hub_span_of(hash_of, sizeof hash_of), hub_span_of(value, sizeof value));
    }
    return result == HUB_END ? HUB_OK : result;
}

enum hub_result hub_index_key_record(struct hub_index *index, struct hub_span json, bool *known, struct hub_error *err)
{
    uint8_t hash_of[HUB_HASH_LEN];
    struct hub_kv_value value;
    hub_sha256_of(json, hash_of);
    enum hub_result result = hub_kv_get(index->kv, KEY, hub_span_of(hash_of, sizeof hash_of), &value, err);
    *known = result == HUB_OK;
    if (result == HUB_OK)
        hub_kv_value_free(&value);
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

enum hub_result hub_index_apply(struct hub_index *index, uint64_t number, struct hub_span payload, struct hub_error *err)
{
    struct hub_record_view view;
    struct hub_dedup dedup;
    uint64_t events = 0;
    HUB_ASSERT(number == index->position + 1);
    if (hub_record_parse(payload, &view) != HUB_OK)
        return damaged(err, number);
    const struct hub_span sections = view.sections;
    if (read_sections(&view, &dedup, &events) != HUB_OK)
        return damaged(err, number);
    switch (view.kind) {
    case HUB_RECORD_MESSAGE:
    case HUB_RECORD_REJECTED:
    case HUB_RECORD_REPEATED:
        HUB_TRY(apply_message(index, number, &view, &dedup, err));
        break;
    case HUB_RECORD_KEY:
        view.sections = sections;
        HUB_TRY(apply_keys(index, number, view));
        break;
    case HUB_RECORD_AUDIT:
        break;
    }
    /* the events of a message are one microsecond apart */
    int64_t last = view.recorded_us + (events > 1 ? (int64_t)events - 1 : 0);
    if (last > (int64_t)index->stats.last_recorded_us)
        index->stats.last_recorded_us = (uint64_t)last;
    index->stats.events += events;
    index->position = number;
    return HUB_OK;
}

enum hub_result hub_index_duplicate(struct hub_index *index, struct hub_span message_id, int64_t now_us, struct hub_error *err)
{
    struct slot *slot = NULL;
    char id[ID_MAX + 1];
    (void)snprintf(id, sizeof id, "%.*s", (int)message_id.len, (const char *)message_id.ptr);
    HUB_TRY(stage(index, id, &slot, err));
    HUB_ASSERT(slot->has_message);
    slot->message.repeats++;
    slot->message.last_us = now_us;
    index->stats.duplicates++;
    put_message(index, slot);
    return HUB_OK;
}

static void forget_staged(struct hub_index *index)
{
    hub_kv_batch_clear(index->batch);
    for (size_t i = 0; i < index->slot_count; i++)
        index->slots[index->slots_used[i]].id[0] = '\0';
    for (size_t i = 0; i < index->control_count; i++)
        index->controls[index->controls_used[i]].token[0] = '\0';
    index->slot_count = 0;
    index->control_count = 0;
}

enum hub_result hub_index_write(struct hub_index *index, struct hub_error *err)
{
    if (index->position == index->written && hub_kv_batch_count(index->batch) == 0)
        return HUB_OK;
    stage_meta(index);
    HUB_TRY(hub_kv_write(index->kv, index->batch, false, err));
    index->written = index->position;
    (void)pthread_mutex_lock(&index->lock);
    index->shown = index->stats;
    (void)pthread_mutex_unlock(&index->lock);
    forget_staged(index);
    return HUB_OK;
}

void hub_index_discard(struct hub_index *index)
{
    index->position = index->written;
    index->stats = index->shown;
    forget_staged(index);
}

/* --- looking up --- */

enum hub_result hub_index_lookup(struct hub_index *index, struct hub_span message_id, struct hub_index_message *out, struct hub_error *err)
{
    char id[ID_MAX + 1];
    if (message_id.len == 0 || message_id.len > ID_MAX)
        return HUB_NOT_FOUND;
    (void)snprintf(id, sizeof id, "%.*s", (int)message_id.len, (const char *)message_id.ptr);
    if (index->slot_count != 0) {
        const struct slot *slot = &index->slots[find_slot(index->slots, index->slot_cap, id)];
        if (slot->id[0] != '\0' && slot->has_message) {
            *out = slot->message;
            return HUB_OK;
        }
    }
    return read_value(index, MESSAGE, message_id, out, err);
}

enum hub_result hub_index_control_used(struct hub_index *index, struct hub_span control_token, struct hub_span message_id, bool *used,
                                       struct hub_error *err)
{
    char token[ID_MAX + 1];
    char first[ID_MAX + 1];
    *used = false;
    (void)snprintf(token, sizeof token, "%.*s", (int)control_token.len, (const char *)control_token.ptr);
    if (token[0] == '\0')
        return HUB_OK;
    enum hub_result result = first_user(index, token, first, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    *used = !hub_span_is(message_id, first);
    return HUB_OK;
}

int64_t hub_index_last_recorded(const struct hub_index *index)
{
    return (int64_t)index->stats.last_recorded_us;
}

void hub_index_stats(struct hub_index *index, struct hub_commit_stats *out)
{
    (void)pthread_mutex_lock(&index->lock);
    *out = index->shown;
    (void)pthread_mutex_unlock(&index->lock);
}

enum hub_result hub_index_message(struct hub_index *index, struct hub_span message_id, struct hub_index_message *out, struct hub_error *err)
{
    return read_value(index, MESSAGE, message_id, out, err);
}

enum hub_result hub_index_each_control(struct hub_index *index, struct hub_span control_token,
                                       bool (*callback)(void *ctx, struct hub_span message_id), void *ctx, struct hub_error *err)
{
    uint8_t prefix[CONTROL_KEY_MAX];
    if (control_token.len == 0 || control_token.len > ID_MAX)
        return HUB_OK;
    size_t len = control_key(control_token, 0, prefix) - 8;
    struct hub_kv_iter *iter = hub_kv_iter_new(index->kv, CONTROL, hub_span_of(prefix, len));
    if (iter == NULL)
        return no_memory(err);
    while (hub_kv_iter_next(iter) && callback(ctx, hub_kv_iter_value(iter)))
        ;
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result hub_index_each_dead_letter(struct hub_index *index,
                                           bool (*callback)(void *ctx, struct hub_span message_id, const struct hub_index_message *message),
                                           void *ctx, struct hub_error *err)
{
    struct hub_kv_iter *iter = hub_kv_iter_new(index->kv, DEAD_LETTER, HUB_SPAN_NONE);
    if (iter == NULL)
        return no_memory(err);
    enum hub_result result = HUB_OK;
    bool more = true;
    while (more && result == HUB_OK && hub_kv_iter_next(iter)) {
        struct hub_index_message message;
        result = decode(hub_kv_iter_value(iter), &message, err);
        if (result == HUB_OK)
            more = callback(ctx, hub_kv_iter_key(iter), &message);
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

/* --- opening --- */

static enum hub_result catch_up(struct hub_index *index, struct hub_log *log, struct hub_error *err)
{
    struct hub_log_reader *reader = NULL;
    uint64_t number = 0;
    struct hub_span payload;
    HUB_TRY(hub_log_reader_open(log, index->position + 1, &reader, err));
    enum hub_result result;
    while ((result = hub_log_reader_next(reader, &number, &payload, err)) == HUB_OK) {
        HUB_TRY_OUT(hub_index_apply(index, number, payload, err));
        if (number % CATCH_UP_RECORDS == 0)
            HUB_TRY_OUT(hub_index_write(index, err));
    }
    if (result == HUB_END)
        result = hub_index_write(index, err);
out:
    hub_log_reader_close(reader);
    return result;
}

enum hub_result hub_index_open_kv(struct hub_kv *kv, struct hub_log *log, struct hub_index **out, struct hub_error *err)
{
    *out = NULL;
    enum hub_result result;
    struct hub_index *index = hub_mem_alloc(sizeof *index);
    if (index == NULL) {
        hub_kv_close(kv);
        return no_memory(err);
    }
    index->kv = kv;
    (void)pthread_mutex_init(&index->lock, NULL);
    hub_log_id(log, index->log_id);
    index->batch = hub_kv_batch_new();
    if (index->batch == NULL) {
        result = no_memory(err);
        goto out;
    }
    HUB_TRY_OUT(load_meta(index, err));
    index->written = index->position;
    index->shown = index->stats;
    if (index->position > hub_log_durable(log)) {
        result = hub_fail(err, HUB_CORRUPT, "the event log ends before records that were stored",
                          "restore the event log; if it is lost, restore log, index and timeline from one copy");
        hub_error_number(err, (int64_t)index->position);
        goto out;
    }
    HUB_TRY_OUT(catch_up(index, log, err));
    *out = index;
    return HUB_OK;
out:
    hub_index_close(index);
    return result;
}

enum hub_result hub_index_open(const char *folder, struct hub_log *log, struct hub_index **out, struct hub_error *err)
{
    const struct hub_kv_options options = {.families = families, .create = true, .bloom = true};
    struct hub_kv *kv = NULL;
    *out = NULL;
    HUB_TRY(hub_kv_open_rocksdb(folder, &options, &kv, err));
    return hub_index_open_kv(kv, log, out, err);
}

void hub_index_close(struct hub_index *index)
{
    if (index == NULL)
        return;
    hub_kv_batch_free(index->batch);
    hub_kv_close(index->kv);
    hub_mem_free(index->slots);
    hub_mem_free(index->slots_used);
    hub_mem_free(index->controls);
    hub_mem_free(index->controls_used);
    (void)pthread_mutex_destroy(&index->lock);
    hub_mem_free(index);
}
