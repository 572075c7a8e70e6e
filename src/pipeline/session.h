/* Between the dispatcher (control.c) and the services (service_*.c): one request at work. */
#pragma once

#include "src/pipeline/control.h"
#include "src/pipeline/hub_internal.h"

enum { HUB_CHALLENGE_LEN = 32 };

struct hub_session {
    struct hub *hub;
    char peer[64];
    const struct hub_role *role;  /* proven, NULL = none */
    const struct hub_role *asked; /* a challenge is open for it */
    uint8_t challenge[HUB_CHALLENGE_LEN];
    struct hub_arena arena; /* of one request */
};

struct hub_request {
    struct hub_session *session;
    struct hub *hub;
    struct hub_arena *arena;
    const struct hub_json *body;
    const char *op;
    bool (*line)(void *ctx, struct hub_span json);
    void *ctx;
    bool gone; /* the peer went away */
    struct hub_buf out;
};

typedef enum hub_result (*hub_service_fn)(struct hub_request *request, struct hub_error *err);

/* Sends {"NAME":VALUE}; VALUE is JSON text. HUB_CLOSED when the peer is gone. */
enum hub_result hub_answer_raw(struct hub_request *request, const char *name,
                               struct hub_span value) HUB_MUST_USE;
enum hub_result hub_answer_json(struct hub_request *request, const char *name,
                                const struct hub_json *value) HUB_MUST_USE;
/* Sends OBJECT as a line of its own. */
enum hub_result hub_answer_object(struct hub_request *request, const struct hub_json *object) HUB_MUST_USE;
/* True while the peer is there; for long waits. */
bool hub_answer_alive(struct hub_request *request);

/* A text member; HUB_USAGE with the member's name as place when it is absent and REQUIRED. */
enum hub_result hub_request_text(struct hub_request *request, const char *name, bool required,
                                 struct hub_span *out, struct hub_error *err) HUB_MUST_USE;
/* A whole number; FALLBACK when it is absent. */
enum hub_result hub_request_number(struct hub_request *request, const char *name, uint64_t fallback,
                                   uint64_t *out, struct hub_error *err) HUB_MUST_USE;
/* A list of texts in the arena; absent: none. */
enum hub_result hub_request_list(struct hub_request *request, const char *name, struct hub_span **items,
                                 size_t *count, struct hub_error *err) HUB_MUST_USE;

/* Commits entries of kind `read` before anything is answered: who, which role, the operation, for what, which
 * tokens. */
enum hub_result hub_session_note_read(struct hub_request *request, const struct hub_span *tokens,
                                      size_t token_count, const struct hub_span *classes, size_t class_count,
                                      struct hub_error *err) HUB_MUST_USE;
/* A text that is a patient: a token, a chart id, or SYSTEM|VALUE (SYSTEM: canonical, or a configured name or
 * alias). */
enum hub_result hub_session_patient(struct hub_request *request, struct hub_span text, struct hub_token *out,
                                    struct hub_error *err) HUB_MUST_USE;
/* The chart of the member `patient`; the read is committed to the audit log, also of one that is not known here. */
enum hub_result hub_session_chart(struct hub_request *request, struct hub_chart *chart,
                                  struct hub_error *err) HUB_MUST_USE;
/* Nothing but tokens and key ids may get into the audit log, whatever a request calls so. */
bool hub_session_is_token(struct hub_span text);
bool hub_session_is_key_id(struct hub_span text);
/* Waits until the timeline has everything that is durable now (a reader sees what it was told is stored). HUB_BUSY: it has not got
 * that far after ten seconds: nobody is shown a chart that lacks something. */
enum hub_result hub_session_catch_up(struct hub_request *request, struct hub_error *err) HUB_MUST_USE;

/* Open dead letters of a feed, first recorded in a range, under RULES: replayed, or only tried when DRY. Each read is
 * audited. */
struct hub_letter_range {
    const char *feed_id;
    int64_t since_us, until_us;
    bool dry;
};
struct hub_letter_counts {
    uint64_t accepted, rejected;
};
enum hub_result hub_letters_remap(struct hub_request *request, struct hub_rules *rules, const struct hub_letter_range *range,
                                  struct hub_letter_counts *counts, struct hub_error *err) HUB_MUST_USE;

hub_service_fn hub_service_find(struct hub_span op, const char **name);

enum hub_result hub_service_event_seal(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_log_show(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_log_snapshot(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_log_retain(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_status(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_deadletter_replay(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_deadletter_resolve(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_feed_pause(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_feed_remap(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_feed_diff(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_feed_resume(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_records(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_grant(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_revoke(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_rotate(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_shred(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_tokens(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_keys_list(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_role_challenge(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_role_prove(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_key_secrets(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_patient_find(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_timeline_list(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_timeline_chart(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_timeline_follow(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_timeline_digest(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_message_find(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_message_show(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_deadletter_list(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_deadletter_show(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_audit_show(struct hub_request *request, struct hub_error *err);
enum hub_result hub_service_audit_checkpoint(struct hub_request *request, struct hub_error *err);
