/* The door between the charset table and the C library's iconv; for charset.c only. */
#pragma once

#include "src/codec/charset.h"

/* BYTES of iconv's set FROM as UTF-8 in ARENA. Results as hub_charset_to_utf8. */
enum hub_result hub_charset_iconv(struct hub_arena *arena, const char *from, struct hub_span bytes, struct hub_span *utf8,
                                  size_t *bad_at) HUB_MUST_USE;
