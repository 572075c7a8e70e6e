/* Dead letters out of the event log, opened by the hub itself. Any thread. */
#pragma once

#include "src/log/log.h"
#include "src/protect/protect.h"

/* The letter in record NUMBER; in the arena. HUB_CORRUPT: there is none. */
enum hub_result hub_letter_load(struct hub_log *log, uint64_t number, struct hub_arena *arena,
                                struct hub_json **out, struct hub_error *err) HUB_MUST_USE;
/* Its original bytes, in the arena. Who asks for a person leaves an audit entry first. */
enum hub_result hub_letter_open(struct hub_keys *keys, struct hub_arena *arena, const struct hub_json *letter,
                                struct hub_span *original, struct hub_error *err) HUB_MUST_USE;
