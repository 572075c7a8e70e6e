/* The entry records of one event lie in the store as one value: they come and go together, and all of them end with
 * the same members (the event's seal, source, times, ...), which so stand there once.
 *
 * A value that starts with '{' is one record by itself. A group is 'G', length (4 bytes, big endian) and bytes of
 * what all its records end with, then for each record length (2) and bytes of its id, length (4) and bytes of what
 * comes before the common end. */
#include "src/timeline/group.h"

enum {
    GROUP_MARK = 'G',
    ID_LEN_BYTES = 2,
    LEN_BYTES = 4,
    GROUP_BYTES = 256 * 1024, /* a group that has grown past this is closed, the rest goes into the next one */
    KEY_BYTES_MAX = 512,
    RECORD_BYTES_MAX = 256 * 1024 * 1024,
    STEP = 32, /* bytes compared at once */
};

static void put_be(uint8_t *to, size_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
}

static bool take(struct hub_span *from, size_t len, struct hub_span *out)
{
    if (from->len < len)
        return false;
    *out = hub_span_of(from->ptr, len);
    *from = hub_span_of(from->ptr + len, from->len - len);
    return true;
}

static bool take_counted(struct hub_span *from, unsigned bytes, struct hub_span *out)
{
    struct hub_span head;
    size_t len = 0;
    if (!take(from, bytes, &head))
        return false;
    for (unsigned i = 0; i < bytes; i++)
        len = len << 8 | head.ptr[i];
    return take(from, len, out);
}

/* --- writing --- */

bool timeline_group_begin(struct hub_timeline *t, struct hub_span end)
{
    hub_buf_reset(&t->group.records);
    t->group.count = 0;
    t->group.number = 0;
    t->group.end = timeline_tells(t) ? HUB_SPAN_NONE : end; /* who is told gets records whole */
    return t->group.end.len != 0;
}

static void write_head(struct hub_buf *out, struct hub_span end)
{
    hub_buf_append_byte(out, GROUP_MARK);
    hub_buf_append_be32(out, (uint32_t)end.len);
    hub_buf_append_span(out, end);
}

struct hub_buf *timeline_group_record(struct hub_timeline *t, struct hub_span id)
{
    struct hub_buf *out = &t->group.records;
    HUB_ASSERT(id.len <= ID_MAX);
    if (t->group.end.len != 0 && t->group.count == 0) /* the value as it will be stored */
        write_head(out, t->group.end);
    hub_buf_append_be16(out, (uint16_t)id.len);
    hub_buf_append_span(out, id);
    hub_buf_append_be32(out, 0);
    t->group.at = out->len;
    t->group.id_len = id.len;
    return out;
}

/* How many bytes A and B end with alike, MOST at most; mostly that many. */
static size_t common_end(struct hub_span a, struct hub_span b, size_t most)
{
    const uint8_t *a_end = a.ptr + a.len, *b_end = b.ptr + b.len;
    size_t n = 0;
    most = most < a.len ? most : a.len;
    most = most < b.len ? most : b.len;
    if (memcmp(a_end - most, b_end - most, most) == 0)
        return most;
    while (n + STEP <= most && memcmp(a_end - n - STEP, b_end - n - STEP, STEP) == 0)
        n += STEP;
    while (n < most && a_end[-1 - (ptrdiff_t)n] == b_end[-1 - (ptrdiff_t)n])
        n++;
    return n;
}

/* The group's value into *VALUE. Unless their end was known, t->group.records holds the records whole. */
static enum hub_result write_value(struct hub_timeline *t, struct hub_span *value)
{
    const struct timeline_group *group = &t->group;
    *value = hub_buf_view(&group->records);
    if (group->end.len != 0)
        return hub_buf_result(&group->records);
    struct hub_span rest = hub_buf_view(&group->records), id, record;
    struct hub_buf *out = &t->text;
    hub_buf_reset(out);
    write_head(out, hub_span_of(group->records.ptr + group->first + group->first_len - group->end_len, group->end_len));
    while (take_counted(&rest, ID_LEN_BYTES, &id) && take_counted(&rest, LEN_BYTES, &record)) {
        hub_buf_append_be16(out, (uint16_t)id.len);
        hub_buf_append_span(out, id);
        hub_buf_append_be32(out, (uint32_t)(record.len - group->end_len));
        hub_buf_append(out, record.ptr, record.len - group->end_len);
    }
    *value = hub_buf_view(out);
    return hub_buf_result(out);
}

/* "<subject>/<event id>", of the second group on with "/<number>". */
static struct hub_span group_key(struct hub_timeline *t, struct hub_span subject, struct hub_span event)
{
    struct hub_span key = timeline_key(t, subject, event);
    if (t->group.number == 0 || key.ptr == NULL)
        return key;
    struct hub_span number = hub_arena_decimal(&t->scratch, (int64_t)t->group.number);
    return number.ptr != NULL ? timeline_key(t, key, number) : HUB_SPAN_NONE;
}

enum hub_result timeline_group_close(struct hub_timeline *t, struct hub_span subject, struct hub_span event,
                                     struct hub_error *err)
{
    if (t->group.count == 0)
        return HUB_OK;
    struct hub_span key = group_key(t, subject, event), value;
    enum hub_result result = key.ptr != NULL ? write_value(t, &value) : HUB_NO_MEMORY;
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    if (t->restoring) /* may be read back before it is written */
        HUB_TRY(timeline_put(t, FAMILY_ENTRIES, key, value, err));
    else
        timeline_add(t, FAMILY_ENTRIES, key, value);
    hub_buf_reset(&t->group.records);
    t->group.count = 0;
    t->group.number++;
    return HUB_OK;
}

static enum hub_result tell(struct hub_timeline *t, struct hub_span subject, struct hub_span id, struct hub_span record,
                            struct hub_error *err)
{
    if (!timeline_tells(t))
        return HUB_OK;
    struct hub_span key = timeline_key(t, subject, id);
    return key.ptr != NULL ? timeline_tell(t, key, subject, record, err) : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

enum hub_result timeline_group_end(struct hub_timeline *t, struct hub_span subject, struct hub_span event,
                                   struct hub_error *err)
{
    struct timeline_group *group = &t->group;
    enum hub_result result = hub_buf_result(&group->records);
    if (result != HUB_OK)
        return hub_fail(err, result, NULL, NULL);
    const size_t len = group->records.len - group->at;
    const struct hub_span record = hub_span_of(group->records.ptr + group->at, len);
    put_be(group->records.ptr + group->at - LEN_BYTES, len, LEN_BYTES);
    const uint8_t *id = group->records.ptr + group->at - LEN_BYTES - group->id_len;
    HUB_TRY(tell(t, subject, hub_span_of(id, group->id_len), record, err));
    if (group->end.len != 0) {
        group->count++;
    } else if (group->count++ == 0) {
        group->first = group->at;
        group->first_len = len;
        group->end_len = 0;
    } else {
        const struct hub_span first = hub_span_of(group->records.ptr + group->first, group->first_len);
        group->end_len = common_end(first, record, group->count == 2 ? len : group->end_len);
    }
    return group->records.len > GROUP_BYTES ? timeline_group_close(t, subject, event, err) : HUB_OK;
}

/* PREFIX itself, or with "/<number>". */
bool timeline_group_is(struct hub_span key, struct hub_span prefix)
{
    return key.len == prefix.len || key.ptr[prefix.len] == '/';
}

enum hub_result timeline_group_remove(struct hub_timeline *t, struct hub_span subject, struct hub_span event,
                                      struct hub_error *err)
{
    struct hub_span prefix = timeline_key(t, subject, event);
    struct hub_kv_iter *iter = prefix.ptr != NULL ? hub_kv_iter_new(t->kv, FAMILY_ENTRIES, prefix) : NULL;
    if (iter == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    struct timeline_entries entries;
    enum hub_result result = HUB_OK;
    timeline_entries_init(&entries, iter);
    while (result == HUB_OK && timeline_entries_next(&entries)) {
        struct hub_span key = hub_kv_iter_key(iter);
        if (!timeline_group_is(key, prefix))
            continue;
        timeline_remove(t, FAMILY_ENTRIES, key);
        result = timeline_tell(t, entries.key, subject, HUB_SPAN_NONE, err);
    }
    if (result == HUB_OK)
        result = timeline_entries_result(&entries, err);
    timeline_entries_deinit(&entries);
    hub_kv_iter_free(iter);
    return result;
}

/* --- reading --- */

void timeline_entries_init(struct timeline_entries *entries, struct hub_kv_iter *iter)
{
    memset(entries, 0, sizeof *entries);
    entries->iter = iter;
    hub_buf_init(&entries->key_text, KEY_BYTES_MAX, false);
    hub_buf_init(&entries->record_text, RECORD_BYTES_MAX, false);
}

void timeline_entries_of(struct timeline_entries *entries, struct hub_span key, struct hub_span value)
{
    timeline_entries_init(entries, NULL);
    entries->one_key = key;
    entries->one_value = value;
}

void timeline_entries_deinit(struct timeline_entries *entries)
{
    hub_buf_deinit(&entries->key_text);
    hub_buf_deinit(&entries->record_text);
}

/* The next record of the group at hand. */
static bool next_of_group(struct timeline_entries *entries)
{
    struct hub_span id, head, key = entries->iter != NULL ? hub_kv_iter_key(entries->iter) : entries->one_key;
    const uint8_t *slash = memchr(key.ptr, '/', key.len);
    if (slash == NULL || !take_counted(&entries->rest, ID_LEN_BYTES, &id) ||
        !take_counted(&entries->rest, LEN_BYTES, &head)) {
        entries->result = HUB_CORRUPT;
        return false;
    }
    hub_buf_reset(&entries->key_text);
    hub_buf_append(&entries->key_text, key.ptr, (size_t)(slash - key.ptr) + 1);
    hub_buf_append_span(&entries->key_text, id);
    hub_buf_reset(&entries->record_text);
    hub_buf_append_span(&entries->record_text, head);
    hub_buf_append_span(&entries->record_text, entries->end);
    entries->result = hub_buf_result(&entries->key_text);
    if (entries->result == HUB_OK)
        entries->result = hub_buf_result(&entries->record_text);
    entries->key = hub_buf_view(&entries->key_text);
    entries->record = hub_buf_view(&entries->record_text);
    return entries->result == HUB_OK;
}

static bool next_value(struct timeline_entries *entries)
{
    if (entries->iter == NULL) {
        entries->key = entries->one_key;
        entries->record = entries->one_value;
        entries->one_value = HUB_SPAN_NONE;
        return entries->record.ptr != NULL;
    }
    if (!hub_kv_iter_next(entries->iter))
        return false;
    entries->key = hub_kv_iter_key(entries->iter);
    entries->record = hub_kv_iter_value(entries->iter);
    return true;
}

bool timeline_entries_next(struct timeline_entries *entries)
{
    if (entries->result != HUB_OK)
        return false;
    if (entries->rest.len != 0)
        return next_of_group(entries);
    if (!next_value(entries))
        return false;
    struct hub_span value = entries->record;
    if (value.len == 0 || value.ptr[0] != GROUP_MARK)
        return true;
    entries->rest = hub_span_of(value.ptr + 1, value.len - 1);
    if (!take_counted(&entries->rest, LEN_BYTES, &entries->end)) {
        entries->result = HUB_CORRUPT;
        return false;
    }
    return next_of_group(entries);
}

enum hub_result timeline_entries_result(const struct timeline_entries *entries, struct hub_error *err)
{
    if (entries->result == HUB_CORRUPT)
        return hub_fail(err, HUB_CORRUPT, "an entry record of the timeline is damaged", NULL);
    if (entries->result != HUB_OK)
        return hub_fail(err, entries->result, NULL, NULL);
    return entries->iter != NULL ? hub_kv_iter_result(entries->iter, err) : HUB_OK;
}
