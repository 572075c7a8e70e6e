/* Any bytes as a JSON Schema, and what follows the first NUL as a value that it is asked of: refused or
 * compiled, and then the value is as it says, or not, or no JSON in canonical form. */
#include <stdlib.h>
#include <string.h>

#include "src/codec/json.h"
#include "src/schema/json_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static enum hub_result compile(struct hub_arena *arena, struct hub_span text, const struct hub_json_schema **out)
{
    struct hub_error err = {0};
    const enum hub_result result = hub_json_schema_compile(arena, text, out, &err);
    check(result == HUB_OK || result == HUB_CONFIG || result == HUB_NO_MEMORY);
    check(result == HUB_OK || err.result == result);
    return result;
}

static enum hub_result ask(const struct hub_json_schema *schema, struct hub_span value)
{
    struct hub_error err = {0};
    const enum hub_result result = hub_json_schema_check(schema, value, &err);
    check(result == HUB_OK || result == HUB_SYNTAX || result == HUB_TYPE);
    check(hub_json_schema_check(schema, value, NULL) == result);
    return result;
}

/* What the whole value is, where the schema says no more than one type of it at its top. */
static bool is_of(const struct hub_json *schema, const struct hub_json *value)
{
    const struct hub_span type = hub_json_get_span(schema, "type");
    if (hub_json_get(schema, "$ref") != NULL || hub_json_get(schema, "oneOf") != NULL || type.len == 0)
        return true;
    const bool number = value->type == HUB_JSON_NUMBER;
    return hub_span_is(type, "object")    ? value->type == HUB_JSON_OBJECT
           : hub_span_is(type, "array")   ? value->type == HUB_JSON_ARRAY
           : hub_span_is(type, "string")  ? value->type == HUB_JSON_STRING
           : hub_span_is(type, "null")    ? value->type == HUB_JSON_NULL
           : hub_span_is(type, "boolean") ? value->type == HUB_JSON_TRUE || value->type == HUB_JSON_FALSE
                                          : number;
}

static bool has_required(const struct hub_json *schema, const struct hub_json *value)
{
    const struct hub_json *list = hub_json_get(schema, "required");
    if (list == NULL || list->type != HUB_JSON_ARRAY || value->type != HUB_JSON_OBJECT)
        return true;
    for (const struct hub_json *name = list->first; name != NULL; name = name->next) {
        if (name->type == HUB_JSON_STRING && hub_json_get_n(value, name->str, name->len) == NULL)
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size != 0 ? memchr(data, 0, size) : NULL;
    const struct hub_span text = hub_span_of(data, nul != NULL ? (size_t)(nul - data) : size);
    const struct hub_span value = nul != NULL ? hub_span_of(nul + 1, size - text.len - 1) : HUB_SPAN_NONE;
    const struct hub_json_schema *schema = NULL, *any = NULL;
    struct hub_json *said = NULL, *tree = NULL;
    struct hub_arena arena;
    hub_arena_init(&arena, 64 << 20);
    check(compile(&arena, HUB_SPAN("{}"), &any) == HUB_OK);
    if (compile(&arena, text, &schema) == HUB_OK) {
        const enum hub_result canonical = ask(any, value), result = ask(schema, value);
        check(hub_json_parse(&arena, text, &said, NULL) == HUB_OK);
        check(result != HUB_OK || canonical == HUB_OK);
        if (result == HUB_OK && hub_utf8_valid(value)) { /* that it is UTF-8 the caller knows */
            check(hub_json_parse(&arena, value, &tree, NULL) == HUB_OK);
            check(is_of(said, tree) && has_required(said, tree));
        }
    }
    hub_arena_deinit(&arena);
    return 0;
}
