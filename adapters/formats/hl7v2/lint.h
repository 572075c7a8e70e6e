/* What is allowed in a site's overlays and yet probably not meant: rules that are never seen, overlays that change
 * nothing, code lists that pass unknown codes on, fields that HL7 does not have. For people; the compiler refuses what
 * is wrong. */
#pragma once

#include "src/base/problem.h"

/* Warnings and notes with file and line; files that cannot be read are the compiler's to complain of. */
void hub_map_lint(const char *schema_dir, const char *const *overlays, size_t count, struct hub_problems *problems);
