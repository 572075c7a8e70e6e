/* A stored message under other rules than those that mapped it: what it would become, and, where that differs, its next
 * revision for the committer (docs/FORMATS.md, "Revisions"). One thread and one arena a message. Nothing is stored here
 * but, with an item, the secret of a patient who had none. */
#pragma once

#include "src/pipeline/intake.h"
#include "src/pipeline/rules.h"
#include "src/pipeline/stored.h"

struct hub_remap {
    struct hub_keys *keys;
    const struct hub_rules *rules;
    const struct hub_rules_feed *feed;
    uint64_t record_bytes_max;
};

struct hub_remapped {
    struct hub_span original, sender;
    struct hub_json **before, **after; /* hub_protect_clear of each event, in order */
    size_t before_count, after_count;
    bool changed;
};

/* STORED is the message's newest revision, sealed; it is opened here (the caller has noted the read). HUB_SHREDDED,
 * HUB_NO_KEY: it cannot be opened; HUB_CORRUPT: the original is not this message's; anything else is what the rules say
 * of the message, with its place. */
enum hub_result hub_remap_judge(const struct hub_remap *remap, struct hub_arena *arena, struct hub_stored *stored, struct hub_remapped *out,
                                struct hub_error *err) HUB_MUST_USE;
/* The next revision into ITEM (hub_commit_item_new); feed, sender, who and done are the caller's to set. */
enum hub_result hub_remap_item(const struct hub_remap *remap, struct hub_arena *arena, const struct hub_stored *stored,
                               const struct hub_remapped *remapped, struct hub_commit_item *item, struct hub_error *err) HUB_MUST_USE;
