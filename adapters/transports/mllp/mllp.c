#include "adapters/transports/mllp/mllp.h"

#include "adapters/transports/mllp/conn.h"
#include "src/base/clock.h"
#include "src/base/mem.h"

enum { SWEEP_MS_MIN = 10, SWEEP_MS_MAX = 1000 };

static struct hub_tls_server_options tls_options(const struct hub_feed *feed)
{
    return (struct hub_tls_server_options){
        .cert = feed->tls.cert,
        .key = feed->tls.key,
        .client_ca = feed->tls.client_ca,
        .allow = feed->tls.allow,
        .allow_count = feed->tls.allow_count,
    };
}

/* --- check --- */

static void add_error(struct hub_problems *problems, const struct hub_config *config,
                      const struct hub_feed *feed, const struct hub_error *err)
{
    hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, feed->line, feed->name, err->what, err->mend,
                     "%s", err->path);
}

static void check_tls(const struct hub_config *config, const struct hub_feed *feed,
                      struct hub_problems *problems)
{
    struct hub_error err = {0};
    struct hub_tls_context *context = NULL;
    struct hub_tls_server_options options = tls_options(feed);
    if (hub_tls_server_new(&options, &context, &err) != HUB_OK) {
        add_error(problems, config, feed, &err);
        return;
    }
    hub_tls_context_free(context);
    if (feed->tls.client_ca == NULL)
        hub_problems_add(problems, HUB_SEVERITY_WARNING, config->path, feed->line, feed->name,
                         "this listener asks for no client certificate: anyone who reaches it can send",
                         "name client_ca and the allowed names", NULL);
}

static void mllp_check(const struct hub_config *config, const struct hub_feed *feed,
                       struct hub_problems *problems)
{
    struct hub_error err = {0};
    bool loopback = false;
    if (feed->listen == NULL)
        return; /* said by the configuration's own rows */
    if (hub_net_address_check(feed->listen, &loopback, &err) != HUB_OK)
        hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, feed->line, feed->name, err.what,
                         err.mend, "%s", feed->listen);
    if (feed->tls.enabled)
        check_tls(config, feed, problems);
}

/* --- life --- */

static void sweep(void *ctx)
{
    struct mllp_instance *instance = ctx;
    int64_t now = hub_clock_mono_us(hub_clock_system());
    struct mllp_conn *next;
    bool recheck = instance->recheck;
    instance->recheck = false;
    instance->sweep_soon = false;
    for (struct mllp_conn *conn = instance->conns; conn != NULL; conn = next) {
        next = mllp_conn_next(conn);
        if (recheck && !mllp_conn_recheck(conn))
            continue;
        mllp_conn_sweep(conn, now);
    }
    for (struct mllp_conn *conn = instance->conns; conn != NULL && !instance->sweep_soon; conn = mllp_conn_next(conn))
        instance->sweep_soon = mllp_conn_unsettled(conn);
    hub_net_timer_set(instance->sweep, instance->sweep_soon && instance->sweep_ms > MLLP_SETTLE_MS ? MLLP_SETTLE_MS : instance->sweep_ms);
}

static void mllp_stop(void *context)
{
    struct mllp_instance *instance = context;
    hub_net_listener_close(instance->listener);
    while (instance->conns != NULL)
        mllp_conn_stop(instance->conns);
    hub_net_timer_free(instance->sweep);
    hub_tls_context_free(instance->tls);
    hub_mem_free(instance);
}

static enum hub_result open_listener(struct mllp_instance *instance, struct hub_error *err)
{
    const struct hub_feed *feed = instance->feed;
    bool loopback = false;
    HUB_TRY(hub_net_address_check(feed->listen, &loopback, err));
    if (feed->tls.enabled) {
        struct hub_tls_server_options options = tls_options(feed);
        HUB_TRY(hub_tls_server_new(&options, &instance->tls, err));
    } else if (!loopback && !feed->insecure) {
        return hub_fail(err, HUB_CONFIG, "a listener without TLS outside loopback",
                        "add tls, or insecure: true if that is meant");
    }
    return hub_net_listen(instance->loop, feed->listen, instance->tls, mllp_conn_accept, instance,
                          &instance->listener, err);
}

static void set_config(struct mllp_instance *instance, const struct hub_config *config,
                       const struct hub_feed *feed)
{
    const struct hub_limits *limits = &config->limits;
    uint32_t shortest = limits->idle_ms < limits->frame_ms ? limits->idle_ms : limits->frame_ms;
    instance->feed = feed;
    instance->limits = limits;
    instance->sweep_ms = shortest / 4 < SWEEP_MS_MIN   ? SWEEP_MS_MIN
                         : shortest / 4 > SWEEP_MS_MAX ? SWEEP_MS_MAX
                                                       : shortest / 4;
}

static void *mllp_start(const struct hub_config *config, const struct hub_feed *feed,
                        struct hub_net_loop *loop, struct hub_intake *intake, struct hub_error *err)
{
    struct mllp_instance *instance = hub_mem_alloc(sizeof(*instance));
    if (instance == NULL) {
        (void)hub_fail(err, HUB_NO_MEMORY, "no memory for a listener", NULL);
        return NULL;
    }
    *instance = (struct mllp_instance){.loop = loop, .intake = intake};
    set_config(instance, config, feed);
    instance->sweep = hub_net_timer_new(loop, sweep, instance);
    if (instance->sweep == NULL) {
        (void)hub_fail(err, HUB_NO_MEMORY, "no memory for a listener", NULL);
        mllp_stop(instance);
        return NULL;
    }
    if (open_listener(instance, err) != HUB_OK) {
        mllp_stop(instance);
        return NULL;
    }
    hub_net_timer_set(instance->sweep, instance->sweep_ms);
    return instance;
}

static enum hub_result mllp_reload(void *context, const struct hub_config *config,
                                   const struct hub_feed *feed, struct hub_error *err)
{
    struct mllp_instance *instance = context;
    struct hub_tls_context *fresh = NULL;
    struct hub_tls_server_options options = tls_options(feed);
    set_config(instance, config, feed);
    instance->recheck = true;
    hub_net_timer_set(instance->sweep, 0); /* not here: the intake does not know the new feeds yet */
    if (!feed->tls.enabled)
        return HUB_OK;
    HUB_TRY(hub_tls_server_new(&options, &fresh, err));
    if (instance->listener != NULL)
        hub_net_listener_tls(instance->listener, fresh);
    hub_tls_context_free(instance->tls);
    instance->tls = fresh;
    return HUB_OK;
}

static void mllp_resume(void *context)
{
    struct mllp_instance *instance = context;
    struct mllp_conn *next;
    for (struct mllp_conn *conn = instance->conns; conn != NULL; conn = next) {
        next = mllp_conn_next(conn);
        mllp_conn_resume(conn);
    }
}

static void mllp_drain(void *context)
{
    struct mllp_instance *instance = context;
    instance->draining = true;
    hub_net_listener_close(instance->listener);
    instance->listener = NULL;
    for (struct mllp_conn *conn = instance->conns; conn != NULL; conn = mllp_conn_next(conn))
        mllp_conn_drain(conn);
}

static bool mllp_idle(void *context)
{
    const struct mllp_instance *instance = context;
    for (const struct mllp_conn *conn = instance->conns; conn != NULL; conn = mllp_conn_next(conn)) {
        if (!mllp_conn_idle(conn))
            return false;
    }
    return true;
}

const struct hub_transport hub_transport_mllp = {
    .name = "mllp",
    .check = mllp_check,
    .start = mllp_start,
    .resume = mllp_resume,
    .reload = mllp_reload,
    .drain = mllp_drain,
    .idle = mllp_idle,
    .stop = mllp_stop,
};
