/* Verification from the files alone: keys, signed and remembered checkpoints, and the report. */
#include "src/audit/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "src/audit/publisher.h"
#include "src/base/mem.h"
#include "src/codec/encode.h"

enum { ENTRY_ARENA_MAX = 4 * 1024 * 1024, ATTEMPTS = 3 };

static const size_t findings_max = sizeof((struct hub_audit_report *)NULL)->findings / sizeof((struct hub_audit_report *)NULL)->findings[0];
static const size_t notes_max = sizeof((struct hub_audit_report *)NULL)->notes / sizeof((struct hub_audit_report *)NULL)->notes[0];

void hub_verify_find(struct hub_verify *verify, uint64_t index, const char *format, ...)
{
    struct hub_audit_report *report = verify->report;
    va_list args;
    if (report->finding_count == findings_max) {
        report->findings_dropped++;
        return;
    }
    size_t at = report->finding_count++;
    va_start(args, format);
    (void)vsnprintf(report->findings[at].text, sizeof report->findings[at].text, format, args);
    va_end(args);
    report->findings[at].has_index = index != UINT64_MAX;
    report->findings[at].index = index != UINT64_MAX ? index : 0;
}

void hub_verify_note(struct hub_verify *verify, uint64_t index, const char *format, ...)
{
    struct hub_audit_report *report = verify->report;
    va_list args;
    if (report->note_count == notes_max)
        return;
    size_t at = report->note_count++;
    va_start(args, format);
    (void)vsnprintf(report->notes[at].text, sizeof report->notes[at].text, format, args);
    va_end(args);
    report->notes[at].has_index = index != UINT64_MAX;
    report->notes[at].index = index != UINT64_MAX ? index : 0;
}

/* The folder's own vkey file; *GOOD: it is one. */
static enum hub_result own_key(struct hub_verify *verify, struct hub_note_key *key, bool *good)
{
    struct hub_error ignored;
    enum hub_result result = hub_audit_read_file(verify->disk, verify->folder, "vkey", &verify->file, verify->err);
    *good = false;
    if (result == HUB_NOT_FOUND) {
        hub_verify_find(verify, UINT64_MAX, "the file vkey is missing");
        return HUB_OK;
    }
    HUB_ENSURE(result == HUB_OK || result == HUB_TOO_LARGE, result);
    struct hub_span text = hub_buf_view(&verify->file);
    *good = result == HUB_OK && text.len != 0 && text.ptr[text.len - 1] == '\n' &&
            hub_note_vkey_parse(text, key, &ignored) == HUB_OK;
    if (!*good)
        hub_verify_find(verify, UINT64_MAX, "the file vkey is damaged");
    return HUB_OK;
}

static enum hub_result choose_key(struct hub_verify *verify, const char *vkey, bool *have)
{
    struct hub_note_key own = {.name = ""};
    bool good;
    HUB_TRY(own_key(verify, &own, &good));
    verify->report->self_consistent_only = vkey == NULL;
    if (vkey == NULL) {
        verify->key = own;
        *have = good;
        return HUB_OK;
    }
    HUB_TRY(hub_note_vkey_parse(hub_span_str(vkey), &verify->key, verify->err));
    *have = true;
    if (good && (strcmp(own.name, verify->key.name) != 0 || memcmp(own.public_key, verify->key.public_key, sizeof own.public_key) != 0))
        hub_verify_find(verify, UINT64_MAX, "the file vkey is not the remembered key");
    return HUB_OK;
}

/* A note that should be a checkpoint of this log. FOLDER NULL: NAME is a path from outside. *READABLE: its
 * three lines were understood (signed or not). A fault becomes a finding that begins with WHAT. */
static enum hub_result read_checkpoint(struct hub_verify *verify, const char *folder, const char *name, const char *what,
                                       struct hub_checkpoint *out, bool *readable, bool *is_signed)
{
    struct hub_error ignored;
    struct hub_span text;
    *readable = *is_signed = false;
    HUB_TRY(hub_audit_read_file(verify->disk, folder, name, &verify->file, verify->err));
    struct hub_span note = hub_buf_view(&verify->file);
    if (hub_note_text(note, &text, &ignored) != HUB_OK || hub_checkpoint_parse(text, out, &ignored) != HUB_OK) {
        hub_verify_find(verify, UINT64_MAX, "%s is damaged: not a signed checkpoint", what);
        return HUB_OK;
    }
    *readable = true;
    enum hub_result result = hub_note_open(note, &verify->key, &text, &ignored);
    *is_signed = result == HUB_OK && hub_span_is(out->origin, verify->key.name);
    if (result != HUB_OK)
        hub_verify_find(verify, UINT64_MAX, "%s is not signed by the key: changed, or another log (forked)", what);
    else if (!*is_signed)
        hub_verify_find(verify, UINT64_MAX, "%s is of another log: its origin is not the key's name", what);
    return HUB_OK;
}

static enum hub_result read_since(struct hub_verify *verify, const char *path)
{
    struct hub_checkpoint since;
    bool readable, is_signed;
    HUB_TRY(read_checkpoint(verify, NULL, path, "the remembered checkpoint", &since, &readable, &is_signed));
    if (!is_signed)
        return HUB_OK;
    if (since.size > verify->size) {
        hub_verify_find(verify, verify->size, "rolled back: the log has %" PRIu64 " entries, the remembered checkpoint %" PRIu64,
                        verify->size, since.size);
        return HUB_OK;
    }
    verify->since = true;
    verify->since_size = since.size;
    verify->since_root = since.root;
    return HUB_OK;
}

/* Read before the checkpoint: an honest hub writes it after, so its size can only be behind. */
static enum hub_result read_state(struct hub_verify *verify, struct hub_audit_state *state, bool *have)
{
    enum hub_result result = hub_audit_read_file(verify->disk, verify->folder, "state", &verify->file, verify->err);
    *have = false;
    HUB_ENSURE(result != HUB_NOT_FOUND, HUB_OK);
    HUB_ENSURE(result == HUB_OK || result == HUB_TOO_LARGE, result);
    *have = result == HUB_OK && hub_audit_state_parse(hub_buf_view(&verify->file), state) == HUB_OK;
    if (!*have)
        hub_verify_find(verify, UINT64_MAX, "the file state is damaged (derived: the next start of the hub writes it again)");
    return HUB_OK;
}

static void check_state(struct hub_verify *verify, const struct hub_audit_state *state)
{
    if (state->size > verify->size)
        hub_verify_find(verify, verify->size, "rolled back: the log has %" PRIu64 " entries, the file state knows of %" PRIu64,
                        verify->size, state->size);
    else if (state->size == verify->size && !hub_merkle_equal(&state->root, &verify->root))
        hub_verify_find(verify, UINT64_MAX, "the file state is not of this checkpoint");
}

static enum hub_result verify_parts(struct hub_verify *verify, const struct hub_audit_verify_options *options)
{
    struct hub_checkpoint checkpoint;
    struct hub_audit_state state;
    bool have_key, readable, is_signed, have_state;
    HUB_TRY(choose_key(verify, options->vkey, &have_key));
    HUB_TRY(read_state(verify, &state, &have_state));
    enum hub_result result = read_checkpoint(verify, verify->folder, "checkpoint", "the checkpoint", &checkpoint, &readable, &is_signed);
    if (result == HUB_NOT_FOUND) {
        hub_verify_find(verify, UINT64_MAX, "the checkpoint is missing");
        return HUB_OK;
    }
    if (result != HUB_OK || !readable)
        return result == HUB_TOO_LARGE ? HUB_OK : result;
    verify->size = verify->report->entries = checkpoint.size;
    verify->root = checkpoint.root;
    (void)hub_encode(HUB_HEX, hub_span_of(checkpoint.root.bytes, HUB_HASH_LEN), verify->report->root, sizeof verify->report->root);
    if (have_state)
        check_state(verify, &state);
    if (options->since_path != NULL)
        HUB_TRY(read_since(verify, options->since_path));
    if (options->events_log != NULL)
        HUB_TRY(hub_verify_events_open(verify, options->events_log));
    verify->tiles = hub_tiles_new(verify->disk, verify->folder, verify->size);
    HUB_ENSURE(verify->tiles != NULL, hub_fail(verify->err, HUB_NO_MEMORY, "no memory for the tiles", NULL));
    HUB_TRY(hub_verify_tree(verify));
    hub_verify_events_end(verify);
    return hub_verify_files(verify);
}

/* True when the checkpoint has moved on since it was verified: a hub runs, and the files that were missing
 * were superseded. */
static bool moved_on(struct hub_verify *verify)
{
    struct hub_checkpoint checkpoint;
    struct hub_span text;
    struct hub_error ignored;
    return hub_audit_read_file(verify->disk, verify->folder, "checkpoint", &verify->file, &ignored) == HUB_OK &&
           hub_note_text(hub_buf_view(&verify->file), &text, &ignored) == HUB_OK &&
           hub_checkpoint_parse(text, &checkpoint, &ignored) == HUB_OK && checkpoint.size > verify->size;
}

static enum hub_result verify_once(const struct hub_audit_verify_options *options, struct hub_audit_report *report, bool *again,
                                   struct hub_error *err)
{
    struct hub_verify *verify = hub_mem_alloc(sizeof *verify);
    HUB_ENSURE(verify != NULL, hub_fail(err, HUB_NO_MEMORY, "no memory to verify the audit log", NULL));
    verify->disk = hub_disk_system();
    verify->folder = options->folder;
    verify->report = report;
    verify->err = err;
    verify->last_time_us = INT64_MIN;
    hub_arena_init(&verify->arena, ENTRY_ARENA_MAX);
    hub_buf_init(&verify->file, HUB_BUNDLE_BYTES_MAX, false);
    enum hub_result result = verify_parts(verify, options);
    *again = result == HUB_OK && verify->missing && moved_on(verify);
    hub_verify_events_close(verify->events);
    hub_tiles_free(verify->tiles);
    hub_buf_deinit(&verify->file);
    hub_arena_deinit(&verify->arena);
    hub_mem_free(verify);
    return result;
}

enum hub_result hub_audit_verify(const struct hub_audit_verify_options *options, struct hub_audit_report *report, struct hub_error *err)
{
    bool again = true;
    for (int attempt = 0; attempt < ATTEMPTS && again; attempt++) {
        memset(report, 0, sizeof *report);
        HUB_TRY(verify_once(options, report, &again, err));
    }
    return HUB_OK;
}
