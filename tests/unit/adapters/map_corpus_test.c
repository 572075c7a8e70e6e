/* Every sample message of ../shared/corpus/hl7v2, where it is there: mapped, or refused with a reason that a person
 * agrees with; nothing of one message in another's events. */
#include "tests/unit/adapters/map_fixture.h"
#include "tests/needs.h"

#include <dirent.h>

/* Beside the repository, or beside the folder of its worktrees. */
static const char *const corpus_folders[] = {CHARTLINE_SOURCE_DIR "/../shared/corpus/hl7v2", CHARTLINE_SOURCE_DIR "/../../shared/corpus/hl7v2"};
static const char *corpus;

static size_t read_file(const char *name, char *into, size_t cap)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", corpus, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(into, 1, cap, file);
    assert_int_equal(fclose(file), 0);
    return len;
}

static bool is_message(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".hl7") == 0;
}

/* What a hub feed may refuse a sample for. */
static bool is_agreeable(enum hub_result result)
{
    return result == HUB_UNSUPPORTED_EVENT || result == HUB_UNSUPPORTED_PROCESSING || result == HUB_REQUIRED || result == HUB_IDENTITY;
}

static void check_events(struct fixture *f)
{
    for (uint32_t i = 0; i < f->decoded.event_count; i++) {
        const struct hub_event *e = &f->decoded.events[i];
        assert_non_null(e->time_source);
        for (uint32_t k = 0; k < e->reference_count; k++)
            assert_true(e->references[k].target < e->resource_count);
        for (uint32_t k = 0; k < e->resource_count; k++) {
            assert_span(hub_json_get_span(e->resources[k].json, "resourceType"), e->resources[k].type);
            assert_true(hub_utf8_valid(hub_span_str(fixture_json(f, e->resources[k].json))));
        }
    }
}

static void every_sample_is_mapped_or_refused_with_reason(void **state)
{
    struct fixture *f = *state;
    DIR *folder = NULL;
    for (size_t i = 0; i < 2 && folder == NULL; i++) {
        corpus = corpus_folders[i];
        folder = opendir(corpus);
    }
    if (folder == NULL)
        test_skip_beside("no sample messages in ../shared/corpus/hl7v2 beside the source folder");
    unsigned mapped = 0;
    unsigned refused = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (!is_message(entry->d_name))
            continue;
        size_t len = read_file(entry->d_name, f->message, sizeof f->message);
        hub_arena_reset(&f->arena);
        struct hub_span bytes = hub_span_of(f->message, len);
        enum hub_result result = hub_format_hl7v2.decode(f->context, &f->arena, bytes, &f->decoded, &f->err);
        if (result != HUB_OK && !is_agreeable(result))
            (void)fprintf(stderr, "%s: %s at %s\n", entry->d_name, hub_result_text(result), f->err.place);
        assert_true(result == HUB_OK || is_agreeable(result));
        mapped += result == HUB_OK;
        refused += result != HUB_OK;
        check_events(f);
        hub_arena_reset(&f->arena);
        assert_int_equal(hub_format_hl7v2.inspect(f->context, &f->arena, bytes, HUB_INSPECT_EXPLAIN | HUB_INSPECT_COVERAGE, &f->decoded,
                                                  &f->report, &f->err),
                         result == HUB_IDENTITY ? HUB_IDENTITY : HUB_OK);
        check_events(f);
    }
    (void)closedir(folder);
    assert_true(mapped > refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_mapped_or_refused_with_reason),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
