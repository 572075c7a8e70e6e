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

/* The slot of ID, NULL: not staged. */
static struct hub_index_slot *staged(const struct hub_index *index, const char *id)
{
    if (index->slot_cap == 0)
        return NULL;
    struct hub_index_slot *slot = &index->slots[find_slot(index->slots, index->slot_cap, id)];
    return slot->id[0] != '\0' ? slot : NULL;
}

/* Sees to it that ID has a slot, filled from the store when it is new. Others may move. What is staged already is had
 * without memory and without the store: it does not fail. */
static enum hub_result stage(struct hub_index *index, const char *id, struct hub_error *err)
{
    if (staged(index, id) != NULL)
        return HUB_OK;
    if ((index->slot_count + 1) * 2 > index->slot_cap && !grow_slots(index))
        return hub_index_no_memory(err);
    size_t at = find_slot(index->slots, index->slot_cap, id);
    struct hub_index_slot fresh = {0};
    copy_id(fresh.id, hub_span_str(id));
    enum hub_result result = hub_index_read(index, HUB_INDEX_MESSAGE, hub_span_str(id), &fresh.message, err);
    fresh.has_message = result == HUB_OK;
    if (result == HUB_OK && fresh.message.kind == HUB_RECORD_REJECTED)
        result = hub_index_read(index, HUB_INDEX_DEAD_LETTER, hub_span_str(id), &fresh.dead, err);
    fresh.has_dead = result == HUB_OK && fresh.message.kind == HUB_RECORD_REJECTED;
    if (result != HUB_OK && result != HUB_NOT_FOUND)
        return result;
    index->slots[at] = fresh;
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

static struct hub_index_control *staged_control(const struct hub_index *index, const char *token)
{
    if (index->control_cap == 0)
        return NULL;
    struct hub_index_control *control =
        &index->controls[find_control(index->controls, index->control_cap, token)];
    return control->token[0] != '\0' ? control : NULL;
}

/* Likewise the token's first user, as staged or stored: "" when nobody used it. */
static enum hub_result stage_control(struct hub_index *index, const char *token, struct hub_error *err)
{
    if (staged_control(index, token) != NULL)
        return HUB_OK;
    if ((index->control_count + 1) * 2 > index->control_cap && !grow_controls(index))
        return hub_index_no_memory(err);
    size_t at = find_control(index->controls, index->control_cap, token);
    struct hub_index_control *control = &index->controls[at];
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

static void apply_control(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup)
{
    if (dedup->control_token[0] == '\0')
        return;
    struct hub_index_control *control = staged_control(index, dedup->control_token);
    uint8_t key[HUB_INDEX_CONTROL_KEY_MAX];
    HUB_ASSERT(control != NULL);
    bool first = control->id[0] == '\0';
    if (!first && strcmp(control->id, dedup->message_id) == 0)
        return;
    if (first)
        memcpy(control->id, dedup->message_id, sizeof dedup->message_id);
    size_t len = hub_index_control_key(hub_span_str(dedup->control_token), first ? 0 : number, key);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_CONTROL, hub_span_of(key, len),
                     hub_span_str(dedup->message_id));
}

/* --- what records say: changes that cannot fail, of what stage_record has staged --- */

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

static void apply_message(struct hub_index *index, uint64_t number, const struct hub_record_view *view,
                          const struct hub_dedup *dedup)
{
    struct hub_index_slot *slot = staged(index, dedup->message_id);
    struct hub_index_message fresh = {.record = number,
                                      .recorded_us = view->recorded_us,
                                      .last_us = view->recorded_us,
                                      .kind = HUB_RECORD_REJECTED};
    HUB_ASSERT(slot != NULL);
    memcpy(fresh.answer, dedup->answer, sizeof fresh.answer);
    apply_control(index, number, dedup);
    if (view->kind == HUB_RECORD_MESSAGE) {
        fresh.kind = HUB_RECORD_MESSAGE;
        apply_accepted(index, slot, &fresh);
    } else {
        apply_rejected(index, slot, &fresh);
    }
}

/* The accepted message stays what it was: found by the same bytes, answered as then. */
static void apply_revised(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup)
{
    uint8_t key[HUB_INDEX_REVISION_KEY_LEN];
    uint8_t value[8];
    memcpy(key, dedup->message_id, HUB_INDEX_ID_MAX);
    for (int i = 0; i < 4; i++)
        key[HUB_INDEX_ID_MAX + i] = (uint8_t)(dedup->count >> (24 - 8 * i));
    hub_index_put64(value, number);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_REVISION, hub_span_of(key, sizeof key),
                     hub_span_of(value, sizeof value));
    index->stats.revised++;
}

/* Which key records the log holds, by their SHA-256. */
static void apply_key(struct hub_index *index, uint64_t number, struct hub_span record)
{
    uint8_t hash_of[HUB_HASH_LEN];
    uint8_t value[8];
    hub_sha256_of(record, hash_of);
    hub_index_put64(value, number);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_KEY, hub_span_of(hash_of, sizeof hash_of),
                     hub_span_of(value, sizeof value));
}

/* A dead letter that an operator has done with is open no more; the same message may still be sent again. */
static void apply_resolved(struct hub_index *index, struct hub_span message_id)
{
    char id[HUB_INDEX_ID_MAX + 1];
    if (message_id.len > HUB_INDEX_ID_MAX)
        return;
    copy_id(id, message_id);
    struct hub_index_slot *slot = staged(index, id);
    HUB_ASSERT(slot != NULL);
    if (!slot->has_dead || slot->dead.resolved)
        return;
    slot->dead.resolved = true;
    index->stats.dead_letters--;
    put_dead(index, slot);
}

/* The same letter in a newer record. */
static void apply_carried(struct hub_index *index, uint64_t number, const struct hub_dedup *dedup)
{
    struct hub_index_slot *slot = staged(index, dedup->message_id);
    HUB_ASSERT(slot != NULL);
    if (!slot->has_dead) /* its message was accepted meanwhile */
        return;
    slot->dead.record = number;
    put_dead(index, slot);
    if (slot->message.kind == HUB_RECORD_REJECTED) {
        slot->message.record = number;
        put_message(index, slot);
    }
}

static void apply_state(struct hub_index *index, const struct hub_record_state *state)
{
    char key[HUB_INDEX_FEED_KEY_MAX];
    if (hub_span_is(state->what, "feed"))
        hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_META,
                         hub_span_of(key, hub_index_state_key("feed:", state->id, key)), state->state);
    if (hub_span_is(state->what, "part"))
        hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_META,
                         hub_span_of(key, hub_index_state_key("part:", state->id, key)), state->state);
    if (hub_span_is(state->what, "deadletter"))
        apply_resolved(index, state->id);
}

/* Keys and states stand in records of their kind; states also beside a message: the parts it was joined from. */
static void apply_sections(struct hub_index *index, uint64_t number, struct hub_record_view view)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        struct hub_record_state state;
        if (kind == HUB_SECTION_KEY && view.kind == HUB_RECORD_KEY)
            apply_key(index, number, bytes);
        if (kind != HUB_SECTION_STATE)
            continue;
        result = hub_record_state(bytes, &state);
        HUB_ASSERT(result == HUB_OK);
        apply_state(index, &state);
    }
    HUB_ASSERT(result == HUB_END);
}

/* --- what they may change is staged first: a record is applied whole or, where that fails, not at all --- */

static enum hub_result damaged(struct hub_error *err, uint64_t number)
{
    (void)hub_fail(err, HUB_CORRUPT, "a record of the event log cannot be read", NULL);
    hub_error_number(err, (int64_t)number);
    return HUB_CORRUPT;
}

static enum hub_result stage_state(struct hub_index *index, struct hub_span section, struct hub_error *err)
{
    struct hub_record_state state;
    char id[HUB_INDEX_ID_MAX + 1];
    HUB_ENSURE(hub_record_state(section, &state) == HUB_OK, HUB_CORRUPT);
    if (!hub_span_is(state.what, "deadletter") || state.id.len > HUB_INDEX_ID_MAX)
        return HUB_OK;
    copy_id(id, state.id);
    HUB_ENSURE(strlen(id) == state.id.len, HUB_CORRUPT);
    return stage(index, id, err);
}

static enum hub_result stage_sections(struct hub_index *index, struct hub_record_view view, struct hub_dedup *dedup,
                                      uint64_t *events, struct hub_error *err)
{
    enum hub_section_kind kind;
    struct hub_span bytes;
    enum hub_result result;
    while ((result = hub_record_next(&view, &kind, &bytes)) == HUB_OK) {
        if (kind == HUB_SECTION_EVENT)
            ++*events;
        if (kind == HUB_SECTION_DEDUP)
            HUB_TRY(hub_record_dedup(bytes, dedup));
        if (kind == HUB_SECTION_STATE)
            HUB_TRY(stage_state(index, bytes, err));
    }
    return result == HUB_END ? HUB_OK : result;
}

static enum hub_result stage_record(struct hub_index *index, struct hub_record_view view, struct hub_dedup *dedup,
                                    uint64_t *events, struct hub_error *err)
{
    HUB_TRY(stage_sections(index, view, dedup, events, err));
    switch (view.kind) {
    case HUB_RECORD_MESSAGE:
    case HUB_RECORD_REJECTED:
    case HUB_RECORD_REPEATED:
        HUB_ENSURE(dedup->message_id[0] != '\0', HUB_CORRUPT);
        if (dedup->control_token[0] != '\0')
            HUB_TRY(stage_control(index, dedup->control_token, err));
        return stage(index, dedup->message_id, err);
    case HUB_RECORD_CARRIED:
        HUB_ENSURE(dedup->message_id[0] != '\0', HUB_CORRUPT);
        return stage(index, dedup->message_id, err);
    case HUB_RECORD_REVISED:
        HUB_ENSURE(strlen(dedup->message_id) == HUB_INDEX_ID_MAX && dedup->count != 0, HUB_CORRUPT);
        return HUB_OK;
    case HUB_RECORD_KEY:
    case HUB_RECORD_STATE:
    case HUB_RECORD_AUDIT:
        return HUB_OK;
    }
    return HUB_OK;
}

enum hub_result hub_index_apply(struct hub_index *index, uint64_t number, struct hub_span payload,
                                struct hub_error *err)
{
    struct hub_record_view view;
    struct hub_dedup dedup = {.count = 0};
    uint64_t events = 0;
    HUB_ASSERT(number == index->position + 1);
    if (hub_record_parse(payload, &view) != HUB_OK)
        return damaged(err, number);
    enum hub_result result = stage_record(index, view, &dedup, &events, err);
    if (result != HUB_OK)
        return result == HUB_CORRUPT ? damaged(err, number) : result;
    switch (view.kind) {
    case HUB_RECORD_MESSAGE:
    case HUB_RECORD_REJECTED:
    case HUB_RECORD_REPEATED:
        apply_message(index, number, &view, &dedup);
        apply_sections(index, number, view);
        break;
    case HUB_RECORD_KEY:
    case HUB_RECORD_STATE:
        apply_sections(index, number, view);
        break;
    case HUB_RECORD_CARRIED:
        apply_carried(index, number, &dedup);
        break;
    case HUB_RECORD_REVISED:
        apply_revised(index, number, &dedup);
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
    char id[HUB_INDEX_ID_MAX + 1];
    copy_id(id, message_id);
    HUB_TRY(stage(index, id, err));
    struct hub_index_slot *slot = staged(index, id);
    HUB_ASSERT(slot != NULL && slot->has_message);
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
    char id[HUB_INDEX_ID_MAX + 1];
    if (message_id.len == 0 || message_id.len > HUB_INDEX_ID_MAX)
        return HUB_NOT_FOUND;
    copy_id(id, message_id);
    HUB_TRY(stage(index, id, err)); /* what follows needs it again: the store is asked once */
    const struct hub_index_slot *slot = staged(index, id);
    HUB_ASSERT(slot != NULL);
    *out = slot->message;
    return slot->has_message ? HUB_OK : HUB_NOT_FOUND;
}

enum hub_result hub_index_control_used(struct hub_index *index, struct hub_span control_token,
                                       struct hub_span message_id, bool *used, struct hub_error *err)
{
    char token[HUB_INDEX_ID_MAX + 1];
    *used = false;
    copy_id(token, control_token);
    if (token[0] == '\0')
        return HUB_OK;
    HUB_TRY(stage_control(index, token, err));
    const struct hub_index_control *control = staged_control(index, token);
    HUB_ASSERT(control != NULL);
    *used = control->id[0] != '\0' && !hub_span_is(message_id, control->id);
    return HUB_OK;
}
