/* Small text files in which a part of the hub keeps what it knows about itself (docs/FORMATS.md, "State files"): a
 * title, lines "name value", and the SHA-256 of all of it as the last line, so that a changed byte is seen. Pure
 * functions over the caller's buffers, any thread. */
#pragma once

#include "src/base/buf.h"
#include "src/base/result.h"
#include "src/base/span.h"

/* Appends; check hub_buf_result at the end. TITLE and NAME are literals; VALUE holds no newline. */
void hub_state_file_begin(struct hub_buf *out, const char *title);
void hub_state_file_text(struct hub_buf *out, const char *name, struct hub_span value);
void hub_state_file_number(struct hub_buf *out, const char *name, uint64_t value);
void hub_state_file_hex(struct hub_buf *out, const char *name, struct hub_span value);
/* The sum over everything in OUT. */
void hub_state_file_end(struct hub_buf *out);

/* TEXT is whole and begins with TITLE; *REST are its lines without title and sum. HUB_SYNTAX. */
enum hub_result hub_state_file_open(struct hub_span text, const char *title, struct hub_span *rest) HUB_MUST_USE;
/* Takes the line NAME off REST; False: the next line is another one, REST is unchanged. VALUE is a view. */
bool hub_state_file_take(struct hub_span *rest, const char *name, struct hub_span *value);
bool hub_state_file_take_number(struct hub_span *rest, const char *name, uint64_t *value);
/* Exactly LEN bytes, in lower case. */
bool hub_state_file_take_hex(struct hub_span *rest, const char *name, uint8_t *bytes, size_t len);
/* Takes the next word of VALUE (up to a space or the end) off it; empty when there is none. */
struct hub_span hub_state_file_word(struct hub_span *value);
