#include "src/cli/reader.h"

#include <string.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"

enum { ARENA_BYTES_MAX = 1 << 30, CHALLENGE_LEN = 32, SECRETS_MAX = 1000000 };

struct class_key {
    struct hub_key_id id;
    enum hub_data_class class_;
    uint8_t key[HUB_KEY_LEN];
};

struct patient_secret {
    char id[HUB_KEY_ID_LEN + 1];
    char subject[HUB_TOKEN_LEN + 1];
    uint8_t secret[HUB_KEY_LEN];
};

struct hub_cli_reader {
    struct hub_client *client;
    struct hub_role_key *role;
    bool classes[HUB_DATA_CLASSES]; /* what the role may open now; it may hold keys of former rights */
    struct class_key *keys;         /* guarded */
    size_t key_count;
    struct patient_secret *secrets; /* guarded */
    size_t secret_count, secret_cap;
    struct hub_opener opener;
};

/* --- what the opener asks --- */

static enum hub_result class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    const struct hub_cli_reader *r = ctx;
    for (size_t i = 0; i < r->key_count; i++)
        if (strcmp(r->keys[i].id.text, id->text) == 0) {
            memcpy(key, r->keys[i].key, HUB_KEY_LEN);
            return HUB_OK;
        }
    return HUB_DENIED;
}

/* A one-off secret (a message without patient, a dead letter) is given without a subject. */
static const struct patient_secret *find_secret(const struct hub_cli_reader *r, const char *id,
                                                const char *subject)
{
    for (size_t i = 0; i < r->secret_count; i++) {
        const struct patient_secret *s = &r->secrets[i];
        if (strcmp(s->id, id) == 0 && (s->subject[0] == '\0' || strcmp(s->subject, subject) == 0))
            return s;
    }
    return NULL;
}

static enum hub_result patient_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                      uint8_t secret[HUB_KEY_LEN])
{
    const struct patient_secret *found = find_secret(ctx, id->text, subject->text);
    if (found == NULL)
        return HUB_NO_KEY;
    memcpy(secret, found->secret, HUB_KEY_LEN);
    return HUB_OK;
}

const struct hub_opener *hub_cli_reader_opener(const struct hub_cli_reader *reader)
{
    return reader != NULL ? &reader->opener : NULL;
}

/* --- proving the role --- */

static enum hub_result answer_challenge(struct hub_cli_reader *r, struct hub_span sealed_text, char *answer,
                                        size_t answer_cap, struct hub_error *err)
{
    static const char what[] = "the key is not the one of this role";
    uint8_t sealed[CHALLENGE_LEN + HUB_BOX_SEAL_LEN], plain[CHALLENGE_LEN];
    size_t len = 0;
    enum hub_result result = hub_decode(HUB_BASE64, sealed_text, sealed, sizeof sealed, &len);
    if (result != HUB_OK || len != sizeof sealed)
        return hub_fail(err, HUB_INTERNAL, "the hub's challenge is not readable",
                        "check that hub and command are of one version");
    if (hub_box_open(r->role->public_key, r->role->secret_key, hub_span_of(sealed, sizeof sealed), plain) !=
        HUB_OK)
        return hub_fail(err, HUB_DENIED, what, "name the role's own key with --key");
    (void)hub_encode(HUB_BASE64, hub_span_of(plain, sizeof plain), answer, answer_cap);
    hub_mem_wipe(plain, sizeof plain);
    return HUB_OK;
}

static enum hub_result prove(struct hub_cli_reader *r, struct hub_arena *arena, struct hub_error *err)
{
    struct hub_buf request;
    struct hub_json *lines;
    char answer[64];
    hub_cli_request_begin(&request, "role.challenge");
    hub_cli_request_text(&request, "role", hub_cli.role);
    HUB_TRY(hub_cli_collect(r->client, &request, arena, &lines, err));
    HUB_TRY(answer_challenge(r, hub_json_get_span(hub_json_at(lines, 0), "challenge"), answer, sizeof answer,
                             err));
    hub_cli_request_begin(&request, "role.prove");
    hub_cli_request_text(&request, "answer", answer);
    HUB_TRY(hub_cli_collect(r->client, &request, arena, &lines, err));
    const struct hub_json *classes = hub_json_get(hub_json_at(lines, 0), "classes");
    for (const struct hub_json *name = classes != NULL ? classes->first : NULL; name != NULL; name = name->next) {
        enum hub_data_class class_;
        if (hub_data_class_of(hub_json_span(name), &class_))
            r->classes[class_] = true;
    }
    return HUB_OK;
}

/* --- class keys --- */

static enum hub_result sign_key(const struct hub_json *lines, uint8_t out[HUB_SIGN_PUBLIC_LEN],
                                struct hub_error *err)
{
    size_t len = 0;
    for (const struct hub_json *line = lines->first; line != NULL; line = line->next) {
        struct hub_span text = hub_json_get_span(line, "sign_public");
        if (text.len > 0 && hub_decode(HUB_BASE64, text, out, HUB_SIGN_PUBLIC_LEN, &len) == HUB_OK &&
            len == HUB_SIGN_PUBLIC_LEN)
            return HUB_OK;
    }
    return hub_fail(err, HUB_INTERNAL, "the hub did not name its signing key", NULL);
}

static enum hub_result load_class_keys(struct hub_cli_reader *r, struct hub_arena *arena,
                                       struct hub_error *err)
{
    struct hub_buf request, record;
    struct hub_json *lines;
    uint8_t sign_public[HUB_SIGN_PUBLIC_LEN];
    hub_cli_request_begin(&request, "keys.records");
    HUB_TRY(hub_cli_collect(r->client, &request, arena, &lines, err));
    HUB_TRY(sign_key(lines, sign_public, err));
    r->keys = hub_secret_alloc((lines->len + 1) * sizeof *r->keys);
    HUB_ENSURE(r->keys != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    hub_buf_init(&record, 1 << 20, false);
    enum hub_result result = HUB_OK;
    for (const struct hub_json *line = lines->first; line != NULL && result == HUB_OK; line = line->next) {
        const struct hub_json *key = hub_json_get(line, "key");
        if (key == NULL)
            continue;
        struct class_key *slot = &r->keys[r->key_count];
        hub_buf_reset(&record);
        hub_json_write(&record, key);
        result = hub_buf_result(&record);
        if (result == HUB_OK)
            result = hub_role_open_class(r->role, sign_public, hub_buf_view(&record), &slot->id,
                                         &slot->class_, slot->key, err);
        if (result == HUB_OK && r->classes[slot->class_])
            r->key_count++;
        else if (result == HUB_DENIED || result == HUB_NOT_FOUND) /* not for this role, or no class key */
            result = HUB_OK;
    }
    hub_buf_deinit(&record);
    return result;
}

/* --- patients' secrets --- */

static enum hub_result reserve_secrets(struct hub_cli_reader *r, size_t more, struct hub_error *err)
{
    size_t need = r->secret_count + more;
    if (need <= r->secret_cap)
        return HUB_OK;
    HUB_ENSURE(need <= SECRETS_MAX,
               hub_fail(err, HUB_TOO_MANY, "too many patients at once", "open fewer at a time"));
    size_t cap = need < 64 ? 64 : need + need / 2;
    struct patient_secret *grown = hub_secret_alloc(cap * sizeof *grown);
    HUB_ENSURE(grown != NULL, hub_fail(err, HUB_NO_MEMORY, "no locked memory for secrets",
                                       "raise the limit of locked memory (ulimit -l)"));
    if (r->secret_count > 0)
        memcpy(grown, r->secrets, r->secret_count * sizeof *grown);
    hub_secret_free(r->secrets);
    r->secrets = grown;
    r->secret_cap = cap;
    return HUB_OK;
}

static void store_secret(struct hub_cli_reader *r, const struct hub_json *secret)
{
    struct hub_span id = hub_json_get_span(secret, "id"), subject = hub_json_get_span(secret, "subject");
    struct patient_secret *slot = &r->secrets[r->secret_count];
    size_t len = 0;
    if (id.len > HUB_KEY_ID_LEN || subject.len > HUB_TOKEN_LEN)
        return;
    if (hub_decode(HUB_BASE64, hub_json_get_span(secret, "secret"), slot->secret, sizeof slot->secret,
                   &len) != HUB_OK ||
        len != HUB_KEY_LEN)
        return;
    memset(slot->id, 0, sizeof slot->id);
    memset(slot->subject, 0, sizeof slot->subject);
    memcpy(slot->id, id.ptr, id.len);
    memcpy(slot->subject, subject.ptr, subject.len);
    if (find_secret(r, slot->id, slot->subject) == NULL)
        r->secret_count++;
}

enum hub_result hub_cli_reader_secrets(struct hub_cli_reader *r, const struct hub_span *tokens,
                                       size_t token_count, const struct hub_span *ids, size_t id_count,
                                       struct hub_error *err)
{
    struct hub_arena arena;
    struct hub_buf request;
    struct hub_json *lines;
    struct hub_span classes[HUB_DATA_CLASSES];
    size_t class_count = 0;
    for (enum hub_data_class c = HUB_DATA_IDENTITY; c < HUB_DATA_CLASSES; c++) {
        bool held = false;
        for (size_t i = 0; i < r->key_count; i++)
            held = held || r->keys[i].class_ == c;
        if (held)
            classes[class_count++] = hub_span_str(hub_data_class_name(c));
    }
    if (class_count == 0 || token_count + id_count == 0)
        return HUB_OK; /* nothing could be opened with them */
    hub_cli_request_begin(&request, "key.secrets");
    if (token_count > 0)
        hub_cli_request_list(&request, "tokens", tokens, token_count);
    if (id_count > 0)
        hub_cli_request_list(&request, "ids", ids, id_count);
    hub_cli_request_list(&request, "classes", classes, class_count);
    hub_cli_request_text(&request, "purpose", hub_cli.purpose);
    hub_arena_init(&arena, ARENA_BYTES_MAX);
    enum hub_result result = hub_cli_collect(r->client, &request, &arena, &lines, err);
    if (result == HUB_OK)
        result = reserve_secrets(r, lines->len, err);
    for (const struct hub_json *line = result == HUB_OK ? lines->first : NULL; line != NULL;
         line = line->next)
        if (hub_json_get(line, "secret") != NULL)
            store_secret(r, hub_json_get(line, "secret"));
    hub_arena_deinit(&arena);
    return result;
}

/* --- life --- */

enum hub_result hub_cli_reader_new(struct hub_client *client, struct hub_cli_reader **out,
                                   struct hub_error *err)
{
    *out = NULL;
    if (hub_cli.role == NULL && hub_cli.key == NULL)
        return HUB_OK;
    if (hub_cli.role == NULL || hub_cli.key == NULL)
        return hub_fail(err, HUB_USAGE, "--role and --key belong together",
                        "name both: --role clinician --key keys/roles/clinician.key");
    struct hub_cli_reader *r = hub_mem_alloc(sizeof *r);
    HUB_ENSURE(r != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    struct hub_arena arena;
    hub_arena_init(&arena, ARENA_BYTES_MAX);
    r->client = client;
    r->opener = (struct hub_opener){class_key, patient_secret, r};
    enum hub_result result = hub_role_key_load(hub_cli.key, &r->role, err);
    if (result == HUB_OK)
        result = prove(r, &arena, err);
    if (result == HUB_OK)
        result = load_class_keys(r, &arena, err);
    hub_arena_deinit(&arena);
    if (result == HUB_OK)
        *out = r;
    else
        hub_cli_reader_free(r);
    return result;
}

void hub_cli_reader_free(struct hub_cli_reader *reader)
{
    if (reader == NULL)
        return;
    hub_secret_free(reader->role);
    hub_secret_free(reader->keys);
    hub_secret_free(reader->secrets);
    hub_mem_free(reader);
}
