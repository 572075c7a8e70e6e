#include <stdio.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/bus/wire.h"
#include "src/codec/encode.h"
#include "src/pipeline/forward_internal.h"

#define POSITION_MAGIC "chartline forward position 1\n"

enum {
    SLOTS = 65536, /* log records on their way */
    WAVE_BYTES = 4 * 1024 * 1024,
    ARENA_BYTES_MAX = 64 * 1024 * 1024,
    CHECKPOINT_BYTES_MAX = 16 * 1024,
    CHECKPOINT_TAG = SLOTS,
    EXTRA_TAG, /* keys of a first start, events that were held back */
    PREFIXED_BYTES_MAX = INT32_MAX, /* the bus takes far less */
    FLUSH_MS = 100,
    IDLE_MS = 100,
    LOOK_US = 200000,
    STORE_US = 1000000,
    DELAY_LEAST_MS = 100,
    DELAY_MOST_MS = 30000,
    STALL_US = 5000000, /* nothing was delivered for so long although something is on its way */
    LOGIN_AGAIN_US = 10000000, /* secrets and certificates may have been mended */
    OPEN_MS = 10000,
    PATH_CAP = 4096,
};

static const char component[] = "forward";
static const char follower[] = "forward"; /* what it needs of the log is kept */

struct slot { /* a log record on its way */
    uint32_t outstanding;
    bool complete; /* all of it is with the producer */
};

struct hub_forward {
    struct hub_forward_options options;
    char path[PATH_CAP], checkpoint[PATH_CAP];
    /* the forwarder's thread */
    struct hub_log_reader *reader;
    struct hub_bus_producer *producer;
    struct slot *slots;
    uint64_t first; /* oldest record that is not delivered */
    uint64_t next;  /* to be read */
    uint32_t extra_out; /* records on their way that the log does not have in this place */
    uint64_t stored;  /* position on disk; UINT64_MAX: none yet */
    bool prepared, keys_sent, held_tried, failed, progress;
    bool unwritten; /* the position could not be written: said once */
    /* what was handed over since all was delivered: waited for as a whole before more is */
    size_t wave_bytes;
    int64_t wave_us; /* since when; 0: nothing */
    bool wave_full; /* nothing joins it any more */
    int delay_ms;
    int64_t looked_us, stored_us, refused_us, moved_us;
    uint64_t moved_first; /* `first` when it last moved, at moved_us */
    struct hub_error why; /* of failed */
    struct hub_forward_held *held;
    struct hub_buf prefixed; /* a value behind its schema's id */
    struct hub_arena arena;
    struct hub_bus_stats before; /* of producers that are gone */
    char sent_checkpoint[CHECKPOINT_BYTES_MAX];
    size_t sent_checkpoint_len;
    /* everybody */
    struct hub_forward_waits waits;
    atomic_ullong position; /* delivered and on disk */
    atomic_bool begun;
    pthread_mutex_t lock; /* what follows */
    struct hub_forward_meter meter;
    struct hub_forward_stats stats;
};

/* --- position --- */

/* magic, log id in hex, number, each on a line of its own. */
static enum hub_result write_position(struct hub_forward *f, uint64_t record, struct hub_error *err)
{
    char text[160], id[2 * 16 + 1];
    uint8_t log_id[16];
    hub_log_id(f->options.log, log_id);
    (void)hub_encode(HUB_HEX, hub_span_of(log_id, sizeof log_id), id, sizeof id);
    int len = snprintf(text, sizeof text, POSITION_MAGIC "%s\n%llu\n", id, (unsigned long long)record);
    HUB_TRY(hub_disk_replace(f->options.disk, f->path, hub_span_of(text, (size_t)len), err));
    HUB_TRY(hub_log_follow(f->options.log, follower, record, err));
    f->stored = record;
    atomic_store(&f->position, record);
    atomic_store(&f->begun, true);
    return HUB_OK;
}

static enum hub_result wrong_position(const char *path, const char *what, struct hub_error *err)
{
    (void)hub_fail(err, HUB_CORRUPT, what,
                   "restore the event log, or remove this file to send the whole log again: readers know repeats");
    return hub_error_in(err, path, 0);
}

static enum hub_result parse_position(struct hub_log *log, const char *path, struct hub_span text,
                                      uint64_t *record, struct hub_error *err)
{
    static const size_t magic = sizeof POSITION_MAGIC - 1;
    char id[2 * 16 + 1];
    uint8_t log_id[16];
    hub_log_id(log, log_id);
    size_t id_len = hub_encode(HUB_HEX, hub_span_of(log_id, sizeof log_id), id, sizeof id);
    if (text.len < magic + id_len + 3 || memcmp(text.ptr, POSITION_MAGIC, magic) != 0 ||
        text.ptr[text.len - 1] != '\n' || text.ptr[magic + id_len] != '\n' ||
        !hub_span_parse_u64(hub_span_of(text.ptr + magic + id_len + 1, text.len - magic - id_len - 2), record))
        return wrong_position(path, "the forwarder's position is damaged", err);
    if (memcmp(text.ptr + magic, id, id_len) != 0)
        return wrong_position(path, "the forwarder's position is one of another event log", err);
    if (*record > hub_log_durable(log))
        return wrong_position(path, "the forwarder has seen more than the event log holds: stored records were lost",
                              err);
    if (*record + 1 < hub_log_first(log))
        return wrong_position(path, "records that were not forwarded are gone from the event log", err);
    return HUB_OK;
}

/* THERE tells whether anything was ever delivered; else everything that the log still holds is to be. */
static enum hub_result read_position(struct hub_log *log, struct hub_disk *disk, const char *path,
                                     uint64_t *record, bool *there, struct hub_error *err)
{
    char text[256];
    size_t len = 0;
    int fd = -1;
    enum hub_result result = disk->ops->open(disk, path, HUB_DISK_READ, &fd, err);
    *there = result != HUB_NOT_FOUND;
    *record = hub_log_first(log) - 1;
    if (result == HUB_NOT_FOUND) {
        if (err != NULL)
            *err = (struct hub_error){0};
        return hub_log_follow(log, follower, *record, err);
    }
    HUB_TRY(result);
    result = disk->ops->read(disk, fd, 0, text, sizeof text, &len, err);
    disk->ops->close(disk, fd);
    HUB_TRY(result);
    HUB_TRY(parse_position(log, path, hub_span_of(text, len), record, err));
    return hub_log_follow(log, follower, *record, err);
}

static enum hub_result position_path(const char *folder, char out[PATH_CAP], struct hub_error *err)
{
    int len = snprintf(out, PATH_CAP, "%s/position", folder);
    HUB_ENSURE(len > 0 && len < PATH_CAP, hub_fail(err, HUB_CONFIG, "the data directory's path is too long", NULL));
    return HUB_OK;
}

enum hub_result hub_forward_follow(struct hub_log *log, struct hub_disk *disk, const char *folder,
                                   struct hub_error *err)
{
    char path[PATH_CAP];
    uint64_t record = 0;
    bool there = false;
    HUB_TRY(position_path(folder, path, err));
    return read_position(log, disk, path, &record, &there, err);
}

/* --- life --- */

static enum hub_result open_position(struct hub_forward *f, struct hub_error *err)
{
    const struct hub_forward_options *o = &f->options;
    uint64_t record = 0;
    bool there = false;
    HUB_TRY(position_path(o->folder, f->path, err));
    HUB_TRY(o->disk->ops->mkdir(o->disk, o->folder, err));
    HUB_TRY(read_position(o->log, o->disk, f->path, &record, &there, err));
    HUB_TRY(hub_forward_held_open(f->held, o->disk, o->folder, err));
    for (size_t i = 0; i < f->held->count; i++)
        hub_forward_waits_hold_back(&f->waits, f->held->items[i].record);
    f->stats.held = f->held->count;
    f->keys_sent = there;
    f->first = f->next = record + 1;
    f->stored = record;
    f->waits.delivered = record;
    f->stats.delivered = f->stats.sent = record;
    atomic_store(&f->begun, there);
    atomic_store(&f->position, record);
    return HUB_OK;
}

enum hub_result hub_forward_open(const struct hub_forward_options *options, struct hub_forward **out,
                                 struct hub_error *err)
{
    *out = NULL;
    struct hub_forward *f = hub_mem_alloc(sizeof *f);
    if (f == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the forwarder", NULL);
    f->options = *options;
    f->delay_ms = DELAY_LEAST_MS;
    f->stats.state = "waiting";
    hub_arena_init(&f->arena, ARENA_BYTES_MAX);
    (void)pthread_mutex_init(&f->lock, NULL);
    hub_forward_waits_init(&f->waits, 0);
    (void)snprintf(f->checkpoint, sizeof f->checkpoint, "%s",
                   options->checkpoint != NULL ? options->checkpoint : "");
    hub_buf_init(&f->prefixed, PREFIXED_BYTES_MAX, false);
    f->slots = hub_mem_array(SLOTS, sizeof *f->slots);
    f->held = hub_mem_alloc(sizeof *f->held);
    f->waits.held = hub_mem_array(HUB_FORWARD_HELD_MAX, sizeof *f->waits.held);
    enum hub_result result = f->slots != NULL && f->held != NULL && f->waits.held != NULL
                                 ? open_position(f, err)
                                 : hub_fail(err, HUB_NO_MEMORY, "no memory for the forwarder", NULL);
    if (result != HUB_OK) {
        hub_forward_close(f);
        return result;
    }
    *out = f;
    return HUB_OK;
}

static void add_up(struct hub_forward *f)
{
    struct hub_bus_stats now;
    if (f->producer == NULL)
        return;
    hub_bus_producer_stats(f->producer, &now);
    f->before.retries += now.retries;
    f->before.delivered += now.delivered;
    f->before.bytes += now.bytes;
}

static void close_producer(struct hub_forward *f)
{
    add_up(f);
    hub_bus_producer_close(f->producer);
    f->producer = NULL;
    hub_log_reader_close(f->reader);
    f->reader = NULL;
}

void hub_forward_close(struct hub_forward *f)
{
    if (f == NULL)
        return;
    close_producer(f);
    hub_forward_waits_deinit(&f->waits);
    hub_arena_deinit(&f->arena);
    (void)pthread_mutex_destroy(&f->lock);
    hub_buf_deinit(&f->prefixed);
    hub_mem_free(f->held);
    hub_mem_free(f->slots);
    hub_mem_free(f);
}

uint64_t hub_forward_position(struct hub_forward *f)
{
    return atomic_load(&f->position);
}

bool hub_forward_begun(struct hub_forward *f)
{
    return atomic_load(&f->begun);
}

enum hub_result hub_forward_hold(struct hub_forward *f, struct hub_forward_wait *wait)
{
    return hub_forward_waits_add(&f->waits, wait);
}

/* --- what is seen of it --- */

/* Brokers may hang without any error that the library would report. */
static bool stalled(struct hub_forward *f)
{
    int64_t now = hub_clock_mono_us(f->options.clock);
    if (f->first != f->moved_first || f->first == f->next) {
        f->moved_first = f->first;
        f->moved_us = now;
    }
    return now - f->moved_us > STALL_US;
}

static void update_stats(struct hub_forward *f)
{
    struct hub_bus_stats bus = {0};
    struct hub_error trouble = {0};
    if (f->producer != NULL) {
        hub_bus_producer_stats(f->producer, &bus);
        if (!hub_bus_producer_trouble(f->producer, &trouble) && stalled(f))
            (void)hub_fail(&trouble, HUB_TIMEOUT, "the brokers do not answer", NULL);
    }
    if (f->failed || f->producer == NULL)
        trouble = f->why;
    (void)pthread_mutex_lock(&f->lock);
    struct hub_forward_stats *s = &f->stats;
    s->delivered = f->first - 1;
    s->sent = f->next - 1;
    s->events = f->before.delivered + bus.delivered;
    s->bytes = f->before.bytes + bus.bytes;
    s->retries = f->before.retries + bus.retries;
    s->waiting = bus.waiting;
    s->brokers_known = bus.brokers_known;
    s->brokers_up = bus.brokers_up;
    s->held = f->held->count;
    s->trouble = trouble;
    s->state = trouble.result == HUB_OK ? "ok"
               : trouble.result == HUB_NETWORK || trouble.result == HUB_TIMEOUT || trouble.result == HUB_BUSY
                   ? "waiting"
                   : "refused";
    (void)pthread_mutex_unlock(&f->lock);
}

/* --- deliveries --- */

static void fail(struct hub_forward *f, const struct hub_error *err)
{
    if (!f->failed)
        f->why = *err;
    f->failed = true;
}

static void advance(struct hub_forward *f)
{
    uint64_t first = f->first;
    while (f->first < f->next && f->slots[f->first % SLOTS].complete && f->slots[f->first % SLOTS].outstanding == 0)
        f->first++;
    if (f->first == first)
        return;
    f->progress = true;
    if (f->first == f->next) /* before anybody reads that nothing is left */
        update_stats(f);
    hub_forward_waits_release(&f->waits, f->first - 1);
}

static void on_delivered(void *ctx, const struct hub_bus_delivery *delivery)
{
    struct hub_forward *f = ctx;
    const uint32_t tag = delivery->tag;
    if (tag == CHECKPOINT_TAG)
        return;
    if (delivery->result != HUB_OK) {
        struct hub_error err = {0};
        if (!hub_bus_producer_trouble(f->producer, &err))
            (void)hub_fail(&err, delivery->result, "the brokers refuse a record", NULL);
        fail(f, &err);
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    hub_forward_meter_add(&f->meter, hub_clock_mono_us(f->options.clock), delivery->latency_us);
    (void)pthread_mutex_unlock(&f->lock);
    if (tag == EXTRA_TAG) {
        f->extra_out--;
        return;
    }
    HUB_ASSERT(f->slots[tag].outstanding > 0);
    f->slots[tag].outstanding--;
    if (tag == f->first % SLOTS)
        advance(f);
}

/* --- sending --- */

struct sending {
    struct hub_forward *forward;
    const atomic_bool *stop;
    uint32_t tag;
};

static void poll_producer(struct hub_forward *f)
{
    struct hub_error err = {0};
    if (hub_bus_poll(f->producer, 0, &err) != HUB_OK)
        fail(f, &err);
}

static void look_after(struct hub_forward *f);

static void end_wave(struct hub_forward *f)
{
    f->wave_bytes = 0;
    f->wave_us = 0;
    f->wave_full = false;
}

/* Waits a while until all that was handed over is delivered. With more records for a partition that has five on their way
 * the library (2.8) asks itself without a pause whether they may go: the limit of requests that idempotence sets it applies to
 * records. So they wait in the log instead, and go together: the slower the brokers, the more at once. */
static void flush_producer(struct hub_forward *f)
{
    struct hub_error err = {0};
    const enum hub_result result = hub_bus_flush(f->producer, FLUSH_MS, &err);
    f->wave_full = true;
    if (result == HUB_OK)
        end_wave(f);
    else if (result != HUB_TIMEOUT)
        fail(f, &err);
}

/* For brokers that may be away for long: what is seen of the forwarder stays true meanwhile. */
static void wait_producer(struct hub_forward *f)
{
    flush_producer(f);
    look_after(f);
}

static void join_wave(struct hub_forward *f, const struct hub_bus_record *record)
{
    if (f->wave_us == 0)
        f->wave_us = hub_clock_mono_us(hub_clock_system());
    f->wave_bytes += record->key.len + record->value.len;
    f->wave_full = f->wave_full || f->wave_bytes >= WAVE_BYTES;
}

/* A full buffer is waited for: what is not read yet lies in the log. HUB_CLOSED: stopping, or failed. */
static enum hub_result send(void *ctx, enum hub_topic topic, struct hub_bus_record *record, struct hub_error *err)
{
    struct sending *sending = ctx;
    struct hub_forward *f = sending->forward;
    uint32_t *count = sending->tag < SLOTS ? &f->slots[sending->tag].outstanding : &f->extra_out;
    uint32_t id = f->options.schema_id != NULL ? f->options.schema_id(f->options.ctx, topic) : 0;
    record->topic = f->options.topics[topic];
    record->tag = sending->tag;
    HUB_TRY(hub_wire_put(id, &f->prefixed, record, err));
    for (;;) {
        if (f->failed)
            return HUB_CLOSED;
        enum hub_result result = hub_bus_send(f->producer, record, err);
        if (result == HUB_OK) {
            (*count)++;
            join_wave(f, record);
            return HUB_OK;
        }
        if (result != HUB_BUSY)
            return result;
        if (atomic_load(sending->stop))
            return HUB_CLOSED;
        wait_producer(f);
    }
}

/* What is not as the schema says is put aside; the log record goes on without it. */
static enum hub_result admit(void *ctx, struct hub_span event, struct hub_error *err)
{
    struct hub_forward *f = ((struct sending *)ctx)->forward;
    struct hub_error why = {0};
    if (hub_json_schema_check(f->options.event_schema, event, &why) == HUB_OK)
        return HUB_OK;
    enum hub_result kept = hub_forward_held_add(f->held, f->next, event, err);
    if (kept != HUB_OK && kept != HUB_EXISTS)
        return kept;
    hub_forward_waits_hold_back(&f->waits, f->next);
    if (kept == HUB_OK)
        HUB_DIAG(HUB_DIAG_ERROR, component,
                 "an event is not as its schema says: a mistake of this program; it is held back in forward/held, others go on",
                 hub_diag_number("record", (int64_t)f->next), hub_diag_error(&why));
    return HUB_END;
}

static void send_record(struct hub_forward *f, struct hub_span payload, const atomic_bool *stop)
{
    struct hub_error err = {0};
    struct slot *slot = &f->slots[f->next % SLOTS];
    struct sending sending = {.forward = f, .stop = stop, .tag = (uint32_t)(f->next % SLOTS)};
    struct hub_forward_sink sink = {.send = send, .admit = f->options.event_schema != NULL ? admit : NULL, .ctx = &sending};
    bool barrier = false;
    *slot = (struct slot){0};
    enum hub_result result =
        hub_forward_records(f->options.signer, &f->arena, payload, &sink, &barrier, &err);
    if (result != HUB_OK) {
        if (result != HUB_CLOSED || err.result != HUB_OK)
            fail(f, &err);
        return; /* stopping, or failed: the record is read again */
    }
    f->wave_full = f->wave_full || barrier;
    slot->complete = true;
    f->next++;
    advance(f);
}

/* --- all key records, for a bus that has seen none --- */

struct key_emission {
    struct sending sending;
    struct hub_forward_sink sink;
    enum hub_result result;
    struct hub_error err;
};

static bool emit_key(void *ctx, struct hub_span record)
{
    struct key_emission *e = ctx;
    hub_arena_reset(&e->sending.forward->arena);
    e->result = hub_forward_key(&e->sending.forward->arena, record, &e->sink, &e->err);
    return e->result == HUB_OK;
}

static void send_keys(struct hub_forward *f, const atomic_bool *stop)
{
    struct key_emission e = {.sending = {.forward = f, .stop = stop, .tag = EXTRA_TAG}, .result = HUB_OK};
    e.sink = (struct hub_forward_sink){.send = send, .ctx = &e.sending};
    f->extra_out = 0;
    if (f->options.each_key != NULL)
        f->options.each_key(f->options.ctx, emit_key, &e);
    if (e.result != HUB_OK && e.err.result != HUB_OK)
        fail(f, &e.err);
    while (e.result == HUB_OK && f->extra_out != 0 && !f->failed && !atomic_load(stop))
        wait_producer(f);
    f->keys_sent = e.result == HUB_OK && f->extra_out == 0 && !f->failed;
    f->looked_us = 0; /* that it has begun is written soon */
}

/* --- events that were held back, for a version that makes or allows them --- */

/* Sent, or HUB_END where the schema still does not allow it. */
static enum hub_result send_held(struct hub_forward *f, size_t index, struct sending *sending, struct hub_error *err)
{
    struct hub_buf event;
    struct hub_forward_sink sink = {.send = send, .ctx = sending};
    hub_buf_init(&event, PREFIXED_BYTES_MAX, false);
    enum hub_result result = hub_forward_held_read(f->held, index, &event, err);
    if (result == HUB_OK && f->options.event_schema != NULL &&
        hub_json_schema_check(f->options.event_schema, hub_buf_view(&event), NULL) != HUB_OK)
        result = HUB_END;
    hub_arena_reset(&f->arena);
    if (result == HUB_OK)
        result = hub_forward_event(f->options.signer, &f->arena, hub_buf_view(&event), &sink, err);
    hub_buf_deinit(&event);
    while (result == HUB_OK && f->extra_out != 0 && !f->failed && !atomic_load(sending->stop))
        wait_producer(f);
    return result == HUB_OK && f->extra_out != 0 ? HUB_CLOSED : result;
}

/* One after the other: there should be none. */
static void try_held(struct hub_forward *f, const atomic_bool *stop)
{
    struct sending sending = {.forward = f, .stop = stop, .tag = EXTRA_TAG};
    f->extra_out = 0;
    for (size_t i = 0; i < f->held->count;) {
        struct hub_error err = {0};
        uint64_t record = f->held->items[i].record;
        enum hub_result result = send_held(f, i, &sending, &err);
        if (result == HUB_OK)
            result = hub_forward_held_remove(f->held, i, &err);
        if (result == HUB_END) {
            i++;
            continue;
        }
        if (result != HUB_OK) {
            if (err.result != HUB_OK)
                fail(f, &err);
            return;
        }
        HUB_DIAG(HUB_DIAG_NOTICE, component, "an event that was held back is delivered", hub_diag_number("record", (int64_t)record));
        if (!hub_forward_held_has(f->held, record))
            hub_forward_waits_let_go(&f->waits, record);
    }
    f->held_tried = true;
}

/* --- the audit log's checkpoint --- */

static void send_checkpoint(struct hub_forward *f)
{
    struct hub_disk *disk = f->options.disk;
    char text[CHECKPOINT_BYTES_MAX];
    size_t len = 0;
    int fd = -1;
    if (f->checkpoint[0] == '\0' ||
        disk->ops->open(disk, f->checkpoint, HUB_DISK_READ, &fd, NULL) != HUB_OK)
        return;
    enum hub_result result = disk->ops->read(disk, fd, 0, text, sizeof text, &len, NULL);
    disk->ops->close(disk, fd);
    if (result != HUB_OK || len == 0 ||
        hub_span_equal(hub_span_of(text, len), hub_span_of(f->sent_checkpoint, f->sent_checkpoint_len)))
        return;
    const char *end = memchr(text, '\n', len);
    struct hub_span origin = hub_span_of(text, end != NULL ? (size_t)(end - text) : len);
    struct hub_bus_record record = {
        .topic = f->options.topics[HUB_TOPIC_AUDIT],
        .key = origin,
        .subject = origin,
        .value = hub_span_of(text, len),
        .headers = {{"content-type", HUB_SPAN("text/plain")}},
        .header_count = 1,
        .tag = CHECKPOINT_TAG,
    };
    if (hub_bus_send(f->producer, &record, NULL) != HUB_OK)
        return;
    memcpy(f->sent_checkpoint, text, len);
    f->sent_checkpoint_len = len;
}

/* --- looking after it --- */

static void store_position(struct hub_forward *f)
{
    struct hub_error err = {0};
    uint64_t record = f->first - 1;
    if (record == f->stored && atomic_load(&f->begun))
        return;
    if (!f->keys_sent)
        return;
    bool written = write_position(f, record, &err) == HUB_OK;
    if (!written && !f->unwritten)
        HUB_DIAG(HUB_DIAG_WARNING, component,
                 "the position cannot be written; what follows it is sent again after a crash",
                 hub_diag_error(&err));
    f->unwritten = !written;
}

/* A login that stays refused is tried again from the start, with what the files hold by then. */
static void watch_login(struct hub_forward *f, int64_t now)
{
    struct hub_error trouble = {0};
    if (f->producer == NULL || !hub_bus_producer_trouble(f->producer, &trouble) || trouble.result != HUB_AUTH) {
        f->refused_us = 0;
        return;
    }
    if (f->refused_us == 0)
        f->refused_us = now;
    if (now - f->refused_us > LOGIN_AGAIN_US)
        fail(f, &trouble);
}

static void look_after(struct hub_forward *f)
{
    int64_t now = hub_clock_mono_us(f->options.clock);
    if (now - f->looked_us < LOOK_US)
        return;
    f->looked_us = now;
    watch_login(f, now);
    if (f->keys_sent && now - f->stored_us >= STORE_US) {
        f->stored_us = now;
        store_position(f);
        if (f->producer != NULL)
            send_checkpoint(f);
    }
    update_stats(f);
}

/* --- the loop --- */

static enum hub_result start(struct hub_forward *f, const atomic_bool *stop, struct hub_error *err)
{
    struct hub_bus_producer_options options = {.delivered = on_delivered, .ctx = f};
    if (!f->prepared && f->options.prepare != NULL)
        HUB_TRY(f->options.prepare(f->options.ctx, err));
    if (!f->prepared)
        f->delay_ms = DELAY_LEAST_MS;
    f->prepared = true;
    HUB_TRY(hub_bus_producer_open(f->options.bus, &options, OPEN_MS, &f->producer, err));
    f->failed = false;
    f->progress = false;
    f->refused_us = 0;
    f->next = f->first;
    end_wave(f);
    if (!f->keys_sent)
        send_keys(f, stop);
    if (f->keys_sent && !f->held_tried && !f->failed)
        try_held(f, stop);
    return hub_log_reader_open(f->options.log, f->first, &f->reader, err);
}

static void pause_for(struct hub_forward *f, const atomic_bool *stop)
{
    int64_t until = hub_clock_mono_us(hub_clock_system()) + (int64_t)f->delay_ms * 1000;
    while (!atomic_load(stop) && hub_clock_mono_us(hub_clock_system()) < until) {
        (void)usleep(IDLE_MS * 1000 / 2);
        look_after(f);
    }
    f->delay_ms = f->delay_ms * 2 < DELAY_MOST_MS ? f->delay_ms * 2 : DELAY_MOST_MS;
}

/* The log has no more. What was handed over goes when it had time for company; else there is nothing to do. */
static void wait_for_log(struct hub_forward *f)
{
    const int64_t waited_ms = f->wave_us != 0 ? (hub_clock_mono_us(hub_clock_system()) - f->wave_us) / 1000 : 0;
    const int64_t left_ms = f->wave_us != 0 ? (int64_t)f->options.wait_ms - waited_ms : IDLE_MS;
    if (left_ms <= 0) {
        flush_producer(f);
        return;
    }
    if (f->wave_us == 0)
        poll_producer(f); /* the library's news, and the checkpoint's */
    hub_log_wait(f->options.log, f->next - 1, left_ms < IDLE_MS ? (int)left_ms : IDLE_MS); /* a stop may come just before */
}

static void step(struct hub_forward *f, const atomic_bool *stop)
{
    uint64_t number = 0;
    struct hub_span payload;
    struct hub_error err = {0};
    if (f->wave_full || f->next - f->first >= SLOTS) {
        flush_producer(f);
        return;
    }
    enum hub_result result = hub_log_reader_next(f->reader, &number, &payload, &err);
    if (result == HUB_OK && number == f->next) {
        send_record(f, payload, stop);
    } else if (result == HUB_END) {
        wait_for_log(f);
    } else {
        if (result == HUB_OK)
            (void)hub_fail(&err, HUB_CORRUPT, "records of the event log are missing before the forwarder's position", NULL);
        fail(f, &err);
    }
}

/* Topics or rights are not what they were: looked at anew, and the reason is told exactly. */
static bool bus_changed(enum hub_result why)
{
    return why == HUB_NOT_FOUND || why == HUB_DENIED || why == HUB_TOO_LARGE;
}

static void rebuild(struct hub_forward *f)
{
    f->prepared = f->prepared && !bus_changed(f->why.result);
    HUB_DIAG(HUB_DIAG_WARNING, component, "begins again behind what is delivered",
             hub_diag_number("record", (int64_t)f->first), hub_diag_error(&f->why));
    if (f->progress)
        f->delay_ms = DELAY_LEAST_MS;
    close_producer(f);
    (void)pthread_mutex_lock(&f->lock);
    f->stats.rebuilds++;
    (void)pthread_mutex_unlock(&f->lock);
}

static void finish(struct hub_forward *f, int drain_ms)
{
    if (f->producer != NULL && !f->failed && hub_bus_flush(f->producer, drain_ms, NULL) != HUB_OK)
        HUB_DIAG(HUB_DIAG_NOTICE, component, "stops before everything is delivered; the rest follows at the next start",
                 hub_diag_number("record", (int64_t)f->first));
    store_position(f);
    update_stats(f);
    close_producer(f);
}

void hub_forward_run(struct hub_forward *f, const atomic_bool *stop, int drain_ms)
{
    while (!atomic_load(stop)) {
        struct hub_error err = {0};
        if (f->producer == NULL && start(f, stop, &err) != HUB_OK) {
            if (f->why.what != err.what)
                HUB_DIAG(HUB_DIAG_WARNING, component, "events wait in the event log", hub_diag_error(&err));
            f->why = err;
            close_producer(f);
            pause_for(f, stop);
            continue;
        }
        if (!f->failed && f->keys_sent)
            step(f, stop);
        if (f->failed) {
            rebuild(f);
            pause_for(f, stop);
        }
        look_after(f);
    }
    finish(f, drain_ms);
}

void hub_forward_stats(struct hub_forward *f, struct hub_forward_stats *out)
{
    int64_t now = hub_clock_mono_us(f->options.clock);
    uint64_t durable = hub_log_durable(f->options.log);
    const uint64_t delivered = hub_forward_waits_delivered(&f->waits); /* as of now, not of the last look; before the rest of it */
    (void)pthread_mutex_lock(&f->lock);
    *out = f->stats;
    out->rate = hub_forward_meter_rate(&f->meter, now);
    out->latency_p50_us = hub_forward_meter_latency(&f->meter, 500);
    out->latency_p99_us = hub_forward_meter_latency(&f->meter, 990);
    (void)pthread_mutex_unlock(&f->lock);
    out->delivered = delivered;
    out->lag = durable > out->delivered ? durable - out->delivered : 0;
    out->holding = hub_forward_waits_count(&f->waits);
}
