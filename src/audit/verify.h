/* Inside of the verification: verify.c (keys, checkpoints, what is found), verify_tree.c (bundles, tiles,
 * root), verify_files.c (what else lies in the folder), verify_events.c (against the event log). */
#pragma once

#include "src/audit/audit.h"
#include "src/audit/files.h"
#include "src/audit/note.h"
#include "src/base/arena.h"

struct hub_verify_events; /* the event log beside the entries */

struct hub_verify {
    struct hub_disk *disk;
    const char *folder;
    struct hub_audit_report *report;
    struct hub_error *err;
    struct hub_note_key key;
    uint64_t size; /* of the checkpoint in the folder */
    struct hub_merkle_hash root;
    struct hub_tiles *tiles;
    struct hub_verify_events *events; /* NULL: not asked for */
    struct hub_arena arena;           /* one entry's JSON */
    struct hub_buf file;
    int64_t last_time_us;
    bool missing; /* a file was not there: a running hub may have gone on meanwhile */

    bool since; /* a remembered checkpoint, signed by the key and not larger than SIZE */
    uint64_t since_size;
    struct hub_merkle_hash since_root;

    struct hub_merkle tree; /* over the leaves that were found good */
    struct hub_verify_level {
        uint64_t n;
        unsigned count;
        struct hub_merkle_hash hashes[HUB_TILE_WIDTH]; /* made from the level below: for level 0 from the entries */
    } levels[HUB_TILE_LEVELS];
};

/* INDEX: the first entry concerned; UINT64_MAX: none. Texts hold paths inside the folder, numbers and fixed words. */
void hub_verify_find(struct hub_verify *verify, uint64_t index, const char *format, ...) __attribute__((format(printf, 3, 4)));
void hub_verify_note(struct hub_verify *verify, uint64_t index, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* All results but HUB_OK mean that the check could not be made. */
enum hub_result hub_verify_tree(struct hub_verify *verify) HUB_MUST_USE;
enum hub_result hub_verify_files(struct hub_verify *verify) HUB_MUST_USE;
enum hub_result hub_verify_events_open(struct hub_verify *verify, const char *folder) HUB_MUST_USE;
/* After the last entry: what is missing at the event log's start must have been retired by an entry's word. */
void hub_verify_events_end(struct hub_verify *verify);
void hub_verify_events_close(struct hub_verify_events *events);
/* Entry INDEX as it stands in its bundle, in order; JSON is NULL when it is none. */
struct hub_json;
enum hub_result hub_verify_events_entry(struct hub_verify *verify, uint64_t index, struct hub_span entry,
                                        const struct hub_json *json) HUB_MUST_USE;
