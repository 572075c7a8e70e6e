/* The consumer on Kafka: cooperative groups with static membership, or partitions of one's own choice. */
#include <stdio.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/base/thread.h"
#include "src/bus/kafka.h"

enum { SESSION_MS = 45000, POLL_MS = 300000, FETCH_WAIT_MS = 50, TOPICS_MAX = 8, TOPIC_MAX = 250 };

struct consumer {
    struct hub_bus_consumer base;
    struct hub_kafka_client client;
    bool member; /* of a group */
    rd_kafka_queue_t *answers; /* to commits */
    bool unanswered; /* the last commit */
    rd_kafka_topic_t *known[TOPICS_MAX]; /* of the group: who holds them knows their partitions, which can be paused then */
    size_t known_count;
    rd_kafka_message_t *message;
    rd_kafka_headers_t *headers;
    struct hub_bus_place one; /* of an event about one partition */
    char one_topic[TOPIC_MAX];
    /* what a rebalance told: given out by the next call */
    bool told;
    enum hub_bus_kind kind;
    struct hub_bus_place *places;
    char (*topics)[TOPIC_MAX];
    size_t place_count, place_cap;
};

static struct consumer *of(struct hub_bus_consumer *consumer)
{
    return (struct consumer *)consumer;
}

static struct consumer *of_opaque(void *opaque)
{
    return (struct consumer *)((char *)opaque - offsetof(struct consumer, client));
}

/* --- lists --- */

static rd_kafka_topic_partition_list_t *list_of(const struct hub_bus_place *places, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *p =
            rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition);
        p->offset = places[i].offset != HUB_BUS_NONE ? places[i].offset : 0;
        if (places[i].leader_epoch >= 0)
            rd_kafka_topic_partition_set_leader_epoch(p, places[i].leader_epoch);
    }
    return list;
}

static bool room_for(struct consumer *c, size_t count)
{
    if (count <= c->place_cap)
        return true;
    struct hub_bus_place *places = hub_mem_array(count, sizeof *places);
    char(*topics)[TOPIC_MAX] = hub_mem_array(count, sizeof *topics);
    if (places == NULL || topics == NULL) {
        hub_mem_free(places);
        hub_mem_free(topics);
        return false;
    }
    hub_mem_free(c->places);
    hub_mem_free(c->topics);
    c->places = places;
    c->topics = topics;
    c->place_cap = count;
    return true;
}

static void put_place(struct consumer *c, size_t at, const char *topic, int32_t partition)
{
    (void)snprintf(c->topics[at], sizeof c->topics[at], "%s", topic);
    c->places[at] = (struct hub_bus_place){
        .topic = c->topics[at], .partition = partition, .offset = HUB_BUS_NONE, .leader_epoch = -1};
}

/* --- rebalance: the library waits for assign or unassign, which the caller makes after reading the event --- */

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list,
                         void *opaque)
{
    struct consumer *c = of_opaque(opaque);
    bool assigned = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (!room_for(c, (size_t)list->cnt + 1)) {
        rd_kafka_error_t *error = assigned ? NULL : rd_kafka_incremental_unassign(rk, list);
        if (error != NULL)
            rd_kafka_error_destroy(error);
        return;
    }
    c->told = true;
    c->kind = assigned                              ? HUB_BUS_ASSIGNED
              : rd_kafka_assignment_lost(rk) != 0 ? HUB_BUS_LOST
                                                  : HUB_BUS_REVOKED;
    c->place_count = (size_t)list->cnt;
    for (int i = 0; i < list->cnt; i++)
        put_place(c, (size_t)i, list->elems[i].topic, list->elems[i].partition);
    rd_kafka_yield(rk); /* the poll that this runs in comes back at once */
}

/* --- life --- */

static enum hub_result set_group(rd_kafka_conf_t *conf, const struct hub_kafka_bus *bus,
                                 const struct hub_bus_consumer_options *o, struct hub_error *err)
{
    enum hub_result result = HUB_OK;
    /* a reader alone needs a group's name, too, and never joins it */
    hub_kafka_set(conf, "group.id", o->group != NULL ? o->group : bus->options.client_id, &result, err);
    hub_kafka_set(conf, "group.instance.id", o->instance, &result, err);
    hub_kafka_set(conf, "partition.assignment.strategy", "cooperative-sticky", &result, err);
    hub_kafka_set_number(conf, "session.timeout.ms", o->session_ms != 0 ? o->session_ms : SESSION_MS, &result, err);
    hub_kafka_set_number(conf, "max.poll.interval.ms", o->poll_ms != 0 ? o->poll_ms : POLL_MS, &result, err);
    /* a broker answers in order: a question (where does the partition end?) waits for the fetch before it */
    hub_kafka_set_number(conf, "fetch.wait.max.ms", FETCH_WAIT_MS, &result, err);
    hub_kafka_set(conf, "enable.auto.commit", "false", &result, err);
    hub_kafka_set(conf, "enable.auto.offset.store", "false", &result, err);
    hub_kafka_set(conf, "enable.partition.eof", "true", &result, err);
    hub_kafka_set(conf, "auto.offset.reset", "error", &result, err);
    hub_kafka_set(conf, "isolation.level", o->uncommitted ? "read_uncommitted" : "read_committed", &result, err);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    return result;
}

static enum hub_result subscribe(struct consumer *c, const char *const *topics, struct hub_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    for (size_t i = 0; topics != NULL && topics[i] != NULL; i++) {
        HUB_ASSERT(i < TOPICS_MAX);
        c->known[c->known_count++] = rd_kafka_topic_new(c->client.rk, topics[i], NULL);
        (void)rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->client.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? HUB_OK : hub_kafka_explain(err, code, NULL);
}

static void close_client(struct consumer *c)
{
    while (c->known_count != 0)
        rd_kafka_topic_destroy(c->known[--c->known_count]);
    rd_kafka_queue_destroy(c->answers);
    hub_kafka_client_close(&c->client);
}

static enum hub_result open_client(struct consumer *c, struct hub_kafka_bus *bus,
                                   const struct hub_bus_consumer_options *o, struct hub_error *err)
{
    rd_kafka_conf_t *conf = hub_kafka_conf(bus, HUB_KAFKA_CONSUMER, &c->client, err);
    if (conf == NULL)
        return HUB_CONFIG;
    enum hub_result result = HUB_OK;
    hub_kafka_set_properties(conf, &bus->options, &result, err);
    if (result == HUB_OK)
        result = set_group(conf, bus, o, err);
    if (result != HUB_OK) {
        rd_kafka_conf_destroy(conf);
        return result;
    }
    HUB_TRY(hub_kafka_client_open(&c->client, HUB_KAFKA_CONSUMER, conf, err));
    (void)rd_kafka_poll_set_consumer(c->client.rk);
    c->answers = rd_kafka_queue_new(c->client.rk);
    result = c->member ? subscribe(c, o->topics, err) : HUB_OK;
    if (result != HUB_OK)
        close_client(c);
    return result;
}

enum hub_result hub_kafka_consumer_open(struct hub_bus *bus, const struct hub_bus_consumer_options *options,
                                        struct hub_bus_consumer **out, struct hub_error *err)
{
    struct consumer *c = hub_mem_alloc(sizeof *c);
    if (c == NULL || !room_for(c, 1)) {
        hub_mem_free(c);
        return hub_fail(err, HUB_NO_MEMORY, "no memory for a consumer", NULL);
    }
    c->base.ops = &hub_kafka_ops;
    c->member = options->group != NULL && options->topics != NULL;
    enum hub_result result = open_client(c, (struct hub_kafka_bus *)bus, options, err);
    if (result != HUB_OK) {
        hub_mem_free(c->places);
        hub_mem_free(c->topics);
        hub_mem_free(c);
        return result;
    }
    *out = &c->base;
    return HUB_OK;
}

static void let_go(struct consumer *c)
{
    if (c->message != NULL)
        rd_kafka_message_destroy(c->message);
    c->message = NULL;
    c->headers = NULL;
}

static void destroy(struct consumer *c)
{
    close_client(c);
    hub_mem_free(c->places);
    hub_mem_free(c->topics);
    hub_mem_free(c);
}

static void *destroy_run(void *arg)
{
    destroy(arg);
    return NULL;
}

/* Gives back what is assigned, as it is (the caller has written its state before), and leaves the group. False: not yet, after
 * CLOSE_MS. The library holds a commit back until a broker answers or the session is over, and waits for it here. */
static bool leave(struct consumer *c)
{
    enum { CLOSE_MS = 5000, LOOK_MS = 50 };
    rd_kafka_t *rk = c->client.rk;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, queue);
    if (error != NULL) { /* a fatal one was before: no group is left */
        rd_kafka_error_destroy(error);
        rd_kafka_queue_destroy(queue);
        return true;
    }
    if (c->told) /* a rebalance that the caller was not told of any more */
        (void)rd_kafka_assign(rk, NULL);
    const int64_t until = hub_clock_mono_us(hub_clock_system()) + (int64_t)CLOSE_MS * 1000;
    while (!rd_kafka_consumer_closed(rk) && hub_clock_mono_us(hub_clock_system()) < until) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, LOOK_MS);
        if (event == NULL)
            continue;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            (void)rd_kafka_assign(rk, NULL);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return rd_kafka_consumer_closed(rk) != 0;
}

/* What does not end soon ends by itself: a stop of the hub need not wait for it. */
void hub_kafka_consumer_close(struct hub_bus_consumer *consumer)
{
    struct consumer *c = of(consumer);
    pthread_t thread;
    let_go(c);
    if (leave(c) || hub_thread_start(&thread, "kafka-close", destroy_run, c, NULL) != HUB_OK)
        destroy(c);
    else
        (void)pthread_detach(thread);
}

/* --- reading --- */

static void give_place(struct consumer *c, struct hub_bus_event *event, enum hub_bus_kind kind)
{
    const rd_kafka_message_t *m = c->message;
    (void)snprintf(c->one_topic, sizeof c->one_topic, "%s", m->rkt != NULL ? rd_kafka_topic_name(m->rkt) : "");
    c->one = (struct hub_bus_place){
        .topic = c->one_topic, .partition = m->partition, .offset = m->offset, .leader_epoch = -1};
    event->kind = kind;
    event->places = &c->one;
    event->place_count = 1;
}

static void give_message(struct consumer *c, struct hub_bus_event *event)
{
    const rd_kafka_message_t *m = c->message;
    rd_kafka_timestamp_type_t type;
    event->kind = HUB_BUS_MESSAGE;
    event->message.place = (struct hub_bus_place){.topic = rd_kafka_topic_name(m->rkt),
                                                  .partition = m->partition,
                                                  .offset = m->offset,
                                                  .leader_epoch = rd_kafka_message_leader_epoch(m)};
    event->message.time_us = rd_kafka_message_timestamp(m, &type) * 1000;
    event->message.key = hub_span_of(m->key, m->key_len);
    event->message.value = hub_span_of(m->payload, m->len);
    if (m->payload != NULL && m->len == 0)
        event->message.value.ptr = (const uint8_t *)"";
}

/* An error that came instead of a record. */
static enum hub_result give_error(struct consumer *c, struct hub_bus_event *event, struct hub_error *err)
{
    rd_kafka_resp_err_t code = c->message->err;
    char text[512];
    if (rd_kafka_fatal_error(c->client.rk, text, sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)hub_kafka_explain(err, rd_kafka_fatal_error(c->client.rk, text, sizeof text), text);
        return HUB_CLOSED;
    }
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        give_place(c, event, HUB_BUS_AT_END);
        return HUB_OK;
    case RD_KAFKA_RESP_ERR__LOG_TRUNCATION:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        give_place(c, event, HUB_BUS_TRUNCATED);
        return HUB_OK;
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
        return HUB_OK; /* the loss itself is told on its own */
    }
    (void)hub_kafka_explain(&c->client.trouble, code, rd_kafka_message_errstr(c->message));
    return HUB_OK;
}

enum hub_result hub_kafka_next(struct hub_bus_consumer *consumer, int timeout_ms, struct hub_bus_event *event,
                               struct hub_error *err)
{
    struct consumer *c = of(consumer);
    let_go(c);
    if (!c->told)
        c->message = rd_kafka_consumer_poll(c->client.rk, timeout_ms);
    if (c->message != NULL && c->message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        give_message(c, event);
        return HUB_OK;
    }
    if (c->message != NULL)
        return give_error(c, event, err);
    if (!c->told)
        return HUB_OK;
    c->told = false;
    event->kind = c->kind;
    event->places = c->places;
    event->place_count = c->place_count;
    return HUB_OK;
}

struct hub_span hub_kafka_header(struct hub_bus_consumer *consumer, const char *name)
{
    struct consumer *c = of(consumer);
    const void *value = NULL;
    size_t len = 0;
    if (c->message == NULL ||
        (c->headers == NULL && rd_kafka_message_headers(c->message, &c->headers) != RD_KAFKA_RESP_ERR_NO_ERROR) ||
        rd_kafka_header_get_last(c->headers, name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return HUB_SPAN_NONE;
    return hub_span_of(value, len);
}

bool hub_kafka_consumer_trouble(const struct hub_bus_consumer *consumer, struct hub_error *out)
{
    const struct consumer *c = (const struct consumer *)consumer;
    *out = c->client.trouble;
    return c->client.trouble.result != HUB_OK;
}

/* --- partitions --- */

static enum hub_result settle(struct hub_error *err, rd_kafka_error_t *error)
{
    return error == NULL ? HUB_OK : hub_kafka_explain_error(err, error);
}

static void pause_those_without_place(rd_kafka_t *rk, const struct hub_bus_place *places, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        if (places[i].offset == HUB_BUS_NONE)
            (void)rd_kafka_topic_partition_list_add(list, places[i].topic, places[i].partition);
    }
    (void)rd_kafka_pause_partitions(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* Never at a logical offset. The library (2.8) asks the broker for such a one; a seek meanwhile makes the answer an old one, for
 * which it asks again half a second later, and goes to the end, past everything between. So a partition without a place
 * stands at 0, paused before it is there (what is fetched from 0 may be out of range) and, were it unknown then, after. */
enum hub_result hub_kafka_assign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                 size_t count, struct hub_error *err)
{
    rd_kafka_t *rk = of(consumer)->client.rk;
    rd_kafka_topic_partition_list_t *list = list_of(places, count);
    pause_those_without_place(rk, places, count);
    enum hub_result result = settle(err, rd_kafka_incremental_assign(rk, list));
    if (result == HUB_OK)
        pause_those_without_place(rk, places, count);
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

enum hub_result hub_kafka_unassign(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                   size_t count, struct hub_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(places, count);
    enum hub_result result = settle(err, rd_kafka_incremental_unassign(of(consumer)->client.rk, list));
    rd_kafka_topic_partition_list_destroy(list);
    return result;
}

/* A partition at whose offset there was nothing has stopped: only a new beginning moves it. */
static enum hub_result begin_anew(struct hub_bus_consumer *consumer, const struct hub_bus_place *place, struct hub_error *err)
{
    HUB_TRY(hub_kafka_unassign(consumer, place, 1, err));
    return hub_kafka_assign(consumer, place, 1, err);
}

enum hub_result hub_kafka_seek(struct hub_bus_consumer *consumer, const struct hub_bus_place *place,
                               struct hub_error *err)
{
    enum { SEEK_MS = 10000 };
    rd_kafka_topic_partition_list_t *list = list_of(place, 1);
    enum hub_result result = settle(err, rd_kafka_seek_partitions(of(consumer)->client.rk, list, SEEK_MS));
    const rd_kafka_resp_err_t code = list->elems[0].err;
    rd_kafka_topic_partition_list_destroy(list);
    if (result != HUB_OK || code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return result;
    return code == RD_KAFKA_RESP_ERR__STATE ? begin_anew(consumer, place, err) : hub_kafka_explain(err, code, NULL);
}

enum hub_result hub_kafka_pause(struct hub_bus_consumer *consumer, const struct hub_bus_place *places,
                                size_t count, bool paused, struct hub_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(places, count);
    rd_kafka_t *rk = of(consumer)->client.rk;
    rd_kafka_resp_err_t code =
        paused ? rd_kafka_pause_partitions(rk, list) : rd_kafka_resume_partitions(rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? HUB_OK : hub_kafka_explain(err, code, NULL);
}

/* --- offsets --- */

/* As the offset's metadata: whoever lists the group sees it. The library frees it with the list. */
static bool set_note(rd_kafka_topic_partition_t *place, const struct hub_bus_place *from)
{
    enum { NOTE_MAX = 48 };
    if (from->note == 0 && from->fingerprint == 0)
        return true;
    place->metadata = rd_kafka_mem_malloc(NULL, NOTE_MAX);
    if (place->metadata != NULL)
        place->metadata_size =
            (size_t)snprintf(place->metadata, NOTE_MAX, "%lld %llu", (long long)from->note, (unsigned long long)from->fingerprint);
    return place->metadata != NULL;
}

/* Anything else than what was set is none; a note alone is of an older version. */
static void read_note(const rd_kafka_topic_partition_t *place, struct hub_bus_place *to)
{
    const struct hub_span text = hub_span_of(place->metadata, place->metadata != NULL ? place->metadata_size : 0);
    const uint8_t *space = text.len != 0 ? memchr(text.ptr, ' ', text.len) : NULL;
    const size_t len = space != NULL ? (size_t)(space - text.ptr) : text.len;
    uint64_t note = 0;
    to->note = hub_span_parse_u64(hub_span_of(text.ptr, len), &note) ? (int64_t)note : 0;
    to->fingerprint = 0;
    if (space != NULL)
        (void)hub_span_parse_u64(hub_span_of(space + 1, text.len - len - 1), &to->fingerprint);
}

/* The library's own wait has no end while the brokers are away, and nobody could stop meanwhile. Who got no answer asks for it first: one
 * commit is under way at most. */
static rd_kafka_resp_err_t commit_and_wait(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    enum { COMMIT_MS = 5000 };
    rd_kafka_event_t *event = c->unanswered ? rd_kafka_queue_poll(c->answers, 0) : NULL;
    if (c->unanswered && event == NULL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(c->client.rk, list, c->answers, NULL, NULL);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return code;
    event = rd_kafka_queue_poll(c->answers, COMMIT_MS);
    c->unanswered = event == NULL;
    if (event == NULL)
        return RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_topic_partition_list_t *done = rd_kafka_event_topic_partition_list(event);
    code = rd_kafka_event_error(event);
    for (int i = 0; done != NULL && i < done->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        code = done->elems[i].err;
    rd_kafka_event_destroy(event);
    return code;
}

enum hub_result hub_kafka_commit_offsets(struct hub_bus_consumer *consumer,
                                         const struct hub_bus_place *places, size_t count,
                                         struct hub_error *err)
{
    struct consumer *c = of(consumer);
    HUB_ENSURE(c->member, hub_fail(err, HUB_INTERNAL, "no group to commit for", NULL));
    rd_kafka_topic_partition_list_t *list = list_of(places, count);
    for (size_t i = 0; i < count; i++) {
        if (!set_note(&list->elems[i], &places[i])) {
            rd_kafka_topic_partition_list_destroy(list);
            return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
        }
    }
    const rd_kafka_resp_err_t code = commit_and_wait(c, list);
    rd_kafka_topic_partition_list_destroy(list);
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return HUB_OK;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
        return hub_fail(err, HUB_DENIED, "the partition is another member's by now", NULL);
    }
    return hub_kafka_explain(err, code, NULL);
}

enum hub_result hub_kafka_committed(struct hub_bus_consumer *consumer, struct hub_bus_place *places,
                                    size_t count, int timeout_ms, struct hub_error *err)
{
    rd_kafka_topic_partition_list_t *list = list_of(places, count);
    rd_kafka_resp_err_t code = rd_kafka_committed(of(consumer)->client.rk, list, timeout_ms);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
        places[i].offset = list->elems[i].offset >= 0 ? list->elems[i].offset : HUB_BUS_NONE;
        places[i].leader_epoch = rd_kafka_topic_partition_get_leader_epoch(&list->elems[i]);
        read_note(&list->elems[i], &places[i]);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? HUB_OK : hub_kafka_explain(err, code, NULL);
}

enum hub_result hub_kafka_offsets(struct hub_bus_consumer *consumer, const char *topic, int32_t partition,
                                  int timeout_ms, int64_t *oldest, int64_t *end, struct hub_error *err)
{
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(of(consumer)->client.rk, topic, partition, oldest, end, timeout_ms);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? HUB_OK : hub_kafka_explain(err, code, NULL);
}

enum hub_result hub_kafka_partition_count(struct hub_bus_consumer *consumer, const char *topic,
                                          int timeout_ms, int32_t *count, struct hub_error *err)
{
    struct consumer *c = of(consumer);
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(c->client.rk, topic, NULL);
    if (handle == NULL)
        return hub_kafka_explain(err, rd_kafka_last_error(), NULL);
    rd_kafka_resp_err_t code = rd_kafka_metadata(c->client.rk, 0, handle, &metadata, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = metadata->topics[0].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        *count = metadata->topics[0].partition_cnt;
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? HUB_OK : hub_kafka_explain(err, code, NULL);
}
