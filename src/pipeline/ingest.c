#include "src/pipeline/intake.h"

#include <string.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/pipeline/intake_internal.h"

static const char component[] = "ingest";

void hub_ingest_control_token(struct hub_keys *keys, struct hub_span feed_id, struct hub_span sender,
                              struct hub_span control_id, struct hub_hash_token *out)
{
    const struct hub_span parts[] = {feed_id, sender, control_id};
    hub_keys_measure_token(keys, "control-id", parts, sizeof parts / sizeof *parts, out);
}

enum hub_result hub_ingest_open(struct hub_ingest *ingest, const struct hub_config *config)
{
    ingest->feeds = hub_mem_array(config->feed_count != 0 ? config->feed_count : 1, sizeof(*ingest->feeds));
    HUB_ENSURE(ingest->feeds != NULL, HUB_NO_MEMORY);
    (void)pthread_mutex_init(&ingest->lock, NULL);
    ingest->feed_count = config->feed_count;
    for (size_t i = 0; i < config->feed_count; i++)
        ingest->feeds[i].name = config->feeds[i].name;
    return HUB_OK;
}

bool hub_ingest_timeline_behind(const struct hub_ingest *ingest)
{
    if (ingest->applied == NULL || !atomic_load(&ingest->kept_up))
        return false;
    const uint64_t applied = atomic_load(ingest->applied), durable = hub_log_durable(ingest->log);
    return durable > applied && durable - applied > ingest->timeline_lag;
}

void hub_ingest_close(struct hub_ingest *ingest)
{
    if (ingest->feeds == NULL)
        return;
    for (size_t i = 0; i < ingest->authority_count; i++)
        hub_mem_free(ingest->authorities[i]);
    (void)pthread_mutex_destroy(&ingest->lock);
    hub_mem_free(ingest->feeds);
    ingest->feeds = NULL;
}

/* --- what transports tell --- */

void hub_intake_login_refused(struct hub_intake *intake, const struct hub_feed *feed,
                              const char *peer_address, const char *reason)
{
    struct hub_ingest *ingest = hub_intake_ingest(intake);
    struct hub_ingest_feed *counts = hub_intake_feed(intake, feed);
    atomic_fetch_add(&counts->logins_refused, 1);
    HUB_DIAG(HUB_DIAG_WARNING, component, "login refused", hub_diag_configured("feed", feed->name),
             hub_diag_configured("peer", peer_address), hub_diag_configured("reason", reason));
    (void)pthread_mutex_lock(&ingest->lock);
    bool first = hub_refused_note(&ingest->refused, counts->name, peer_address, reason);
    (void)pthread_mutex_unlock(&ingest->lock);
    if (first && ingest->wake != NULL)
        ingest->wake(ingest->wake_ctx);
}

size_t hub_ingest_take_refused(struct hub_ingest *ingest, bool end, struct hub_refused out[HUB_REFUSED_MAX],
                               uint64_t *more)
{
    (void)pthread_mutex_lock(&ingest->lock);
    size_t count = hub_refused_take(&ingest->refused, end, out, more);
    (void)pthread_mutex_unlock(&ingest->lock);
    return count;
}

void hub_intake_frame_refused(struct hub_intake *intake, const struct hub_feed *feed,
                              const char *peer_address, const char *reason)
{
    atomic_fetch_add(&hub_intake_feed(intake, feed)->frames_refused, 1);
    HUB_DIAG(HUB_DIAG_WARNING, component, "connection closed", hub_diag_configured("feed", feed->name),
             hub_diag_configured("peer", peer_address), hub_diag_configured("reason", reason));
}

void hub_intake_noise(struct hub_intake *intake, const struct hub_feed *feed, const char *peer_address,
                      uint64_t bytes, bool first)
{
    atomic_fetch_add(&hub_intake_feed(intake, feed)->noise_bytes, bytes);
    if (first)
        HUB_DIAG(HUB_DIAG_WARNING, component, "bytes between frames are skipped",
                 hub_diag_configured("feed", feed->name), hub_diag_configured("peer", peer_address),
                 hub_diag_number("bytes", (int64_t)bytes));
}

void hub_intake_connections(struct hub_intake *intake, const struct hub_feed *feed, int change)
{
    atomic_fetch_add(&hub_intake_feed(intake, feed)->connections, change);
    atomic_fetch_add(&hub_intake_ingest(intake)->connections, change);
}

bool hub_intake_admit(struct hub_intake *intake)
{
    const struct hub_ingest *ingest = hub_intake_ingest(intake);
    return atomic_load(&ingest->connections) < (long long)hub_intake_config(intake)->limits.connections;
}
