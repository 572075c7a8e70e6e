/* Duplicates are not known for ever: what was retired from the event log and did not come again for long is forgotten, slice
 * by slice. Whether it may be is asked twice: when it is found, beside the committer, and again by the committer itself. */
#include "src/pipeline/index_state.h"

enum { SCAN_MAX = 20000 };

static bool message_is_old(const struct hub_index_age *age, const struct hub_index_message *message)
{
    return message->record < age->before && message->last_us < age->last_us;
}

/* *OLD: the message of ID may be forgotten, and *LETTER: a dead letter with it. */
static enum hub_result judge(struct hub_index *index, const struct hub_index_age *age, struct hub_span id,
                             const struct hub_index_message *message, bool *old, bool *letter, struct hub_error *err)
{
    struct hub_index_message dead;
    *old = message_is_old(age, message);
    *letter = false;
    if (!*old)
        return HUB_OK;
    enum hub_result result = hub_index_dead_letter(index, id, &dead, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    *letter = true;
    *old = dead.resolved && dead.record < age->before;
    return HUB_OK;
}

/* A control token is of no use without the message that carried it. */
static enum hub_result control_is_old(struct hub_index *index, struct hub_span id, bool *old, struct hub_error *err)
{
    struct hub_index_message message;
    enum hub_result result = hub_index_lookup(index, id, &message, err);
    *old = result == HUB_NOT_FOUND;
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

/* --- finding, in any thread --- */

static enum hub_result look_at(struct hub_index *index, const struct hub_index_old *slice, struct hub_span key,
                               struct hub_span value, bool *old, struct hub_error *err)
{
    struct hub_index_message message;
    bool letter = false;
    if (!slice->controls) {
        enum hub_result result = hub_index_message(index, key, &message, err);
        return result == HUB_OK ? judge(index, &slice->age, key, &message, old, &letter, err)
                                : (result == HUB_NOT_FOUND ? HUB_OK : result);
    }
    enum hub_result result = hub_index_message(index, value, &message, err);
    *old = result == HUB_NOT_FOUND;
    return result == HUB_NOT_FOUND ? HUB_OK : result;
}

static bool set_key(uint8_t bytes[HUB_INDEX_OLD_KEY_MAX], size_t *len, struct hub_span key)
{
    if (key.len > HUB_INDEX_OLD_KEY_MAX)
        return false;
    memcpy(bytes, key.ptr, key.len);
    *len = key.len;
    return true;
}

enum hub_result hub_index_find_old(struct hub_index *index, struct hub_index_old *slice, struct hub_error *err)
{
    unsigned family = slice->controls ? HUB_INDEX_CONTROL : HUB_INDEX_MESSAGE;
    struct hub_kv_iter *iter = hub_kv_iter_new(index->kv, family, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_index_no_memory(err);
    enum hub_result result = HUB_OK;
    bool more = slice->next.len != 0 ? hub_kv_iter_seek(iter, hub_span_of(slice->next.bytes, slice->next.len))
                                     : hub_kv_iter_next(iter);
    slice->count = 0;
    slice->next.len = 0;
    for (size_t scanned = 0; more && result == HUB_OK; scanned++, more = hub_kv_iter_next(iter)) {
        struct hub_span key = hub_kv_iter_key(iter);
        bool old = false;
        if (slice->count == HUB_INDEX_OLD_MAX || scanned == SCAN_MAX) {
            (void)set_key(slice->next.bytes, &slice->next.len, key);
            break;
        }
        result = look_at(index, slice, key, hub_kv_iter_value(iter), &old, err);
        if (result == HUB_OK && old && set_key(slice->keys[slice->count].bytes, &slice->keys[slice->count].len, key))
            slice->count++;
    }
    if (result == HUB_OK)
        result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

/* --- forgetting, in the committer's thread --- */

static enum hub_result forget_message(struct hub_index *index, struct hub_index_old *slice, struct hub_span id,
                                      struct hub_error *err)
{
    struct hub_index_message message;
    bool old = false;
    bool letter = false;
    enum hub_result result = hub_index_lookup(index, id, &message, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    HUB_TRY(judge(index, &slice->age, id, &message, &old, &letter, err));
    if (!old)
        return HUB_OK;
    hub_kv_batch_delete(index->batch, index->kv, HUB_INDEX_MESSAGE, id);
    if (letter)
        hub_kv_batch_delete(index->batch, index->kv, HUB_INDEX_DEAD_LETTER, id);
    slice->forgotten++;
    return HUB_OK;
}

static enum hub_result forget_control(struct hub_index *index, struct hub_index_old *slice, struct hub_span key,
                                      struct hub_error *err)
{
    struct hub_kv_value value;
    bool old = false;
    enum hub_result result = hub_kv_get(index->kv, HUB_INDEX_CONTROL, key, &value, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    result = control_is_old(index, value.bytes, &old, err);
    hub_kv_value_free(&value);
    if (result == HUB_OK && old) {
        hub_kv_batch_delete(index->batch, index->kv, HUB_INDEX_CONTROL, key);
        slice->forgotten++;
    }
    return result;
}

enum hub_result hub_index_forget(struct hub_index *index, struct hub_index_old *slice, struct hub_error *err)
{
    for (size_t i = 0; i < slice->count; i++) {
        struct hub_span key = hub_span_of(slice->keys[i].bytes, slice->keys[i].len);
        HUB_TRY(slice->controls ? forget_control(index, slice, key, err) : forget_message(index, slice, key, err));
    }
    return HUB_OK;
}
