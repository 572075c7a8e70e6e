/* One data directory in one process: the lock, keys, policies, event log, index, audit, timeline, committer,
 * workers and the control socket, put together (DESIGN section 1). The command line is its only caller: `run`
 * opens a hub with roles and runs it; every other command that finds no running hub opens one without roles,
 * asks through a session (src/pipeline/control.h) and closes it.
 *
 * hub_open, hub_run and hub_close are for one thread, the same one. What a hub hands out lives until
 * hub_close. */
#pragma once

#include "src/base/clock.h"
#include "src/base/disk.h"
#include "src/base/problem.h"
#include "src/base/result.h"
#include "src/config/config.h"
#include "src/pipeline/adapter.h"

struct hub;

/* The adapters of this program, both lists NULL ended; static storage (src/cli/registry.c). */
struct hub_registry {
    const struct hub_format *const *formats;
    const struct hub_transport *const *transports;
};
/* NULL when there is none of that name. */
const struct hub_format *hub_registry_format(const struct hub_registry *registry, const char *name);
const struct hub_transport *hub_registry_transport(const struct hub_registry *registry, const char *name);

enum {                       /* `run --role`, or-ed */
       HUB_RUN_INGEST = 1,   /* listeners, workers */
       HUB_RUN_FORWARD = 2,  /* to Kafka; nothing to do with the local bus */
       HUB_RUN_TIMELINE = 4, /* the timeline follows the log */
       HUB_RUN_API = 8,      /* the HTTP API */
       HUB_RUN_ALL = 15,
       HUB_RUN_OFFLINE = 0 /* a single command: no threads but the committer's, no listeners, no socket; the
                              timeline is brought up to the log's end by hub_open */
};

struct hub_options {
    unsigned roles;                /* HUB_RUN_... */
    const struct hub_clock *clock; /* NULL: the machine's */
    struct hub_disk *disk;         /* NULL: the machine's */
};

/* Takes <data_dir>/lock (HUB_BUSY: another process runs on this directory; its control socket is the way),
 * creates what is missing, recovers the log, compiles policies and feeds. Problems of policies and mappings
 * go to PROBLEMS (HUB_CONFIG then), everything else into ERR. With roles, `log-started`,
 * `configuration-loaded` and `policy-loaded` are committed to the audit log. CONFIG and REGISTRY stay the
 * caller's and must outlive the hub. A failed fsync later ends the process: exit code 1 and one line on
 * stderr, no answer after it. */
enum hub_result hub_open(const struct hub_config *config, const struct hub_options *options,
                         const struct hub_registry *registry, struct hub_problems *problems, struct hub **out,
                         struct hub_error *err) HUB_MUST_USE;

/* Starts listeners, workers, applier, audit and control threads, calls READY (may be NULL) when all listeners
 * are up, and returns after STOP_FD became readable (a signalfd, pipe or eventfd; one read
 * is made; SIGHUP on a signalfd reloads and goes on) and the drain (limits.drain_ms at most):
 * listeners closed, answers out, log and audit tree written. HUB_OK: a clean stop. */
enum hub_result hub_run(struct hub *hub, int stop_fd, void (*ready)(void *ctx), void *ctx,
                        struct hub_error *err) HUB_MUST_USE;

/* Commits `log-stopped` (with roles), ends the committer, signs the last checkpoint, releases the lock. NULL
 * is fine. */
void hub_close(struct hub *hub);

/* Blocks SIGTERM, SIGINT and SIGHUP for the process, ignores SIGPIPE, and returns a signalfd for hub_run, -1
 * on failure. Call it before hub_open (threads inherit the mask). */
int hub_signal_fd(void);
