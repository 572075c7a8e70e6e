/* Signed notes, verifier keys, checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "src/audit/note.h"

/* The example of the specification (C2SP signed-note). */
static const char vkey[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
static const char note[] = "This is an example message.\n\n\xE2\x80\x94 example.com/foo "
                           "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

static struct hub_note_key example_key(void)
{
    struct hub_note_key key;
    assert_int_equal(hub_note_vkey_parse(hub_span_str(vkey), &key, NULL), HUB_OK);
    return key;
}

static enum hub_result opened(struct hub_span bytes)
{
    struct hub_note_key key = example_key();
    struct hub_span text;
    return hub_note_open(bytes, &key, &text, NULL);
}

static int init(void **state)
{
    (void)state;
    return hub_crypto_init() == HUB_OK ? 0 : -1;
}

static void audit_note_opens_the_published_example(void **state)
{
    (void)state;
    struct hub_note_key key = example_key(), again;
    struct hub_span text;
    char out[HUB_NOTE_VKEY_MAX];
    assert_string_equal(key.name, "example.com/foo");
    assert_int_equal(hub_note_open(hub_span_str(note), &key, &text, NULL), HUB_OK);
    assert_true(hub_span_is(text, "This is an example message.\n"));
    hub_note_vkey_format(&key, out);
    assert_string_equal(out, vkey);
    assert_int_equal(hub_note_key_init(&again, HUB_SPAN("example.com/foo"), key.public_key, NULL), HUB_OK);
    assert_memory_equal(again.id, "\x53\x0d\x90\x3a", 4);
}

static void audit_note_every_changed_byte_is_refused(void **state)
{
    (void)state;
    char changed[sizeof note];
    static const uint8_t flips[] = {0x01, 0x20, 0x80, 0xFF};
    for (size_t at = 0; at < sizeof note - 1; at++) {
        for (size_t f = 0; f < sizeof flips; f++) {
            memcpy(changed, note, sizeof note);
            changed[at] = (char)(changed[at] ^ flips[f]);
            assert_int_not_equal(opened(hub_span_of(changed, sizeof note - 1)), HUB_OK);
        }
    }
    for (size_t len = 0; len < sizeof note - 1; len++)
        assert_int_not_equal(opened(hub_span_of(note, len)), HUB_OK);
}

static void audit_vkey_every_changed_byte_is_refused(void **state)
{
    (void)state;
    char changed[sizeof vkey];
    struct hub_note_key key;
    for (size_t at = 0; at < sizeof vkey - 1; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(changed, vkey, sizeof vkey);
            changed[at] = (char)((uint8_t)changed[at] ^ 1u << bit);
            assert_int_equal(hub_note_vkey_parse(hub_span_of(changed, sizeof vkey - 1), &key, NULL), HUB_SYNTAX);
        }
    }
    for (size_t len = 0; len < sizeof vkey - 1; len++)
        assert_int_equal(hub_note_vkey_parse(hub_span_of(vkey, len), &key, NULL), HUB_SYNTAX);
}

static void audit_note_signatures_of_other_keys_are_passed_over(void **state)
{
    (void)state;
    struct hub_buf out;
    hub_buf_init(&out, HUB_NOTE_BYTES_MAX, false);
    hub_buf_append_str(&out, note);
    hub_buf_append_str(&out, "\xE2\x80\x94 witness.example/w1 AAAAAQID\n");
    assert_int_equal(opened(hub_buf_view(&out)), HUB_OK);
    hub_buf_append_str(&out, "\xE2\x80\x94 example.com/foo AAAAAQID\n"); /* the name, another key's id */
    assert_int_equal(opened(hub_buf_view(&out)), HUB_OK);
    hub_buf_append_str(&out, "\xE2\x80\x94 example.com/foo Uw2QOgA=\n"); /* our id, not a signature: reject all */
    assert_int_equal(opened(hub_buf_view(&out)), HUB_CRYPTO);
    hub_buf_deinit(&out);
    assert_int_equal(opened(HUB_SPAN("This is an example message.\n\n\xE2\x80\x94 witness.example/w1 AAAAAQID\n")), HUB_CRYPTO);
}

static void audit_note_number_of_signatures_is_bounded(void **state)
{
    (void)state;
    struct hub_buf out;
    hub_buf_init(&out, HUB_NOTE_BYTES_MAX, false);
    hub_buf_append_str(&out, note);
    for (int i = 1; i < HUB_NOTE_SIGNATURES_MAX; i++)
        hub_buf_append_str(&out, "\xE2\x80\x94 w AAAAAQID\n");
    assert_int_equal(opened(hub_buf_view(&out)), HUB_OK);
    hub_buf_append_str(&out, "\xE2\x80\x94 w AAAAAQID\n");
    assert_int_equal(opened(hub_buf_view(&out)), HUB_SYNTAX);
    hub_buf_deinit(&out);
}

static void audit_note_text_with_empty_lines_is_split_at_the_last(void **state)
{
    (void)state;
    struct hub_note_key key;
    struct hub_buf out;
    struct hub_span text, back;
    uint8_t public_key[HUB_SIGN_PUBLIC_LEN], secret_key[HUB_SIGN_SECRET_LEN], signature[HUB_SIGNATURE_LEN];
    hub_sign_keypair(public_key, secret_key);
    assert_int_equal(hub_note_key_init(&key, HUB_SPAN("chartline/genhosp"), public_key, NULL), HUB_OK);
    text = HUB_SPAN("one\n\n\xE2\x80\x94 not a signature\n\ntwo\n");
    hub_sign(secret_key, text, signature);
    hub_buf_init(&out, HUB_NOTE_BYTES_MAX, false);
    hub_note_write(&out, text, &key, signature);
    assert_int_equal(hub_note_open(hub_buf_view(&out), &key, &back, NULL), HUB_OK);
    assert_true(hub_span_equal(text, back));
    hub_buf_deinit(&out);
}

static void audit_note_names_with_spaces_or_plus_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a+b", "a\tb", "a\nb", "a\x7f", "a\xC2\xA0z", "a\xE2\x80\x83", "a\xE3\x80\x80", "\xff"};
    uint8_t public_key[HUB_SIGN_PUBLIC_LEN] = {0};
    struct hub_note_key key;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(hub_note_name_valid(hub_span_str(bad[i])));
        assert_int_equal(hub_note_key_init(&key, hub_span_str(bad[i]), public_key, NULL), HUB_CONFIG);
    }
    assert_true(hub_note_name_valid(HUB_SPAN("chartline/genhosp")));
    assert_true(hub_note_name_valid(HUB_SPAN("chartline/k\xC3\xB6ln")));
}

static enum hub_result parsed(const char *text, struct hub_checkpoint *out)
{
    return hub_checkpoint_parse(hub_span_str(text), out, NULL);
}

#define ROOT "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"

static void audit_checkpoint_is_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "o\n",
        "o\n0\n",
        "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "\n0\n" ROOT,
        "o o\n0\n" ROOT,
        "o\n00\n" ROOT,
        "o\n01\n" ROOT,
        "o\n-1\n" ROOT,
        "o\n+1\n" ROOT,
        "o\n\n" ROOT,
        "o\n99999999999999999999\n" ROOT,
        "o\n4611686018427387904\n" ROOT,
        "o\n0\nAAAA\n",
        "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
        "o\n0\n" ROOT "\n",
        "o\n0\n" ROOT "extension",
    };
    struct hub_checkpoint checkpoint;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parsed(bad[i], &checkpoint), HUB_SYNTAX);
    assert_int_equal(parsed("chartline/genhosp\n70000\n" ROOT "extension\n", &checkpoint), HUB_OK);
    assert_int_equal(checkpoint.size, 70000);
    assert_true(hub_span_is(checkpoint.origin, "chartline/genhosp"));
    struct hub_buf out;
    hub_buf_init(&out, HUB_NOTE_BYTES_MAX, false);
    hub_checkpoint_write(&out, &checkpoint);
    assert_string_equal(hub_buf_str(&out), "chartline/genhosp\n70000\n" ROOT);
    hub_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(audit_note_opens_the_published_example),
        cmocka_unit_test(audit_note_every_changed_byte_is_refused),
        cmocka_unit_test(audit_vkey_every_changed_byte_is_refused),
        cmocka_unit_test(audit_note_signatures_of_other_keys_are_passed_over),
        cmocka_unit_test(audit_note_number_of_signatures_is_bounded),
        cmocka_unit_test(audit_note_text_with_empty_lines_is_split_at_the_last),
        cmocka_unit_test(audit_note_names_with_spaces_or_plus_are_refused),
        cmocka_unit_test(audit_checkpoint_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
