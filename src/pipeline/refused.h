/* Refused logins on their way to the audit log: the first of a source in a second is handed out at once, the others of
 * that second as one count at its end. So a kill loses a count at most, and a flood writes two entries a source and
 * second, of HUB_REFUSED_MAX sources; what is beyond is one count more. Memory only, bounded. The caller locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HUB_REFUSED_MAX = 64, HUB_REFUSED_SOURCE_CAP = 48 };

struct hub_refused {
    const char *feed;                    /* configured name */
    char source[HUB_REFUSED_SOURCE_CAP]; /* address without port */
    const char *reason;                  /* a fixed text */
    uint64_t count;                      /* not handed out yet */
    bool told;                           /* the first of this second was handed out */
};

/* Zeroed at the start. */
struct hub_refused_table {
    struct hub_refused rows[HUB_REFUSED_MAX];
    size_t count;
    uint64_t more; /* of sources beyond the table */
};

/* PEER_ADDRESS with or without port. True: the first of its source, feed and reason in this second; take it now. */
bool hub_refused_note(struct hub_refused_table *table, const char *feed, const char *peer_address, const char *reason);
/* What is to be written now: first ones, and with END (the second is over) every count; *MORE likewise. Returns how
 * many rows OUT got. */
size_t hub_refused_take(struct hub_refused_table *table, bool end, struct hub_refused out[HUB_REFUSED_MAX], uint64_t *more);
