/* The audit log: a tlog-tiles Merkle tree under <data_dir>/audit/, derived from the event log by its own
 * thread, signed with the hub's key. And its verification, which needs nothing but the files.
 * docs/FORMATS.md gives every byte. */
#pragma once

#include "src/base/disk.h"
#include "src/base/result.h"
#include "src/crypto/crypto.h"
#include "src/log/log.h"

struct hub_audit; /* the publisher */

/* The signer stays outside, so that audit never holds a secret key. */
struct hub_audit_signer {
    const uint8_t *public_key; /* HUB_SIGN_PUBLIC_LEN */
    void (*sign)(void *ctx, struct hub_span text, uint8_t signature[HUB_SIGNATURE_LEN]);
    void *ctx;
};
struct hub_audit_options {
    const char *folder; /* <data_dir>/audit */
    const char *origin; /* "chartline/<hub name>" */
    uint32_t checkpoint_ms; /* 1000; 0: after every step that brought entries */
    const struct hub_clock *clock; /* NULL: the machine's */
};

/* Catches up with the log and refuses (HUB_CORRUPT) when the log ends below the last signed size or its
 * entries do not give the signed root. */
enum hub_result hub_audit_open(const struct hub_audit_options *options, struct hub_disk *disk, struct hub_log *log,
                               const struct hub_audit_signer *signer, struct hub_audit **out, struct hub_error *err) HUB_MUST_USE;
/* Applies all durable records; publishes tiles, bundles and a checkpoint when it is time or FORCE. Called by
 * the audit thread and once at stop. After a failure (HUB_QUOTA, HUB_IO, HUB_NO_MEMORY) the published files are
 * still whole and the next call goes on where this one ended; where it is not known what a failed sync left in the place of files,
 * it begins anew behind the last checkpoint, as hub_audit_open does. */
enum hub_result hub_audit_step(struct hub_audit *audit, bool force, struct hub_error *err) HUB_MUST_USE;
/* Signs nothing (hub_audit_step with FORCE does). NULL is fine. */
void hub_audit_close(struct hub_audit *audit);
/* The last record of the event log that this one will not ask for again, whatever happens to the process; for
 * hub_log_follow. Any thread. */
uint64_t hub_audit_settled(const struct hub_audit *audit);
/* Entries in the signed tree. Any thread. */
uint64_t hub_audit_size(const struct hub_audit *audit);

struct hub_audit_verify_options {
    const char *folder;
    const char *vkey;        /* text of a verifier key remembered outside; NULL: the folder's own, self-consistent only */
    const char *since_path;  /* a checkpoint remembered outside; NULL: none */
    const char *events_log;  /* with it: compare the stored events' hashes, folder of the event log; NULL: no */
};
struct hub_audit_report {
    uint64_t entries;         /* of the signed tree */
    uint64_t events_compared;
    uint64_t entries_retired; /* from the first on: their records were retired from the event log, and an entry says so */
    char retired[96];         /* "before record 42 at TIME by keep=30d"; "" nothing was */
    bool self_consistent_only; /* no key came from outside: whoever wrote the folder could have made all of it */
    char root[65];
    struct { char text[256]; uint64_t index; bool has_index; } findings[64]; /* what is wrong, with the entry or tile */
    size_t finding_count;
    uint64_t findings_dropped; /* more than there was room for */
    struct { char text[256]; uint64_t index; bool has_index; } notes[16]; /* worth a look, nothing is wrong with the log */
    size_t note_count;
};
/* HUB_OK also when there are findings (the report says, a missing folder included); other results: the check
 * could not be made: vkey no verifier key (HUB_SYNTAX), since_path or events_log unreadable, memory, disk. May
 * run beside a hub. Index of a finding: the first entry concerned. */
enum hub_result hub_audit_verify(const struct hub_audit_verify_options *options, struct hub_audit_report *report, struct hub_error *err) HUB_MUST_USE;
/* Entries FROM.. in order from the files (verified bundle by bundle against the checkpoint signed with the
 * folder's own key), until CALLBACK says false. HUB_CORRUPT, HUB_CRYPTO or HUB_NOT_FOUND at the first that is
 * not proven; it is not shown. */
enum hub_result hub_audit_each(const char *folder, uint64_t from, bool (*callback)(void *ctx, uint64_t index, struct hub_span json), void *ctx, struct hub_error *err) HUB_MUST_USE;
