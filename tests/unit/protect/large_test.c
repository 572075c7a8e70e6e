/* Values that are an entry of their own, and originals that refer to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/seal_internal.h"

enum { LARGE = 65536, MOST = 1 << 20 };

struct fixture {
    struct hub_arena arena;
    struct hub_large large[4];
    struct hub_prepared prepared;
    struct hub_event event;
    struct hub_buf out;
    bool masked; /* the sources cannot be opened */
    uint32_t seed;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL)
        return -1;
    hub_arena_init(&f->arena, 64 * MOST);
    hub_buf_init(&f->out, 64 * MOST, false);
    f->prepared = (struct hub_prepared){.arena = &f->arena, .large = f->large};
    f->seed = 7;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hub_arena_deinit(&f->arena);
    hub_buf_deinit(&f->out);
    free(f);
    return 0;
}

static uint32_t chance(struct fixture *f, uint32_t below)
{
    f->seed ^= f->seed << 13; /* xorshift */
    f->seed ^= f->seed >> 17;
    f->seed ^= f->seed << 5;
    return f->seed % below;
}

/* LEN characters of base64 without a pattern. */
static char *random_text(struct fixture *f, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = hub_arena_bytes(&f->arena, len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < len; i++)
        text[i] = digits[chance(f, 64)];
    text[len] = '\0';
    return text;
}

static void add_large(struct fixture *f, const char *text, bool encoded)
{
    const uint32_t at = f->prepared.large_count++;
    f->large[at] = (struct hub_large){.owner = at, .binary = 10 + at, .encoded = encoded, .text = hub_span_str(text)};
}

static enum hub_result source(void *ctx, uint32_t ordinal, bool encoded, struct hub_span *out)
{
    struct fixture *f = ctx;
    if (f->masked)
        return HUB_DENIED;
    if (ordinal < 10 || ordinal >= 10 + f->prepared.large_count)
        return HUB_CORRUPT;
    const struct hub_large *large = &f->large[ordinal - 10];
    *out = large->text;
    if (encoded == large->encoded)
        return HUB_OK;
    assert_true(large->encoded); /* a text has no base64 that could be asked for */
    uint8_t *bytes = (uint8_t *)hub_arena_bytes(&f->arena, large->text.len);
    assert_int_equal(hub_decode(HUB_BASE64, large->text, bytes, large->text.len, &out->len), HUB_OK);
    out->ptr = bytes;
    return HUB_OK;
}

static enum hub_result write(struct fixture *f, const char *raw)
{
    hub_buf_reset(&f->out);
    f->event.raw = hub_span_str(raw);
    f->event.raw_positions = HUB_SPAN("0-1,7-9");
    return hub_refer_write(&f->prepared, &f->event, &f->out);
}

static enum hub_result restore(struct fixture *f, struct hub_span content, struct hub_span *raw)
{
    struct hub_span positions = HUB_SPAN_NONE;
    enum hub_result result = hub_refer_restore(&f->arena, hub_span_of(content.ptr + 1, content.len - 1), source, f, &positions, raw);
    if (result == HUB_OK)
        assert_true(hub_span_is(positions, "0-1,7-9"));
    return result;
}

/* Writes RAW, restores it, and gives the bytes that the program took. */
static size_t round_trip(struct fixture *f, const char *raw)
{
    struct hub_span back = HUB_SPAN_NONE;
    assert_int_equal(write(f, raw), HUB_OK);
    assert_int_equal(f->out.ptr[0], 'R');
    assert_int_equal(restore(f, hub_buf_view(&f->out), &back), HUB_OK);
    assert_true(hub_span_is(back, raw));
    return f->out.len;
}

static char *joined(struct fixture *f, const char *a, const char *b, const char *c)
{
    const struct hub_span parts[] = {hub_span_str(a), hub_span_str(b), hub_span_str(c)};
    return (char *)(uintptr_t)hub_arena_concat(&f->arena, parts, 3).ptr;
}

/* TEXT with BETWEEN after every EVERY characters. */
static char *in_lines(struct fixture *f, const char *text, size_t every, const char *between)
{
    struct hub_buf buf;
    hub_buf_init(&buf, 64 * MOST, false);
    for (size_t i = 0, len = strlen(text); i < len; i += every) {
        hub_buf_append(&buf, text + i, len - i < every ? len - i : every);
        hub_buf_append_str(&buf, between);
    }
    char *out = (char *)(uintptr_t)hub_arena_copy(&f->arena, hub_buf_view(&buf)).ptr;
    hub_buf_deinit(&buf);
    return out;
}

static void a_value_that_stands_in_one_piece_costs_a_few_bytes(void **state)
{
    struct fixture *f = *state;
    char *text = random_text(f, 300000);
    add_large(f, text, true);
    assert_true(round_trip(f, joined(f, "MSH|^~\\&|A\rOBX|1|ED|||^AP^^Base64^", text, "||||||F\r")) < 120);
}

static void a_value_in_lines_costs_a_few_bytes_too(void **state)
{
    struct fixture *f = *state;
    static const char *const ends[] = {"\\.br\\", "\\X0D\\\\X0A\\", " ", "\\E\\"};
    char *text = random_text(f, 300000);
    add_large(f, text, true);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        assert_true(round_trip(f, joined(f, "OBX|1|ED|||^^^Base64^", in_lines(f, text, 76, ends[i]), "\rZZZ|1\r")) < 200);
}

static void lines_of_a_text_stand_in_segments_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct hub_buf raw, value;
    hub_buf_init(&raw, MOST, false);
    hub_buf_init(&value, MOST, false);
    hub_buf_append_str(&raw, "MSH|^~\\&|A\r");
    for (unsigned i = 1; value.len < 2 * LARGE; i++) {
        char *line = random_text(f, chance(f, 5) == 0 ? chance(f, 4) : 40 + chance(f, 60));
        if (i != 1)
            hub_buf_append_byte(&value, '\n');
        hub_buf_append_str(&value, line);
        hub_buf_printf(&raw, "OBX|%u|TX|11502-2^Report^LN||%s||||||F\r", i, line);
    }
    add_large(f, hub_buf_str(&value), false);
    const size_t raw_len = raw.len, value_len = value.len;
    assert_true(round_trip(f, hub_buf_str(&raw)) < raw_len - value_len / 10 * 7);
    hub_buf_deinit(&raw);
    hub_buf_deinit(&value);
}

static void a_text_of_another_character_set_is_referred_to_where_it_is_equal(void **state)
{
    struct fixture *f = *state;
    struct hub_buf raw, value;
    hub_buf_init(&raw, MOST, false);
    hub_buf_init(&value, MOST, false);
    hub_buf_append_str(&raw, "OBX|1|FT|||");
    while (value.len < 2 * LARGE) {
        char *part = random_text(f, 10 + chance(f, 60));
        hub_buf_append_str(&value, part);
        hub_buf_append_str(&raw, part);
        hub_buf_append_str(&value, "\xc3\xa9"); /* é in UTF-8, in Latin 1, and a delimiter escaped */
        hub_buf_append_str(&raw, "\xe9");
        hub_buf_append_str(&value, "|");
        hub_buf_append_str(&raw, "\\F\\");
    }
    add_large(f, hub_buf_str(&value), false);
    const size_t raw_len = raw.len;
    assert_true(round_trip(f, hub_buf_str(&raw)) < raw_len / 2);
    hub_buf_deinit(&raw);
    hub_buf_deinit(&value);
}

static char *base64_of(struct fixture *f, const char *text)
{
    const size_t cap = hub_encoded_len(HUB_BASE64, strlen(text)) + 1;
    char *out = hub_arena_bytes(&f->arena, cap);
    (void)hub_encode(HUB_BASE64, hub_span_str(text), out, cap);
    return out;
}

static void an_attachment_sent_as_it_is_stands_once_too(void **state)
{
    struct fixture *f = *state;
    char *text = joined(f, "<?xml version=\"1.0\"?><ClinicalDocument>", random_text(f, 200000), "</ClinicalDocument>");
    char *scan = random_text(f, 200000);
    add_large(f, base64_of(f, text), true);
    add_large(f, scan, true);
    char *first = joined(f, "OBX|1|ED|||^TEXT^XML^A^", in_lines(f, text, 5000, "\\.br\\"), "\r");
    assert_true(round_trip(f, joined(f, first, "OBX|2|ED|||^AP^^Base64^", scan)) < 400);
    char *body = random_text(f, 200000);
    f->prepared.large_count = 0;
    add_large(f, base64_of(f, joined(f, "{\\rtf1\\ansi ", body, "}")), true);
    char *rtf = joined(f, "{\\E\\rtf1\\E\\ansi ", body, "}");
    assert_true(round_trip(f, joined(f, "OBX|1|ED|||^TEXT^RTF^A^", rtf, "\r")) < 200);
}

static void several_values_in_any_order_each_stand_once(void **state)
{
    struct fixture *f = *state;
    char *a = random_text(f, 2 * LARGE), *b = random_text(f, 3 * LARGE), *c = random_text(f, LARGE + 1);
    add_large(f, b, true);
    add_large(f, c, false);
    add_large(f, a, true);
    assert_true(round_trip(f, joined(f, joined(f, "OBX|1|", a, "\rOBX|2|"), joined(f, b, "|\rOBX|3|", c), "\r")) < 300);
}

static void the_same_value_twice_is_restored_too(void **state)
{
    struct fixture *f = *state;
    char *a = random_text(f, 2 * LARGE);
    add_large(f, a, true);
    add_large(f, a, true);
    assert_true(round_trip(f, joined(f, joined(f, "OBX|1|", a, "\rOBX|2|"), a, "\r")) < 200);
}

static void values_that_begin_alike_are_told_apart(void **state)
{
    struct fixture *f = *state;
    const char *begin = random_text(f, 5000);
    char *a = joined(f, begin, random_text(f, 2 * LARGE), ""), *b = joined(f, begin, random_text(f, 2 * LARGE), ""),
         *c = joined(f, begin, random_text(f, LARGE), "");
    add_large(f, a, true);
    add_large(f, b, true);
    add_large(f, c, true);
    assert_true(round_trip(f, joined(f, joined(f, "OBX|1|", a, "\rOBX|2|"), joined(f, b, "\rOBX|3|", c), "\r")) < 300);
    assert_true(round_trip(f, joined(f, joined(f, "OBX|1|", c, "\rOBX|2|"), joined(f, b, "\rOBX|3|", a), "\r")) < 300);
    assert_true(round_trip(f, joined(f, joined(f, "OBX|1|", in_lines(f, c, 76, "\\.br\\"), "\rOBX|2|"), joined(f, b, "\rOBX|3|", a), "\r")) < 400);
}

static void a_value_that_is_not_in_the_message_leaves_it_whole(void **state)
{
    struct fixture *f = *state;
    add_large(f, random_text(f, 2 * LARGE), true);
    assert_int_equal(write(f, joined(f, "OBX|1|", random_text(f, 2 * LARGE), "\r")), HUB_NOT_FOUND);
    assert_int_equal(write(f, ""), HUB_NOT_FOUND);
}

static void whatever_breaks_a_value_the_message_is_restored(void **state)
{
    struct fixture *f = *state;
    char *text = random_text(f, LARGE + 1);
    add_large(f, text, true);
    for (unsigned round = 0; round < 60; round++) {
        struct hub_buf raw;
        hub_buf_init(&raw, 4 * MOST, false);
        hub_buf_append_str(&raw, "MSH|");
        const uint32_t rate = 2 + chance(f, 2000);
        for (size_t i = 0; text[i] != '\0'; i++) {
            const uint32_t what = chance(f, rate);
            if (what != 0)
                hub_buf_append_byte(&raw, (uint8_t)text[i]);
            else if (chance(f, 2) == 0)
                hub_buf_append_str(&raw, "\\.br\\");
        }
        struct hub_span back = HUB_SPAN_NONE;
        if (write(f, hub_buf_str(&raw)) == HUB_OK) {
            assert_int_equal(restore(f, hub_buf_view(&f->out), &back), HUB_OK);
            assert_true(hub_span_equal(back, hub_buf_view(&raw)));
        }
        hub_buf_deinit(&raw);
    }
}

static void without_its_sources_an_original_is_denied(void **state)
{
    struct fixture *f = *state;
    struct hub_span back = HUB_SPAN_NONE;
    char *text = random_text(f, LARGE + 1);
    add_large(f, text, true);
    (void)round_trip(f, joined(f, "OBX|1|", text, "\r"));
    f->masked = true;
    assert_int_equal(restore(f, hub_buf_view(&f->out), &back), HUB_DENIED);
}

static void a_damaged_program_is_refused(void **state)
{
    struct fixture *f = *state;
    struct hub_span back = HUB_SPAN_NONE;
    char *text = random_text(f, LARGE + 1);
    add_large(f, text, true);
    (void)round_trip(f, joined(f, "OBX|1|", in_lines(f, text, 76, "\r\n"), "|\r"));
    const struct hub_span whole = hub_arena_copy(&f->arena, hub_buf_view(&f->out));
    for (size_t len = 1; len < whole.len; len++)
        assert_int_equal(restore(f, hub_span_of(whole.ptr, len), &back), HUB_CORRUPT);
    const uint8_t unknown[] = {'R', 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1};
    const uint8_t past[] = {'R', 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 10, 0, 0, 0, 1, 1, 0, 0, 3, 0xff, 0xff, 0x7f};
    const uint8_t endless[] = {'R', 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0};
    const uint8_t nothing[] = {'R', 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(restore(f, hub_span_of(unknown, sizeof unknown), &back), HUB_CORRUPT);
    assert_int_equal(restore(f, hub_span_of(past, sizeof past), &back), HUB_CORRUPT);
    assert_int_equal(restore(f, hub_span_of(endless, sizeof endless), &back), HUB_CORRUPT);
    assert_int_equal(restore(f, hub_span_of(nothing, sizeof nothing), &back), HUB_CORRUPT);
}

/* --- values leave their resources --- */

static struct hub_json *moved(struct fixture *f, const char *format, size_t len, const char *type)
{
    struct hub_buf text;
    struct hub_error err;
    struct hub_resource *resource = HUB_ARENA_NEW(&f->arena, struct hub_resource);
    hub_buf_init(&text, 4 * MOST, false);
    const char *at = strchr(format, '$');
    assert_non_null(at);
    hub_buf_append(&text, format, (size_t)(at - format));
    hub_buf_append_str(&text, random_text(f, len));
    hub_buf_append_str(&text, at + 1);
    f->prepared.large_count = 0;
    f->event = (struct hub_event){.resources = resource, .resource_count = 1};
    resource->type = type;
    assert_int_equal(hub_json_parse(&f->arena, hub_buf_view(&text), &resource->json, &err), HUB_OK);
    hub_buf_deinit(&text);
    assert_int_equal(hub_large_move(&f->prepared, &f->event), HUB_OK);
    return f->event.resources[0].json;
}

static void only_what_is_over_64_kib_moves(void **state)
{
    struct fixture *f = *state;
    static const char format[] = "{\"resourceType\":\"Observation\",\"valueString\":\"$\"}";
    (void)moved(f, format, LARGE, "Observation");
    assert_int_equal(f->event.resource_count, 1);
    (void)moved(f, format, LARGE + 1, "Observation");
    assert_int_equal(f->event.resource_count, 2);
    assert_string_equal(f->event.resources[1].type, "Binary");
    assert_int_equal(f->event.reference_count, 1);
    assert_int_equal(f->event.references[0].target, 1);
}

static void an_attachment_keeps_its_type_and_leads_to_the_binary(void **state)
{
    struct fixture *f = *state;
    const struct hub_json *document =
        moved(f, "{\"resourceType\":\"DocumentReference\",\"content\":[{\"attachment\":{\"contentType\":\"Application/PDF\",\"data\":\"$\"}}]}",
              LARGE + 4, "DocumentReference");
    const struct hub_json *attachment = hub_json_get(hub_json_at(hub_json_get(document, "content"), 0), "attachment");
    assert_null(hub_json_get(attachment, "data"));
    assert_ptr_equal(hub_json_get(attachment, "url"), f->event.references[0].node);
    assert_true(hub_span_is(hub_json_get_span(attachment, "contentType"), "Application/PDF"));
    assert_true(hub_span_is(hub_json_get_span(f->event.resources[1].json, "contentType"), "application/pdf"));
}

static void nothing_a_sender_wrote_becomes_a_clear_type(void **state)
{
    struct fixture *f = *state;
    (void)moved(f, "{\"resourceType\":\"Media\",\"content\":{\"contentType\":\"application/Quexwright\",\"data\":\"$\"}}", LARGE + 4, "Media");
    assert_true(hub_span_is(hub_json_get_span(f->event.resources[1].json, "contentType"), "application/octet-stream"));
}

static void any_other_text_leaves_an_extension(void **state)
{
    struct fixture *f = *state;
    const struct hub_json *report = moved(
        f, "{\"resourceType\":\"ServiceRequest\",\"note\":[{\"text\":\"$\",\"_text\":{\"extension\":[{\"url\":\"urn:x\",\"valueString\":\"y\"}]}}]}",
        LARGE + 1, "ServiceRequest");
    const struct hub_json *note = hub_json_at(hub_json_get(report, "note"), 0);
    const struct hub_json *list = hub_json_get(hub_json_get(note, "_text"), "extension");
    assert_null(hub_json_get(note, "text"));
    assert_int_equal(list->len, 2);
    assert_true(hub_span_is(hub_json_get_span(hub_json_at(list, 1), "url"), "urn:chartline:large"));
    assert_non_null(hub_json_get(hub_json_get(hub_json_at(list, 1), "valueReference"), "reference"));
}

static void a_binary_that_was_sent_stays_the_entry_it_is(void **state)
{
    struct fixture *f = *state;
    (void)moved(f, "{\"resourceType\":\"Binary\",\"contentType\":\"application/pdf\",\"data\":\"$\"}", LARGE + 4, "Binary");
    assert_int_equal(f->event.resource_count, 1);
    assert_int_equal(f->prepared.large_count, 1);
    assert_non_null(hub_large_of(&f->prepared, 0));
    assert_int_equal(hub_large_put_back(&f->prepared, &f->event), HUB_OK);
    assert_int_equal(hub_json_get(f->event.resources[0].json, "data")->len, LARGE + 4);
}

static struct hub_policy *default_policy(void)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_policy *policy =
        hub_policy_load(CHARTLINE_SOURCE_DIR "/policies/protect/default.yaml", CHARTLINE_SOURCE_DIR "/schemas", &problems);
    hub_problems_deinit(&problems);
    assert_non_null(policy);
    return policy;
}

/* An observation and its document with FIRST and SECOND as their data. */
static void move_pair(struct fixture *f, const char *first, const char *second)
{
    static const char *const heads[] = {
        "{\"resourceType\":\"Observation\",\"extension\":[{\"url\":\"urn:x\",\"valueAttachment\":{\"contentType\":\"application/pdf\",\"data\":\"",
        "{\"resourceType\":\"DocumentReference\",\"content\":[{\"attachment\":{\"contentType\":\"application/pdf\",\"data\":\""};
    const char *const data[] = {first, second};
    struct hub_resource *resources = HUB_ARENA_ARRAY(&f->arena, struct hub_resource, 2);
    struct hub_error err;
    assert_non_null(resources);
    for (size_t i = 0; i < 2; i++) {
        resources[i].type = i == 0 ? "Observation" : "DocumentReference";
        assert_int_equal(hub_json_parse(&f->arena, hub_span_str(joined(f, heads[i], data[i], "\"}}]}")), &resources[i].json, &err), HUB_OK);
    }
    f->event = (struct hub_event){.resources = resources, .resource_count = 2};
    assert_int_equal(hub_large_move(&f->prepared, &f->event), HUB_OK);
}

static void a_file_that_two_resources_show_stands_once(void **state)
{
    struct fixture *f = *state;
    const char *file = random_text(f, LARGE + 4);
    move_pair(f, file, file);
    assert_int_equal(f->event.resource_count, 3);
    assert_int_equal(f->event.reference_count, 2);
    assert_int_equal(f->event.references[0].target, 2);
    assert_int_equal(f->event.references[1].target, 2);
    assert_int_equal(hub_large_put_back(&f->prepared, &f->event), HUB_OK);
    assert_int_equal(hub_json_get(f->event.resources[2].json, "data")->len, LARGE + 4);
    const struct hub_span message = hub_span_str(file);
    f->event.raw = message;
    assert_int_equal(hub_refer_write(&f->prepared, &f->event, &f->out), HUB_OK);
    assert_true(f->out.len < 64); /* one source, once in the message */
    move_pair(f, file, random_text(f, LARGE + 4));
    assert_int_equal(f->event.resource_count, 4);
}

static void a_file_in_elements_of_two_classes_is_sensitive(void **state)
{
    struct fixture *f = *state;
    struct hub_policy *policy = default_policy();
    const char *file = random_text(f, LARGE + 4);
    move_pair(f, file, file);
    assert_int_equal(hub_large_class(&f->prepared, policy, &f->event, &f->prepared.large[0]), HUB_DATA_CLINICAL);
    f->event.resources[1].entry.sensitive = true;
    assert_int_equal(hub_large_class(&f->prepared, policy, &f->event, &f->prepared.large[0]), HUB_DATA_SENSITIVE);
    hub_policy_free(policy);
}

static void the_class_is_that_of_the_element_the_value_was_taken_from(void **state)
{
    struct fixture *f = *state;
    struct hub_policy *policy = default_policy();
    (void)moved(f, "{\"resourceType\":\"Patient\",\"photo\":[{\"data\":\"$\"}]}", LARGE + 4, "Patient");
    assert_int_equal(hub_large_class(&f->prepared, policy, &f->event, &f->prepared.large[0]), HUB_DATA_IDENTITY);
    (void)moved(f, "{\"resourceType\":\"Patient\",\"contact\":[{\"name\":{\"text\":\"$\"}}]}", LARGE + 4, "Patient");
    assert_int_equal(hub_large_class(&f->prepared, policy, &f->event, &f->prepared.large[0]), HUB_DATA_CONTACT);
    (void)moved(f, "{\"resourceType\":\"Observation\",\"valueString\":\"$\"}", LARGE + 4, "Observation");
    assert_int_equal(hub_large_class(&f->prepared, policy, &f->event, &f->prepared.large[0]), HUB_DATA_CLINICAL);
    f->event.resources[0].entry.sensitive = true;
    assert_int_equal(hub_large_class(&f->prepared, policy, &f->event, &f->prepared.large[0]), HUB_DATA_SENSITIVE);
    hub_policy_free(policy);
}

static void a_small_message_is_not_searched(void **state)
{
    (void)state;
    char *bytes = calloc(1, LARGE + 1);
    assert_non_null(bytes);
    assert_false(hub_large_possible(hub_span_of(bytes, LARGE)));
    assert_true(hub_large_possible(hub_span_of(bytes, LARGE + 1)));
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_value_that_stands_in_one_piece_costs_a_few_bytes),
        TEST(a_value_in_lines_costs_a_few_bytes_too),
        TEST(an_attachment_sent_as_it_is_stands_once_too),
        TEST(lines_of_a_text_stand_in_segments_of_their_own),
        TEST(a_text_of_another_character_set_is_referred_to_where_it_is_equal),
        TEST(several_values_in_any_order_each_stand_once),
        TEST(the_same_value_twice_is_restored_too),
        TEST(values_that_begin_alike_are_told_apart),
        TEST(a_value_that_is_not_in_the_message_leaves_it_whole),
        TEST(whatever_breaks_a_value_the_message_is_restored),
        TEST(without_its_sources_an_original_is_denied),
        TEST(a_damaged_program_is_refused),
        TEST(only_what_is_over_64_kib_moves),
        TEST(an_attachment_keeps_its_type_and_leads_to_the_binary),
        TEST(nothing_a_sender_wrote_becomes_a_clear_type),
        TEST(any_other_text_leaves_an_extension),
        TEST(a_binary_that_was_sent_stays_the_entry_it_is),
        TEST(the_class_is_that_of_the_element_the_value_was_taken_from),
        TEST(a_file_that_two_resources_show_stands_once),
        TEST(a_file_in_elements_of_two_classes_is_sensitive),
        TEST(a_small_message_is_not_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
