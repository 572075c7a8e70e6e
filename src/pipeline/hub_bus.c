/* Kafka in a hub: opened with it, checked once, followed by the forwarder. */
#include <stdio.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/config/value.h"
#include "src/pipeline/hub_internal.h"

enum { FIRST_CHECK_MS = 5000, LATER_CHECK_MS = 3000, DRAIN_MOST_MS = 5000, FORWARD_WAIT_MS = 20 };

static const char component[] = "bus";

static void sign(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN])
{
    hub_keys_sign(((struct hub *)ctx)->keys, text, signature);
}

static void each_key(void *ctx, bool (*emit)(void *emit_ctx, struct hub_span record), void *emit_ctx)
{
    hub_keys_each_record(((struct hub *)ctx)->keys, emit, emit_ctx);
}

/* The first error of PROBLEMS as ERR; HUB_OK when there is none. */
static enum hub_result first_error(const struct hub_problems *problems, struct hub_error *err)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *p = &problems->items[i];
        if (p->severity != HUB_SEVERITY_ERROR)
            continue;
        if (err != NULL)
            *err = p->error;
        return hub_error_at(err, "%s", p->name);
    }
    return HUB_OK;
}

static void log_problems(const struct hub_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct hub_problem *p = &problems->items[i];
        HUB_DIAG(p->severity == HUB_SEVERITY_NOTE ? HUB_DIAG_NOTICE : HUB_DIAG_WARNING, component, "topic",
                 hub_diag_configured("name", p->name), hub_diag_configured("what", p->error.what),
                 hub_diag_configured("detail", p->detail),
                 hub_diag_configured("mend", p->error.mend != NULL ? p->error.mend : ""));
    }
}

/* Forwarder's thread, before the first record: topics are there as they must be, or nothing is sent. One that was
 * there and is gone took with it what was delivered: it is not made anew in silence. */
static enum hub_result prepare(void *ctx, struct hub_error *err)
{
    struct hub *hub = ctx;
    struct hub_problems problems;
    hub_problems_init(&problems);
    enum hub_result result = hub_bus_schemas_register(hub->schemas, HUB_RUN_FORWARD, NULL, err);
    if (result == HUB_OK)
        result = hub_bus_setup_check(hub->bus, hub->roles, !hub_forward_begun(hub->forward), LATER_CHECK_MS, &problems, err);
    if (result == HUB_OK && problems.errors != 0)
        (void)first_error(&problems, err);
    if (result == HUB_OK)
        log_problems(&problems);
    if (result == HUB_OK && problems.errors != 0)
        result = HUB_CONFIG;
    hub_problems_deinit(&problems);
    return result;
}

static uint32_t schema_id(void *ctx, enum hub_topic topic)
{
    return hub_bus_schemas_id(((struct hub *)ctx)->schemas, topic);
}

static enum hub_result open_forward(struct hub *hub, struct hub_error *err)
{
    char folder[HUB_PATH_MAX], checkpoint[HUB_PATH_MAX];
    HUB_TRY(hub_path(hub, "forward", folder, err));
    HUB_TRY(hub_path(hub, "audit/checkpoint", checkpoint, err));
    hub->signer =
        (struct hub_signer){.public_key = hub_keys_sign_public(hub->keys), .sign = sign, .ctx = hub};
    struct hub_forward_options options = {
        .log = hub->log,
        .bus = hub_bus_setup_bus(hub->bus),
        .folder = folder,
        .checkpoint = checkpoint,
        .signer = &hub->signer,
        .clock = hub->clock,
        .disk = hub->disk,
        .prepare = prepare,
        .wait_ms = hub_bus_setup_awaited(hub->config) ? 0 : FORWARD_WAIT_MS,
        .each_key = each_key,
        .event_schema = hub_bus_schemas_of(hub->schemas, HUB_TOPIC_EVENTS),
        .schema_id = schema_id,
        .ctx = hub,
    };
    for (size_t i = 0; i < HUB_TOPIC_COUNT; i++)
        options.topics[i] = hub_bus_setup_topic(hub->bus, (enum hub_topic)i);
    return hub_forward_open(&options, &hub->forward, err);
}

/* --- the timeline --- */

/* Group's thread, before anything is read. */
static enum hub_result prepare_timeline(void *ctx, struct hub_error *err)
{
    struct hub *hub = ctx;
    struct hub_problems problems;
    hub_problems_init(&problems);
    enum hub_result result = hub_bus_schemas_register(hub->schemas, HUB_RUN_TIMELINE, NULL, err);
    if (result == HUB_OK)
        result = hub_bus_setup_check(hub->bus, HUB_RUN_TIMELINE, true, LATER_CHECK_MS, &problems, err);
    if (result == HUB_OK && problems.errors != 0) {
        (void)first_error(&problems, err);
        log_problems(&problems);
        result = HUB_CONFIG;
    }
    hub_problems_deinit(&problems);
    return result;
}

static uint32_t timeline_schema_id(void *ctx)
{
    return schema_id(ctx, HUB_TOPIC_TIMELINE);
}

/* Whoever follows a chart looks again. */
static void on_changed(void *ctx)
{
    struct hub *hub = ctx;
    (void)pthread_mutex_lock(&hub->run_lock);
    atomic_fetch_add(&hub->applied, 1);
    (void)pthread_cond_broadcast(&hub->run_changed);
    (void)pthread_mutex_unlock(&hub->run_lock);
}

/* The hub's own key and those that the configuration names. */
static enum hub_result load_trusted(struct hub *hub, struct hub_error *err)
{
    const struct hub_kafka_config *k = &hub->config->kafka;
    hub->trusted = hub_mem_array(k->trust_count + 1, sizeof *hub->trusted);
    if (hub->trusted == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    memcpy(hub->trusted[0], hub_keys_sign_public(hub->keys), HUB_SIGN_PUBLIC_LEN);
    for (size_t i = 0; i < k->trust_count; i++)
        HUB_ASSERT(hub_value_public_key(k->trust[i], hub->trusted[i + 1])); /* checked when it was loaded */
    return HUB_OK;
}

enum hub_result hub_bus_open_timeline(struct hub *hub, struct hub_error *err)
{
    const struct hub_kafka_config *k = &hub->config->kafka;
    char folder[HUB_PATH_MAX];
    HUB_TRY(hub_path(hub, "timeline", folder, err));
    HUB_TRY(load_trusted(hub, err));
    struct hub_unify_options options = {
        .bus = hub_bus_setup_bus(hub->bus),
        .events = hub_bus_setup_topic(hub->bus, HUB_TOPIC_EVENTS),
        .identity = hub_bus_setup_topic(hub->bus, HUB_TOPIC_IDENTITY),
        .timeline = hub_bus_setup_topic(hub->bus, HUB_TOPIC_TIMELINE),
        .group = hub_bus_setup_group(hub->bus),
        .instance = hub_bus_setup_instance(hub->bus),
        .transactions = hub_bus_setup_transactions(hub->bus),
        .folder = folder,
        .partitions = (int32_t)k->topics.partitions,
        .trusted = (const uint8_t(*)[HUB_SIGN_PUBLIC_LEN])hub->trusted,
        .trusted_count = k->trust_count + 1,
        .timeline_options = {.chart_tokens = hub->config->limits.chart_tokens},
        .session_ms = k->timeline.session_ms,
        .wait_ms = k->timeline.wait_ms,
        .facts_s = k->timeline.facts_s,
        .tombstones_s = k->timeline.tombstones_s,
        .clock = hub->clock,
        .disk = hub->disk,
        .stop = &hub->stopping,
        .timelines = hub->timelines,
        .prepare = prepare_timeline,
        .changed = on_changed,
        .schema_id = timeline_schema_id,
        .ctx = hub,
    };
    for (size_t i = 0; i < hub->config->feed_count; i++)
        options.timeline_options.inverse_merge_reject =
            options.timeline_options.inverse_merge_reject || hub->config->feeds[i].inverse_merge_reject;
    return hub_unify_open(&options, &hub->unify, err);
}

void *hub_bus_unify(void *ctx)
{
    struct hub *hub = ctx;
    hub_unify_run(hub->unify);
    return NULL;
}

/* --- start and stop --- */

/* Who waits for the brokers waits for the forwarder of the same data directory. */
static enum hub_result check_roles(const struct hub *hub, struct hub_error *err)
{
    if ((hub->roles & (HUB_RUN_INGEST | HUB_RUN_FORWARD)) != HUB_RUN_INGEST)
        return HUB_OK;
    for (size_t i = 0; i < hub->config->feed_count; i++)
        if (hub->config->feeds[i].ack_wait == HUB_ACK_BROKER)
            return hub_fail(err, HUB_CONFIG, "a feed waits for the brokers, and nobody forwards to them",
                            "run with --role ingest,forward, or write ack: {wait: stored}");
    HUB_DIAG(HUB_DIAG_WARNING, component, "events stay in the event log: this process does not forward");
    return HUB_OK;
}

/* A registry that is away, or away for this login, stops only who never had an id of it; one that refuses the schema stops
 * everybody: what is written under the topic's name would not be what its readers were promised. */
static enum hub_result register_schemas(struct hub *hub, struct hub_problems *problems, struct hub_error *err)
{
    struct hub_error why = {0};
    enum hub_result result = hub_bus_schemas_register(hub->schemas, hub->roles, problems, &why);
    if (result == HUB_OK)
        return HUB_OK;
    if (hub_result_row(result)->class == HUB_CLASS_RETRY) {
        HUB_DIAG(HUB_DIAG_WARNING, component, "events wait in the event log for the schema registry", hub_diag_error(&why));
        return HUB_OK;
    }
    if (err != NULL)
        *err = why;
    return result;
}

enum hub_result hub_bus_start(struct hub *hub, struct hub_problems *problems, struct hub_error *err)
{
    char folder[HUB_PATH_MAX];
    if (!hub_config_uses_kafka(hub->config))
        return HUB_OK;
    HUB_TRY(hub_path(hub, "forward", folder, err));
    if ((hub->roles & HUB_RUN_FORWARD) == 0)
        HUB_TRY(hub_forward_follow(hub->log, hub->disk, folder, err));
    if (hub->roles == HUB_RUN_OFFLINE)
        return HUB_OK;
    HUB_TRY(check_roles(hub, err));
    HUB_TRY(hub_bus_setup_open(hub->config, &hub->bus, err));
    HUB_TRY(hub_bus_schemas_open(hub->config, hub->bus, hub->disk, &hub->schemas, err));
    HUB_TRY(register_schemas(hub, problems, err));
    if ((hub->roles & HUB_RUN_TIMELINE) != 0)
        HUB_TRY(hub_bus_open_timeline(hub, err));
    if ((hub->roles & HUB_RUN_FORWARD) == 0)
        return HUB_OK;
    HUB_TRY(open_forward(hub, err));
    if (hub_forward_begun(hub->forward))
        return HUB_OK;
    /* Never worked yet: a mistake of the configuration is said now. Brokers that are only away are waited for. */
    size_t before = problems->errors;
    enum hub_result result = hub_bus_setup_check(hub->bus, hub->roles, true, FIRST_CHECK_MS, problems, err);
    if (result == HUB_NETWORK || result == HUB_TIMEOUT || result == HUB_BUSY) {
        HUB_DIAG(HUB_DIAG_WARNING, component, "events wait in the event log", hub_diag_error(err));
        *err = (struct hub_error){0};
        return HUB_OK;
    }
    if (result == HUB_OK && problems->errors != before)
        return hub_fail(err, HUB_CONFIG, "the topics are not as they must be", "run `chartline check --connect`");
    return result;
}

void *hub_bus_forward(void *ctx)
{
    struct hub *hub = ctx;
    uint32_t drain_ms = hub->config->limits.drain_ms;
    hub_forward_run(hub->forward, &hub->stopping, drain_ms < DRAIN_MOST_MS ? (int)drain_ms : DRAIN_MOST_MS);
    return NULL;
}

void hub_bus_stop(struct hub *hub)
{
    hub_unify_close(hub->unify);
    hub->unify = NULL;
    hub_forward_close(hub->forward);
    hub->forward = NULL;
    hub_bus_schemas_close(hub->schemas);
    hub->schemas = NULL;
    hub_bus_setup_close(hub->bus);
    hub->bus = NULL;
    hub_stop_watch_end(&hub->stop_watch);
}
