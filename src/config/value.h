/* Texts of the configuration as values: sizes, durations, addresses. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* "16MiB", "4096". False: not a size, or past INT64_MAX. */
bool hub_value_size(const char *text, int64_t *bytes);
/* "10m", "500ms", "0" in microseconds. False: not a duration (a number needs its unit). */
bool hub_value_duration(const char *text, int64_t *us);
/* "host:port" or "[v6]:port", port 1..65535. */
bool hub_value_listen(const char *text);
/* Letters, digits, '.', '_' and '-', at least one. */
bool hub_value_name(const char *text);
/* UTF-8 without control characters. */
bool hub_value_text(const char *text);
/* Decimal digits only. */
bool hub_value_count(const char *text, int64_t *count);
/* 32 bytes of a public key in base64. */
bool hub_value_public_key(const char *text, uint8_t key[32]);
/* The shortest text that reads back as the same size or duration; OUT has room for 32. */
void hub_value_size_text(int64_t bytes, char out[32]);
void hub_value_duration_text(int64_t us, char out[32]);
