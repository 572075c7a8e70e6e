/* The inside of struct hub, for the files of this folder that put it together (hub.c), run it (hub_run.c) and
 * answer requests about it (control.c, service_*.c). Nobody else includes this. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "src/audit/audit.h"
#include "src/audit/entry.h"
#include "src/base/clock.h"
#include "src/log/log.h"
#include "src/pipeline/clock_watch.h"
#include "src/pipeline/bus_schemas.h"
#include "src/pipeline/bus_setup.h"
#include "src/pipeline/commit.h"
#include "src/pipeline/forward.h"
#include "src/pipeline/hub.h"
#include "src/pipeline/intake.h"
#include "src/pipeline/rules.h"
#include "src/pipeline/stop_watch.h"
#include "src/policy/policy.h"
#include "src/protect/keys.h"
#include "src/pipeline/unify.h"
#include "src/timeline/set.h"

struct hub_control_server;
struct hub_keeper;
struct hub_worker;

struct hub {
    const struct hub_config *config; /* of the start: what a reload may not change counts from here */
    const struct hub_registry *registry;
    const struct hub_clock *clock;
    struct hub_disk *disk;
    unsigned roles;
    int lock_fd;
    struct hub_roles *access; /* in force; under run_lock (hub_access_role) */
    struct hub_access_old *access_old;
    int64_t *key_dates; /* keys.rotate.on */
    struct hub_rules *rules; /* in force; under run_lock (hub_rules_now) */
    struct hub_log *log;
    struct hub_keys *keys;
    struct hub_index *index;
    struct hub_kv *timeline_kv;
    struct hub_timeline *timeline;
    struct hub_audit *audit;
    pthread_mutex_t audit_lock; /* hub_audit_step is for one thread at a time */
    pthread_mutex_t apply_lock; /* held from the first record of a batch until the batch is in the timeline's store */
    atomic_bool apply_wanted;   /* somebody waits for it */
    struct hub_clock_watch clock_watch;
    struct hub_stop_watch stop_watch; /* while clients of the bus are closed */
    struct hub_keeper *keeper;
    struct hub_commit *commit;
    struct hub_bus_setup *bus;    /* NULL: the bus is local */
    struct hub_bus_schemas *schemas; /* with `bus` */
    struct hub_forward *forward;  /* NULL: not with this role */
    struct hub_signer signer;     /* this hub's, for the forwarder */
    struct hub_timelines *timelines; /* what readers read: of one store, or of this process's partitions */
    struct hub_unify *unify;      /* the timeline on Kafka; NULL: it follows the event log, or is not kept here */
    uint8_t (*trusted)[HUB_SIGN_PUBLIC_LEN];
    struct hub_ingest ingest;
    bool ingest_open;
    bool locks_made;
    bool announced; /* log-started is in the log */
    int64_t started_us;
    /* while running */
    struct hub_worker *workers;
    size_t worker_count;
    struct hub_control_server *control;
    pthread_mutex_t feed_lock;  /* one pause or resume at a time, record and listeners; before order_lock */
    pthread_mutex_t order_lock; /* one order to the workers at a time; taken before run_lock */
    pthread_mutex_t run_lock;
    pthread_cond_t run_changed; /* stopping, a worker's progress, the timeline's position */
    atomic_bool stopping;       /* set under run_lock */
    bool applier_running, auditor_running, keeper_running;
    atomic_bool remapping; /* one remap or diff at a time */
    bool refused_waits; /* a first refused login is to be written at once; under run_lock */
    bool forwarder_running, unify_running;
    pthread_t applier, auditor, keeper_thread, forwarder, unifier;
    atomic_ullong applied; /* position of the timeline */
    atomic_bool sick;      /* the timeline cannot go on; ingest does */
    atomic_bool lagging;   /* the timeline waits for its store to take writes again */
};

/* <data_dir>/NAME into OUT; HUB_CONFIG when it is too long. */
enum { HUB_PATH_MAX = 4096 };
enum hub_result hub_path(const struct hub *hub, const char *name, char out[HUB_PATH_MAX],
                         struct hub_error *err) HUB_MUST_USE;

bool hub_path_ends(const char *path, const char *end);

/* --- access.c: the access policy in force --- */

/* NULL: none of that name. Lives until the hub closes. Any thread. */
const struct hub_role *hub_access_role(struct hub *hub, const char *name);
/* Reads the access policy anew and takes it as a start does (hub_keys_access); with ROLE it grants that one too
 * (hub_keys_grant). After a failure the policy in force stays. */
enum hub_result hub_access_take(struct hub *hub, const char *role, const char *by,
                                struct hub_error *err) HUB_MUST_USE;
void hub_access_close(struct hub *hub);

/* --- apply.c: the timeline follows the log --- */

/* Applies everything durable after the timeline's position, until the end or STOP (may be NULL) becomes true.
 */
enum hub_result hub_apply_step(struct hub *hub, const atomic_bool *stop, struct hub_error *err) HUB_MUST_USE;

/* --- hub_bus.c: the bus and the forwarder in the hub --- */

/* Opens both where the configuration and the roles ask for them. On the first start of a forwarder the brokers
 * must take the login and the topics (problems go to PROBLEMS); later ones start without brokers too. */
enum hub_result hub_bus_start(struct hub *hub, struct hub_problems *problems, struct hub_error *err) HUB_MUST_USE;
/* The timeline with the bus on Kafka: opens who is who, where this process keeps partitions. */
enum hub_result hub_bus_open_timeline(struct hub *hub, struct hub_error *err) HUB_MUST_USE;
/* Body of its thread. */
void *hub_bus_unify(void *hub);
/* Body of the forwarder's thread. */
void *hub_bus_forward(void *hub);
void hub_bus_stop(struct hub *hub);

/* --- notes.c: the hub's own audit entries --- */

/* Each waits until its entries are durable. */
enum hub_result hub_note_start(struct hub *hub, struct hub_error *err) HUB_MUST_USE;
/* The configuration and the policy that RULES hold. */
enum hub_result hub_note_rules(struct hub *hub, const struct hub_rules *rules,
                               struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_note_stop(struct hub *hub, struct hub_error *err) HUB_MUST_USE;
/* First refused logins; with END what came of each source since its first (src/pipeline/refused.h). */
enum hub_result hub_note_refused_logins(struct hub *hub, bool end, struct hub_error *err) HUB_MUST_USE;
/* Ends BUILDER and commits it. */
enum hub_result hub_note(struct hub *hub, struct hub_audit_builder *builder,
                         struct hub_error *err) HUB_MUST_USE;
/* The same for an operator's decision: hub_commit_state. */
enum hub_result hub_note_state(struct hub *hub, struct hub_audit_builder *builder, const char *what,
                               const char *id, const char *state, struct hub_error *err) HUB_MUST_USE;
/* Brings the audit tree up to the log's end; signed when FORCE. Any thread. */
enum hub_result hub_audit_catch_up(struct hub *hub, bool force, struct hub_error *err) HUB_MUST_USE;

/* --- workers.c --- */

/* Makes loops, intakes and listeners; nothing runs yet. */
enum hub_result hub_workers_open(struct hub *hub, struct hub_error *err) HUB_MUST_USE;
enum hub_result hub_workers_start(struct hub *hub, struct hub_error *err) HUB_MUST_USE;
/* No new input; waits until every answer is out or DEADLINE_US (monotonic), then ends the threads. */
void hub_workers_stop(struct hub *hub, int64_t deadline_us);
/* After the committer has ended: frees loops and intakes. */
void hub_workers_close(struct hub *hub);

/* Every worker goes over to RULES: certificates, limits, mapping; open connections stay. Returns when all
 * have. One thread at a time. */
void hub_workers_reload(struct hub *hub, struct hub_rules *rules);

/* The feed's listeners close, what was received is answered (limits.drain at most), connections close.
 * Returns when that is done. Any thread but the workers'. */
void hub_workers_pause(struct hub *hub, size_t feed);
/* Listens again; fine when it does already. */
enum hub_result hub_workers_resume(struct hub *hub, size_t feed, struct hub_error *err) HUB_MUST_USE;

/* --- reload.c --- */

/* A share of the rules in force; give it back with hub_rules_free. Any thread. */
struct hub_rules *hub_rules_now(struct hub *hub);
/* The same with the feeds' formats open: a command's own hub opens them when it needs them. */
enum hub_result hub_rules_with_feeds(struct hub *hub, struct hub_rules **out,
                                     struct hub_error *err) HUB_MUST_USE;
/* Rules as the files have them now, feeds open, beside those in force: what a reload would take. HUB_CONFIG with the
 * first problem. Give them back with hub_rules_free. */
enum hub_result hub_rules_from_files(struct hub *hub, struct hub_rules **out, struct hub_error *err) HUB_MUST_USE;
/* Reads the configuration, policies, mapping tables and certificates anew: all of it good, or the last good
 * ones stay and the log says why. The hub's thread. */
void hub_reload(struct hub *hub);

/* --- control_server.c --- */

enum hub_result hub_control_start(struct hub *hub, struct hub_control_server **out,
                                  struct hub_error *err) HUB_MUST_USE;
/* Closes the socket and every connection, waits for their threads. NULL is fine. */
void hub_control_stop(struct hub_control_server *server);

/* The process cannot go on honestly: one line on stderr, exit code 1, at once. */
_Noreturn void hub_fatal(const struct hub_error *err);
