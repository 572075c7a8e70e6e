/* Brokers, rights, topics and settings, looked at from outside before records go there. */
#include <stdio.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/bus/kafka.h"

enum { TOPICS_MAX = 16, POLL_MS = 100, SETTLE_MS = 1500 };

struct check {
    struct hub_kafka_client client;
    const struct hub_bus_check_options *options;
    struct hub_problems *problems;
    rd_kafka_queue_t *queue;
    int brokers;
};

static void add(struct check *c, enum hub_severity severity, const char *name, const char *what, const char *mend,
                const char *detail)
{
    hub_problems_add(c->problems, severity, c->options->file, 0, name, what, mend, "%s", detail);
}

static const struct hub_bus_topic *wanted(const struct check *c, const char *name)
{
    for (size_t i = 0; i < c->options->topic_count; i++)
        if (strcmp(c->options->topics[i].name, name) == 0)
            return &c->options->topics[i];
    return NULL;
}

/* --- reaching the brokers --- */

/* A refused login is final; other trouble may pass, and the last one seen is the reason. */
static enum hub_result reach(struct check *c, struct hub_error *err)
{
    const struct hub_clock *clock = hub_clock_system();
    int64_t start = hub_clock_mono_us(clock);
    int64_t refused = 0;
    for (;;) {
        const rd_kafka_metadata_t *metadata = NULL;
        rd_kafka_resp_err_t code = rd_kafka_metadata(c->client.rk, 0, NULL, &metadata, POLL_MS * 5);
        (void)rd_kafka_poll(c->client.rk, POLL_MS);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            c->brokers = metadata->broker_cnt;
            rd_kafka_metadata_destroy(metadata);
            return HUB_OK;
        }
        int64_t now = hub_clock_mono_us(clock);
        if (c->client.trouble.result == HUB_AUTH && refused == 0)
            refused = now;
        if (now - start < (int64_t)c->options->timeout_ms * 1000 &&
            (refused == 0 || now - refused < (int64_t)SETTLE_MS * 1000))
            continue;
        if (c->client.trouble.result != HUB_OK) {
            if (err != NULL)
                *err = c->client.trouble;
            return c->client.trouble.result;
        }
        return hub_kafka_explain(err, code, NULL);
    }
}

/* The answer to an administrator's request; NULL with the reason in ERR. */
static rd_kafka_event_t *answer(struct check *c, struct hub_error *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(c->queue, c->options->timeout_ms);
    if (event == NULL) {
        (void)hub_fail(err, HUB_TIMEOUT, "the brokers do not answer in time", NULL);
        return NULL;
    }
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR)
        return event;
    (void)hub_kafka_explain(err, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    return NULL;
}

static rd_kafka_AdminOptions_t *admin_options(struct check *c, rd_kafka_admin_op_t op, bool rights)
{
    char text[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(c->client.rk, op);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, c->options->timeout_ms, text, sizeof text);
    if (rights)
        rd_kafka_error_destroy(rd_kafka_AdminOptions_set_include_authorized_operations(options, 1));
    return options;
}

/* --- settings --- */

static const char *setting(const rd_kafka_ConfigEntry_t **entries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    return NULL;
}

static int64_t number(const char *text, int64_t absent)
{
    int64_t value = 0;
    bool minus = text != NULL && text[0] == '-';
    uint64_t digits = 0;
    if (text == NULL || !hub_span_parse_u64(hub_span_str(text + minus), &digits) || digits > INT64_MAX)
        return absent;
    value = (int64_t)digits;
    return minus ? -value : value;
}

static void compare_settings(struct check *c, const struct hub_bus_topic *t,
                             const rd_kafka_ConfigEntry_t **entries, size_t count)
{
    const char *cleanup = setting(entries, count, "cleanup.policy");
    const char *retention = setting(entries, count, "retention.ms");
    const char *insync = setting(entries, count, "min.insync.replicas");
    const char *bytes = setting(entries, count, "max.message.bytes");
    bool compacted = cleanup != NULL && strstr(cleanup, "compact") != NULL;
    bool deleted = cleanup != NULL && strstr(cleanup, "delete") != NULL;
    if (t->compacted && (!compacted || deleted))
        add(c, HUB_SEVERITY_ERROR, t->name, "this topic must be compacted, and nothing in it deleted by age",
            "set cleanup.policy=compact", cleanup != NULL ? cleanup : "");
    if (!t->compacted && compacted)
        add(c, HUB_SEVERITY_ERROR, t->name, "this topic must not be compacted: its records are no upserts",
            "set cleanup.policy=delete", cleanup);
    if (!t->compacted && number(retention, -1) >= 0 && (t->retention_ms < 0 || number(retention, -1) < t->retention_ms))
        add(c, HUB_SEVERITY_WARNING, t->name, "records are removed earlier than configured",
            "set retention.ms as bus.kafka.topics.retention says (-1: for ever)", retention);
    if (insync != NULL && number(insync, 1) < (int64_t)t->min_insync)
        add(c, HUB_SEVERITY_ERROR, t->name, "records count as stored with fewer copies than configured",
            "set min.insync.replicas as bus.kafka.topics.min_insync says", insync);
    if (bytes != NULL && number(bytes, INT64_MAX) < (int64_t)t->record_bytes)
        add(c, HUB_SEVERITY_ERROR, t->name, "large messages would not fit",
            "set max.message.bytes to twice limits.message_bytes, and message.max.bytes and replica.fetch.max.bytes of "
            "the brokers to as much",
            bytes);
}

static enum hub_result check_settings(struct check *c, const char *const *names, size_t count,
                                      struct hub_error *err)
{
    rd_kafka_ConfigResource_t *resources[TOPICS_MAX];
    for (size_t i = 0; i < count; i++)
        resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, names[i]);
    rd_kafka_AdminOptions_t *options = admin_options(c, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, false);
    rd_kafka_DescribeConfigs(c->client.rk, resources, count, options, c->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy_array(resources, count);
    rd_kafka_event_t *event = answer(c, err);
    if (event == NULL)
        return err != NULL ? err->result : HUB_NETWORK;
    size_t got = 0;
    const rd_kafka_ConfigResource_t **found =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &got);
    for (size_t i = 0; i < got; i++) {
        const char *name = rd_kafka_ConfigResource_name(found[i]);
        const struct hub_bus_topic *topic = wanted(c, name);
        size_t entry_count = 0;
        const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found[i], &entry_count);
        if (rd_kafka_ConfigResource_error(found[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
            add(c, HUB_SEVERITY_WARNING, name, "this user may not see the topic's settings: they were not checked",
                "grant DESCRIBE_CONFIGS on the topic, or run the check as another user", "");
        else if (topic != NULL)
            compare_settings(c, topic, entries, entry_count);
    }
    rd_kafka_event_destroy(event);
    return HUB_OK;
}

/* --- topics --- */

static rd_kafka_NewTopic_t *new_topic(const struct hub_bus_topic *t)
{
    char text[256];
    char value[24];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(t->name, t->partitions, (int)t->replicas, text, sizeof text);
    if (topic == NULL)
        return NULL;
    (void)rd_kafka_NewTopic_set_config(topic, "cleanup.policy", t->compacted ? "compact" : "delete");
    (void)snprintf(value, sizeof value, "%u", t->min_insync);
    (void)rd_kafka_NewTopic_set_config(topic, "min.insync.replicas", value);
    (void)snprintf(value, sizeof value, "%llu", (unsigned long long)t->record_bytes);
    (void)rd_kafka_NewTopic_set_config(topic, "max.message.bytes", value);
    (void)snprintf(value, sizeof value, "%lld", (long long)(t->compacted ? -1 : t->retention_ms));
    (void)rd_kafka_NewTopic_set_config(topic, "retention.ms", value);
    return topic;
}

static void tell_created(struct check *c, rd_kafka_event_t *event)
{
    size_t count = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_topic_result_name(results[i]);
        switch ((int)rd_kafka_topic_result_error(results[i])) {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            add(c, HUB_SEVERITY_NOTE, name, "the topic was made", NULL, "");
            continue;
        case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: /* another hub was faster */
            continue;
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
            add(c, HUB_SEVERITY_ERROR, name, "the topic is not there and this user may not make it",
                "make it as docs/OPERATIONS.md shows, or grant CREATE on topics with the prefix", "");
            continue;
        case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
            add(c, HUB_SEVERITY_ERROR, name, "there are fewer brokers than bus.kafka.topics.replicas",
                "start more brokers, or lower replicas and min_insync (for a test only)", "");
            continue;
        }
        add(c, HUB_SEVERITY_ERROR, name, "the topic cannot be made", "make it as docs/OPERATIONS.md shows",
            rd_kafka_err2name(rd_kafka_topic_result_error(results[i])));
    }
}

static enum hub_result make_topics(struct check *c, const struct hub_bus_topic *const *topics, size_t count,
                                   struct hub_error *err)
{
    rd_kafka_NewTopic_t *made[TOPICS_MAX];
    for (size_t i = 0; i < count; i++) {
        made[i] = new_topic(topics[i]);
        if (made[i] == NULL) {
            rd_kafka_NewTopic_destroy_array(made, i);
            (void)hub_fail(err, HUB_CONFIG, "a topic's name or number of partitions cannot be used",
                           "correct bus.kafka.prefix and bus.kafka.topics");
            return hub_error_at(err, "%s", topics[i]->name);
        }
    }
    rd_kafka_AdminOptions_t *options = admin_options(c, RD_KAFKA_ADMIN_OP_CREATETOPICS, false);
    rd_kafka_CreateTopics(c->client.rk, made, count, options, c->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy_array(made, count);
    rd_kafka_event_t *event = answer(c, err);
    if (event == NULL)
        return err != NULL ? err->result : HUB_NETWORK;
    tell_created(c, event);
    rd_kafka_event_destroy(event);
    return HUB_OK;
}

static void check_rights(struct check *c, const struct hub_bus_topic *t, const rd_kafka_TopicDescription_t *found)
{
    size_t count = 0;
    unsigned may = 0;
    const rd_kafka_AclOperation_t *operations =
        rd_kafka_TopicDescription_authorized_operations(found, &count);
    if (operations == NULL)
        return; /* brokers without an authorizer say so too: everything is allowed */
    for (size_t i = 0; i < count; i++)
        may |= operations[i] == RD_KAFKA_ACL_OPERATION_READ    ? (unsigned)HUB_BUS_MAY_READ
               : operations[i] == RD_KAFKA_ACL_OPERATION_WRITE ? (unsigned)HUB_BUS_MAY_WRITE
                                                               : 0U;
    if ((t->rights & ~may & HUB_BUS_MAY_WRITE) != 0)
        add(c, HUB_SEVERITY_ERROR, t->name, "this user may not write to the topic",
            "grant WRITE and DESCRIBE on it (docs/OPERATIONS.md, Kafka)", "");
    if ((t->rights & ~may & HUB_BUS_MAY_READ) != 0)
        add(c, HUB_SEVERITY_ERROR, t->name, "this user may not read the topic",
            "grant READ and DESCRIBE on it (docs/OPERATIONS.md, Kafka)", "");
}

static void check_topic(struct check *c, const struct hub_bus_topic *t, const rd_kafka_TopicDescription_t *found)
{
    size_t count = 0, replicas = 0;
    char detail[32];
    const rd_kafka_TopicPartitionInfo_t **partitions = rd_kafka_TopicDescription_partitions(found, &count);
    (void)snprintf(detail, sizeof detail, "%zu", count);
    if (count != (size_t)t->partitions)
        add(c, HUB_SEVERITY_ERROR, t->name, "another number of partitions than configured",
            "set bus.kafka.topics.partitions to it; never change it once events are there: a patient's events would move",
            detail);
    for (size_t i = 0; i < count; i++) {
        (void)rd_kafka_TopicPartitionInfo_replicas(partitions[i], &replicas);
        if (rd_kafka_TopicPartitionInfo_leader(partitions[i]) == NULL) {
            add(c, HUB_SEVERITY_WARNING, t->name, "a partition has no leader: nothing can be written to it now",
                "start the missing brokers", "");
            break;
        }
    }
    (void)snprintf(detail, sizeof detail, "%zu", replicas);
    if (count > 0 && replicas < t->replicas)
        add(c, HUB_SEVERITY_WARNING, t->name, "fewer copies than bus.kafka.topics.replicas",
            "have the partitions reassigned to more brokers", detail);
    check_rights(c, t, found);
}

/* Describes NAMES; those that are there go to FOUND (names of the caller), those that are not to ABSENT. */
static enum hub_result describe(struct check *c, const char **names, size_t count, const char **found,
                                size_t *found_count, const struct hub_bus_topic **absent, size_t *absent_count,
                                struct hub_error *err)
{
    rd_kafka_TopicCollection_t *list = rd_kafka_TopicCollection_of_topic_names(names, count);
    rd_kafka_AdminOptions_t *options = admin_options(c, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, true);
    rd_kafka_DescribeTopics(c->client.rk, list, options, c->queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_TopicCollection_destroy(list);
    rd_kafka_event_t *event = answer(c, err);
    if (event == NULL)
        return err != NULL ? err->result : HUB_NETWORK;
    size_t got = 0;
    const rd_kafka_TopicDescription_t **topics =
        rd_kafka_DescribeTopics_result_topics(rd_kafka_event_DescribeTopics_result(event), &got);
    for (size_t i = 0; i < got; i++) {
        const struct hub_bus_topic *t = wanted(c, rd_kafka_TopicDescription_name(topics[i]));
        const rd_kafka_error_t *error = rd_kafka_TopicDescription_error(topics[i]);
        rd_kafka_resp_err_t code = error != NULL ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;
        if (t == NULL)
            continue;
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            absent[(*absent_count)++] = t;
        } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
            add(c, HUB_SEVERITY_ERROR, t->name, "this user may not see the topic, or it is not there",
                "make it and grant DESCRIBE on it (docs/OPERATIONS.md, Kafka)", "");
        } else {
            check_topic(c, t, topics[i]);
            found[(*found_count)++] = t->name;
        }
    }
    rd_kafka_event_destroy(event);
    return HUB_OK;
}

static enum hub_result look(struct check *c, struct hub_error *err)
{
    const char *names[TOPICS_MAX], *found[TOPICS_MAX];
    const struct hub_bus_topic *absent[TOPICS_MAX];
    size_t found_count = 0, absent_count = 0;
    HUB_ASSERT(c->options->topic_count <= TOPICS_MAX);
    HUB_TRY(reach(c, err));
    for (size_t i = 0; i < c->options->topic_count; i++)
        names[i] = c->options->topics[i].name;
    if (c->options->topic_count == 0)
        return HUB_OK;
    HUB_TRY(describe(c, names, c->options->topic_count, found, &found_count, absent, &absent_count, err));
    if (found_count > 0)
        HUB_TRY(check_settings(c, found, found_count, err));
    if (absent_count > 0 && c->options->create)
        return make_topics(c, absent, absent_count, err);
    for (size_t i = 0; i < absent_count; i++)
        add(c, HUB_SEVERITY_ERROR, absent[i]->name, "the topic is not there",
            "make it as docs/OPERATIONS.md shows, or have it made (bus.kafka.topics.create) at a first start; if events "
            "were there before, remove data/forward/position, and all are sent again",
            "");
    return HUB_OK;
}

enum hub_result hub_kafka_check(struct hub_bus *bus, const struct hub_bus_check_options *options,
                                struct hub_problems *problems, struct hub_error *err)
{
    struct check c = {.options = options, .problems = problems};
    struct hub_kafka_bus *kafka = (struct hub_kafka_bus *)bus;
    enum hub_result result = HUB_OK;
    rd_kafka_conf_t *conf = hub_kafka_conf(kafka, HUB_KAFKA_ADMIN, &c.client, err);
    if (conf == NULL)
        return HUB_CONFIG;
    hub_kafka_set_properties(conf, &kafka->options, &result, err);
    if (result != HUB_OK) {
        rd_kafka_conf_destroy(conf);
        return result;
    }
    HUB_TRY(hub_kafka_client_open(&c.client, HUB_KAFKA_ADMIN, conf, err));
    c.queue = rd_kafka_queue_new(c.client.rk);
    result = look(&c, err);
    rd_kafka_queue_destroy(c.queue);
    hub_kafka_client_close(&c.client);
    return result;
}
