#include "src/pipeline/snapshot.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/crash.h"
#include "src/base/diag.h"
#include "src/crypto/state_file.h"

enum { MANIFEST_MAX = 4096, NUMBER_DIGITS = 10 };

static const char component[] = "snapshot";
static const char title[] = "chartline snapshot 1";
static const char *const store_names[] = {"timeline", "index"};

static const char *const *families_of(enum hub_snapshot_store store)
{
    return store == HUB_SNAPSHOT_TIMELINE ? hub_timeline_families() : hub_index_families();
}

/* --- places --- */

/* <data_dir>/snapshots[/NUMBER[/NAME]]; NUMBER 0: the folder of all. */
static enum hub_result place(const struct hub *hub, uint64_t number, const char *name, char out[HUB_PATH_MAX],
                             struct hub_error *err)
{
    int len = number == 0 ? snprintf(out, HUB_PATH_MAX, "%s/snapshots", hub->config->data_dir)
                          : snprintf(out, HUB_PATH_MAX, "%s/snapshots/%010llu%s%s", hub->config->data_dir,
                                     (unsigned long long)number, name != NULL ? "/" : "", name != NULL ? name : "");
    if (len < 0 || len >= HUB_PATH_MAX)
        return hub_fail(err, HUB_CONFIG, "the data directory's path is too long", "choose a shorter hub.data_dir");
    return HUB_OK;
}

/* The largest number of a folder in snapshots/ that is below BELOW; 0: none. */
static uint64_t number_below(const struct hub *hub, uint64_t below)
{
    char path[HUB_PATH_MAX];
    uint64_t found = 0;
    DIR *dir = place(hub, 0, NULL, path, NULL) == HUB_OK ? opendir(path) : NULL;
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        uint64_t number = 0;
        if (strlen(entry->d_name) == NUMBER_DIGITS && hub_span_parse_u64(hub_span_str(entry->d_name), &number) &&
            number < below && number > found)
            found = number;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return found;
}

/* Without its manifest first: a part of a snapshot is none. */
static enum hub_result drop(struct hub *hub, uint64_t number, struct hub_error *err)
{
    static const char *const folders[] = {"timeline", "timeline.tmp", "index", "index.tmp"};
    static const char *const files[] = {"manifest", "manifest.new"};
    char path[HUB_PATH_MAX];
    char folder[HUB_PATH_MAX];
    struct hub_disk *disk = hub->disk;
    HUB_TRY(place(hub, number, NULL, folder, err));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        HUB_TRY(place(hub, number, files[i], path, err));
        enum hub_result result = disk->ops->unlink(disk, path, err);
        HUB_TRY(result == HUB_NOT_FOUND ? HUB_OK : result);
    }
    HUB_TRY(disk->ops->sync_dir(disk, folder, err));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        HUB_TRY(place(hub, number, folders[i], path, err));
        HUB_TRY(hub_kv_remove_rocksdb(disk, path, err));
    }
    (void)rmdir(folder); /* what a stranger put there stays, and is no snapshot */
    return HUB_OK;
}

/* --- the manifest --- */

static void write_manifest(struct hub_buf *out, const struct hub *hub, const struct hub_snapshot *snapshot)
{
    char time[HUB_TIME_TEXT_LEN + 1];
    uint8_t id[16];
    hub_log_id(hub->log, id);
    hub_time_format(snapshot->taken_us, time);
    hub_state_file_begin(out, title);
    hub_state_file_hex(out, "log", hub_span_of(id, sizeof(id)));
    hub_state_file_text(out, "taken", hub_span_str(time));
    hub_state_file_number(out, "timeline", snapshot->timeline);
    hub_state_file_hex(out, "state", hub_span_of(snapshot->state, sizeof(snapshot->state)));
    hub_state_file_hex(out, "timeline_sum", hub_span_of(snapshot->timeline_sum, sizeof(snapshot->timeline_sum)));
    hub_state_file_number(out, "index", snapshot->index);
    hub_state_file_hex(out, "index_sum", hub_span_of(snapshot->index_sum, sizeof(snapshot->index_sum)));
    hub_state_file_end(out);
}

static bool parse_manifest(struct hub_span text, uint8_t id[16], struct hub_snapshot *out)
{
    struct hub_span rest;
    struct hub_span time;
    return hub_state_file_open(text, title, &rest) == HUB_OK && hub_state_file_take_hex(&rest, "log", id, 16) &&
           hub_state_file_take(&rest, "taken", &time) &&
           hub_time_parse((const char *)time.ptr, time.len, &out->taken_us) == 0 &&
           hub_state_file_take_number(&rest, "timeline", &out->timeline) &&
           hub_state_file_take_hex(&rest, "state", out->state, sizeof(out->state)) &&
           hub_state_file_take_hex(&rest, "timeline_sum", out->timeline_sum, sizeof(out->timeline_sum)) &&
           hub_state_file_take_number(&rest, "index", &out->index) &&
           hub_state_file_take_hex(&rest, "index_sum", out->index_sum, sizeof(out->index_sum)) && rest.len == 0;
}

static enum hub_result store_manifest(struct hub *hub, const struct hub_snapshot *snapshot, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    struct hub_buf text;
    HUB_TRY(place(hub, snapshot->number, "manifest", path, err));
    hub_buf_init(&text, MANIFEST_MAX, false);
    write_manifest(&text, hub, snapshot);
    enum hub_result result = hub_buf_result(&text);
    if (result == HUB_OK)
        result = hub_disk_replace(hub->disk, path, hub_buf_view(&text), err);
    hub_buf_deinit(&text);
    return result;
}

/* HUB_NOT_FOUND: it is none of this log. */
static enum hub_result read_manifest(struct hub *hub, uint64_t number, struct hub_snapshot *out, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    uint8_t text[MANIFEST_MAX];
    uint8_t id[16];
    uint8_t own[16];
    size_t got = 0;
    int fd = -1;
    *out = (struct hub_snapshot){.number = number};
    HUB_TRY(place(hub, number, "manifest", path, err));
    HUB_TRY(hub->disk->ops->open(hub->disk, path, HUB_DISK_READ, &fd, err));
    enum hub_result result = hub->disk->ops->read(hub->disk, fd, 0, text, sizeof(text), &got, err);
    hub->disk->ops->close(hub->disk, fd);
    HUB_TRY(result);
    hub_log_id(hub->log, own);
    return parse_manifest(hub_span_of(text, got), id, out) && memcmp(id, own, sizeof(own)) == 0 ? HUB_OK : HUB_NOT_FOUND;
}

static enum hub_result newest_below(struct hub *hub, uint64_t below, struct hub_snapshot *out, struct hub_error *err)
{
    for (uint64_t number = number_below(hub, below); number != 0; number = number_below(hub, number)) {
        enum hub_result result = read_manifest(hub, number, out, err);
        if (result != HUB_NOT_FOUND)
            return result;
    }
    return hub_fail(err, HUB_NOT_FOUND, "there is no snapshot", "`chartline log snapshot` takes one");
}

enum hub_result hub_snapshot_newest(struct hub *hub, struct hub_snapshot *out, struct hub_error *err)
{
    return newest_below(hub, UINT64_MAX, out, err);
}

/* --- verifying --- */

/* Opens the copy in FOLDER and sums it up. */
static enum hub_result look_into(struct hub *hub, enum hub_snapshot_store store, const char *folder, uint64_t *position,
                                 uint8_t all[32], uint8_t state[32], struct hub_error *err)
{
    const struct hub_kv_options options = {
        .families = families_of(store), .read_only = true, .derived = store == HUB_SNAPSHOT_TIMELINE};
    struct hub_kv *kv = NULL;
    HUB_TRY(hub_kv_open_rocksdb(folder, &options, &kv, err));
    enum hub_result result = store == HUB_SNAPSHOT_TIMELINE ? hub_timeline_kv_position(kv, position, err)
                                                            : hub_index_kv_position(kv, hub->log, position, err);
    struct hub_digest_view *view = result == HUB_OK ? hub_digest_view_new(kv, families_of(store)) : NULL;
    if (result == HUB_OK)
        result = view != NULL ? hub_digest_view_sum(view, &hub->stopping, all, state, err)
                              : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_digest_view_free(view);
    hub_kv_close(kv);
    return result;
}

static enum hub_result differs(struct hub_error *err, const char *folder)
{
    (void)hub_fail(err, HUB_CORRUPT, "a snapshot does not hold what was recorded of it", "take another one; look at the disk");
    return hub_error_in(err, folder, 0);
}

static enum hub_result verify_store(struct hub *hub, const struct hub_snapshot *snapshot, enum hub_snapshot_store store,
                                    struct hub_error *err)
{
    char folder[HUB_PATH_MAX];
    uint8_t all[32];
    uint8_t state[32];
    uint64_t position = 0;
    bool timeline = store == HUB_SNAPSHOT_TIMELINE;
    HUB_TRY(place(hub, snapshot->number, store_names[store], folder, err));
    HUB_TRY(look_into(hub, store, folder, &position, all, timeline ? state : NULL, err));
    bool same = timeline ? position == snapshot->timeline && memcmp(all, snapshot->timeline_sum, 32) == 0 &&
                               memcmp(state, snapshot->state, 32) == 0
                         : position == snapshot->index && memcmp(all, snapshot->index_sum, 32) == 0;
    return same ? HUB_OK : differs(err, folder);
}

enum hub_result hub_snapshot_verify(struct hub *hub, const struct hub_snapshot *snapshot, struct hub_error *err)
{
    if (hub->timeline != NULL)
        HUB_TRY(verify_store(hub, snapshot, HUB_SNAPSHOT_TIMELINE, err));
    return verify_store(hub, snapshot, HUB_SNAPSHOT_INDEX, err);
}

/* --- taking --- */

/* The copy and a view of the same moment: the applier stands between two batches. */
static enum hub_result copy_timeline(struct hub *hub, struct hub_snapshot *snapshot, struct hub_digest_view **view,
                                     struct hub_error *err)
{
    char folder[HUB_PATH_MAX];
    HUB_TRY(place(hub, snapshot->number, "timeline", folder, err));
    atomic_store(&hub->apply_wanted, true);
    (void)pthread_mutex_lock(&hub->apply_lock);
    atomic_store(&hub->apply_wanted, false);
    snapshot->timeline = hub_timeline_position(hub->timeline);
    *view = hub_digest_view_new(hub->timeline_kv, hub_timeline_families());
    enum hub_result result = *view != NULL ? hub_kv_checkpoint(hub->timeline_kv, folder, err)
                                           : hub_fail(err, HUB_NO_MEMORY, "no memory for a snapshot", NULL);
    (void)pthread_mutex_unlock(&hub->apply_lock);
    return result;
}

static enum hub_result take_timeline(struct hub *hub, struct hub_snapshot *snapshot, struct hub_error *err)
{
    struct hub_digest_view *view = NULL;
    char folder[HUB_PATH_MAX];
    uint8_t all[32];
    uint8_t state[32];
    uint64_t position = 0;
    enum hub_result result = copy_timeline(hub, snapshot, &view, err);
    if (result == HUB_OK)
        result = hub_digest_view_sum(view, &hub->stopping, snapshot->timeline_sum, snapshot->state, err);
    hub_digest_view_free(view);
    HUB_TRY(result);
    HUB_TRY(place(hub, snapshot->number, "timeline", folder, err));
    HUB_TRY(look_into(hub, HUB_SNAPSHOT_TIMELINE, folder, &position, all, state, err));
    bool same = position == snapshot->timeline && memcmp(all, snapshot->timeline_sum, 32) == 0 &&
                memcmp(state, snapshot->state, 32) == 0;
    return same ? HUB_OK : differs(err, folder);
}

static enum hub_result take_index(struct hub *hub, struct hub_snapshot *snapshot, struct hub_error *err)
{
    char folder[HUB_PATH_MAX];
    uint64_t before = 0;
    HUB_TRY(hub_index_kv_position(hub_index_kv(hub->index), hub->log, &before, err));
    HUB_TRY(place(hub, snapshot->number, "index", folder, err));
    HUB_TRY(hub_kv_checkpoint(hub_index_kv(hub->index), folder, err));
    HUB_TRY(look_into(hub, HUB_SNAPSHOT_INDEX, folder, &snapshot->index, snapshot->index_sum, NULL, err));
    return snapshot->index >= before ? HUB_OK : differs(err, folder);
}

static enum hub_result take(struct hub *hub, struct hub_snapshot *snapshot, struct hub_error *err)
{
    char all[HUB_PATH_MAX];
    char own[HUB_PATH_MAX];
    HUB_TRY(place(hub, 0, NULL, all, err));
    HUB_TRY(place(hub, snapshot->number, NULL, own, err));
    HUB_TRY(hub->disk->ops->mkdir(hub->disk, own, err));
    hub_crash_point(HUB_CRASH_SNAPSHOT_BEGIN);
    if (hub->timeline != NULL)
        HUB_TRY(take_timeline(hub, snapshot, err));
    hub_crash_point(HUB_CRASH_SNAPSHOT_TIMELINE);
    HUB_TRY(take_index(hub, snapshot, err));
    if (hub->timeline == NULL) /* it follows the bus, and the bus the forwarder's own position */
        snapshot->timeline = snapshot->index;
    hub_crash_point(HUB_CRASH_SNAPSHOT_INDEX);
    HUB_TRY(hub->disk->ops->sync_dir(hub->disk, own, err));
    HUB_TRY(hub->disk->ops->sync_dir(hub->disk, all, err));
    HUB_TRY(hub->disk->ops->sync_dir(hub->disk, hub->config->data_dir, err));
    hub_crash_point(HUB_CRASH_SNAPSHOT_VERIFIED);
    HUB_TRY(store_manifest(hub, snapshot, err));
    hub_crash_point(HUB_CRASH_SNAPSHOT_DONE);
    return HUB_OK;
}

enum hub_result hub_snapshot_take(struct hub *hub, struct hub_snapshot *out, struct hub_error *err)
{
    struct hub_error ignored = {0};
    *out = (struct hub_snapshot){.number = number_below(hub, UINT64_MAX) + 1, .taken_us = hub_clock_wall_us(hub->clock)};
    enum hub_result result = take(hub, out, err);
    if (result != HUB_OK) {
        (void)drop(hub, out->number, &ignored);
        return result;
    }
    for (uint64_t old = number_below(hub, out->number); old != 0 && drop(hub, old, &ignored) == HUB_OK;
         old = number_below(hub, old))
        ;
    HUB_DIAG(HUB_DIAG_NOTICE, component, "taken and verified", hub_diag_number("snapshot", (int64_t)out->number),
             hub_diag_number("timeline_record", (int64_t)out->timeline),
             hub_diag_number("index_record", (int64_t)out->index));
    return HUB_OK;
}

void hub_snapshot_clean(struct hub *hub)
{
    struct hub_snapshot newest;
    struct hub_error ignored = {0};
    bool good = false; /* a whole one was seen: all older ones go */
    for (uint64_t number = number_below(hub, UINT64_MAX); number != 0; number = number_below(hub, number)) {
        bool whole = read_manifest(hub, number, &newest, &ignored) == HUB_OK;
        if ((!whole || good) && drop(hub, number, &ignored) != HUB_OK)
            HUB_DIAG(HUB_DIAG_WARNING, component, "an old snapshot cannot be removed", hub_diag_error(&ignored));
        good = good || whole;
    }
}

/* --- putting back --- */

static enum hub_result put_back(struct hub *hub, const struct hub_snapshot *snapshot, enum hub_snapshot_store store,
                                struct hub_error *err)
{
    char from[HUB_PATH_MAX];
    char to[HUB_PATH_MAX];
    char beside[HUB_PATH_MAX];
    char name[32];
    struct hub_disk *disk = hub->disk;
    HUB_TRY(place(hub, snapshot->number, store_names[store], from, err));
    HUB_TRY(hub_path(hub, store_names[store], to, err));
    (void)snprintf(name, sizeof(name), "%s.restore", store_names[store]);
    HUB_TRY(hub_path(hub, name, beside, err));
    HUB_TRY(hub_kv_remove_rocksdb(disk, beside, err));
    HUB_TRY(hub_kv_copy_rocksdb(disk, from, beside, err));
    HUB_TRY(hub_kv_remove_rocksdb(disk, to, err));
    HUB_TRY(disk->ops->rename(disk, beside, to, err));
    return disk->ops->sync_dir(disk, hub->config->data_dir, err);
}

static enum hub_result mark_path(struct hub *hub, enum hub_snapshot_store store, char out[HUB_PATH_MAX],
                                 struct hub_error *err)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "%s.damaged", store_names[store]);
    return hub_path(hub, name, out, err);
}

void hub_snapshot_mark_damaged(struct hub *hub, enum hub_snapshot_store store)
{
    char path[HUB_PATH_MAX];
    struct hub_error err = {0};
    if (mark_path(hub, store, path, &err) != HUB_OK ||
        hub_disk_replace(hub->disk, path, HUB_SPAN("put back, or made again, at the next start\n"), &err) != HUB_OK)
        HUB_DIAG(HUB_DIAG_WARNING, component, "cannot note that a store is damaged: remove its folder before the next start",
                 hub_diag_configured("store", store_names[store]), hub_diag_error(&err));
}

enum hub_result hub_snapshot_restore(struct hub *hub, enum hub_snapshot_store store, struct hub_error *err)
{
    struct hub_snapshot snapshot = {.number = UINT64_MAX};
    char path[HUB_PATH_MAX];
    enum hub_result result = HUB_CORRUPT;
    while (result == HUB_CORRUPT) { /* a bad one is passed over, and stays to be looked at */
        HUB_TRY(newest_below(hub, snapshot.number, &snapshot, err));
        result = verify_store(hub, &snapshot, store, err);
        if (result == HUB_CORRUPT)
            HUB_DIAG(HUB_DIAG_ERROR, component, "a snapshot is damaged and not used", hub_diag_error(err));
    }
    HUB_TRY(result);
    HUB_TRY(put_back(hub, &snapshot, store, err));
    HUB_TRY(mark_path(hub, store, path, err));
    result = hub->disk->ops->unlink(hub->disk, path, err);
    HUB_TRY(result == HUB_NOT_FOUND ? HUB_OK : result);
    HUB_DIAG(HUB_DIAG_WARNING, component, "a store was lost or damaged: put back, the rest comes from the event log",
             hub_diag_configured("store", store_names[store]), hub_diag_number("snapshot", (int64_t)snapshot.number),
             hub_diag_number("record", (int64_t)(store == HUB_SNAPSHOT_TIMELINE ? snapshot.timeline : snapshot.index)));
    return HUB_OK;
}

static bool is_lost(struct hub *hub, enum hub_snapshot_store store, const char *folder)
{
    char path[HUB_PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/CURRENT", folder);
    if (len < 0 || (size_t)len >= sizeof(path) || access(path, F_OK) != 0)
        return true;
    return mark_path(hub, store, path, NULL) == HUB_OK && access(path, F_OK) == 0;
}

static enum hub_result nothing_to_put_back(enum hub_snapshot_store store, struct hub_error *err)
{
    (void)hub_fail(err, HUB_CORRUPT, "a store is lost, no snapshot is left, and what it came from was retired",
                   "restore its folder, or the folder snapshots, from a copy");
    return hub_error_in(err, store_names[store], 0);
}

/* The event log holds everything the store was made from: what is left of it goes, and it is made again. */
static enum hub_result make_anew(struct hub *hub, enum hub_snapshot_store store, const char *folder, struct hub_error *err)
{
    char path[HUB_PATH_MAX];
    HUB_TRY(hub_kv_remove_rocksdb(hub->disk, folder, err));
    HUB_TRY(mark_path(hub, store, path, err));
    enum hub_result result = hub->disk->ops->unlink(hub->disk, path, err);
    HUB_TRY(result == HUB_NOT_FOUND ? HUB_OK : result);
    if (hub_log_durable(hub->log) != 0)
        HUB_DIAG(HUB_DIAG_WARNING, component, "a store was lost or damaged: it is made again from the event log",
                 hub_diag_configured("store", store_names[store]));
    return HUB_OK;
}

enum hub_result hub_snapshot_open_store(struct hub *hub, enum hub_snapshot_store store,
                                        enum hub_result (*open)(struct hub *hub, const char *folder, bool *lost,
                                                                struct hub_error *err),
                                        struct hub_error *err)
{
    char folder[HUB_PATH_MAX];
    struct hub_error other = {0};
    bool lost = false;
    bool whole = hub_log_first(hub->log) == 1;
    HUB_TRY(hub_path(hub, store_names[store], folder, err));
    bool missing = is_lost(hub, store, folder);
    enum hub_result result = missing ? HUB_CORRUPT : open(hub, folder, &lost, err);
    if (!missing && !lost)
        return result;
    enum hub_result restored = hub_snapshot_restore(hub, store, &other);
    if (restored == HUB_NOT_FOUND && !whole)
        return nothing_to_put_back(store, err);
    if (restored != HUB_OK && restored != HUB_NOT_FOUND) {
        *err = other;
        return restored;
    }
    if (restored == HUB_NOT_FOUND)
        HUB_TRY(make_anew(hub, store, folder, err));
    return open(hub, folder, &lost, err);
}
