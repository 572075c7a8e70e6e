/* One MLLP connection: bytes in, messages to the intake, replies in message order. The worker's thread only.
 */
#pragma once

#include "adapters/transports/mllp/frame.h"
#include "src/base/buf.h"
#include "src/net/net.h"
#include "src/pipeline/adapter.h"

struct mllp_conn;

/* One feed's listener in one worker. */
struct mllp_instance {
    const struct hub_feed *feed;
    const struct hub_limits *limits;
    struct hub_net_loop *loop;
    struct hub_intake *intake;
    struct hub_tls_context *tls;
    struct hub_net_listener *listener;
    struct hub_net_timer *sweep;
    uint32_t sweep_ms;
    bool sweep_soon; /* the sweep that comes is for a frame that a silence may end */
    struct mllp_conn *conns;
    bool recheck; /* the names that may connect have changed */
    bool draining;
};

enum { MLLP_SETTLE_MS = 200 }; /* the silence after FS that ends a frame without CR */

/* hub_net_accept_fn; CTX is the instance. */
bool mllp_conn_accept(void *ctx, struct hub_net_conn *net);
/* Takes up again what the intake refused with HUB_BUSY. */
void mllp_conn_resume(struct mllp_conn *conn);
/* Stops reading; answers still go out. */
void mllp_conn_drain(struct mllp_conn *conn);
/* After a reload: a connection whose name is not allowed any more is closed behind the answers it is due.
 * False: it is, and may be gone. */
bool mllp_conn_recheck(struct mllp_conn *conn);
/* Nothing is waiting for an answer. */
bool mllp_conn_idle(const struct mllp_conn *conn);
/* Closes what has been silent, or in the middle of a frame, for too long. */
void mllp_conn_sweep(struct mllp_conn *conn, int64_t now_us);
/* What was answered still goes out; the connection is freed. */
void mllp_conn_stop(struct mllp_conn *conn);
/* FS was read and nothing since: a silence decides. */
bool mllp_conn_unsettled(const struct mllp_conn *conn);
struct mllp_conn *mllp_conn_next(const struct mllp_conn *conn);
