/* The inside of unify, for unify*.c. Three kinds of threads: the group's (unify_group.c) hands events to partitions and commits
 * the group's offsets; the one of identity (unify_identity.c) hands them changes of charts; each partition's own
 * (unify_partition.c) restores, applies and writes. A partition's thread is the only one that touches its store and producer. */
#pragma once

#include <pthread.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/diag.h"
#include "src/bus/consumer.h"
#include "src/pipeline/forward_internal.h"
#include "src/pipeline/unify.h"
#include "src/store/kv.h"

enum {
    UNIFY_QUEUE_MAX = 2000, /* events that wait for a partition's thread */
    UNIFY_QUEUE_BYTES = 8 * 1024 * 1024,
    UNIFY_CHARTS_BYTES = 32 * 1024 * 1024, /* changes of charts that wait; past that all are looked up anew */
    UNIFY_BATCH = 2000,                    /* events in one write */
    UNIFY_BATCH_BYTES = 4 * 1024 * 1024,
    UNIFY_NETWORK_MS = 10000,
    UNIFY_PATH_MAX = 4200,
    UNIFY_LAST_HASH = 32, /* hex digits */
    UNIFY_RECORD_BYTES_MAX = INT32_MAX, /* the bus takes far less */
};

struct unify_message { /* an event on its way to its partition */
    struct unify_message *next;
    int64_t offset, time_us;
    int32_t epoch;
    uint64_t fingerprint;
    size_t len;
    uint8_t bytes[];
};

struct unify_chart { /* what a token's record shall say of its chart */
    struct unify_chart *next;
    size_t token_len, part_len;
    bool gone;
    uint8_t bytes[];
};

enum unify_leave { UNIFY_STAY, UNIFY_LEAVE, UNIFY_DROP /* it belongs to somebody else already */ };

enum unify_state { UNIFY_OPENING, UNIFY_RESTORING, UNIFY_WAITING, UNIFY_READY, UNIFY_GAP, UNIFY_FENCED, UNIFY_TROUBLE };

struct unify_place {
    int64_t offset; /* of the record wanted next; HUB_BUS_NONE: none known */
    int32_t epoch;  /* of the leader that wrote the record before it, -1: unknown */
    uint64_t fingerprint; /* of that record, 0: unknown */
};

struct unify_last { /* a record of `timeline` */
    int64_t offset; /* HUB_BUS_NONE: none known */
    char key[UNIFY_LAST_HASH + 1], value[UNIFY_LAST_HASH + 1];
};

struct unify_part {
    struct hub_unify *unify;
    int32_t number;
    pthread_t thread;
    /* the group's thread */
    atomic_bool owned; /* anybody reads it */
    bool running;
    bool fetching;             /* it is at a place that the partition wants */
    bool held;                 /* paused: its queue is full */
    struct unify_place group;  /* committed */
    int64_t group_topic;       /* with it: behind this offset of `timeline` lies what the events before that place made */
    bool group_known;
    struct unify_place next;   /* of the event that is handed over next */
    int32_t compares;          /* the one before it is read once more, for what a leader of this epoch wrote; -1: it is not */
    int64_t hole;              /* what came before this offset did not come, though it was asked for */
    int64_t short_us;          /* since then the brokers say that they have less than was read, 0: they do not */
    int64_t more_us;           /* since then they say that they have more, and nothing comes; 0: it does */
    unsigned pokes;            /* how often reading began anew for that */
    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t woken; /* the partition's thread, and whoever waits for room */
    enum unify_leave leave;
    struct unify_message *first, *last;
    size_t count, bytes;
    struct unify_chart *charts, *charts_last;
    size_t charts_bytes;
    uint64_t charts_given, charts_settled; /* changes of charts that came; those of them that are written */
    uint64_t charts_target;                /* somebody waits for this many */
    bool active;       /* takes changes of charts */
    bool seek;         /* the group's thread shall begin at `from` */
    uint64_t wishes;   /* how often that was asked for: whoever carries one out may be overtaken by the next */
    bool from_start;   /* ... whatever the group has committed: the topic `timeline` lacks what was in it */
    bool from_own;     /* ... at `from`, which is this ownership's own */
    bool opened;       /* ... for the first time since it was opened */
    bool truncated;    /* ... but not behind `from`: records before it are gone, and others may lie there by now */
    struct unify_place from;
    uint64_t facts; /* counts writes of the identity store */
    enum unify_state state;
    struct hub_error trouble;
    struct hub_diag_news news; /* what is said of it */
    struct unify_place settled; /* applied and written */
    int64_t settled_topic;      /* with it: offset in `timeline` that the store contains everything before */
    int64_t needed_topic;       /* the store must contain that much of `timeline` before it goes on */
    int64_t end;                /* behind the newest event, as far as known */
    int64_t target;             /* somebody waits for it */
    uint64_t gap;
    /* the partition's thread */
    char folder[UNIFY_PATH_MAX];
    struct hub_kv *kv;
    struct hub_timeline *timeline;
    struct hub_bus_producer *producer;
    bool begun;        /* a transaction is open */
    bool failed;       /* a record of it */
    int64_t topic_end; /* the state contains `timeline` up to there */
    int64_t delivered, delivered_first; /* offsets in `timeline` of the transaction's last record and its first, HUB_BUS_NONE */
    struct hub_buf sent;                /* its last record: the key, then the value */
    size_t sent_key;                    /* bytes of the key */
    bool rebuilt;      /* the topic lost records: all events are applied anew, until a part of them is written */
    bool unproven;     /* the place in the topic that the store has is not to be found any more, though nothing need be lost */
    bool own_place;    /* written in this ownership: it counts then, not the group's */
    struct unify_place place; /* behind what is applied */
    bool moved;               /* there, since it was opened: until then events may come from further on */
    size_t pending, pending_bytes;
    int64_t pending_us, written_us;
    int64_t flush_us; /* how long the last write took, transaction and all */
    uint64_t charts_taken; /* of charts_given */
};

struct hub_unify {
    struct hub_unify_options options;
    char folder[UNIFY_PATH_MAX];
    struct unify_part *parts;
    /* who is who */
    pthread_t identity_thread;
    bool identity_running;
    struct hub_kv *identity_kv;
    struct hub_timeline *identity;
    pthread_mutex_t identity_lock; /* from the first record of a batch to its write: no partition looks charts up then */
    struct unify_place *identity_places; /* thread of identity */
    int32_t *identity_compares;          /* as unify_part.compares */
    int64_t *identity_ends;              /* of the topic when it was asked last: of the start, that must be read before anything is applied */
    int64_t *identity_eofs;              /* where nothing more came */
    bool *identity_changed;              /* since the last write */
    atomic_bool identity_ready;
    /* the group's thread */
    struct hub_bus_consumer *consumer;
    const char *topics[2]; /* of the group */
    struct hub_bus_place *all; /* room for each partition: giving back must not fail */
    bool prepared;
    int64_t committed_us, asked_us;
    int32_t asked_part;
    /* everybody */
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t changed;
    uint64_t wanted;                          /* requests to catch up: number of the last one, and up to which ... */
    uint64_t answered;                        /* ... it is known where `events` ended */
    uint64_t identity_asked, identity_answered; /* ... the same of `identity`, and all that was there is written */
    struct hub_forward_meter meter;
    struct hub_error trouble, identity_trouble;
    struct hub_diag_news news, identity_news; /* what is said of these */
    atomic_ullong applied, identity_read, identity_lag, restores, restored, rebalances, fenced, rebuilds, untrusted, unreadable, unknown_facts,
        truncations;
    atomic_uint owned;
    atomic_bool sick;
};

/* --- unify.c --- */

bool unify_stopping(const struct hub_unify *u);
/* Sleeps in small steps; false: stopping. */
bool unify_pause(const struct hub_unify *u, int ms);
/* Says what is wrong, where it is news (hub_diag_is_news), and keeps it for the status; ERR NULL: nothing any more. */
void unify_trouble(struct hub_unify *u, struct hub_error *slot, const struct hub_error *err, const char *component);
/* Readers, and those who wait to catch up. */
void unify_changed(struct hub_unify *u);
/* Asks for all that there is now; its number. */
uint64_t unify_ask(struct hub_unify *u);
/* The record that was just read, as what lies before the next. */
struct unify_place unify_place_behind(const struct hub_bus_message *message);
/* What MESSAGE is to a reader who wants NEXT. A record that another leader wrote than the one before it may be of another log: one that
 * lost what was read, and grew past it. The library compares epochs, too, but not always (a partition that was assigned anew, one
 * whose leader it did not know just then). So the record before it is read once more, COMPARES (else -1) being the later leader's epoch
 * meanwhile, and what is there must be what was there. */
enum unify_seen {
    UNIFY_WANTED,
    UNIFY_PASSED,   /* read before */
    UNIFY_BACK,     /* go back by one record */
    UNIFY_OTHER_LOG /* or the record before it was removed since, and it cannot be told any more */
};
enum unify_seen unify_track(struct unify_place *next, int32_t *compares, const struct hub_bus_message *message);
/* A record's value without what a schema registry's clients put before it: zero and four bytes of the schema's number. */
struct hub_span unify_value(struct hub_span value);
/* "<offset> <epoch> <fingerprint>", as marks hold places. */
void unify_place_text(const struct unify_place *place, char out[HUB_TIMELINE_MARK_MAX]);
struct unify_place unify_place_of(struct hub_timeline *timeline, const char *mark);

/* --- unify_identity.c --- */

enum hub_result unify_identity_open(struct hub_unify *u, struct hub_error *err) HUB_MUST_USE;
void unify_identity_close(struct hub_unify *u);
void *unify_identity_run(void *unify);

/* --- unify_partition.c --- */

void *unify_part_run(void *part);
/* A change of a chart, from the thread of identity. */
void unify_part_chart(struct unify_part *p, struct hub_span token, struct hub_span part);
/* It shall look all charts up anew: it may have been told of some that are not so. */
void unify_part_charts_anew(struct unify_part *p);
/* Takes MESSAGE; waits a little for room. False: the queue is full (it has the message all the same). */
bool unify_part_give(struct unify_part *p, const struct hub_bus_message *message, uint64_t fingerprint);
/* It is asked to end; the group's thread joins it. */
void unify_part_leave(struct unify_part *p, enum unify_leave leave);
/* Forgets what waits. After the thread has ended, or under its lock. */
void unify_part_clear(struct unify_part *p);
bool unify_part_leaving(struct unify_part *p);
bool unify_part_dropped(struct unify_part *p);
void unify_part_state(struct unify_part *p, enum unify_state state, const struct hub_error *err);

/* --- unify_last.c: the record before a store's place in `timeline`, as the store's mark holds it --- */

void unify_last_make(int64_t offset, struct hub_span key, struct hub_span value, struct unify_last *out);
/* Offset HUB_BUS_NONE: the store has none. */
struct unify_last unify_last_of(struct hub_timeline *timeline);
enum hub_result unify_last_set(struct hub_timeline *timeline, const struct unify_last *last, struct hub_error *err) HUB_MUST_USE;
bool unify_last_is(const struct unify_last *last, const struct hub_bus_message *m);
bool unify_last_tombstone(const struct unify_last *last);
bool unify_last_same_key(const struct unify_last *last, const struct hub_bus_message *m);

/* --- unify_store.c: the store of a partition, its producer, and how it is put back --- */

/* Store, producer, what the topic has, and charts as they are now. HUB_CLOSED: leaving. */
enum hub_result unify_store_open(struct unify_part *p, struct hub_error *err) HUB_MUST_USE;
void unify_store_close(struct unify_part *p);
void unify_store_remove(struct unify_part *p);
/* Writes what is pending with the place behind it. */
enum hub_result unify_store_flush(struct unify_part *p, bool sync, struct hub_error *err) HUB_MUST_USE;
/* After a failure that passes: only what was written counts. */
void unify_store_forget(struct unify_part *p);
