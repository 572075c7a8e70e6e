#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "src/event/authority.h"
#include "src/event/event.h"

static const char *const aliases[] = {"GH", NULL};
static struct hub_authority authorities[] = {
    {.name = "STATE", .system = "urn:oid:1.2.3.5"},
    {.name = "GENHOSP", .system = "urn:oid:1.2.3.4", .aliases = (const char **)(uintptr_t)aliases, .alias_count = 1, .primary = true},
};
static const struct hub_config config = {.authorities = authorities, .authority_count = 2};
static const struct hub_feed feed = {.id = "f1"};
static const struct hub_feed feed_with_default = {.id = "f2", .default_authority = "GH"};
static struct hub_arena arena;

static int setup(void **state)
{
    (void)state;
    hub_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hub_arena_deinit(&arena);
    return 0;
}

static struct hub_authority_view canonical(const struct hub_feed *of, const char *name, const char *id, const char *type)
{
    struct hub_hd hd = {hub_span_str(name), hub_span_str(id), hub_span_str(type)};
    struct hub_authority_view out;
    assert_int_equal(hub_authority_canonical(&arena, &config, of, &hd, HUB_SPAN("NORTH"), &out), HUB_OK);
    return out;
}

#define assert_system(view, text) assert_true(hub_span_is((view).system, (text)))

static void configured_names_aliases_and_systems_give_their_system(void **state)
{
    (void)state;
    struct hub_authority_view view = canonical(&feed, "GH", "", "");
    assert_system(view, "urn:oid:1.2.3.4");
    assert_true(view.configured);
    assert_true(view.primary);
    assert_int_equal(view.rank, 1);
    assert_system(canonical(&feed, "GENHOSP", "9.9.9", "ISO"), "urn:oid:1.2.3.4");
    view = canonical(&feed, "SOMETHING", "1.2.3.5", "ISO");
    assert_system(view, "urn:oid:1.2.3.5");
    assert_true(view.configured);
    assert_false(view.primary);
}

static void universal_ids_become_urns(void **state)
{
    (void)state;
    struct hub_authority_view view = canonical(&feed, "X", "2.16.840.1", "ISO");
    assert_system(view, "urn:oid:2.16.840.1");
    assert_false(view.configured);
    assert_system(canonical(&feed, "", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "UUID"), "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    assert_system(canonical(&feed, "", "lab.example.org", "DNS"), "urn:chartline:ns:NORTH:lab.example.org");
}

static void names_are_of_their_facility(void **state)
{
    (void)state;
    assert_system(canonical(&feed, "OTHER", "", ""), "urn:chartline:ns:NORTH:OTHER");
    assert_system(canonical(&feed, "A B:C", "", ""), "urn:chartline:ns:NORTH:A%20B%3AC");
    assert_system(canonical(&feed, "OTHER", "lab.example.org", "DNS"), "urn:chartline:ns:NORTH:OTHER");
}

static void no_authority_is_the_feeds_default_else_local_to_the_feed(void **state)
{
    (void)state;
    assert_system(canonical(&feed_with_default, "", "", ""), "urn:oid:1.2.3.4");
    assert_system(canonical(&feed, "", "", ""), "urn:chartline:local:f1:NORTH");
}

static bool eligible(bool configured, const char *type, const char *value)
{
    struct hub_authority_view view = {.configured = configured};
    return hub_identifier_eligible(&view, hub_span_str(type), hub_span_str(value));
}

static void record_numbers_make_tokens_and_others_only_of_configured_authorities(void **state)
{
    (void)state;
    assert_true(eligible(false, "MR", "1"));
    assert_true(eligible(false, "PI", "1"));
    assert_true(eligible(false, "PT", "1"));
    assert_true(eligible(true, "XX", "1"));
    assert_true(eligible(true, "", "1"));
    assert_false(eligible(false, "XX", "1"));
    assert_false(eligible(false, "", "1"));
    assert_false(eligible(true, "SS", "1"));
    assert_false(eligible(true, "AN", "1"));
    assert_false(eligible(true, "MR", " "));
}

static void placeholders_are_known_without_configuration(void **state)
{
    (void)state;
    assert_true(hub_identifier_placeholder(NULL, HUB_SPAN("0000")));
    assert_true(hub_identifier_placeholder(&config, HUB_SPAN("unknown")));
    assert_false(hub_identifier_placeholder(&config, HUB_SPAN("00001")));
}

static void configured_patterns_replace_the_usual_ones(void **state)
{
    (void)state;
    static const char *const patterns[] = {"TMP*", "9?9", NULL};
    struct hub_config own = {.identity_ignore = (const char **)(uintptr_t)patterns, .identity_ignore_count = 2};
    assert_true(hub_identifier_placeholder(&own, HUB_SPAN("tmp-17")));
    assert_true(hub_identifier_placeholder(&own, HUB_SPAN("979")));
    assert_false(hub_identifier_placeholder(&own, HUB_SPAN("9779")));
    assert_false(hub_identifier_placeholder(&own, HUB_SPAN("UNKNOWN")));
}

static void kinds_have_names_both_ways(void **state)
{
    (void)state;
    for (unsigned k = HUB_KIND_PATIENT; k < HUB_KIND_COUNT; k++)
        assert_int_equal(hub_kind_of(hub_span_str(hub_kind_name((enum hub_kind)k))), k);
    assert_int_equal(hub_kind_of(HUB_SPAN("nothing")), HUB_KIND_NONE);
    assert_string_equal(hub_kind_name(HUB_KIND_NONE), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configured_names_aliases_and_systems_give_their_system),
        cmocka_unit_test(universal_ids_become_urns),
        cmocka_unit_test(names_are_of_their_facility),
        cmocka_unit_test(no_authority_is_the_feeds_default_else_local_to_the_feed),
        cmocka_unit_test(record_numbers_make_tokens_and_others_only_of_configured_authorities),
        cmocka_unit_test(placeholders_are_known_without_configuration),
        cmocka_unit_test(configured_patterns_replace_the_usual_ones),
        cmocka_unit_test(kinds_have_names_both_ways),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
