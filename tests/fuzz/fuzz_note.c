/* Notes, verifier keys, checkpoints and the state file from an enemy. What is accepted must be written back
 * the same. The first byte chooses the reader. */
#include "src/audit/note.h"
#include "src/audit/publisher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char example[] = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

static void same(struct hub_buf *again, struct hub_span text)
{
    HUB_ASSERT(hub_buf_result(again) == HUB_OK && hub_span_equal(hub_buf_view(again), text));
}

static void fuzz_vkey(struct hub_span text)
{
    struct hub_note_key key;
    struct hub_error err;
    char again[HUB_NOTE_VKEY_MAX];
    if (hub_note_vkey_parse(text, &key, &err) != HUB_OK)
        return;
    hub_note_vkey_format(&key, again);
    if (text.ptr[text.len - 1] == '\n')
        text.len--;
    HUB_ASSERT(hub_span_is(text, again));
}

static void fuzz_note(struct hub_span note)
{
    struct hub_note_key key;
    struct hub_error err;
    struct hub_span text;
    HUB_ASSERT(hub_note_vkey_parse(hub_span_str(example), &key, &err) == HUB_OK);
    if (hub_note_text(note, &text, &err) == HUB_OK)
        HUB_ASSERT(text.len < note.len && text.ptr == note.ptr && text.ptr[text.len - 1] == '\n');
    if (hub_note_open(note, &key, &text, &err) == HUB_OK) /* only the example can verify */
        HUB_ASSERT(hub_span_is(text, "This is an example message.\n"));
}

static void fuzz_checkpoint(struct hub_span text)
{
    struct hub_checkpoint checkpoint;
    struct hub_error err;
    struct hub_buf again;
    if (hub_checkpoint_parse(text, &checkpoint, &err) != HUB_OK)
        return;
    hub_buf_init(&again, HUB_NOTE_BYTES_MAX, false);
    hub_checkpoint_write(&again, &checkpoint);
    HUB_ASSERT(again.len <= text.len); /* extension lines are passed over */
    same(&again, hub_span_of(text.ptr, again.len));
    hub_buf_deinit(&again);
}

static void fuzz_state(struct hub_span text)
{
    struct hub_audit_state state;
    struct hub_buf again;
    if (hub_audit_state_parse(text, &state) != HUB_OK)
        return;
    hub_buf_init(&again, HUB_AUDIT_STATE_MAX, false);
    hub_audit_state_write(&again, &state);
    same(&again, text);
    hub_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        HUB_ASSERT(hub_crypto_init() == HUB_OK);
    ready = true;
    if (size == 0 || size > HUB_NOTE_BYTES_MAX)
        return 0;
    struct hub_span rest = hub_span_of(data + 1, size - 1);
    switch (data[0]) {
    case 'v':
        fuzz_vkey(rest);
        break;
    case 'c':
        fuzz_checkpoint(rest);
        break;
    case 's':
        fuzz_state(rest);
        break;
    default:
        fuzz_note(rest);
        break;
    }
    return 0;
}
