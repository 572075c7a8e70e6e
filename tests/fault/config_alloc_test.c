/* Any allocation fails while hub.yaml is loaded: refused with a reason, or loaded whole; never half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/buf.h"
#include "src/base/mem.h"
#include "src/config/config.h"

static const char head[] =
    "hub: {name: genhosp, root_key: {file: keys/root.key}}\n"
    "feeds:\n"
    "  - {name: a, id: f1, transport: {mllp: {listen: \"127.0.0.1:1\", tls: {cert: c, key: k, client_ca: ca, "
    "allow: [\"CN=x\", \"DNS:y\"]}}},\n"
    "     format: {hl7v2: {timezone: UTC, mapping: [one.yaml, two.yaml]}}, identity: {trust_links: [A, "
    "AA]}}\n"
    "  - {name: b, id: f2, transport: {mllp: {listen: \"127.0.0.1:2\"}}, format: {hl7v2: {timezone: UTC}}}\n"
    "authorities:\n"
    "  - {name: A, system: \"urn:oid:1.2\", aliases: [AA], primary: true}\n";

enum { MORE = 1500 }; /* authorities, so that the arena grows more than once */

static void loaded_whole(const struct hub_config *c)
{
    assert_int_equal(c->feed_count, 2);
    assert_int_equal(c->feeds[0].tls.allow_count, 2);
    assert_string_equal(c->feeds[0].tls.allow[1], "DNS:y");
    assert_int_equal(c->feeds[0].mapping_count, 2);
    assert_int_equal(c->feeds[0].trust_link_count, 2);
    assert_int_equal(c->feeds[1].processing_count, 1);
    assert_string_equal(c->feeds[1].processing[0], "P");
    assert_int_equal(c->authority_count, 1 + MORE);
    assert_int_equal(c->authorities[MORE].alias_count, 1);
    assert_int_equal(c->authorities[0].alias_count, 1);
    assert_true(c->identity_ignore_count > 10);
    assert_non_null(c->policy_protect);
    assert_non_null(c->key_store);
}

static void fails_at_each(int lasting)
{
    struct hub_buf text;
    hub_buf_init(&text, 1 << 20, false);
    hub_buf_append_str(&text, head);
    for (int i = 0; i < MORE; i++)
        hub_buf_printf(&text, "  - {name: N%d, system: \"urn:oid:2.%d\", aliases: [M%d]}\n", i, i, i);
    for (uint64_t nth = 1;; nth++) {
        struct hub_problems problems;
        hub_problems_init(&problems);
        (void)hub_mem_fail_nth(nth, lasting);
        struct hub_config *config = hub_config_parse("hub.yaml", hub_buf_view(&text), &problems);
        uint64_t counted = hub_mem_fail_nth(0, 0);
        if (config != NULL)
            loaded_whole(config);
        else
            assert_true(problems.errors > 0);
        hub_config_free(config);
        hub_problems_deinit(&problems);
        if (counted < nth) {
            assert_non_null(config); /* nothing failed this time */
            assert_true(nth > 3);
            break;
        }
    }
    hub_buf_deinit(&text);
}

static void config_survives_any_failed_allocation(void **state)
{
    (void)state;
    fails_at_each(0);
}

static void config_survives_memory_running_out_for_good(void **state)
{
    (void)state;
    fails_at_each(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_survives_any_failed_allocation),
        cmocka_unit_test(config_survives_memory_running_out_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
