/* The table language itself: overlays, strict checking with file and line, explain and coverage. */
#include "tests/unit/adapters/map_fixture.h"

#include <stdlib.h>
#include <unistd.h>

#include "adapters/formats/hl7v2/map.h"

#define HEAD "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||ADT^A08|M1|P|2.5.1\nEVN||20260301115900\n"

static char overlay_path[256];
static char overlay_folder[200];

static int with_folder(void **state)
{
    const char *base = getenv("TMPDIR");
    (void)snprintf(overlay_folder, sizeof overlay_folder, "%s/chartline-map-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(overlay_folder));
    (void)snprintf(overlay_path, sizeof overlay_path, "%s/site.yaml", overlay_folder);
    return fixture_setup(state);
}

static int without_folder(void **state)
{
    (void)unlink(overlay_path);
    (void)rmdir(overlay_folder);
    return fixture_teardown(state);
}

static void write_overlay(const char *text)
{
    FILE *file = fopen(overlay_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct hub_event *map_with(struct fixture *f, const char *overlay, const char *message)
{
    static const char *files[1];
    write_overlay(overlay);
    files[0] = overlay_path;
    hub_format_hl7v2.close(f->context);
    f->feed.mapping = files;
    f->feed.mapping_count = 1;
    hub_arena_deinit(&f->arena);
    fixture_open(f, &f->feed);
    f->feed.mapping_count = 0;
    return fixture_good(f, message);
}

/* Compiling with OVERLAY fails with this problem at this line of it. */
static bool has_problem(const char *overlay, const char *wanted, uint32_t line)
{
    struct hub_problems problems;
    const char *files[] = {overlay_path};
    bool found = false;
    write_overlay(overlay);
    hub_problems_init(&problems);
    struct map_tables *tables = hub_map_compile(CHARTLINE_SOURCE_DIR "/schemas", files, 1, &problems);
    assert_null(tables);
    for (size_t i = 0; i < problems.count; i++) {
        char text[512];
        (void)snprintf(text, sizeof text, "%s: %s", problems.items[i].error.what, problems.items[i].detail);
        found = found || (strstr(text, wanted) != NULL && problems.items[i].error.line == line &&
                          strcmp(problems.items[i].error.path, overlay_path) == 0);
    }
    if (!found)
        (void)hub_problems_print(&problems, stderr);
    hub_problems_deinit(&problems);
    return found;
}

static void shipped_tables_compile_without_a_problem(void **state)
{
    (void)state;
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct map_tables *tables = hub_map_compile(CHARTLINE_SOURCE_DIR "/schemas", NULL, 0, &problems);
    assert_int_equal(problems.count, 0);
    assert_non_null(tables);
    hub_map_free(tables);
    hub_problems_deinit(&problems);
}

static void overlay_replaces_a_rule_by_its_id(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = map_with(f,
                                   "segments:\n  PID:\n    resources:\n      patient:\n        rules:\n"
                                   "          - {id: pid-8-gender, from: PID-8.1, to: gender, type: code, codes: SiteSex}\n"
                                   "codes:\n  SiteSex: {unmapped: {code: unknown}, map: {'1': male, '2': female}}\n",
                                   HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||2\n");
    assert_span(hub_json_get_span(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "gender"), "female");
    e = fixture_good(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||9\n");
    assert_span(hub_json_get_span(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "gender"), "unknown");
}

static void overlay_removes_and_adds_rules(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = map_with(f,
                                   "segments:\n  PID:\n    resources:\n      patient:\n        rules:\n"
                                   "          - {id: pid-8-gender, remove: true}\n"
                                   "          - {id: zz-card, from: PID-39, to: 'extension(urn:site:card).valueString', after: pid-5-name}\n",
                                   HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||F|||||||||||||||||||||||||||||||K7\n");
    struct hub_resource *patient = fixture_find(e, HUB_KIND_PATIENT, NULL, 0);
    assert_null(hub_json_get(patient->json, "gender"));
    assert_non_null(strstr(fixture_json(f, patient->json), "{\"url\":\"urn:site:card\",\"valueString\":\"K7\"}"));
}

static void overlay_maps_z_segments(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = map_with(f,
                                   "segments:\n  ZBE:\n    resources:\n      extra:\n        extends: [encounter]\n"
                                   "        rules: [{id: zbe-1, from: ZBE-1.1, to: 'extension(urn:site:movement).valueString', type: code}]\n",
                                   HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida\nPV1|1|I|W2||||||||||||||||V7^^^GENHOSP^VN\nZBE|MV-9^SITE\n");
    assert_non_null(strstr(fixture_json(f, fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0)->json), "MV-9"));
}

/* `of`: a segment that adds to the same resource and stands nearer counts as one between. */
static void extends_may_say_whose_resource_it_adds_to(void **state)
{
    struct fixture *f = *state;
#define ADDS(of, over)                                                                                                           \
    "segments:\n  ZNE: {resources: {extra: {extends: [encounter], rules: [{id: zne, from: ZNE-1, to: 'extension(near).valueString'}]}}}\n" \
    "  ZOF: {resources: {extra: {extends: [encounter], of: [" of "], over: [" over "], rules: [{id: zof, from: ZOF-1, to: 'extension(of).valueString'}]}}}\n"
    static const struct {
        const char *overlay;
        const char *segments;
        bool adds;
    } cases[] = {
        {ADDS("PV1", "ZNE"), "ZOF|x\n", true},
        {ADDS("PV1", "ZNE"), "ZNE|n\nZOF|x\n", true},
        {ADDS("PV1", "ZOF"), "ZNE|n\nZOF|x\n", false},
        {ADDS("ZNE", "ZOF"), "ZNE|n\nZOF|x\n", true},
        {ADDS("ZNE", "ZOF"), "ZOF|x\n", false},
    };
#undef ADDS
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char message[512];
        (void)snprintf(message, sizeof message, HEAD "PID|1||A1^^^GENHOSP^MR||Falk\nPV1|1|I|W2||||||||||||||||V7^^^GENHOSP^VN\n%s", cases[i].segments);
        struct hub_event *e = map_with(f, cases[i].overlay, message);
        const char *json = fixture_json(f, fixture_find(e, HUB_KIND_ENCOUNTER, NULL, 0)->json);
        assert_int_equal(strstr(json, "\"x\"") != NULL, cases[i].adds);
    }
}

static void overlay_adds_codes_to_a_list(void **state)
{
    struct fixture *f = *state;
    struct hub_event *e = map_with(f, "codes:\n  AdministrativeSex: {map: {Q: other}}\n", HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||Q\n");
    assert_span(hub_json_get_span(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "gender"), "other");
    e = fixture_good(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||F\n");
    assert_span(hub_json_get_span(fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json, "gender"), "female");
}

/* Rules are told by bits which of them have something to do: 64 at a time, and fields past the 63rd together. */
static void lists_of_any_length_and_fields_of_any_number_are_mapped(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 150 };
    static char overlay[COUNT * 160];
    char message[1024];
    size_t len = (size_t)snprintf(overlay, sizeof overlay, "segments:\n  ZLN:\n    resources:\n      extra:\n        extends: [patient]\n        rules:\n");
    for (unsigned n = 1; n <= COUNT; n++)
        len += (size_t)snprintf(overlay + len, sizeof overlay - len,
                                "          - {id: z%u, from: ZLN-%u, to: 'extension(urn:site:%u).valueString', type: string}\n", n, n, n);
    size_t at = (size_t)snprintf(message, sizeof message, HEAD "PID|1||A1^^^GENHOSP^MR||Falk\nZLN");
    for (unsigned n = 1; n <= COUNT; n++)
        at += (size_t)snprintf(message + at, sizeof message - at, n % 31 == 1 ? "|v%u" : "|", n);
    (void)snprintf(message + at, sizeof message - at, "\n");
    struct hub_event *e = map_with(f, overlay, message);
    const char *json = fixture_json(f, fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json);
    for (unsigned n = 1; n <= COUNT; n++) {
        char wanted[64];
        (void)snprintf(wanted, sizeof wanted, "{\"url\":\"urn:site:%u\",\"valueString\":\"v%u\"}", n, n);
        assert_int_equal(strstr(json, wanted) != NULL, n % 31 == 1);
    }
}

/* A value is cut into its parts once for all rules about it; "" in one of them says nothing. */
static void parts_that_say_nothing_are_left_out(void **state)
{
    struct fixture *f = *state;
    static const char overlay[] = "segments:\n  ZPT:\n    resources:\n      extra:\n        extends: [patient]\n        rules:\n"
                                  "          - id: z\n            from: ZPT-1\n            to: 'extension(urn:site:p)'\n            rules:\n"
                                  "              - {id: z1, from: .1, to: 'extension(one).valueString', type: string}\n"
                                  "              - {id: z2, from: [.2, .3], to: 'extension(two).valueString', type: string, when: .1 valued and .4 empty}\n"
                                  "              - {id: z4, from: .4.2, to: 'extension(four).valueString', type: string, when: .4 valued or .5 valued}\n";
    struct hub_event *e = map_with(f, overlay, HEAD "PID|1||A1^^^GENHOSP^MR||Falk\nZPT|a^\"\"^c~\"\"^b^c~x^y^z^p&q~k^l^^\"\"&\"\"\n");
    const char *json = fixture_json(f, fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json);
    assert_non_null(strstr(json, "[{\"extension\":[{\"url\":\"one\",\"valueString\":\"a\"},{\"url\":\"two\",\"valueString\":\"c\"}],\"url\":\"urn:site:p\"},"
                                 "{\"extension\":[{\"url\":\"one\",\"valueString\":\"x\"},{\"url\":\"four\",\"valueString\":\"q\"}],\"url\":\"urn:site:p\"},"
                                 "{\"extension\":[{\"url\":\"one\",\"valueString\":\"k\"}],\"url\":\"urn:site:p\"}]"));
}

static void formats_leave_out_what_is_empty(void **state)
{
    struct fixture *f = *state;
    const char *overlay = "segments:\n  ZFM:\n    resources:\n      extra:\n        extends: [patient]\n"
                          "        rules: [{id: zfm, from: ZFM-1, to: 'extension(urn:site:f).valueString', format: '{.1}[, {.2}][ ({.3})]'}]\n";
    struct hub_event *e = map_with(f, overlay, HEAD "PID|1||A1^^^GENHOSP^MR||Falk\nZFM|a^^c\n");
    assert_non_null(strstr(fixture_json(f, fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json), "\"a (c)\""));
    e = fixture_good(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk\nZFM|^b\n");
    assert_null(strstr(fixture_json(f, fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json), "urn:site:f"));
}

static void conditions_choose(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *when;
        bool holds;
    } cases[] = {
        {"ZCO-1 = a", true},
        {"ZCO-1 != a", false},
        {"ZCO-1 in (x, 'a')", true},
        {"ZCO-1 not in (x, y)", true},
        {"ZCO-2 empty and ZCO-3 deleted", true},
        {"ZCO-2 valued or ZCO-3 valued", false},
        {"not (ZCO-2 valued)", true},
        {"count(ZCO-4) = 2 and count(ZCO-4) >= 2", true},
        {"length(ZCO-1) > 1", false},
        {"trigger in (A08) and type = ADT", true},
        {"version >= 2.5 and version < 2.6", true},
        {"PV1 present", false},
        {"PID present and set(name)", true},
        {"lenient", false},
        {"feed visit_from_pid18", false},
        {"ZCO-4 = one", true},
        {"ZCO-1 = a and ZCO-4 = two or ZCO-1 = a", true},
        {"type = ADT and trigger = A08 and not lenient and version = 2.5.1", true},
        {"type = ORU or trigger = A01 or lenient or version = 2.3 or feed visit_from_pid18", false},
        {"type = ORU or ZCO-2 valued or ZCO-3 valued or ZCO-1 = a", true},
        {"ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and "
         "ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and ZCO-1 = a and "
         "ZCO-1 = a and ZCO-1 = a and type = ORU", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char overlay[1024];
        (void)snprintf(overlay, sizeof overlay,
                       "segments:\n  ZCO:\n    resources:\n      extra:\n        extends: [patient]\n"
                       "        rules: [{id: z, to: 'extension(urn:site:c).valueBoolean', value: true, when: \"%s\"}]\n",
                       cases[i].when);
        struct hub_event *e = map_with(f, overlay, HEAD "PID|1||A1^^^GENHOSP^MR||Falk\nZCO|a||\"\"|one~two\n");
        bool held = strstr(fixture_json(f, fixture_find(e, HUB_KIND_PATIENT, NULL, 0)->json), "urn:site:c") != NULL;
        if (held != cases[i].holds)
            (void)fprintf(stderr, "condition: %s\n", cases[i].when);
        assert_int_equal(held, cases[i].holds);
    }
}

static void problems_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *overlay;
        const char *problem;
        uint32_t line;
    } cases[] = {
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: x, from: PID-5, tu: name}\n", "unknown key", 6},
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: x, from: PID-5, to: n, type: XYZ}\n", "no type of that name: XYZ", 6},
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: x, from: PID-5, to: n, codes: Nope}\n", "no code list of that name: Nope", 6},
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: x, from: PIDD-5, to: n}\n", "not a path of the message: PIDD-5", 6},
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: x, from: PID-5, to: 'n[2]'}\n", "not an element path: n[2]", 6},
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: x, from: PID-5, to: n, when: PID-5 like a}\n", "not a condition: PID-5 like a", 6},
        {"segments:\n  PID:\n    resources:\n      patient:\n        rules:\n          - {id: nope, remove: true}\n", "no rule of that id to remove: nope", 6},
        {"segments:\n  ZZZ:\n    resources:\n      r: {extends: [nobody], rules: [{id: z, to: a, value: 1}]}\n", "no table makes a resource of this name: nobody", 4},
        {"segments:\n  ZZZ:\n    resources:\n      r: {extends: [patient], of: PID, rules: [{id: z, to: a, value: 1}]}\n", "of is a list of segment names beside extends", 4},
        {"segments:\n  ZZZ:\n    resources:\n      r: {resource: Basic, of: [PID], rules: [{id: z, to: a, value: 1}]}\n", "of is a list of segment names beside extends", 4},
        {"segments:\n  ZZZ:\n    resources:\n      r: {resource: Basic, rules: [{id: z, to: a, before: ZZZ-1 = A}]}\n", "belong to ref", 4},
        {"segments:\n  ZZZ:\n    resources:\n      r: {resource: Basic, rules: [{id: z, to: a, ref: r, all: event, before: ZZZ-1 = A}]}\n", "before stands alone", 4},
        {"segments:\n  ZZZ:\n    resources:\n      r: {resource: Basic, rules: [{id: z, to: a, ref: r, before: ZZZ-1 like A}]}\n", "not a condition: ZZZ-1 like A", 4},
        {"segmints: {}\n", "unknown key", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(has_problem(cases[i].overlay, cases[i].problem, cases[i].line));
    }
}

static void missing_overlay_is_a_problem(void **state)
{
    (void)state;
    struct hub_problems problems;
    const char *files[] = {"/nowhere/site.yaml"};
    hub_problems_init(&problems);
    assert_null(hub_map_compile(CHARTLINE_SOURCE_DIR "/schemas", files, 1, &problems));
    assert_true(problems.errors > 0);
    hub_problems_deinit(&problems);
}

/* --- explain and coverage --- */

static void inspect(struct fixture *f, const char *text, unsigned flags)
{
    fixture_load(f, text);
    assert_int_equal(hub_format_hl7v2.inspect(f->context, &f->arena, hub_span_of(f->message, f->message_len), flags, &f->decoded,
                                              &f->report, &f->err),
                     HUB_OK);
    assert_non_null(f->report);
}

static bool explained(struct hub_json *report, const char *element, const char *rule, const char *from)
{
    const struct hub_json *list = hub_json_get(report, "explain");
    for (const struct hub_json *item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        if (hub_span_is(hub_json_get_span(item, "element"), element) && hub_span_is(hub_json_get_span(item, "rule"), rule) &&
            (from == NULL ? hub_json_get(item, "from") == NULL : hub_span_is(hub_json_get_span(item, "from"), from)))
            return true;
    }
    return false;
}

static void explain_names_rule_and_field(void **state)
{
    struct fixture *f = *state;
    inspect(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida~Falke^Ida|||F\n", HUB_INSPECT_EXPLAIN);
    assert_null(hub_json_get(f->report, "coverage"));
    assert_true(explained(f->report, "Patient.name[0].family", "xpn-1-family", "PID[1]-5[1].1"));
    assert_true(explained(f->report, "Patient.name[1]", "pid-5-name", "PID[1]-5[2]"));
    assert_true(explained(f->report, "Patient.gender", "pid-8-gender", "PID[1]-8[1]"));
}

static bool is_unmapped(struct hub_json *report, const char *at)
{
    const struct hub_json *list = hub_json_get(hub_json_get(report, "coverage"), "unmapped");
    for (const struct hub_json *item = list != NULL ? list->first : NULL; item != NULL; item = item->next) {
        if (hub_span_is(hub_json_get_span(item, "at"), at))
            return true;
    }
    return false;
}

static void coverage_lists_what_nothing_was_made_of(void **state)
{
    struct fixture *f = *state;
    inspect(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||F\nZZZ|marker^&sub\n", HUB_INSPECT_COVERAGE);
    assert_true(is_unmapped(f->report, "ZZZ[1]-1[1].1"));
    assert_true(is_unmapped(f->report, "ZZZ[1]-1[1].2.2"));
    assert_false(is_unmapped(f->report, "PID[1]-5[1].1"));
    assert_false(is_unmapped(f->report, "PID[1]-8[1]"));
    assert_null(strstr(fixture_json(f, f->report), "marker")); /* values only when asked */
    inspect(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida|||F\nZZZ|marker^&sub\n", HUB_INSPECT_COVERAGE | HUB_INSPECT_VALUES);
    assert_non_null(strstr(fixture_json(f, f->report), "\"value\":\"marker\""));
}

static void value_that_does_not_convert_is_unmapped(void **state)
{
    struct fixture *f = *state;
    inspect(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida||soon|F\n", HUB_INSPECT_COVERAGE);
    assert_true(is_unmapped(f->report, "PID[1]-7[1]"));
    inspect(f, HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida||19700102|F\n", HUB_INSPECT_COVERAGE);
    assert_false(is_unmapped(f->report, "PID[1]-7[1]"));
}

static void inspection_changes_nothing_of_the_result(void **state)
{
    struct fixture *f = *state;
    static char plain[65536];
    const char *text = HEAD "PID|1||A1^^^GENHOSP^MR||Falk^Ida~Falke^Ida|||F\nPV1|1|I|W2^1^A|||||11^Doc^A~12^Doc^B\nAL1|1|DA|P^Pen^L\n";
    struct hub_event *e = fixture_good(f, text);
    size_t n = 0;
    for (uint32_t i = 0; i < e->resource_count; i++)
        n += (size_t)snprintf(plain + n, sizeof plain - n, "%s\n", fixture_json(f, e->resources[i].json));
    inspect(f, text, HUB_INSPECT_EXPLAIN | HUB_INSPECT_COVERAGE | HUB_INSPECT_VALUES);
    size_t at = 0;
    for (uint32_t i = 0; i < f->decoded.events[0].resource_count; i++) {
        const char *one = fixture_json(f, f->decoded.events[0].resources[i].json);
        assert_memory_equal(plain + at, one, strlen(one));
        at += strlen(one) + 1;
    }
    assert_int_equal(at, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_tables_compile_without_a_problem),
        cmocka_unit_test(overlay_replaces_a_rule_by_its_id),
        cmocka_unit_test(overlay_removes_and_adds_rules),
        cmocka_unit_test(overlay_maps_z_segments),
        cmocka_unit_test(extends_may_say_whose_resource_it_adds_to),
        cmocka_unit_test(overlay_adds_codes_to_a_list),
        cmocka_unit_test(lists_of_any_length_and_fields_of_any_number_are_mapped),
        cmocka_unit_test(parts_that_say_nothing_are_left_out),
        cmocka_unit_test(formats_leave_out_what_is_empty),
        cmocka_unit_test(conditions_choose),
        cmocka_unit_test(problems_name_file_and_line),
        cmocka_unit_test(missing_overlay_is_a_problem),
        cmocka_unit_test(explain_names_rule_and_field),
        cmocka_unit_test(coverage_lists_what_nothing_was_made_of),
        cmocka_unit_test(value_that_does_not_convert_is_unmapped),
        cmocka_unit_test(inspection_changes_nothing_of_the_result),
    };
    return cmocka_run_group_tests(tests, with_folder, without_folder);
}
