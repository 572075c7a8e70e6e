#include "src/pipeline/hub_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/retain.h"
#include "src/store/kv.h"

enum {
    LOG_RECENT_BYTES = 16 * 1024 * 1024, /* timeline and audit log follow closer than that */
    RECORD_BASE = 16 * 1024 * 1024,
    RECORD_FACTOR = 8,
    TIMELINE_CACHE = 64 * 1024 * 1024,
    CHECKPOINT_MS = 1000
};
static const uint64_t record_most = (uint64_t)1 << 30;

static const char component[] = "hub";

/* --- registry --- */

const struct hub_format *hub_registry_format(const struct hub_registry *registry, const char *name)
{
    for (size_t i = 0; name != NULL && registry->formats[i] != NULL; i++) {
        if (strcmp(registry->formats[i]->name, name) == 0)
            return registry->formats[i];
    }
    return NULL;
}

const struct hub_transport *hub_registry_transport(const struct hub_registry *registry, const char *name)
{
    for (size_t i = 0; name != NULL && registry->transports[i] != NULL; i++) {
        if (strcmp(registry->transports[i]->name, name) == 0)
            return registry->transports[i];
    }
    return NULL;
}

/* --- parts --- */

enum hub_result hub_path(const struct hub *hub, const char *name, char out[HUB_PATH_MAX],
                         struct hub_error *err)
{
    int len = snprintf(out, HUB_PATH_MAX, "%s/%s", hub->config->data_dir, name);
    if (len < 0 || len >= HUB_PATH_MAX)
        return hub_fail(err, HUB_CONFIG, "the data directory's path is too long",
                        "choose a shorter hub.data_dir");
    return HUB_OK;
}

bool hub_path_ends(const char *path, const char *end)
{
    size_t len = strlen(path);
    size_t end_len = strlen(end);
    return len >= end_len && strcmp(path + len - end_len, end) == 0;
}

void hub_fatal(const struct hub_error *err)
{
    char text[512];
    (void)hub_error_print(err, text, sizeof(text));
    (void)fprintf(stderr, "chartline: fatal: %s\n", text);
    _exit(1);
}

static void on_fatal(void *ctx, const struct hub_error *err)
{
    if (err->result == HUB_CORRUPT && hub_path_ends(err->path, "/index"))
        hub_snapshot_mark_damaged(ctx, HUB_SNAPSHOT_INDEX);
    hub_fatal(err);
}

/* One process a data directory. The lock file stays; only who holds it counts. */
static enum hub_result take_lock(struct hub *hub, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    HUB_TRY(hub->disk->ops->mkdir(hub->disk, hub->config->data_dir, err));
    HUB_TRY(hub_path(hub, "lock", path, err));
    hub->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (hub->lock_fd < 0) {
        (void)hub_fail_errno(err, HUB_IO, "the lock file cannot be opened", errno);
        return hub_error_in(err, path, 0);
    }
    if (flock(hub->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_BUSY, "another process uses this data directory",
                   "stop it, or ask it: commands do so by themselves while a hub runs");
    return hub_error_in(err, path, 0);
}

/* Policies and the feeds' mappings. */
static enum hub_result open_rules(struct hub *hub, struct hub_problems *problems)
{
    const struct hub_config *config = hub->config;
    hub->access = hub_roles_load(config->policy_access, config->folder, problems);
    enum hub_result result =
        hub_rules_open(config, NULL, hub->roles != HUB_RUN_OFFLINE, hub->registry, problems, &hub->rules);
    return hub->access == NULL ? HUB_CONFIG : result;
}

static uint64_t record_bytes_max(const struct hub_config *config)
{
    uint64_t most = config->limits.message_bytes < record_most / RECORD_FACTOR
                        ? config->limits.message_bytes * RECORD_FACTOR
                        : record_most;
    return most + RECORD_BASE < record_most ? most + RECORD_BASE : record_most;
}

static enum hub_result open_log(struct hub *hub, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    struct hub_log_options options = {.segment_bytes = hub->config->limits.segment_bytes,
                                      .record_bytes_max = record_bytes_max(hub->config),
                                      .recent_bytes = LOG_RECENT_BYTES};
    HUB_TRY(hub_path(hub, "log", path, err));
    return hub_log_open(path, hub->disk, &options, &hub->log, err);
}

/* A data directory with records and without its key store must not get new keys: what it holds could never be
 * opened, and nobody would notice. */
static enum hub_result limit_keys(struct hub *hub, struct hub_error *err)
{
    const struct hub_key_options *options = &hub->config->keys;
    hub->key_dates = hub_mem_array(options->on_count + 1, sizeof(*hub->key_dates));
    if (hub->key_dates == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    for (size_t i = 0; i < options->on_count; i++)
        HUB_ASSERT(hub_config_date(options->on[i], &hub->key_dates[i]));
    const struct hub_keys_limits limits = {.fields = options->fields,
                                           .bytes = options->bytes,
                                           .days = options->days,
                                           .dates_us = hub->key_dates,
                                           .date_count = options->on_count};
    hub_keys_limit(hub->keys, &limits);
    return HUB_OK;
}

static enum hub_result open_keys(struct hub *hub, struct hub_error *err)
{
    uint8_t *root = hub_secret_alloc(HUB_KEY_LEN);
    if (root == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no locked memory for keys",
                        "raise the limit of locked memory (ulimit -l)");
    enum hub_result result = hub_root_key_read(hub->config, root, err);
    if (result == HUB_OK)
        result = hub_keys_open(hub->config->key_store, root, hub->access, hub->clock,
                               hub_log_durable(hub->log) == 0, &hub->keys, err);
    hub_secret_free(root);
    return result == HUB_OK ? limit_keys(hub, err) : result;
}

/* *LOST: what is there cannot be used, or stands before the log's start. */
static enum hub_result open_timeline_store(struct hub *hub, const char *folder, bool *lost, struct hub_error *err)
{
    struct hub_kv_options options = {
        .families = hub_timeline_families(), .create = true, .bloom = true, .cache_bytes = TIMELINE_CACHE, .derived = true};
    struct hub_timeline_options timeline = {.chart_tokens = hub->config->limits.chart_tokens};
    uint64_t position = 0;
    for (size_t i = 0; i < hub->config->feed_count; i++)
        timeline.inverse_merge_reject =
            timeline.inverse_merge_reject || hub->config->feeds[i].inverse_merge_reject;
    enum hub_result result = hub_kv_open_rocksdb(folder, &options, &hub->timeline_kv, err);
    if (result == HUB_OK)
        result = hub_timeline_kv_position(hub->timeline_kv, &position, err);
    *lost = result == HUB_CORRUPT || (result == HUB_OK && position + 1 < hub_log_first(hub->log));
    if (result == HUB_OK && position > hub_log_durable(hub->log))
        return hub_fail(err, HUB_CORRUPT,
                        "the timeline has seen more than the event log holds: stored records were lost",
                        "restore the event log, or remove the timeline folder to have it built anew");
    if (result == HUB_OK && !*lost) {
        result = hub_timeline_open(hub->timeline_kv, &timeline, &hub->timeline, err);
        *lost = result == HUB_CORRUPT;
    }
    if (*lost) {
        hub_kv_close(hub->timeline_kv);
        hub->timeline_kv = NULL;
        return HUB_CORRUPT;
    }
    return result;
}

static int32_t partition_of(struct hub_span token, int32_t count)
{
    return hub_bus_partition(token, count);
}

/* With Kafka partitions come and go while the hub runs. */
static enum hub_result open_timeline(struct hub *hub, struct hub_error *err)
{
    const bool kafka = hub_config_uses_kafka(hub->config);
    hub->timelines = hub_timelines_new(kafka ? (int32_t)hub->config->kafka.topics.partitions : 1, partition_of);
    if (hub->timelines == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    if (kafka)
        return HUB_OK;
    HUB_TRY(hub_snapshot_open_store(hub, HUB_SNAPSHOT_TIMELINE, open_timeline_store, err));
    atomic_store(&hub->applied, hub_timeline_position(hub->timeline));
    hub_timelines_add(hub->timelines, 0, hub->timeline);
    return HUB_OK;
}

static enum hub_result open_index_store(struct hub *hub, const char *folder, bool *lost, struct hub_error *err)
{
    uint64_t position = 0;
    struct hub_kv *kv = NULL;
    enum hub_result result = hub_index_store_open(folder, &kv, err);
    *lost = result == HUB_CORRUPT;
    HUB_TRY(result);
    result = hub_index_kv_position(kv, hub->log, &position, err);
    *lost = hub_log_first(hub->log) > 1 && (result == HUB_CORRUPT || (result == HUB_OK && position + 1 < hub_log_first(hub->log)));
    *lost = *lost || (result == HUB_CORRUPT && hub_path_ends(err->path, "/index")); /* the store itself says so */
    if (*lost) {
        hub_kv_close(kv);
        return HUB_CORRUPT;
    }
    return hub_index_open_kv(kv, hub->log, &hub->index, err);
}

static void sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    hub_keys_sign(((struct hub *)ctx)->keys, text, signature);
}

static enum hub_result open_audit(struct hub *hub, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    char origin[256];
    struct hub_audit_signer signer = {
        .public_key = hub_keys_sign_public(hub->keys), .sign = sign, .ctx = hub};
    struct hub_audit_options options = {
        .folder = path, .origin = origin, .checkpoint_ms = CHECKPOINT_MS, .clock = hub->clock};
    HUB_TRY(hub_path(hub, "audit", path, err));
    (void)snprintf(origin, sizeof(origin), "chartline/%s", hub->config->name);
    return hub_audit_open(&options, hub->disk, hub->log, &signer, &hub->audit, err);
}

static enum hub_result start_commit(struct hub *hub, struct hub_error *err)
{
    const struct hub_limits *limits = &hub->config->limits;
    struct hub_commit_options options = {
        .queue = limits->queue,
        .wait_us = limits->commit_wait_us,
        .reserve_bytes = limits->reserve_bytes,
        .data_bytes = limits->data_bytes,
        .log_bytes = limits->log_bytes,
        .data_dir = hub->config->data_dir,
    };
    HUB_TRY(hub_snapshot_open_store(hub, HUB_SNAPSHOT_INDEX, open_index_store, err));
    return hub_commit_start(&options, hub->clock, hub->disk, hub->log, hub->index, hub->keys, on_fatal, hub,
                            &hub->commit, err);
}

/* A worker's thread: the auditor writes at once. */
static void wake_auditor(void *ctx)
{
    struct hub *hub = ctx;
    (void)pthread_mutex_lock(&hub->run_lock);
    hub->refused_waits = true;
    (void)pthread_cond_broadcast(&hub->run_changed);
    (void)pthread_mutex_unlock(&hub->run_lock);
}

static enum hub_result open_keeper(struct hub *hub, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    struct hub_commit_stats stats;
    HUB_TRY(hub_path(hub, "snapshots", path, err));
    HUB_TRY(hub->disk->ops->mkdir(hub->disk, path, err));
    HUB_TRY(hub_path(hub, "snapshots/clock", path, err));
    hub_commit_stats(hub->commit, &stats);
    HUB_TRY(hub_clock_watch_open(&hub->clock_watch, path, hub->clock, hub->disk, (int64_t)stats.last_recorded_us, err));
    return hub_keeper_open(hub, &hub->keeper, err);
}

static enum hub_result open_ingest(struct hub *hub, struct hub_error *err)
{
    struct hub_ingest *ingest = &hub->ingest;
    ingest->clock = hub->clock;
    ingest->keys = hub->keys;
    ingest->rules = hub->rules;
    ingest->commit = hub->commit;
    ingest->forward = hub->forward;
    ingest->index = hub->index;
    ingest->log = hub->log;
    ingest->event_bytes_max = hub_config_uses_kafka(hub->config) ? hub_bus_event_bytes_max(hub->config) : 0;
    ingest->wake = wake_auditor;
    ingest->wake_ctx = hub;
    ingest->record_bytes_max = record_bytes_max(hub->config);
    ingest->applied = (hub->roles & HUB_RUN_TIMELINE) != 0 && hub->timeline != NULL ? &hub->applied : NULL;
    ingest->timeline_lag = hub->config->limits.timeline_lag;
    HUB_TRY(hub_ingest_open(ingest, hub->config));
    hub->ingest_open = true;
    for (size_t i = 0; i < ingest->feed_count; i++) {
        bool paused = false;
        HUB_TRY(hub_index_feed_paused(hub->index, hub->config->feeds[i].id, &paused, err));
        atomic_store(&ingest->feeds[i].paused, paused);
    }
    return HUB_OK;
}

/* --- the whole --- */

static enum hub_result open_parts(struct hub *hub, struct hub_problems *problems, struct hub_error *err)
{
    HUB_TRY(hub_crypto_init());
    HUB_TRY(take_lock(hub, err));
    enum hub_result result = open_rules(hub, problems);
    if (result != HUB_OK)
        return hub_fail(err, result, "the policies or a feed cannot be used", "run `chartline check`");
    HUB_TRY(open_log(hub, err));
    HUB_TRY(open_keys(hub, err));
    HUB_TRY(start_commit(hub, err));
    HUB_TRY(open_audit(hub, err));
    HUB_TRY(open_timeline(hub, err));
    HUB_TRY(open_keeper(hub, err));
    HUB_TRY(hub_bus_start(hub, problems, err));
    HUB_TRY(open_ingest(hub, err));
    if (hub->roles == HUB_RUN_OFFLINE)
        return hub->timeline != NULL ? hub_apply_step(hub, NULL, err) : HUB_OK;
    HUB_TRY(hub_note_start(hub, err));
    hub->announced = true;
    return HUB_OK;
}

static void make_locks(struct hub *hub)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&hub->audit_lock, NULL);
    (void)pthread_mutex_init(&hub->apply_lock, NULL);
    (void)pthread_mutex_init(&hub->feed_lock, NULL);
    (void)pthread_mutex_init(&hub->order_lock, NULL);
    (void)pthread_mutex_init(&hub->run_lock, NULL);
    (void)pthread_cond_init(&hub->run_changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

enum hub_result hub_open(const struct hub_config *config, const struct hub_options *options,
                         const struct hub_registry *registry, struct hub_problems *problems, struct hub **out,
                         struct hub_error *err)
{
    *out = NULL;
    struct hub *hub = hub_mem_alloc(sizeof(*hub));
    if (hub == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the hub", NULL);
    hub->config = config;
    hub->registry = registry;
    hub->clock = options->clock != NULL ? options->clock : hub_clock_system();
    hub->disk = options->disk != NULL ? options->disk : hub_disk_system();
    hub->roles = options->roles;
    hub->lock_fd = -1;
    hub->started_us = hub_clock_wall_us(hub->clock);
    make_locks(hub);
    enum hub_result result = open_parts(hub, problems, err);
    if (result != HUB_OK) {
        hub_close(hub);
        return result;
    }
    *out = hub;
    return HUB_OK;
}

static void warn(const char *what, const struct hub_error *err)
{
    HUB_DIAG(HUB_DIAG_ERROR, component, "not closed in good order", hub_diag_configured("what", what),
             hub_diag_error(err));
}

void hub_close(struct hub *hub)
{
    struct hub_error err = {0};
    if (hub == NULL)
        return;
    if (hub->announced && hub_note_stop(hub, &err) != HUB_OK)
        warn("audit", &err);
    if (hub->commit != NULL)
        hub_commit_stop(hub->commit);
    hub_bus_stop(hub);
    hub_workers_close(hub);
    if (hub->ingest_open)
        hub_ingest_close(&hub->ingest);
    hub_keeper_close(hub->keeper);
    hub_clock_watch_close(&hub->clock_watch);
    bool clean = hub->commit != NULL;
    if (hub->audit != NULL && hub_audit_catch_up(hub, true, &err) != HUB_OK)
        warn("audit", &err);
    hub_audit_close(hub->audit);
    if (hub->timeline != NULL) {
        hub_timelines_remove(hub->timelines, 0);
        uint64_t position = hub_timeline_position(hub->timeline);
        if (!atomic_load(&hub->sick) && hub_timeline_flush(hub->timeline, position, true, &err) != HUB_OK)
            warn("timeline", &err);
        hub_timeline_close(hub->timeline);
    }
    hub_timelines_free(hub->timelines);
    hub_kv_close(hub->timeline_kv);
    hub_index_close(hub->index);
    hub_keys_close(hub->keys);
    hub_log_close(hub->log, clean);
    hub_rules_free(hub->rules);
    hub_access_close(hub);
    hub_mem_free(hub->key_dates);
    hub_mem_free(hub->trusted);
    if (hub->lock_fd >= 0)
        (void)close(hub->lock_fd);
    (void)pthread_mutex_destroy(&hub->audit_lock);
    (void)pthread_mutex_destroy(&hub->apply_lock);
    (void)pthread_mutex_destroy(&hub->feed_lock);
    (void)pthread_mutex_destroy(&hub->order_lock);
    (void)pthread_mutex_destroy(&hub->run_lock);
    (void)pthread_cond_destroy(&hub->run_changed);
    hub_mem_free(hub);
}
