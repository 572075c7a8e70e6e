/* One message on its way through a worker while memory runs out at every possible place: decoded, mapped, answered
 * and sealed whole, or refused with HUB_NO_MEMORY; never half, and good as new for the next message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/format.h"
#include "src/protect/protect.h"
#include "tests/fault/fault.h"
#include "tests/temp_folder.h"

#define POLICY CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml"

enum { ARENA_MAX = 64 * 1024 * 1024, TEXT_MAX = 64 * 1024, OUT_BYTES = 1 << 20, STEP = 48, PASSED = 3, EVENTS_MAX = 8 };

static const char *const samples[] = {"demo/ehr-2-admission.hl7", "demo/mpi-1-merge.hl7",      "map/a08-deletes.hl7",
                                      "map/oru-two-patients.hl7", "map/oru-repeats-and-lines.hl7", "map/latin1.hl7"};

enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* What became of one message; its buffers have their room beforehand. */
struct passed {
    enum hub_result result;
    struct hub_buf plain, sealed, reply;
    size_t ends[EVENTS_MAX];
    unsigned events;
};

struct fixture {
    char folder[512];
    struct hub_config config;
    struct hub_feed feed;
    struct hub_authority authority;
    const char *trust;
    void *format;
    struct hub_keys *keys;
    struct hub_policy *policy;
    /* the message at work */
    char bytes[TEXT_MAX];
    size_t len;
    bool capped; /* an arena too small for the message is the message's fault */
    struct hub_buf expected; /* what it becomes when nothing fails */
    unsigned good, failed;
    struct passed passed[PASSED];
    unsigned patients;
    bool lasting;
    void *opened;
    bool complained;
    struct hub_policy *loaded;
    struct hub_roles *roles;
    bool complained_roles;
};

static struct fixture fixture;

static struct hub_span message(const struct fixture *f)
{
    return hub_span_of(f->bytes, f->len);
}

static void load(struct fixture *f, const char *name)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/tests/data/%s", CHARTLINE_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    f->len = fread(f->bytes, 1, sizeof f->bytes, file);
    assert_true(f->len > 0 && f->len < sizeof f->bytes);
    (void)fclose(file);
    f->good = f->failed = 0;
}

static int setup(void **state)
{
    static const uint8_t root[HUB_KEY_LEN] = {9};
    struct fixture *f = &fixture;
    char store[600];
    struct hub_problems problems;
    memset(f, 0, sizeof *f);
    *state = f;
    if (hub_crypto_init() != HUB_OK || temp_folder_new(f->folder) == NULL)
        return -1;
    f->authority = (struct hub_authority){.name = "GENHOSP", .system = "urn:oid:1.2.3.4", .primary = true};
    f->trust = "GENHOSP";
    f->config = (struct hub_config){.path = "hub.yaml",
                                    .schema_dir = CHARTLINE_SOURCE_DIR "/schemas",
                                    .authorities = &f->authority,
                                    .authority_count = 1};
    f->feed = (struct hub_feed){.name = "adt",
                                .id = "f1",
                                .timezone = "America/New_York",
                                .default_authority = "GENHOSP",
                                .trust_links = &f->trust,
                                .trust_link_count = 1};
    hub_problems_init(&problems);
    f->format = hub_format_hl7v2.open(&f->config, &f->feed, &problems);
    f->policy = hub_policy_load(POLICY, CHARTLINE_SOURCE_DIR "/schemas", &problems);
    hub_problems_deinit(&problems);
    (void)snprintf(store, sizeof store, "%s/store", f->folder);
    hub_buf_init(&f->expected, ARENA_MAX, false);
    for (unsigned i = 0; i < PASSED; i++) {
        struct hub_buf *all[] = {&f->passed[i].plain, &f->passed[i].sealed, &f->passed[i].reply};
        for (unsigned k = 0; k < 3; k++) {
            hub_buf_init(all[k], OUT_BYTES, false);
            assert_non_null(hub_buf_reserve(all[k], OUT_BYTES - 1));
        }
    }
    if (f->format == NULL || f->policy == NULL)
        return -1;
    return hub_keys_open(store, root, NULL, hub_clock_system(), true, &f->keys, NULL) == HUB_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_keys_close(f->keys);
    hub_policy_free(f->policy);
    hub_format_hl7v2.close(f->format);
    hub_buf_deinit(&f->expected);
    for (unsigned i = 0; i < PASSED; i++) {
        hub_buf_deinit(&f->passed[i].plain);
        hub_buf_deinit(&f->passed[i].sealed);
        hub_buf_deinit(&f->passed[i].reply);
    }
    temp_folder_remove(f->folder);
    return 0;
}

/* OUT does not count as memory of the code under test. */
static void write_events(const struct hub_decoded *decoded, struct hub_buf *out)
{
    hub_buf_append_str(out, decoded->trigger);
    for (uint32_t i = 0; i < decoded->event_count; i++) {
        const struct hub_event *event = &decoded->events[i];
        hub_buf_append_span(out, event->time.text);
        for (uint16_t k = 0; k < event->identifier_count; k++)
            hub_buf_append_span(out, event->identifiers[k].value);
        for (uint32_t k = 0; k < event->resource_count; k++)
            hub_json_write(out, event->resources[k].json);
    }
}

/* One run is over: with HUB_OK the same as always, else memory was out. */
static void judge(struct fixture *f, enum hub_result result, struct hub_buf *written)
{
    if (result == HUB_OK) {
        assert_int_equal(hub_buf_result(written), HUB_OK);
        assert_true(hub_span_equal(hub_buf_view(written), hub_buf_view(&f->expected)));
        f->good++;
    } else {
        if (result != HUB_NO_MEMORY && !(f->capped && result == HUB_TOO_LARGE))
            fail_msg("refused as: %s", hub_result_text(result));
        f->failed++;
    }
    hub_buf_deinit(written);
}

/* --- decoding and mapping --- */

static enum hub_result decode(struct fixture *f, struct hub_arena *arena, struct hub_decoded *decoded)
{
    struct hub_error err = {0};
    enum hub_result result = hub_format_hl7v2.decode(f->format, arena, message(f), decoded, &err);
    assert_true(result == HUB_OK || err.result == result || err.result == HUB_OK);
    return result;
}

static bool decode_in(void *ctx, size_t bytes_max)
{
    struct fixture *f = ctx;
    struct hub_arena arena;
    struct hub_decoded decoded;
    struct hub_buf out;
    hub_buf_init(&out, ARENA_MAX, false);
    hub_arena_init(&arena, bytes_max);
    enum hub_result result = decode(f, &arena, &decoded);
    if (result == HUB_OK)
        write_events(&decoded, &out);
    hub_arena_deinit(&arena);
    judge(f, result, &out);
    return result == HUB_OK;
}

static void expect_mapped(struct fixture *f)
{
    struct hub_arena arena;
    struct hub_decoded decoded;
    hub_arena_init(&arena, ARENA_MAX);
    hub_buf_reset(&f->expected);
    assert_int_equal(decode(f, &arena, &decoded), HUB_OK);
    write_events(&decoded, &f->expected);
    assert_int_equal(hub_buf_result(&f->expected), HUB_OK);
    hub_arena_deinit(&arena);
}

static void message_is_mapped_whole_or_not_when_its_arena_is_full(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SAMPLES; i++) {
        load(f, samples[i]);
        expect_mapped(f);
        f->capped = true;
        assert_true(fault_each_arena(STEP, decode_in, f) > 100);
        assert_int_equal(f->good, 1);
        f->capped = false;
    }
}

/* --- the whole way through a worker --- */

/* Three messages of patients nobody has seen, two in the last one. */
static void make(struct fixture *f, unsigned kind)
{
    static const char head[] = "MSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||%s|C%u|P|2.5.1|||AL|AL\r";
    static const char patient[] = "PID|1||%u%u^^^GENHOSP^MR~%u^^^GENHOSP^PI||QUILL^Anna||19700101|F|||1 Elm St^^Ely\r";
    static const char result[] = "OBR|1|P%u^EHR|F%u^LAB|718-7^Hemoglobin^LN|||20261120070000||||||||||||||||||F\r"
                                 "OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F|||20261120070000\r";
    static const char *const types[] = {"ADT^A01^ADT_A01", "ORU^R01^ORU_R01", "ORU^R01^ORU_R01"};
    char *at = f->bytes;
    char *end = f->bytes + sizeof f->bytes;
    unsigned n = ++f->patients;
    at += snprintf(at, (size_t)(end - at), head, types[kind], n);
    if (kind == 0)
        at += snprintf(at, (size_t)(end - at), "EVN|A01|20261120080000\r");
    for (unsigned i = 0; i < (kind == 2 ? 2 : 1); i++) {
        at += snprintf(at, (size_t)(end - at), patient, n, i, n * 10 + i);
        at += kind == 0 ? snprintf(at, (size_t)(end - at), "PV1|1|I|W1^101^1\rAL1|1|DA|7980^Penicillin^RXNORM|SV\r")
                        : snprintf(at, (size_t)(end - at), result, n, n + i);
    }
    f->len = (size_t)(at - f->bytes);
}

static enum hub_result seal(struct fixture *f, struct hub_arena *arena, struct hub_decoded *decoded,
                            struct hub_origin *origin, uint32_t index, struct passed *passed)
{
    struct hub_buf json;
    struct hub_error err = {0};
    struct hub_sealed sealed;
    hub_buf_init(&json, ARENA_MAX, false);
    hub_buf_append_str(&json, "before");
    enum hub_result result = hub_buf_result(&json);
    if (result == HUB_OK) {
        result = hub_protect_seal(f->keys, f->policy, arena, &decoded->events[index], decoded, origin, index,
                                  1795267000000000, &json, &sealed, &err);
        assert_true(result == HUB_OK || hub_span_is(hub_buf_view(&json), "before"));
    }
    if (result == HUB_OK) {
        hub_buf_append(&passed->sealed, json.ptr + 6, json.len - 6);
        passed->ends[passed->events++] = passed->sealed.len;
    }
    hub_buf_deinit(&json);
    return result;
}

static enum hub_result answer(struct fixture *f, const struct hub_decoded *decoded, enum hub_result outcome,
                              struct passed *passed)
{
    struct hub_verdict verdict = {.result = outcome, .recorded_us = 1795267000000000, .message_id = "abc"};
    struct hub_buf reply;
    hub_buf_init(&reply, ARENA_MAX, false);
    if (outcome != HUB_OK)
        (void)hub_fail(&verdict.error, outcome, NULL, NULL);
    enum hub_result result = hub_format_hl7v2.reply(f->format, decoded->reply_head, &verdict, &reply);
    if (result == HUB_OK)
        result = hub_buf_result(&reply);
    if (result == HUB_OK)
        hub_buf_append_span(&passed->reply, hub_buf_view(&reply));
    hub_buf_deinit(&reply);
    return result;
}

static enum hub_result refuse(struct fixture *f, struct hub_arena *arena, struct hub_origin *origin)
{
    struct hub_event_id id;
    struct hub_buf json;
    struct hub_error why = {0}, err = {0};
    (void)hub_fail(&why, HUB_REQUIRED, NULL, NULL);
    hub_buf_init(&json, ARENA_MAX, false);
    hub_keys_event_id(f->keys, origin->feed_id, origin->sender, message(f), 0, 1, &id);
    enum hub_result result =
        hub_protect_dead_letter(f->keys, f->policy, arena, &id, message(f), "ADT^A01", origin, &why, &json, &err);
    if (result == HUB_OK)
        result = hub_buf_result(&json);
    hub_buf_deinit(&json);
    return result;
}

static enum hub_result pass(struct fixture *f, struct hub_arena *arena, struct passed *passed)
{
    struct hub_decoded decoded;
    struct hub_origin origin = {.feed_id = HUB_SPAN("f1"), .feed_name = HUB_SPAN("adt"), .message = message(f)};
    HUB_TRY(decode(f, arena, &decoded));
    write_events(&decoded, &passed->plain);
    for (uint32_t i = 0; i < decoded.event_count; i++)
        HUB_TRY(seal(f, arena, &decoded, &origin, i, passed));
    HUB_TRY(answer(f, &decoded, HUB_OK, passed));
    HUB_TRY(refuse(f, arena, &origin));
    return answer(f, &decoded, HUB_REQUIRED, passed);
}

static void pass_all(void *ctx)
{
    struct fixture *f = ctx;
    struct hub_arena arena;
    hub_arena_init(&arena, ARENA_MAX);
    for (unsigned i = 0; i < PASSED; i++) {
        struct passed *passed = &f->passed[i];
        hub_buf_reset(&passed->plain);
        hub_buf_reset(&passed->sealed);
        hub_buf_reset(&passed->reply);
        passed->events = 0;
        make(f, i);
        hub_arena_reset(&arena);
        passed->result = pass(f, &arena, passed);
    }
    hub_arena_deinit(&arena);
}

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    enum hub_data_class class_;
    return hub_keys_class_by_id(((struct fixture *)ctx)->keys, id, key, &class_, NULL);
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    return hub_keys_secret(((struct fixture *)ctx)->keys, id, subject, secret, NULL);
}

/* Everything sealed in the last run opens. */
static void open_all(struct fixture *f, struct hub_arena *arena)
{
    const struct hub_opener opener = {class_key, patient_secret, f};
    assert_int_equal(hub_keys_sync(f->keys, NULL), HUB_OK);
    for (unsigned i = 0; i < PASSED; i++) {
        struct passed *passed = &f->passed[i];
        size_t start = 0;
        for (unsigned k = 0; k < passed->events; k++) {
            struct hub_json *event = NULL;
            size_t masked = 1;
            struct hub_span text = hub_span_of(passed->sealed.ptr + start, passed->ends[k] - start);
            hub_arena_reset(arena);
            assert_int_equal(hub_json_parse(arena, text, &event, NULL), HUB_OK);
            assert_int_equal(hub_protect_open_event(arena, event, &opener, &masked, NULL), HUB_OK);
            assert_int_equal(masked, 0);
            start = passed->ends[k];
        }
    }
}

static void check_run(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    struct hub_arena arena;
    unsigned refused = 0;
    hub_arena_init(&arena, ARENA_MAX);
    for (unsigned i = 0; i < PASSED; i++) {
        const struct passed *passed = &f->passed[i];
        assert_true(passed->result == HUB_OK || passed->result == HUB_NO_MEMORY);
        assert_true(passed->result != HUB_OK || passed->events == (i == 2 ? 2 : 1));
        refused += passed->result != HUB_OK;
    }
    assert_true(failed || refused == 0);
    assert_true(f->lasting || refused <= 1); /* the next message is as good as ever */
    open_all(f, &arena);
    hub_arena_deinit(&arena);
}

static void message_passes_whole_or_not_when_any_allocation_fails(void **state)
{
    struct fixture *f = *state;
    for (int lasting = 0; lasting < 2; lasting++) {
        f->lasting = lasting != 0;
        assert_true(fault_each_allocation(f->lasting, pass_all, check_run, f) > 10);
    }
}

/* --- sealing in an arena that is full --- */

static bool seal_in(void *ctx, size_t bytes_max)
{
    struct fixture *f = ctx;
    struct hub_arena decoding, sealing;
    struct hub_decoded decoded;
    struct passed *passed = &f->passed[0];
    struct hub_origin origin = {.feed_id = HUB_SPAN("f1"), .feed_name = HUB_SPAN("adt"), .message = message(f)};
    hub_arena_init(&decoding, ARENA_MAX);
    hub_arena_init(&sealing, bytes_max);
    hub_buf_reset(&passed->sealed);
    passed->events = 0;
    assert_int_equal(decode(f, &decoding, &decoded), HUB_OK);
    enum hub_result result = seal(f, &sealing, &decoded, &origin, 0, passed);
    assert_true(result == HUB_OK || result == HUB_NO_MEMORY);
    hub_arena_deinit(&sealing);
    hub_arena_deinit(&decoding);
    return result == HUB_OK;
}

static bool refuse_in(void *ctx, size_t bytes_max)
{
    struct fixture *f = ctx;
    struct hub_arena arena;
    struct hub_origin origin = {.feed_id = HUB_SPAN("f1"), .feed_name = HUB_SPAN("adt"), .message = message(f)};
    hub_arena_init(&arena, bytes_max);
    enum hub_result result = refuse(f, &arena, &origin);
    assert_true(result == HUB_OK || result == HUB_NO_MEMORY);
    hub_arena_deinit(&arena);
    return result == HUB_OK;
}

static void message_is_sealed_whole_or_not_when_its_arena_is_full(void **state)
{
    struct fixture *f = *state;
    struct hub_arena arena;
    hub_arena_init(&arena, ARENA_MAX);
    for (unsigned kind = 0; kind < PASSED; kind++) {
        for (unsigned i = 0; i < PASSED; i++)
            f->passed[i].events = 0;
        make(f, kind);
        assert_true(fault_each_arena(STEP, seal_in, f) > 50);
        open_all(f, &arena);
        assert_true(fault_each_arena(STEP, refuse_in, f) > 5);
    }
    hub_arena_deinit(&arena);
}

/* --- opening the format --- */

static void open_format(void *ctx)
{
    struct fixture *f = ctx;
    struct hub_problems problems;
    hub_problems_init(&problems);
    f->opened = hub_format_hl7v2.open(&f->config, &f->feed, &problems);
    f->complained = problems.errors != 0;
    hub_problems_deinit(&problems);
}

static void check_opened(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    struct hub_arena arena;
    struct hub_decoded decoded;
    assert_true(failed || f->opened != NULL);
    assert_true((f->opened == NULL) == f->complained); /* refused with a reason, or usable */
    if (f->opened != NULL) {
        hub_arena_init(&arena, ARENA_MAX);
        assert_int_equal(hub_format_hl7v2.decode(f->opened, &arena, message(f), &decoded, NULL), HUB_OK);
        hub_arena_deinit(&arena);
    }
    hub_format_hl7v2.close(f->opened);
}

static void format_opens_whole_or_not_when_any_allocation_fails(void **state)
{
    struct fixture *f = *state;
    make(f, 0);
    assert_true(fault_each_allocation(false, open_format, check_opened, f) > 10);
    assert_true(fault_each_allocation(true, open_format, check_opened, f) > 10);
}

/* --- opening policies --- */

static void load_policies(void *ctx)
{
    struct fixture *f = ctx;
    struct hub_problems problems;
    hub_problems_init(&problems);
    f->loaded = hub_policy_load(POLICY, CHARTLINE_SOURCE_DIR "/schemas", &problems);
    f->complained = problems.errors != 0;
    hub_problems_deinit(&problems);
    hub_problems_init(&problems);
    f->roles = hub_roles_load(CHARTLINE_SOURCE_DIR "/policies/access/roles.yaml", f->folder, &problems);
    f->complained_roles = problems.errors != 0;
    hub_problems_deinit(&problems);
}

/* How much of each message is sealed, by the length of what comes out: a policy that lacks a rule shows. */
static void measure(struct fixture *f, size_t lens[PASSED])
{
    f->patients = 1000000;
    pass_all(f);
    check_run(f, false);
    for (unsigned i = 0; i < PASSED; i++)
        lens[i] = f->passed[i].sealed.len;
}

static void check_policies(void *ctx, bool failed)
{
    struct fixture *f = ctx;
    size_t good[PASSED], lens[PASSED];
    assert_true(failed || (f->loaded != NULL && f->roles != NULL));
    assert_true((f->loaded == NULL) == f->complained);
    assert_true((f->roles == NULL) == f->complained_roles);
    if (f->loaded != NULL) {
        struct hub_policy *kept = f->policy;
        measure(f, good);
        f->policy = f->loaded;
        measure(f, lens);
        f->policy = kept;
        assert_memory_equal(lens, good, sizeof lens);
    }
    if (f->roles != NULL) {
        assert_int_equal(f->roles->count, 4);
        assert_true(f->roles->items[0].classes[HUB_DATA_RAW] && !f->roles->items[1].classes[HUB_DATA_RAW]);
        assert_non_null(f->roles->items[3].public_key_path);
    }
    hub_policy_free(f->loaded);
    hub_roles_free(f->roles);
}

static void policies_load_whole_or_not_when_any_allocation_fails(void **state)
{
    struct fixture *f = *state;
    assert_true(fault_each_allocation(false, load_policies, check_policies, f) > 10);
    assert_true(fault_each_allocation(true, load_policies, check_policies, f) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_mapped_whole_or_not_when_its_arena_is_full),
        cmocka_unit_test(message_passes_whole_or_not_when_any_allocation_fails),
        cmocka_unit_test(message_is_sealed_whole_or_not_when_its_arena_is_full),
        cmocka_unit_test(format_opens_whole_or_not_when_any_allocation_fails),
        cmocka_unit_test(policies_load_whole_or_not_when_any_allocation_fails),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
