/* Results and errors of every function in the hub.
 *
 * A function that can fail returns enum hub_result and, where details help, fills a caller's struct
 * hub_error. Neither ever holds a value of the input: texts are static, names come from the
 * configuration, places are positions such as PID-3[2].4. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hub_result {
#define HUB_ROW(name, class, text, ack, err, http, metric) HUB_##name,
#include "src/base/result.def"
#undef HUB_ROW
    HUB_RESULT_COUNT
};

enum hub_result_class {
    HUB_CLASS_OK,
    HUB_CLASS_AGAIN,
    HUB_CLASS_REJECT,
    HUB_CLASS_DENIED,
    HUB_CLASS_LIMIT,
    HUB_CLASS_RETRY,
    HUB_CLASS_CORRUPT,
    HUB_CLASS_FATAL,
};

#define HUB_MUST_USE __attribute__((warn_unused_result))

struct hub_result_row {
    const char *name;
    enum hub_result_class class;
    const char *text;
    const char *ack_code;
    const char *err_code;
    int http_status;
    const char *metric;
};

/* The row of RESULT; any value outside the enum gives INTERNAL's. Never NULL, static storage. */
const struct hub_result_row *hub_result_row(enum hub_result result);
const char *hub_result_text(enum hub_result result);

/* Details of one failure. Fixed size, no heap. `what` and `mend` are static strings ("" when unset):
 * the reason and how to mend it. `path` is a file or a configuration path, `place` a position inside a
 * message ("PID-3[2].4") or document, `number` a count or limit (only if has_number). */
struct hub_error {
    enum hub_result result;
    const char *what;
    const char *mend;
    char path[192];
    char place[48];
    uint32_t line; /* 1-based, 0 = unknown */
    bool has_number;
    int64_t number;
};

/* Fill ERR (may be NULL) and return RESULT, so that `return hub_fail(err, HUB_X, "...", "...")` works.
 * WHAT and MEND must be static strings, either may be NULL. */
enum hub_result hub_fail(struct hub_error *err, enum hub_result result, const char *what, const char *mend);
/* Same with errno's text kept out of the message but its number in. */
enum hub_result hub_fail_errno(struct hub_error *err, enum hub_result result, const char *what, int errnum);
/* Decorate ERR (may be NULL) after hub_fail; text longer than the field is cut. They return ERR's result. */
enum hub_result hub_error_at(struct hub_error *err, const char *place_format, ...)
    __attribute__((format(printf, 2, 3)));
enum hub_result hub_error_in(struct hub_error *err, const char *path, uint32_t line);
void hub_error_number(struct hub_error *err, int64_t number);
/* One line for people: "path:line: place: reason (number); mend". Always ends with a NUL. Returns its length. */
size_t hub_error_print(const struct hub_error *err, char *out, size_t out_cap);

_Noreturn void hub_assert_failed(const char *expr, const char *file, int line);

/* The three control-flow macros of the house, no more. */
#define HUB_TRY(expr)                                                                                        \
    do {                                                                                                     \
        enum hub_result hub_try_result_ = (expr);                                                            \
        if (hub_try_result_ != HUB_OK)                                                                       \
            return hub_try_result_;                                                                          \
    } while (0)
/* Needs `enum hub_result result` and an `out:` label in scope. */
#define HUB_TRY_OUT(expr)                                                                                    \
    do {                                                                                                     \
        result = (expr);                                                                                     \
        if (result != HUB_OK)                                                                                \
            goto out;                                                                                        \
    } while (0)
#define HUB_ENSURE(cond, result_)                                                                            \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            return (result_);                                                                                \
    } while (0)

/* Our own invariants, on in release; never for input. */
#define HUB_ASSERT(cond) ((cond) ? (void)0 : hub_assert_failed(#cond, __FILE__, __LINE__))
