/* Reading Kafka topics as an application does: no consumer group, committed records only, only the partitions it needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <librdkafka/rdkafka.h>

#include "chart.h"

enum { ANSWER_MS = 30000, PARTITIONS_MAX = 4096 };

struct topic {
    rd_kafka_t *client;
    char name[256];
    int partitions;
    bool ended[PARTITIONS_MAX];
};

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        refuse("%s", why);
}

/* name=value a line, with librdkafka's own names. */
static void read_settings(rd_kafka_conf_t *conf, const char *path)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        refuse("%s is not readable", path);
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, '=');
        line[strcspn(line, "\n")] = '\0';
        if (value == NULL || line[0] == '#')
            continue;
        *value++ = '\0';
        set(conf, line, value);
    }
    (void)fclose(file);
}

static int count_partitions(rd_kafka_t *client, const char *name)
{
    const rd_kafka_metadata_t *about;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, topic, &about, ANSWER_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR || about->topic_cnt != 1 || (error = about->topics[0].err) != RD_KAFKA_RESP_ERR_NO_ERROR)
        refuse("topic %s: %s", name, rd_kafka_err2str(error));
    int count = about->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(about);
    rd_kafka_topic_destroy(topic);
    return count;
}

struct topic *topic_open(const char *settings_file, const char *prefix, const char *name)
{
    char why[256];
    struct topic *topic = allocate(sizeof *topic);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    read_settings(conf, settings_file);
    set(conf, "group.id", "unused");                 /* the library wants one; without subscribe and commits nobody joins it */
    set(conf, "isolation.level", "read_committed"); /* what a stalled process wrote and could not commit is none */
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    (void)snprintf(topic->name, sizeof topic->name, "%s%s", prefix, name);
    topic->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (topic->client == NULL)
        refuse("%s", why);
    (void)rd_kafka_poll_set_consumer(topic->client);
    topic->partitions = count_partitions(topic->client, topic->name);
    if (topic->partitions > PARTITIONS_MAX)
        refuse("topic %s has more than %d partitions", topic->name, PARTITIONS_MAX);
    return topic;
}

/* The hash by which Java clients choose a partition (seed 9747b28c). */
static uint32_t murmur2(const uint8_t *data, size_t len)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)len;
    for (; len >= 4; data += 4, len -= 4) {
        uint32_t k = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        k *= m;
        h = (h * m) ^ ((k ^ k >> 24) * m);
    }
    for (size_t i = 0; i < len; i++)
        h ^= (uint32_t)data[i] << (8 * i);
    if (len != 0)
        h *= m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

int topic_partition(const struct topic *topic, const char *subject)
{
    return (int)((murmur2((const uint8_t *)subject, strlen(subject)) & 0x7fffffff) % (uint32_t)topic->partitions);
}

bool topic_poll(struct topic *topic, int timeout_ms, take_record take, void *ctx)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(topic->client, timeout_ms);
    bool taken = false;
    if (message == NULL)
        return false;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        topic->ended[message->partition] = true;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        topic->ended[message->partition] = false;
        take(ctx, message->key, message->key_len, message->payload, message->len);
        taken = true;
    } else if (message->err != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) { /* no right to a group, and no need of one */
        refuse("topic %s: %s", topic->name, rd_kafka_message_errstr(message));
    }
    rd_kafka_message_destroy(message);
    return taken;
}

void topic_read(struct topic *topic, const int *partitions, size_t count, take_record take, void *ctx)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        topic->ended[partitions[i]] = false;
        if (rd_kafka_topic_partition_list_find(list, topic->name, partitions[i]) == NULL)
            rd_kafka_topic_partition_list_add(list, topic->name, partitions[i])->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_resp_err_t error = rd_kafka_assign(topic->client, list);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        refuse("topic %s: %s", topic->name, rd_kafka_err2str(error));
    for (size_t i = 0; i < count;) {
        if (topic->ended[partitions[i]])
            i++;
        else
            (void)topic_poll(topic, 1000, take, ctx);
    }
    rd_kafka_topic_partition_list_destroy(list);
}
