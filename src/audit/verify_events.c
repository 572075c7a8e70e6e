/* The entries beside the event log they came from: the same entries in the same order, and for every accepted
 * message the SHA-256 of each event as it is stored. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "src/audit/entry.h"
#include "src/audit/verify.h"
#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/codec/json.h"
#include "src/log/record.h"

struct hub_verify_events {
    struct hub_log *log;
    struct hub_log_reader *reader;
    struct hub_record_view entries; /* of the current record: what was not yet taken */
    struct hub_span payload;        /* the whole record */
    uint64_t record;
    bool open;  /* a record is current */
    bool named; /* one of its entries named its events */
    bool ended; /* nothing more to compare with; said once */
    uint64_t first;   /* record the log starts with */
    uint64_t skipped; /* entries that came before it */
    bool stated;      /* an entry says that what came before was retired */
};

enum hub_result hub_verify_events_open(struct hub_verify *verify, const char *folder)
{
    struct hub_verify_events *events = hub_mem_alloc(sizeof *events);
    HUB_ENSURE(events != NULL, hub_fail(verify->err, HUB_NO_MEMORY, "no memory for the event log", NULL));
    verify->events = events;
    HUB_TRY(hub_log_view(folder, verify->disk, &events->log, verify->err));
    struct hub_log_retired gone;
    hub_log_retired(events->log, &gone);
    events->first = hub_log_first(events->log);
    events->skipped = gone.entries;
    return hub_log_reader_open(events->log, events->first, &events->reader, verify->err);
}

void hub_verify_events_end(struct hub_verify *verify)
{
    const struct hub_verify_events *events = verify->events;
    struct hub_audit_report *report = verify->report;
    struct hub_log_run run;
    char time[HUB_TIME_TEXT_LEN + 1];
    if (events == NULL || events->first == 1)
        return;
    if (!events->stated || events->skipped > verify->size || !hub_log_retired_by(events->log, events->first - 1, &run)) {
        hub_verify_find(verify, 0, "the event log starts with record %" PRIu64 ", and no audit entry says that those before were retired",
                        events->first);
        return;
    }
    hub_time_format(run.at_us, time);
    report->entries_retired = events->skipped;
    (void)snprintf(report->retired, sizeof report->retired, "before record %" PRIu64 " at %s by %.32s", events->first, time,
                   run.rule);
}

/* "log-retired" with this log's start as its `before`. */
static void look_for_statement(struct hub_verify_events *events, const struct hub_json *json)
{
    uint64_t before = 0;
    if (json != NULL && hub_span_is(hub_json_get_span(json, "kind"), hub_audit_kind_name(HUB_AUDIT_LOG_RETIRED)) &&
        hub_span_parse_u64(hub_json_span(hub_json_get(json, "before")), &before) && before == events->first)
        events->stated = true;
}

void hub_verify_events_close(struct hub_verify_events *events)
{
    if (events == NULL)
        return;
    hub_log_reader_close(events->reader);
    hub_log_close(events->log, false);
    hub_mem_free(events);
}

static void end(struct hub_verify *verify, uint64_t index, const char *why)
{
    verify->events->ended = true;
    hub_verify_find(verify, index, "the event log cannot be compared from entry %" PRIu64 " on: %s", index, why);
}

/* The record's section of KIND that comes next in VIEW. */
static enum hub_result next_section(struct hub_record_view *view, enum hub_section_kind wanted, struct hub_span *bytes)
{
    enum hub_section_kind kind;
    for (;;) {
        HUB_TRY(hub_record_next(view, &kind, bytes));
        if (kind == wanted)
            return HUB_OK;
    }
}

/* A record whose events no entry names hides what was stored. */
static void leave_record(struct hub_verify *verify, uint64_t index)
{
    struct hub_verify_events *events = verify->events;
    struct hub_record_view view;
    struct hub_span event;
    if (events->open && !events->named && hub_record_parse(events->payload, &view) == HUB_OK &&
        next_section(&view, HUB_SECTION_EVENT, &event) == HUB_OK)
        hub_verify_find(verify, index, "record %" PRIu64 " of the event log holds events that no audit entry names", events->record);
    events->open = false;
}

/* Why the log's next record cannot be had, with the file and the offset where ERR says them. */
static void end_of_log(struct hub_verify *verify, uint64_t index, enum hub_result result, const struct hub_error *err)
{
    const char *name = strrchr(err->path, '/');
    char why[192];
    verify->missing = verify->missing || result == HUB_NOT_FOUND; /* retired meanwhile by a hub that runs */
    (void)snprintf(why, sizeof why, "%s", result == HUB_END ? "it ends before" : hub_result_text(result));
    if (result == HUB_CORRUPT && name != NULL)
        (void)snprintf(why, sizeof why, "%s: %.40s: %.40s", hub_result_text(result), name + 1, err->place);
    end(verify, index, why);
}

/* The log's next audit entry. False: there is none, and it was said why. */
static bool next_logged(struct hub_verify *verify, uint64_t index, struct hub_span *logged)
{
    struct hub_verify_events *events = verify->events;
    for (;;) {
        if (events->open) {
            enum hub_result result = next_section(&events->entries, HUB_SECTION_AUDIT, logged);
            if (result == HUB_OK)
                return true;
            if (result != HUB_END) {
                end(verify, index, "a record cannot be read");
                return false;
            }
            leave_record(verify, index);
        }
        struct hub_error err = {0};
        enum hub_result result = hub_log_reader_next(events->reader, &events->record, &events->payload, &err);
        if (result == HUB_OK)
            result = hub_record_parse(events->payload, &events->entries);
        if (result != HUB_OK) {
            end_of_log(verify, index, result, &err);
            return false;
        }
        events->open = true;
        events->named = false;
    }
}

/* HASHED: over what the entry would list, for the short form of a long list. */
struct listing {
    struct hub_json *list;
    struct hub_sha256 hashed;
    uint64_t count;
    bool same;
};

static void list_event(struct listing *listing, struct hub_span event)
{
    uint8_t hash[HUB_HASH_LEN];
    char hex[2 * HUB_HASH_LEN + 1];
    hub_sha256_of(event, hash);
    size_t len = hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), hex, sizeof hex);
    hub_sha256_update(&listing->hashed, hub_span_of(hex, len));
    hub_sha256_update(&listing->hashed, HUB_SPAN("\n"));
    if (listing->list != NULL && listing->list->type == HUB_JSON_ARRAY &&
        !hub_span_equal(hub_json_span(hub_json_at(listing->list, (size_t)listing->count)), hub_span_of(hex, len)))
        listing->same = false;
    listing->count++;
}

static bool listing_ends(struct listing *listing)
{
    uint8_t hash[HUB_HASH_LEN];
    char hex[2 * HUB_HASH_LEN + 1], count[24];
    if (listing->list == NULL)
        return listing->count == 0;
    if (listing->list->type == HUB_JSON_ARRAY)
        return listing->same && listing->list->len == listing->count;
    hub_sha256_final(&listing->hashed, hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), hex, sizeof hex);
    (void)snprintf(count, sizeof count, "%" PRIu64, listing->count);
    return hub_span_is(hub_json_get_span(listing->list, "sha256"), hex) &&
           hub_span_is(hub_json_span(hub_json_get(listing->list, "count")), count);
}

static void compare_events(struct hub_verify *verify, uint64_t index, const struct hub_json *json)
{
    struct hub_verify_events *events = verify->events;
    struct listing listing = {.list = hub_json_get(json, HUB_AUDIT_EVENTS), .same = true};
    struct hub_record_view view;
    struct hub_span event;
    if (listing.list == NULL && hub_json_get(json, "part") != NULL) /* goes on with the patients of the entry before */
        return;
    hub_sha256_init(&listing.hashed);
    enum hub_result result = hub_record_parse(events->payload, &view);
    while (result == HUB_OK && (result = next_section(&view, HUB_SECTION_EVENT, &event)) == HUB_OK)
        list_event(&listing, event);
    verify->report->events_compared += listing.count;
    events->named = true;
    if (!listing_ends(&listing))
        hub_verify_find(verify, index, "entry %" PRIu64 " does not name the events that record %" PRIu64 " of the event log holds",
                        index, events->record);
}

enum hub_result hub_verify_events_entry(struct hub_verify *verify, uint64_t index, struct hub_span entry, const struct hub_json *json)
{
    struct hub_span logged;
    look_for_statement(verify->events, json);
    if (index < verify->events->skipped)
        return HUB_OK;
    if (verify->events->ended || !next_logged(verify, index, &logged))
        return HUB_OK;
    if (!hub_span_equal(entry, logged))
        hub_verify_find(verify, index, "entry %" PRIu64 " is not what record %" PRIu64 " of the event log holds", index, verify->events->record);
    struct hub_span kind = hub_json_get_span(json, "kind");
    if (hub_span_is(kind, hub_audit_kind_name(HUB_AUDIT_ACCEPTED)) || hub_span_is(kind, hub_audit_kind_name(HUB_AUDIT_REVISED)))
        compare_events(verify, index, json);
    return HUB_OK;
}
