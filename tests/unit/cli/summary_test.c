/* Resources in a few words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The room under test belongs to the program, not to the library. */
#include "src/cli/summary.c"

static void reads(const char *json, const char *expected)
{
    struct hub_arena arena;
    struct hub_buf out;
    struct hub_json *tree = NULL;
    hub_arena_init(&arena, 1 << 20);
    hub_buf_init(&out, 1 << 16, false);
    assert_int_equal(hub_json_parse(&arena, hub_span_str(json), &tree, NULL), HUB_OK);
    hub_cli_summary(tree, &out);
    assert_string_equal(hub_buf_str(&out), expected);
    hub_buf_deinit(&out);
    hub_arena_deinit(&arena);
}

static void summary_names_what_a_reader_looks_for(void **state)
{
    (void)state;
    reads("{\"resourceType\":\"Observation\",\"code\":{\"coding\":[{\"code\":\"2823-3\",\"display\":"
          "\"Potassium\"}]},"
          "\"valueQuantity\":{\"value\":6.10,\"unit\":\"mmol/"
          "L\"},\"interpretation\":[{\"coding\":[{\"code\":\"H\"}]}]}",
          "Potassium 6.10 mmol/L [H]");
    reads("{\"resourceType\":\"Observation\",\"code\":{\"text\":\"Colour\"},\"valueString\":\"straw\"}",
          "Colour straw");
    reads("{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"Lind\",\"given\":[\"Ada\",\"B\"]}],"
          "\"birthDate\":\"1958-04-23\"}",
          "Lind, Ada, born 1958-04-23");
    reads("{\"resourceType\":\"Encounter\",\"class\":{\"code\":\"IMP\"},\"location\":[{\"location\":{"
          "\"display\":\"CARD 12\"}}]}",
          "IMP at CARD 12");
    reads("{\"resourceType\":\"Encounter\",\"class\":{\"code\":\"IMP\"},\"location\":[{\"location\":{"
          "\"display\":\"ED\"},\"status\":\"completed\"},"
          "{\"location\":{\"display\":\"CARD\"},\"status\":\"active\"},{\"location\":{\"display\":\"X\"},"
          "\"status\":\"planned\"}]}",
          "IMP at CARD");
    reads("{\"resourceType\":\"AllergyIntolerance\",\"code\":{\"text\":\"Aspirin\"},\"reaction\":[{"
          "\"manifestation\":[{\"text\":\"Urticaria\"}]}]}",
          "Aspirin: Urticaria");
    reads("{\"resourceType\":\"Immunization\",\"vaccineCode\":{\"coding\":[{\"code\":\"140\"}]}}", "140");
}

static void summary_says_what_stays_sealed(void **state)
{
    (void)state;
    reads("{\"resourceType\":\"Observation\",\"extension\":[{\"url\":\"urn:chartline:sealed\","
          "\"valueBase64Binary\":\"AQ==\"}]}",
          "(sealed)");
    reads("{\"resourceType\":\"Patient\",\"name\":[{\"family\":\"Lind\"}],\"_gender\":{\"extension\":[{"
          "\"url\":\"x\",\"valueCode\":\"masked\"}]}}",
          "Lind (sealed)");
    reads("{\"resourceType\":\"Observation\"}", "");
}

static void summary_of_nothing_is_empty(void **state)
{
    (void)state;
    struct hub_buf out;
    hub_buf_init(&out, 64, false);
    hub_cli_summary(NULL, &out);
    assert_int_equal(out.len, 0);
    hub_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_names_what_a_reader_looks_for),
        cmocka_unit_test(summary_says_what_stays_sealed),
        cmocka_unit_test(summary_of_nothing_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
