#include "src/base/mem.h"
#include "src/pipeline/session.h"

static void member(struct hub_buf *out, const char *name, uint64_t number)
{
    if (out->len > 1 && out->ptr[out->len - 1] != '{')
        hub_buf_append_byte(out, ',');
    hub_json_write_string(out, hub_span_str(name));
    hub_buf_append_byte(out, ':');
    hub_buf_append_u64(out, number);
}

static void text_member(struct hub_buf *out, const char *name, const char *text)
{
    if (out->len > 1 && out->ptr[out->len - 1] != '{')
        hub_buf_append_byte(out, ',');
    hub_json_write_string(out, hub_span_str(name));
    hub_buf_append_byte(out, ':');
    hub_json_write_string(out, hub_span_str(text));
}

static const char *feed_state(struct hub *hub, size_t at, bool live)
{
    if (atomic_load(&hub->ingest.feeds[at].paused))
        return "paused";
    if (!live)
        return "stopped";
    return atomic_load(&hub->stopping) ? "draining" : "listening";
}

static void add_feed(struct hub *hub, size_t at, struct hub_buf *out)
{
    const struct hub_feed *feed = &hub->config->feeds[at];
    bool live = at < hub->ingest.feed_count && hub->worker_count != 0;
    hub_buf_append_byte(out, '{');
    text_member(out, "name", feed->name);
    text_member(out, "id", feed->id);
    text_member(out, "state", feed_state(hub, at, live));
    text_member(out, "transport", feed->transport);
    text_member(out, "listen", feed->listen != NULL ? feed->listen : "");
    if (live) {
        const struct hub_ingest_feed *counts = &hub->ingest.feeds[at];
        char time[HUB_TIME_TEXT_LEN + 1];
        member(out, "connections", (uint64_t)atomic_load(&counts->connections));
        member(out, "received", atomic_load(&counts->received));
        member(out, "accepted", atomic_load(&counts->accepted));
        member(out, "rejected", atomic_load(&counts->rejected));
        member(out, "duplicates", atomic_load(&counts->duplicates));
        member(out, "failed", atomic_load(&counts->failed));
        member(out, "bytes", atomic_load(&counts->bytes));
        member(out, "logins_refused", atomic_load(&counts->logins_refused));
        member(out, "frames_refused", atomic_load(&counts->frames_refused));
        member(out, "sequence_gaps", atomic_load(&counts->sequence_gaps));
        member(out, "noise_bytes", atomic_load(&counts->noise_bytes));
        member(out, "zone_overruled", atomic_load(&counts->zone_overruled));
        member(out, "parts", atomic_load(&counts->parts));
        member(out, "batches", atomic_load(&counts->batches));
        member(out, "batches_faulty", atomic_load(&counts->batches_faulty));
        if (atomic_load(&counts->last_us) != 0) {
            hub_time_format(atomic_load(&counts->last_us), time);
            text_member(out, "last", time);
        }
    } else {
        member(out, "connections", 0);
    }
    hub_buf_append_byte(out, '}');
}

static void add_authorities(struct hub *hub, struct hub_buf *out)
{
    hub_buf_append_str(out, ",\"unknown_authorities\":[");
    if (hub->ingest_open) {
        (void)pthread_mutex_lock(&hub->ingest.lock);
        for (size_t i = 0; i < hub->ingest.authority_count; i++) {
            if (i != 0)
                hub_buf_append_byte(out, ',');
            hub_json_write_string(out, hub_span_str(hub->ingest.authorities[i]));
        }
        (void)pthread_mutex_unlock(&hub->ingest.lock);
    }
    hub_buf_append_byte(out, ']');
}

/* What went to Kafka, and why nothing does. */
static void add_bus(struct hub *hub, struct hub_buf *out)
{
    struct hub_forward_stats stats;
    if (hub->forward == NULL)
        return;
    hub_forward_stats(hub->forward, &stats);
    hub_buf_append_str(out, ",\"bus\":{");
    text_member(out, "kind", "kafka");
    text_member(out, "state", stats.state);
    if (stats.trouble.result != HUB_OK) {
        char text[512];
        (void)hub_error_print(&stats.trouble, text, sizeof text);
        text_member(out, "trouble", text);
    }
    member(out, "position", stats.delivered);
    member(out, "held", stats.held);
    member(out, "lag", stats.lag);
    member(out, "delivered", stats.events);
    member(out, "delivered_bytes", stats.bytes);
    member(out, "rate", stats.rate);
    member(out, "waiting", stats.waiting);
    member(out, "holding", stats.holding);
    member(out, "latency_p50_us", (uint64_t)stats.latency_p50_us);
    member(out, "latency_p99_us", (uint64_t)stats.latency_p99_us);
    member(out, "retries", stats.retries);
    member(out, "rebuilds", stats.rebuilds);
    if (stats.brokers_known) /* nobody shall read "0" while nothing has counted them */
        member(out, "brokers_up", stats.brokers_up);
    hub_buf_append_byte(out, '}');
}

static void add_part(const struct hub_unify_part_stats *part, struct hub_buf *out)
{
    hub_buf_append_byte(out, '{');
    member(out, "partition", (uint64_t)part->number);
    text_member(out, "state", part->state);
    if (part->position >= 0)
        member(out, "position", (uint64_t)part->position);
    member(out, "lag", part->lag);
    if (part->gap != 0)
        member(out, "gap", part->gap);
    hub_buf_append_byte(out, '}');
}

static void add_parts(struct hub *hub, struct hub_buf *out)
{
    const size_t cap = hub->config->kafka.topics.partitions;
    struct hub_unify_part_stats *parts = hub_mem_array(cap, sizeof *parts);
    const size_t count = parts != NULL ? hub_unify_parts(hub->unify, parts, cap) : 0;
    hub_buf_append_str(out, ",\"partitions\":[");
    for (size_t i = 0; i < count; i++) {
        if (i != 0)
            hub_buf_append_byte(out, ',');
        add_part(&parts[i], out);
    }
    hub_buf_append_byte(out, ']');
    hub_mem_free(parts);
}

/* The timeline on Kafka, as far as this process has it. */
static void add_unify(struct hub *hub, const struct hub_unify_stats *s, struct hub_buf *out)
{
    hub_buf_append_str(out, ",\"timeline\":{");
    text_member(out, "state", s->state);
    text_member(out, "instance", hub_bus_setup_instance(hub->bus));
    if (s->trouble.result != HUB_OK) {
        char text[512];
        (void)hub_error_print(&s->trouble, text, sizeof text);
        text_member(out, "trouble", text);
    }
    member(out, "owned", s->owned);
    member(out, "ready", s->ready);
    member(out, "lag", s->lag);
    member(out, "applied", s->applied);
    member(out, "rate", s->rate);
    member(out, "identity_lag", s->identity_lag);
    member(out, "identity", s->identity);
    member(out, "restores", s->restores);
    member(out, "restored", s->restored);
    member(out, "rebuilt", s->rebuilt);
    member(out, "rebalances", s->rebalances);
    member(out, "fenced", s->fenced);
    member(out, "untrusted", s->untrusted);
    member(out, "unreadable", s->unreadable);
    member(out, "unknown_facts", s->unknown_facts);
    member(out, "truncations", s->truncations);
    member(out, "gap", s->gap);
    add_parts(hub, out);
    hub_buf_append_byte(out, '}');
}

/* Events in the timeline, comparable with the count of events: equal to it exactly when nothing waits, else
 * no more than would be there if each waiting record held one. */
static uint64_t events_applied(uint64_t events, uint64_t lag)
{
    return events > lag ? events - lag : 0;
}

static const char *timeline_state(struct hub *hub)
{
    if (atomic_load(&hub->sick))
        return "failed";
    if (atomic_load(&hub->lagging))
        return "waiting";
    return hub_ingest_timeline_behind(&hub->ingest) ? "behind" : "ok";
}

/* Records of the log, and with Kafka of the bus, that the timeline does not have yet. */
static uint64_t lag_of(struct hub *hub, uint64_t durable, struct hub_unify_stats *unify)
{
    enum { LOOK_MS = 500 };
    if (hub->timeline != NULL) {
        const uint64_t position = hub_timeline_position(hub->timeline);
        return durable > position ? durable - position : 0;
    }
    struct hub_forward_stats forward = {0};
    if (hub->forward != NULL)
        hub_forward_stats(hub->forward, &forward);
    if (hub->unify != NULL) {
        hub_unify_look(hub->unify, LOOK_MS);
        hub_unify_stats(hub->unify, unify);
    }
    return forward.lag + unify->lag + (hub->unify != NULL && unify->ready < unify->owned);
}

static const char *room_text(enum hub_commit_room room)
{
    switch (room) {
    case HUB_ROOM_OK:
        break;
    case HUB_ROOM_RESERVE:
        return "free space is below limits.reserve_bytes: enlarge the disk or remove other files";
    case HUB_ROOM_DATA_QUOTA:
        return "limits.data_bytes is reached: raise it or retire records (chartline log retain)";
    case HUB_ROOM_LOG_QUOTA:
        return "limits.log_bytes is reached: raise it or retire records (chartline log retain)";
    case HUB_ROOM_DISK:
        return "the disk of the event log is full: make room";
    case HUB_ROOM_INDEX:
        return "the message index cannot be written: make room, look at the disk";
    }
    return "";
}

enum hub_result hub_service_status(struct hub_request *request, struct hub_error *err)
{
    struct hub *hub = request->hub;
    struct hub_commit_stats stats;
    struct hub_buf out;
    char time[HUB_TIME_TEXT_LEN + 1];
    /* In this order, so that no event counted here is later than what is compared with. */
    hub_commit_stats(hub->commit, &stats);
    uint64_t durable = hub_log_durable(hub->log);
    struct hub_unify_stats unify = {0};
    uint64_t lag = lag_of(hub, durable, &unify);
    hub_buf_init(&out, 1024 * 1024, false);
    hub_buf_append_byte(&out, '{');
    text_member(&out, "name", hub->config->name);
    text_member(&out, "state",
                hub->roles == HUB_RUN_OFFLINE ? "offline"
                : atomic_load(&hub->stopping) ? "stopping"
                                              : "running");
    hub_time_format(hub->started_us, time);
    if (hub->roles != HUB_RUN_OFFLINE)
        text_member(&out, "started", time);
    member(&out, "messages", stats.messages);
    member(&out, "events", stats.events);
    member(&out, "rejected", stats.rejected);
    member(&out, "deadletters", stats.dead_letters);
    member(&out, "duplicates", stats.duplicates);
    member(&out, "revised", stats.revised);
    if (stats.last_recorded_us != 0) {
        hub_time_format((int64_t)stats.last_recorded_us, time);
        text_member(&out, "last_recorded", time);
    }
    member(&out, "log_bytes", hub_log_bytes(hub->log));
    member(&out, "log_first", hub_log_first(hub->log));
    member(&out, "records", durable);
    member(&out, "applied", events_applied(stats.events, lag));
    member(&out, "lag", lag);
    enum hub_commit_room room = hub_commit_room(hub->commit);
    text_member(&out, "space", room != HUB_ROOM_OK || hub_commit_full(hub->commit) ? "full" : "ok");
    if (room != HUB_ROOM_OK)
        text_member(&out, "space_why", room_text(room));
    int64_t clock_off_us = 0;
    text_member(&out, "clock", hub_clock_state_name(hub_clock_watch_state(&hub->clock_watch, &clock_off_us)));
    if (clock_off_us != 0)
        member(&out, "clock_off_s", (uint64_t)clock_off_us / 1000000);
    if (hub->unify != NULL)
        add_unify(hub, &unify, &out);
    else if (hub->timeline != NULL)
        text_member(&out, "timeline", timeline_state(hub));
    member(&out, "audit_entries", hub_audit_size(hub->audit));
    member(&out, "connections", hub->ingest_open ? (uint64_t)atomic_load(&hub->ingest.connections) : 0);
    member(&out, "in_flight_bytes", hub->ingest_open ? atomic_load(&hub->ingest.in_flight_bytes) : 0);
    add_bus(hub, &out);
    hub_buf_append_str(&out, ",\"feeds\":[");
    for (size_t i = 0; i < hub->config->feed_count; i++) {
        if (i != 0)
            hub_buf_append_byte(&out, ',');
        add_feed(hub, i, &out);
    }
    hub_buf_append_byte(&out, ']');
    add_authorities(hub, &out);
    hub_buf_append_byte(&out, '}');
    enum hub_result result = hub_buf_result(&out);
    struct hub_json *status = NULL; /* answers have their members in bytewise order */
    if (result == HUB_OK)
        result = hub_json_parse(request->arena, hub_buf_view(&out), &status, err);
    if (result == HUB_OK)
        result = hub_answer_json(request, "status", status);
    hub_buf_deinit(&out);
    return result;
}
