/* Names and content of tlog-tiles files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "src/audit/tile.h"

static void assert_path(int level, uint64_t n, unsigned width, const char *want)
{
    struct hub_tile tile = {.level = level, .n = n, .width = width};
    struct hub_tile parsed;
    char path[HUB_TILE_PATH_MAX];
    hub_tile_path(&tile, path);
    assert_string_equal(path, want);
    assert_int_equal(hub_tile_path_parse(hub_span_str(path), &parsed), HUB_OK);
    assert_int_equal(parsed.level, level);
    assert_int_equal(parsed.n, n);
    assert_int_equal(parsed.width, width);
}

static void audit_tile_paths_are_those_of_the_specification(void **state)
{
    (void)state;
    assert_path(0, 1234067, 256, "tile/0/x001/x234/067");
    assert_path(0, 273, 112, "tile/0/273.p/112");
    assert_path(1, 0, 256, "tile/1/000");
    assert_path(7, 999, 1, "tile/7/999.p/1");
    assert_path(2, 1000, 255, "tile/2/x001/000.p/255");
    assert_path(HUB_TILE_ENTRIES, 5, 256, "tile/entries/005");
    assert_path(HUB_TILE_ENTRIES, 100000, 3, "tile/entries/x100/000.p/3");
    assert_path(0, (UINT64_C(1) << 40) - 1, 256, "tile/0/x001/x099/x511/x627/775");
}

static void audit_tile_other_spellings_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",               "tile",           "tile/",           "tile/0",           "tile/0/",           "tile/8/000",
        "tile/-1/000",    "tile/00/000",    "tile/0/00",       "tile/0/0000",      "tile/0/x000/000",   "tile/0/x01/000",
        "tile/0/000.p",   "tile/0/000.p/",  "tile/0/000.p/0",  "tile/0/000.p/256", "tile/0/000.p/01",   "tile/0/000.p/1/",
        "tile/0/000.q/1", "tile/0/000/1",   "tile/0/0a0",      "tile/entries",     "tile/entries/",     "tile/entries/x",
        "Tile/0/000",     "tile/0/000.new", "tile/0/000 ",     "/tile/0/000",      "tile/0/x1/x1/x1/1", "tile/data/000",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/000",
    };
    struct hub_tile tile;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hub_tile_path_parse(hub_span_str(bad[i]), &tile), HUB_SYNTAX);
}

static void audit_tile_widths_follow_the_size(void **state)
{
    (void)state;
    /* the specification's own example: 70,000 entries */
    assert_int_equal(hub_tile_width(0, 272, 70000), 256);
    assert_int_equal(hub_tile_width(0, 273, 70000), 112);
    assert_int_equal(hub_tile_width(0, 274, 70000), 0);
    assert_int_equal(hub_tile_width(1, 0, 70000), 256);
    assert_int_equal(hub_tile_width(1, 1, 70000), 17);
    assert_int_equal(hub_tile_width(2, 0, 70000), 1);
    assert_int_equal(hub_tile_width(3, 0, 70000), 0);
    assert_int_equal(hub_tile_width(HUB_TILE_ENTRIES, 273, 70000), 112);
    assert_int_equal(hub_tile_width(0, 0, 0), 0);
    assert_int_equal(hub_tile_width(0, 1, 256), 0);
}

static void audit_bundle_entries_come_back_and_cut_ones_are_refused(void **state)
{
    (void)state;
    static uint8_t large[HUB_TILE_ENTRY_MAX];
    struct hub_buf bundle;
    struct hub_span rest, entry;
    memset(large, 'x', sizeof large);
    hub_buf_init(&bundle, HUB_BUNDLE_BYTES_MAX, false);
    hub_bundle_append(&bundle, HUB_SPAN("{}"));
    hub_bundle_append(&bundle, hub_span_of(large, sizeof large));
    assert_int_equal(hub_buf_result(&bundle), HUB_OK);
    assert_memory_equal(bundle.ptr, "\x00\x02{}\xff\xff", 6);
    rest = hub_buf_view(&bundle);
    assert_int_equal(hub_bundle_next(&rest, &entry), HUB_OK);
    assert_true(hub_span_is(entry, "{}"));
    assert_int_equal(hub_bundle_next(&rest, &entry), HUB_OK);
    assert_int_equal(entry.len, HUB_TILE_ENTRY_MAX);
    assert_int_equal(hub_bundle_next(&rest, &entry), HUB_END);
    for (size_t len = 1; len < 4; len++) {
        rest = hub_span_of(bundle.ptr, len);
        assert_int_equal(hub_bundle_next(&rest, &entry), HUB_CORRUPT);
        assert_int_equal(rest.len, len);
    }
    rest = hub_span_of("\x00\x00", 2); /* an empty entry is none */
    assert_int_equal(hub_bundle_next(&rest, &entry), HUB_CORRUPT);
    hub_buf_deinit(&bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_tile_paths_are_those_of_the_specification),
        cmocka_unit_test(audit_tile_other_spellings_are_refused),
        cmocka_unit_test(audit_tile_widths_follow_the_size),
        cmocka_unit_test(audit_bundle_entries_come_back_and_cut_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
