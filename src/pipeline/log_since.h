/* Where in the event log a time begins, so that who asks for what came since yesterday does not read the years before:
 * recorded times increase strictly from record to record. Any thread; the reader is the caller's. */
#pragma once

#include "src/log/log.h"

/* *NUMBER: a record from which on nothing recorded at SINCE_US or later is missed: the first of the segment that the time
 * falls into, the log's own first where it lies before all. READER stands there afterwards. */
enum hub_result hub_log_since(struct hub_log *log, struct hub_log_reader *reader, int64_t since_us, uint64_t *number,
                              struct hub_error *err) HUB_MUST_USE;
