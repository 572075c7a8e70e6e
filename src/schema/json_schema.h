/* JSON Schema (draft-07) as far as schemas/event and schemas/timeline use it, compiled once and asked of texts in
 * canonical form, each read once from front to back (of `oneOf` each alternative, which ends at its first wrong
 * member). A schema with a keyword that is not checked here is refused when it is compiled: nothing passes
 * because it was overlooked. A compiled schema never changes; any thread checks with it.
 *
 * Known: type, const and enum (texts, true, false), pattern (src/schema/pattern.h), minLength, maxLength, minimum,
 * maximum (whole numbers), properties, required, additionalProperties, items (one schema), minItems, maxItems,
 * oneOf (alone), $ref to #/definitions/NAME (alone), definitions; $schema, $id, title, description say nothing. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_json_schema;

enum { HUB_JSON_SCHEMA_MEMBERS_MAX = 64 };

/* TEXT is a JSON Schema. What is compiled lives in ARENA. HUB_CONFIG with the reason, HUB_NO_MEMORY. */
enum hub_result hub_json_schema_compile(struct hub_arena *arena, struct hub_span text, const struct hub_json_schema **out,
                                        struct hub_error *err) HUB_MUST_USE;
/* VALUE is UTF-8. HUB_SYNTAX: not JSON in canonical form; HUB_TYPE: not as the schema says. ERR's `what` says why, its
 * place where, in the schema's own names: nothing of VALUE is in it. */
enum hub_result hub_json_schema_check(const struct hub_json_schema *schema, struct hub_span value,
                                      struct hub_error *err) HUB_MUST_USE;
