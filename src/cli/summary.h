/* A FHIR resource in a few words, for the tables of `timeline`. */
#pragma once

#include "src/base/buf.h"
#include "src/codec/json.h"

/* Appends to OUT; "(sealed)" stands for what the reader's keys do not open. RESOURCE may be NULL. */
void hub_cli_summary(const struct hub_json *resource, struct hub_buf *out);
