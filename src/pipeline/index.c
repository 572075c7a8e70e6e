#include "src/pipeline/index.h"

#include "src/base/mem.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/index_state.h"

static const char *const families[] = {"meta", "message", "control", "deadletter", "key", "revision", NULL};

enum {
    VERSION = 1,
    STATS_COUNT = 6,
    META_LEN = 1 + 16 + 8 + 8 * STATS_COUNT, /* version, log id, position, counters */
    CATCH_UP_RECORDS = 1000,
};

const char *const *hub_index_families(void)
{
    return families;
}

enum hub_result hub_index_no_memory(struct hub_error *err)
{
    return hub_fail(err, HUB_NO_MEMORY, "no memory for the message index", NULL);
}

/* --- bytes --- */

void hub_index_put64(uint8_t *to, uint64_t number)
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

void hub_index_encode(const struct hub_index_message *message, uint8_t out[HUB_INDEX_MESSAGE_LEN])
{
    out[0] = (uint8_t)message->kind;
    out[1] = message->resolved ? 1 : 0;
    memcpy(out + 2, message->answer, 2);
    hub_index_put64(out + 4, message->record);
    hub_index_put64(out + 12, (uint64_t)message->recorded_us);
    hub_index_put64(out + 20, (uint64_t)message->last_us);
    hub_index_put64(out + 28, message->repeats);
}

static enum hub_result decode(struct hub_span value, struct hub_index_message *out, struct hub_error *err)
{
    memset(out, 0, sizeof *out);
    if (value.len != HUB_INDEX_MESSAGE_LEN ||
        (value.ptr[0] != HUB_RECORD_MESSAGE && value.ptr[0] != HUB_RECORD_REJECTED) || value.ptr[1] > 1)
        return hub_fail(err, HUB_CORRUPT, "a value of the message index is damaged",
                        "stop the hub and remove the index folder: it is rebuilt from the event log");
    out->kind = (enum hub_record_kind)value.ptr[0];
    out->resolved = value.ptr[1] != 0;
    memcpy(out->answer, value.ptr + 2, 2);
    out->record = get64(value.ptr + 4);
    out->recorded_us = (int64_t)get64(value.ptr + 12);
    out->last_us = (int64_t)get64(value.ptr + 20);
    out->repeats = get64(value.ptr + 28);
    return HUB_OK;
}

void hub_index_hold(struct hub_index *index)
{
    (void)pthread_mutex_lock(&index->held);
}

void hub_index_release(struct hub_index *index)
{
    (void)pthread_mutex_unlock(&index->held);
}

/* Before something is read in any thread: what was answered until now is in the store afterwards. */
static void catch_answers(struct hub_index *index)
{
    (void)pthread_mutex_lock(&index->held);
    (void)pthread_mutex_unlock(&index->held);
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
    hub_index_put64(value + 17, index->position);
    stats_words(&index->stats, words);
    for (size_t i = 0; i < STATS_COUNT; i++)
        hub_index_put64(value + 25 + 8 * i, *words[i]);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_META, HUB_SPAN("state"),
                     hub_span_of(value, sizeof value));
}

static enum hub_result check_meta(struct hub_span meta, const uint8_t log_id[16], struct hub_error *err)
{
    if (meta.len != META_LEN || meta.ptr[0] != VERSION)
        return hub_fail(err, HUB_CORRUPT, "the message index is not of this version",
                        "remove the index folder: it is rebuilt from the event log");
    if (memcmp(meta.ptr + 1, log_id, 16) != 0)
        return hub_fail(err, HUB_CORRUPT, "the message index belongs to another event log",
                        "restore both from one copy, or remove the index folder: it is rebuilt");
    return HUB_OK;
}

enum hub_result hub_index_kv_position(struct hub_kv *kv, const struct hub_log *log, uint64_t *position,
                                      struct hub_error *err)
{
    struct hub_kv_value value;
    uint8_t log_id[16];
    enum hub_result result = hub_kv_get(kv, HUB_INDEX_META, HUB_SPAN("state"), &value, err);
    if (result == HUB_NOT_FOUND)
        return hub_fail(err, HUB_CORRUPT, "the message index is empty", NULL);
    HUB_TRY(result);
    hub_log_id(log, log_id);
    result = check_meta(value.bytes, log_id, err);
    if (result == HUB_OK)
        *position = get64(value.bytes.ptr + 17);
    hub_kv_value_free(&value);
    return result;
}

struct hub_kv *hub_index_kv(struct hub_index *index)
{
    return index->kv;
}

/* Beside the state: an index of before revisions were counted has none. */
static void stage_revised(struct hub_index *index)
{
    uint8_t value[8];
    if (index->stats.revised == index->shown.revised)
        return;
    hub_index_put64(value, index->stats.revised);
    hub_kv_batch_put(index->batch, index->kv, HUB_INDEX_META, HUB_SPAN("revised"), hub_span_of(value, sizeof value));
}

static enum hub_result load_revised(struct hub_index *index, struct hub_error *err)
{
    struct hub_kv_value value;
    enum hub_result result = hub_kv_get(index->kv, HUB_INDEX_META, HUB_SPAN("revised"), &value, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    if (value.bytes.len == 8)
        index->stats.revised = get64(value.bytes.ptr);
    hub_kv_value_free(&value);
    return HUB_OK;
}

static enum hub_result load_meta(struct hub_index *index, struct hub_error *err)
{
    struct hub_kv_value value;
    enum hub_result result = hub_kv_get(index->kv, HUB_INDEX_META, HUB_SPAN("state"), &value, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    result = check_meta(value.bytes, index->log_id, err);
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

size_t hub_index_control_key(struct hub_span token, uint64_t record, uint8_t out[HUB_INDEX_CONTROL_KEY_MAX])
{
    size_t len = token.len < HUB_INDEX_ID_MAX ? token.len : HUB_INDEX_ID_MAX;
    if (len != 0)
        memcpy(out, token.ptr, len);
    out[len] = 0;
    hub_index_put64(out + len + 1, record);
    return len + 9;
}

size_t hub_index_state_key(const char *prefix, struct hub_span id, char out[HUB_INDEX_FEED_KEY_MAX])
{
    size_t head = strlen(prefix);
    size_t len = id.len < HUB_INDEX_FEED_KEY_MAX - head ? id.len : HUB_INDEX_FEED_KEY_MAX - head;
    memcpy(out, prefix, head);
    if (len != 0)
        memcpy(out + head, id.ptr, len);
    return head + len;
}

enum hub_result hub_index_read(struct hub_index *index, unsigned family, struct hub_span id,
                               struct hub_index_message *out, struct hub_error *err)
{
    struct hub_kv_value value;
    HUB_TRY(hub_kv_get(index->kv, family, id, &value, err));
    enum hub_result result = decode(value.bytes, out, err);
    hub_kv_value_free(&value);
    return result;
}

/* --- writing --- */

enum hub_result hub_index_write(struct hub_index *index, struct hub_error *err)
{
    if (index->position == index->written && hub_kv_batch_count(index->batch) == 0) {
        hub_index_forget_staged(index);
        return HUB_OK;
    }
    stage_meta(index);
    stage_revised(index);
    HUB_TRY(hub_kv_write(index->kv, index->batch, false, err));
    index->written = index->position;
    (void)pthread_mutex_lock(&index->lock);
    index->shown = index->stats;
    (void)pthread_mutex_unlock(&index->lock);
    hub_index_forget_staged(index);
    return HUB_OK;
}

void hub_index_discard(struct hub_index *index)
{
    index->position = index->written;
    index->stats = index->shown;
    hub_index_forget_staged(index);
}

/* --- reading --- */

int64_t hub_index_last_recorded(const struct hub_index *index)
{
    return (int64_t)index->stats.last_recorded_us;
}

void hub_index_stats(struct hub_index *index, struct hub_commit_stats *out)
{
    catch_answers(index);
    (void)pthread_mutex_lock(&index->lock);
    *out = index->shown;
    (void)pthread_mutex_unlock(&index->lock);
}

enum hub_result hub_index_message(struct hub_index *index, struct hub_span message_id,
                                  struct hub_index_message *out, struct hub_error *err)
{
    catch_answers(index);
    return hub_index_read(index, HUB_INDEX_MESSAGE, message_id, out, err);
}

enum hub_result hub_index_dead_letter(struct hub_index *index, struct hub_span message_id,
                                      struct hub_index_message *out, struct hub_error *err)
{
    catch_answers(index);
    return hub_index_read(index, HUB_INDEX_DEAD_LETTER, message_id, out, err);
}

enum hub_result hub_index_each_control(struct hub_index *index, struct hub_span control_token,
                                       bool (*callback)(void *ctx, struct hub_span message_id), void *ctx,
                                       struct hub_error *err)
{
    catch_answers(index);
    uint8_t prefix[HUB_INDEX_CONTROL_KEY_MAX];
    if (control_token.len == 0 || control_token.len > HUB_INDEX_ID_MAX)
        return HUB_OK;
    size_t len = hub_index_control_key(control_token, 0, prefix) - 8;
    struct hub_kv_iter *iter = hub_kv_iter_new(index->kv, HUB_INDEX_CONTROL, hub_span_of(prefix, len));
    if (iter == NULL)
        return hub_index_no_memory(err);
    while (hub_kv_iter_next(iter) && callback(ctx, hub_kv_iter_value(iter)))
        ;
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

enum hub_result hub_index_each_revision(struct hub_index *index, struct hub_span message_id,
                                        bool (*callback)(void *ctx, uint32_t revision, uint64_t record), void *ctx,
                                        struct hub_error *err)
{
    catch_answers(index);
    if (message_id.len != HUB_INDEX_ID_MAX)
        return HUB_OK;
    struct hub_kv_iter *iter = hub_kv_iter_new(index->kv, HUB_INDEX_REVISION, message_id);
    if (iter == NULL)
        return hub_index_no_memory(err);
    bool more = true;
    while (more && hub_kv_iter_next(iter)) {
        const struct hub_span key = hub_kv_iter_key(iter), value = hub_kv_iter_value(iter);
        if (key.len != HUB_INDEX_REVISION_KEY_LEN || value.len != 8)
            continue;
        const uint8_t *n = key.ptr + HUB_INDEX_ID_MAX;
        more = callback(ctx, (uint32_t)n[0] << 24 | (uint32_t)n[1] << 16 | (uint32_t)n[2] << 8 | n[3],
                        get64(value.ptr));
    }
    enum hub_result result = hub_kv_iter_result(iter, err);
    hub_kv_iter_free(iter);
    return result;
}

struct newest {
    uint32_t revision;
    uint64_t record;
};

static bool take_newest(void *ctx, uint32_t revision, uint64_t record)
{
    *(struct newest *)ctx = (struct newest){revision, record};
    return true;
}

enum hub_result hub_index_revision(struct hub_index *index, struct hub_span message_id, uint32_t *revision,
                                   uint64_t *record, struct hub_error *err)
{
    struct newest newest = {0, 0};
    enum hub_result result = hub_index_each_revision(index, message_id, take_newest, &newest, err);
    *revision = newest.revision;
    *record = newest.record;
    return result;
}

enum hub_result hub_index_each_dead_letter(struct hub_index *index,
                                           bool (*callback)(void *ctx, struct hub_span message_id,
                                                            const struct hub_index_message *message),
                                           void *ctx, struct hub_error *err)
{
    catch_answers(index);
    struct hub_kv_iter *iter = hub_kv_iter_new(index->kv, HUB_INDEX_DEAD_LETTER, HUB_SPAN_NONE);
    if (iter == NULL)
        return hub_index_no_memory(err);
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

enum hub_result hub_index_feed_paused(struct hub_index *index, const char *feed_id, bool *paused,
                                      struct hub_error *err)
{
    catch_answers(index);
    char key[HUB_INDEX_FEED_KEY_MAX];
    struct hub_kv_value value;
    *paused = false;
    size_t len = hub_index_state_key("feed:", hub_span_str(feed_id), key);
    enum hub_result result = hub_kv_get(index->kv, HUB_INDEX_META, hub_span_of(key, len), &value, err);
    if (result == HUB_NOT_FOUND)
        return HUB_OK;
    HUB_TRY(result);
    *paused = hub_span_is(value.bytes, "paused");
    hub_kv_value_free(&value);
    return HUB_OK;
}

enum hub_result hub_index_joined(struct hub_index *index, struct hub_span part_id, char out[33],
                                 struct hub_error *err)
{
    catch_answers(index);
    char key[HUB_INDEX_FEED_KEY_MAX];
    struct hub_kv_value value;
    size_t len = hub_index_state_key("part:", part_id, key);
    HUB_TRY(hub_kv_get(index->kv, HUB_INDEX_META, hub_span_of(key, len), &value, err));
    (void)snprintf(out, HUB_INDEX_ID_MAX + 1, "%.*s",
                   (int)(value.bytes.len < HUB_INDEX_ID_MAX ? value.bytes.len : HUB_INDEX_ID_MAX),
                   (const char *)value.bytes.ptr);
    hub_kv_value_free(&value);
    return HUB_OK;
}

enum hub_result hub_index_key_record(struct hub_index *index, struct hub_span json, bool *known,
                                     struct hub_error *err)
{
    uint8_t hash_of[HUB_HASH_LEN];
    struct hub_kv_value value;
    hub_sha256_of(json, hash_of);
    enum hub_result result =
        hub_kv_get(index->kv, HUB_INDEX_KEY, hub_span_of(hash_of, sizeof hash_of), &value, err);
    *known = result == HUB_OK;
    if (result == HUB_OK)
        hub_kv_value_free(&value);
    return result == HUB_NOT_FOUND ? HUB_OK : result;
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

enum hub_result hub_index_recover(struct hub_index *index, struct hub_log *log, struct hub_error *err)
{
    hub_index_forget_staged(index);
    HUB_TRY(hub_kv_reopen(index->kv, err));
    index->position = 0;
    memset(&index->stats, 0, sizeof index->stats);
    HUB_TRY(load_meta(index, err));
    HUB_TRY(load_revised(index, err));
    index->written = index->position;
    return catch_up(index, log, err);
}

enum hub_result hub_index_open_kv(struct hub_kv *kv, struct hub_log *log, struct hub_index **out,
                                  struct hub_error *err)
{
    *out = NULL;
    enum hub_result result;
    struct hub_index *index = hub_mem_alloc(sizeof *index);
    if (index == NULL) {
        hub_kv_close(kv);
        return hub_index_no_memory(err);
    }
    index->kv = kv;
    (void)pthread_mutex_init(&index->held, NULL);
    (void)pthread_mutex_init(&index->lock, NULL);
    hub_log_id(log, index->log_id);
    index->batch = hub_kv_batch_new();
    if (index->batch == NULL) {
        result = hub_index_no_memory(err);
        goto out;
    }
    HUB_TRY_OUT(load_meta(index, err));
    HUB_TRY_OUT(load_revised(index, err));
    index->written = index->position;
    index->shown = index->stats;
    if (index->position > hub_log_durable(log)) {
        result =
            hub_fail(err, HUB_CORRUPT, "the event log ends before records that were stored",
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

enum hub_result hub_index_store_open(const char *folder, struct hub_kv **out, struct hub_error *err)
{
    const struct hub_kv_options options = {.families = families, .create = true, .bloom = true};
    return hub_kv_open_rocksdb(folder, &options, out, err);
}

enum hub_result hub_index_open(const char *folder, struct hub_log *log, struct hub_index **out,
                               struct hub_error *err)
{
    struct hub_kv *kv = NULL;
    *out = NULL;
    HUB_TRY(hub_index_store_open(folder, &kv, err));
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
    (void)pthread_mutex_destroy(&index->held);
    hub_mem_free(index);
}
