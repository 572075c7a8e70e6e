/* The program's own log (stderr, one line a fact: time, level, component, text, name=value pairs).
 *
 * PHI and secrets cannot get in by construction: the text must be a string literal, and values come only
 * through the constructors below, none of which takes a span or a message. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "src/base/result.h"

enum hub_diag_level { HUB_DIAG_ERROR, HUB_DIAG_WARNING, HUB_DIAG_NOTICE, HUB_DIAG_DEBUG };

struct hub_diag_value {
    const char *name; /* a literal */
    char text[200];
};

struct hub_diag_value hub_diag_number(const char *name, int64_t number);
/* CONFIGURED is a text of the configuration: feed name, path, address of a listener. Control characters are replaced. */
struct hub_diag_value hub_diag_configured(const char *name, const char *configured);
/* A patient token, event id, key id or other keyed value, base32 or hex; anything else is printed as "?". */
struct hub_diag_value hub_diag_token(const char *name, const char *token);
/* Reason, place and mend of a failure. */
struct hub_diag_value hub_diag_error(const struct hub_error *err);

/* Trouble that comes again and again, each time found anew: what of it is said. The same text once while it lasts, and again after a
 * minute at the soonest; in a minute no more than HUB_DIAG_NEWS_MAX different ones. All zero at first. Of one thread, or under a lock. */
enum { HUB_DIAG_NEWS_MAX = 8 };
struct hub_diag_news {
    uint64_t current; /* the text of what is wrong, as a number; 0: nothing is */
    bool said;        /* that text was */
    bool told;        /* any was, since nothing was wrong */
    struct {
        uint64_t text;
        int64_t until_us;
    } last[HUB_DIAG_NEWS_MAX];
};
/* ERR is wrong at NOW_US (of a clock that does not go back): whether to say so. NULL: nothing is any more; whether anything had been
 * said since it was last so. */
bool hub_diag_is_news(struct hub_diag_news *news, const struct hub_error *err, int64_t now_us);

/* TEXT is a literal. Values end with the count. */
void hub_diag_write(enum hub_diag_level level, const char *component, const char *text,
                    const struct hub_diag_value *values, size_t count);
void hub_diag_set_level(enum hub_diag_level most_verbose);

#define HUB_DIAG(level, component, text, ...)                                                                \
    hub_diag_write((level), (component), "" text,                                                            \
                   (const struct hub_diag_value[]){__VA_ARGS__},                                             \
                   sizeof((const struct hub_diag_value[]){__VA_ARGS__}) / sizeof(struct hub_diag_value))
