/* What a group of records changes, before it is written: small hash tables in front of the store. */
#include "src/base/mem.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/index_state.h"

enum { SLOTS_FIRST = 1024 }; /* a power of two */

/* --- tables --- */

static uint64_t hash(const char *id)
{
    uint64_t h = 1469598103934665603u;
    for (; *id != '\0'; id++)
        h = (h ^ (uint8_t)*id) * 1099511628211u;
    return h ^ h >> 32;
}

static size_t find_slot(const struct hub_index_slot *slots, size_t cap, const char *id)
{
    size_t at = (size_t)hash(id) & (cap - 1);
    while (slots[at].id[0] != '\0' && strcmp(slots[at].id, id) != 0)
        at = (at + 1) & (cap - 1);
    return at;
}

static size_t find_control(const struct hub_index_control *controls, size_t cap, const char *token)
{
    size_t at = (size_t)hash(token) & (cap - 1);
    while (controls[at].token[0] != '\0' && strcmp(controls[at].token, token) != 0)
        at = (at + 1) & (cap - 1);
    return at;
}

static bool grow_slots(struct hub_index *index)
{
    size_t cap = index->slot_cap == 0 ? SLOTS_FIRST : index->slot_cap * 2;
    struct hub_index_slot *slots = hub_mem_array(cap, sizeof *slots);
    size_t *used = hub_mem_array(cap / 2, sizeof *used);
    if (slots == NULL || used == NULL) {
        hub_mem_free(slots);
        hub_mem_free(used);
        return false;
    }
    for (size_t i = 0; i < index->slot_count; i++) {
        const struct hub_index_slot *from = &index->slots[index->slots_used[i]];
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
    struct hub_index_control *controls = hub_mem_array(cap, sizeof *controls);
    size_t *used = hub_mem_array(cap / 2, sizeof *used);
    if (controls == NULL || used == NULL) {
        hub_mem_free(controls);
        hub_mem_free(used);
        return false;
    }
    for (size_t i = 0; i < index->control_count; i++) {
        const struct hub_index_control *from = &index->controls[index->controls_used[i]];
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

/* Cut to what an id can be. */
static void copy_id(char out[HUB_INDEX_ID_MAX + 1], struct hub_span id)
{
    size_t len = id.len < HUB_INDEX_ID_MAX ? id.len : HUB_INDEX_ID_MAX;
    if (len != 0)
        memcpy(out, id.ptr, len);
    out[len] = '\0';
}

/* The slot of ID, filled from the store when it is new. */
static enum hub_result stage(struct hub_index *index, const char *id, struct hub_index_slot **out,
                             struct hub_error *err)
{
    if ((index->slot_count + 1) * 2 > index->slot_cap && !grow_slots(index))
        return hub_index_no_memory(err);
    size_t at = find_slot(index->slots, index->slot_cap, id);
    struct hub_index_slot *slot = &index->slots[at];
    *out = slot;
    if (slot->id[0] != '\0')
        return HUB_OK;
    struct hub_index_slot fresh = {0};
    copy_id(fresh.id, hub_span_str(id));
    enum hub_result result = hub_index_read(index, HUB_INDEX_MESSAGE, hub_span_str(id), &fresh.message, err);
    fresh.has_message = result == HUB_OK;
    if (result == HUB_OK && fresh.message.kind == HUB_RECORD_REJECTED)
        result = hub_index_read(index, HUB_INDEX_DEAD_LETTER, hub_span_str(id), &fresh.dead, err);
    fresh.has_dead = result == HUB_OK && fresh.message.kind == HUB_RECORD_REJECTED;
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    *slot = fresh;
    index->slots_used[index->slot_count++] = at;
    return HUB_OK;
}

static void put_message(struct hub_index *index, const struct hub_index_slot *slot)
{
    uint8_t value[HUB_INDEX_MESSAGE_LEN];
    hub_index_encode(&slot->message, value);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_MESSAGE, hub_span_str(slot->id),
                     hub_span_of(value, sizeof value));
}

static void put_dead(struct hub_index *index, const struct hub_index_slot *slot)
{
    uint8_t value[HUB_INDEX_MESSAGE_LEN];
    hub_index_encode(&slot->dead, value);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_DEAD_LETTER, hub_span_str(slot->id),
                     hub_span_of(value, sizeof value));
}

/* The token's first user as staged or stored, kept for the group's next question: "" when nobody used it. */
static enum hub_result stage_control(struct hub_index *index, const char *token,
                                     struct hub_index_control **out, struct hub_error *err)
{
    if ((index->control_count + 1) * 2 > index->control_cap && !grow_controls(index))
        return hub_index_no_memory(err);
    size_t at = find_control(index->controls, index->control_cap, token);
    struct hub_index_control *control = &index->controls[at];
    *out = control;
    if (control->token[0] != '\0')
        return HUB_OK;
    uint8_t key[HUB_INDEX_CONTROL_KEY_MAX];
    struct hub_kv_value value = {0};
    size_t len = hub_index_control_key(hub_span_str(token), 0, key);
    enum hub_result result = hub_kv_get(index->kv, HUB_INDEX_CONTROL, hub_span_of(key, len), &value, err);
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    copy_id(control->token, hub_span_str(token));
    copy_id(control->id, result == HUB_OK ? value.bytes : HUB_SPAN_NONE);
    if (result == HUB_OK)
        hub_kv_value_free(&value);
    index->controls_used[index->control_count++] = at;
    return HUB_OK;
}

static enum hub_result apply_control(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup,
                                     struct hub_error *err)
{
    if (dedup->control_token[0] == '\0')
        return HUB_OK;
    struct hub_index_control *control = NULL;
    uint8_t key[HUB_INDEX_CONTROL_KEY_MAX];
    HUB_TRY(stage_control(index, dedup->control_token, &control, err));
    bool first = control->id[0] == '\0';
    if (!first && strcmp(control->id, dedup->message_id) == 0)
        return HUB_OK;
    if (first)
        memcpy(control->id, dedup->message_id, sizeof dedup->message_id);
    size_t len = hub_index_control_key(hub_span_str(dedup->control_token), first ? 0 : number, key);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_CONTROL, hub_span_of(key, len),
                     hub_span_str(dedup->message_id));
    return HUB_OK;
}

/* --- what records say --- */

static void apply_accepted(struct hub_index *index, struct hub_index_slot *slot,
                           const struct hub_index_message *fresh)
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

static void apply_rejected(struct hub_index *index, struct hub_index_slot *slot,
                           const struct hub_index_message *fresh)
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

static enum hub_result read_sections(struct hub_record_view *view, struct hub_dedup *dedup, uint64_t *events, bool *states)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    memset(dedup, 0, sizeof *dedup);
    *events = 0;
    *states = false;
    while ((result = hub_record_next(view, &kind, &bytes)) == HUB_OK) {
        if (kind == HUB_SECTION_EVENT)
            ++*events;
        if (kind == HUB_SECTION_DEDUP)
            HUB_TRY(hub_record_dedup(bytes, dedup));
        *states = *states || kind == HUB_SECTION_STATE;
    }
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result apply_message(struct hub_index *index, uint64_t number,
                                     const struct hub_record_view *view, const struct hub_dedup *dedup,
                                     struct hub_error *err)
{
    struct hub_index_slot *slot = NULL;
    struct hub_index_message fresh = {.record = number,
                                      .recorded_us = view->recorded_us,
                                      .last_us = view->recorded_us,
                                      .kind = HUB_RECORD_REJECTED};
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

/* The accepted message stays what it was: found by the same bytes, answered as then. */
static enum hub_result apply_revised(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup,
                                     struct hub_error *err)
{
    uint8_t key[HUB_INDEX_REVISION_KEY_LEN];
    uint8_t value[8];
    if (strlen(dedup->message_id) != HUB_INDEX_ID_MAX || dedup->count == 0)
        return damaged(err, number);
    memcpy(key, dedup->message_id, HUB_INDEX_ID_MAX);
    for (int i = 0; i < 4; i++)
        key[HUB_INDEX_ID_MAX + i] = (uint8_t)(dedup->count >> (24 - 8 * i));
    hub_index_put64(value, number);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_REVISION, hub_span_of(key, sizeof key),
                     hub_span_of(value, sizeof value));
    index->stats.revised++;
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
        hub_index_put64(value, number);
        hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_KEY, hub_span_of(hash_of, sizeof hash_of),
                         hub_span_of(value, sizeof value));
    }
    return result == HUB_END ? HUB_OK : result;
}

/* A dead letter that an operator has done with is open no more; the same message may still be sent again. */
static enum hub_result apply_resolved(struct hub_index *index, struct hub_span message_id,
                                      struct hub_error *err)
{
    struct hub_index_slot *slot = NULL;
    char id[HUB_INDEX_ID_MAX + 1];
    if (message_id.len > HUB_INDEX_ID_MAX)
        return HUB_OK;
    copy_id(id, message_id);
    HUB_TRY(stage(index, id, &slot, err));
    if (!slot->has_dead || slot->dead.resolved)
        return HUB_OK;
    slot->dead.resolved = true;
    index->stats.dead_letters--;
    put_dead(index, slot);
    return HUB_OK;
}

/* The same letter in a newer record. */
static enum hub_result apply_carried(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup,
                                     struct hub_error *err)
{
    struct hub_index_slot *slot = NULL;
    if (dedup->message_id[0] == '\0')
        return damaged(err, number);
    HUB_TRY(stage(index, dedup->message_id, &slot, err));
    if (!slot->has_dead) /* its message was accepted meanwhile */
        return HUB_OK;
    slot->dead.record = number;
    put_dead(index, slot);
    if (slot->message.kind == HUB_RECORD_REJECTED) {
        slot->message.record = number;
        put_message(index, slot);
    }
    return HUB_OK;
}

static enum hub_result apply_states(struct hub_index *index, uint64_t number, struct hub_record_view view,
                                    struct hub_error *err)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        struct hub_record_state state;
        char key[HUB_INDEX_FEED_KEY_MAX];
        if (kind != HUB_SECTION_STATE)
            continue;
        if (hub_record_state(bytes, &state) != HUB_OK)
            return damaged(err, number);
        if (hub_span_is(state.what, "feed"))
            hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_META,
                             hub_span_of(key, hub_index_state_key("feed:", state.id, key)), state.state);
        if (hub_span_is(state.what, "part"))
            hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_META,
                             hub_span_of(key, hub_index_state_key("part:", state.id, key)), state.state);
        if (hub_span_is(state.what, "deadletter"))
            HUB_TRY(apply_resolved(index, state.id, err));
    }
    return result == HUB_END ? HUB_OK : result;
}

enum hub_result hub_index_apply(struct hub_index *index, uint64_t number, struct hub_span payload,
                                struct hub_error *err)
{
    struct hub_record_view view;
    struct hub_dedup dedup;
    uint64_t events = 0;
    bool states = false;
    HUB_ASSERT(number == index->position + 1);
    if (hub_record_parse(payload, &view) != HUB_OK)
        return damaged(err, number);
    const struct hub_span sections = view.sections;
    if (read_sections(&view, &dedup, &events, &states) != HUB_OK)
        return damaged(err, number);
    switch (view.kind) {
    case HUB_RECORD_MESSAGE:
    case HUB_RECORD_REJECTED:
    case HUB_RECORD_REPEATED:
        HUB_TRY(apply_message(index, number, &view, &dedup, err));
        view.sections = sections;
        if (states) /* the parts it was joined from */
            HUB_TRY(apply_states(index, number, view, err));
        break;
    case HUB_RECORD_KEY:
        view.sections = sections;
        HUB_TRY(apply_keys(index, number, view));
        break;
    case HUB_RECORD_STATE:
        view.sections = sections;
        HUB_TRY(apply_states(index, number, view, err));
        break;
    case HUB_RECORD_CARRIED:
        HUB_TRY(apply_carried(index, number, &dedup, err));
        break;
    case HUB_RECORD_REVISED:
        HUB_TRY(apply_revised(index, number, &dedup, err));
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

enum hub_result hub_index_duplicate(struct hub_index *index, struct hub_span message_id, int64_t now_us,
                                    struct hub_error *err)
{
    struct hub_index_slot *slot = NULL;
    char id[HUB_INDEX_ID_MAX + 1];
    copy_id(id, message_id);
    HUB_TRY(stage(index, id, &slot, err));
    HUB_ASSERT(slot->has_message);
    slot->message.repeats++;
    slot->message.last_us = now_us;
    index->stats.duplicates++;
    put_message(index, slot);
    return HUB_OK;
}

void hub_index_forget_staged(struct hub_index *index)
{
    hub_kv_batch_clear(index->batch);
    for (size_t i = 0; i < index->slot_count; i++)
        index->slots[index->slots_used[i]].id[0] = '\0';
    for (size_t i = 0; i < index->control_count; i++)
        index->controls[index->controls_used[i]].token[0] = '\0';
    index->slot_count = 0;
    index->control_count = 0;
}

/* --- looking up --- */

enum hub_result hub_index_lookup(struct hub_index *index, struct hub_span message_id,
                                 struct hub_index_message *out, struct hub_error *err)
{
    struct hub_index_slot *slot = NULL;
    char id[HUB_INDEX_ID_MAX + 1];
    if (message_id.len == 0 || message_id.len > HUB_INDEX_ID_MAX)
        return HUB_NOT_FOUND;
    copy_id(id, message_id);
    HUB_TRY(stage(index, id, &slot, err)); /* what follows needs it again: the store is asked once */
    *out = slot->message;
    return slot->has_message ? HUB_OK : HUB_NOT_FOUND;
}

enum hub_result hub_index_control_used(struct hub_index *index, struct hub_span control_token,
                                       struct hub_span message_id, bool *used, struct hub_error *err)
{
    char token[HUB_INDEX_ID_MAX + 1];
    struct hub_index_control *control = NULL;
    *used = false;
    copy_id(token, control_token);
    if (token[0] == '\0')
        return HUB_OK;
    HUB_TRY(stage_control(index, token, &control, err));
    *used = control->id[0] != '\0' && !hub_span_is(message_id, control->id);
    return HUB_OK;
}
