/* A stored message read back from its record of the event log, and opened with the hub's own keys: what it became, and the
 * original bytes. Reading is the caller's to note in the audit log before it opens anything. Any thread but the
 * committer's; everything lives in the caller's arena. */
#pragma once

#include "src/log/record.h"
#include "src/protect/protect.h"

struct hub_stored {
    uint64_t number; /* of the record */
    enum hub_record_kind kind; /* MESSAGE, REVISED or REJECTED */
    int64_t recorded_us;
    struct hub_dedup dedup;
    struct hub_span feed, sender; /* as configured then; the sender's entry may be cut at 127 bytes */
    struct hub_span who;          /* REVISED: who asked for it */
    uint32_t revision;
    int64_t origin_us;         /* recorded time of the message's first event in revision 0 */
    struct hub_json **events;  /* parsed, sealed until hub_stored_open */
    size_t event_count;
    size_t content_count;      /* the first ones have content; the others only take back */
    struct hub_json *letter;   /* REJECTED, the first time: the dead letter */
};

/* Of records of other kinds OUT->number is 0. PAYLOAD is copied as far as it is needed. HUB_CORRUPT. */
enum hub_result hub_stored_parse(struct hub_arena *arena, uint64_t number, struct hub_span payload, struct hub_stored *out,
                                 struct hub_error *err) HUB_MUST_USE;

/* Opens with whatever the hub itself holds; CTX remembers why something stayed sealed. */
struct hub_own_keys {
    struct hub_keys *keys;
    enum hub_result why; /* HUB_OK, or the first reason */
};
struct hub_opener hub_own_opener(struct hub_own_keys *own);

/* Opens the events and puts the original message together. HUB_SHREDDED, HUB_NO_KEY: not all of it can be opened. */
enum hub_result hub_stored_open(struct hub_arena *arena, struct hub_keys *keys, struct hub_stored *stored, struct hub_span *original,
                                struct hub_error *err) HUB_MUST_USE;
