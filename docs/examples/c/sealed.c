/* The sealed format, from docs/FORMATS.md ("Sealed events, keys, dead letters") and libsodium alone. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "chart.h"

static const char SEALED[] = "urn:chartline:sealed";
static const char *const class_names[SEAL_CLASSES] = {"clear", "identity", "contact", "financial", "clinical", "sensitive", "raw"};

struct held { /* a class key or a patient's secret; in locked memory */
    char id[ID_LEN + 1];
    int data_class;  /* of a class key */
    bool open, gone; /* the bytes are there; they are gone for good */
    uint8_t bytes[32];
    struct held *next;
};

struct signer {
    char public_key[64]; /* base64 */
    struct signer *next;
};

struct keys {
    uint8_t public_key[crypto_box_PUBLICKEYBYTES], secret_key[crypto_box_SECRETKEYBYTES];
    struct signer *signers;
    struct held *class_keys, *secrets;
};

/* --- bytes --- */

static size_t decode(const char *text, size_t len, int variant, uint8_t *out, size_t cap)
{
    size_t got = 0;
    if (sodium_base642bin(out, cap, text, len, NULL, &got, NULL, variant) != 0)
        refuse("a text that is not base64, or too long");
    return got;
}

static void decode_exact(const char *text, uint8_t *out, size_t len)
{
    if (decode(text, strlen(text), sodium_base64_VARIANT_ORIGINAL, out, len) != len)
        refuse("a key or signature of another length");
}

static void blake2b_256(const uint8_t *key, const struct text *data, uint8_t out[32])
{
    (void)crypto_generichash(out, 32, (const uint8_t *)data->bytes, data->len, key, key != NULL ? 32 : 0);
}

/* lp() of the page: the length in 8 bytes, little endian, then the bytes. */
static void add_lp(struct text *out, const void *bytes, size_t len)
{
    uint8_t head[8];
    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)((uint64_t)len >> (8 * i));
    text_add(out, head, sizeof head);
    text_add(out, bytes, len);
}

/* --- what a role holds --- */

static struct held *find(struct held *list, const char *id)
{
    while (list != NULL && strcmp(list->id, id) != 0)
        list = list->next;
    return list;
}

static struct held *find_or_add(struct held **list, const char *id)
{
    struct held *held = find(*list, id);
    if (held != NULL)
        return held;
    held = sodium_malloc(sizeof *held);
    if (held == NULL)
        refuse("no locked memory for keys (ulimit -l)");
    memset(held, 0, sizeof *held);
    (void)snprintf(held->id, sizeof held->id, "%s", id);
    held->next = *list;
    return *list = held;
}

struct keys *keys_new(const char *role_key_file)
{
    char header[128], body[128];
    if (sodium_init() < 0)
        refuse("libsodium does not start");
    struct keys *keys = sodium_malloc(sizeof *keys);
    FILE *file = fopen(role_key_file, "r");
    if (keys == NULL || file == NULL || fgets(header, sizeof header, file) == NULL || fgets(body, sizeof body, file) == NULL ||
        strncmp(header, "chartline-role-secret-1 ", 24) != 0)
        refuse("%s is no role's secret key", role_key_file);
    (void)fclose(file);
    memset(keys, 0, sizeof *keys);
    body[strcspn(body, "\n")] = '\0';
    decode_exact(body, keys->secret_key, sizeof keys->secret_key);
    sodium_memzero(body, sizeof body);
    (void)crypto_scalarmult_base(keys->public_key, keys->secret_key);
    return keys;
}

void keys_trust(struct keys *keys, const char *signer)
{
    struct signer *trusted = allocate(sizeof *trusted);
    (void)snprintf(trusted->public_key, sizeof trusted->public_key, "%s", signer);
    trusted->next = keys->signers;
    keys->signers = trusted;
}

void keys_open_box(const struct keys *keys, const char *base64, uint8_t *out, size_t out_len)
{
    uint8_t box[256];
    size_t len = decode(base64, strlen(base64), sodium_base64_VARIANT_ORIGINAL, box, sizeof box);
    if (len != out_len + crypto_box_SEALBYTES || crypto_box_seal_open(out, box, len, keys->public_key, keys->secret_key) != 0)
        refuse("a box that this role's key does not open");
}

static void verify_record(const struct keys *keys, yyjson_val *record)
{
    uint8_t signature[crypto_sign_BYTES], public_key[crypto_sign_PUBLICKEYBYTES];
    const char *name = json_string(record, "signer");
    const struct signer *signer = keys->signers;
    while (signer != NULL && strcmp(signer->public_key, name) != 0)
        signer = signer->next;
    if (signer == NULL)
        refuse("a key record of a hub that is not trusted here");
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *copy = yyjson_val_mut_copy(doc, record);
    struct text text = {0};
    (void)yyjson_mut_obj_remove_key(copy, "signature");
    text_words(&text, "chartline key record 1\n");
    text_json(&text, copy);
    decode_exact(json_string(record, "signature"), signature, sizeof signature);
    decode_exact(name, public_key, sizeof public_key);
    if (crypto_sign_verify_detached(signature, (const uint8_t *)text.bytes, text.len, public_key) != 0)
        refuse("a key record whose signature does not verify");
    free(text.bytes);
    yyjson_mut_doc_free(doc);
}

static int class_of(const char *name, size_t len)
{
    for (int i = 1; i < SEAL_CLASSES; i++)
        if (strlen(class_names[i]) == len && memcmp(class_names[i], name, len) == 0)
            return i;
    return 0;
}

/* The box for this role, if there is one: a later record of the same key may add roles. */
static void take_class_key(struct keys *keys, yyjson_val *record)
{
    struct held *key = find_or_add(&keys->class_keys, json_string(record, "id"));
    const char *name = json_string(record, "class");
    size_t i, count;
    yyjson_val *grant;
    key->data_class = class_of(name, strlen(name));
    yyjson_arr_foreach(yyjson_obj_get(record, "sealed"), i, count, grant)
    {
        uint8_t public_key[crypto_box_PUBLICKEYBYTES];
        decode_exact(json_string(grant, "public"), public_key, sizeof public_key);
        if (key->open || memcmp(public_key, keys->public_key, sizeof public_key) != 0)
            continue;
        keys_open_box(keys, json_string(grant, "box"), key->bytes, sizeof key->bytes);
        key->open = true;
    }
}

void keys_add_record(struct keys *keys, yyjson_val *record)
{
    bool shredded = strcmp(json_string(record, "kind"), "shredded") == 0;
    if (!shredded && strcmp(json_string(record, "kind"), "class-key") != 0)
        return; /* other kinds say nothing to a reader */
    verify_record(keys, record);
    if (shredded)
        keys_add_shredded(keys, json_string(record, "id"));
    else
        take_class_key(keys, record);
}

void keys_add_secret(struct keys *keys, const char *id, const char *base64)
{
    struct held *secret = find_or_add(&keys->secrets, id);
    decode_exact(base64, secret->bytes, sizeof secret->bytes);
    secret->open = true;
}

void keys_add_shredded(struct keys *keys, const char *id)
{
    struct held *secret = find_or_add(&keys->secrets, id);
    sodium_memzero(secret->bytes, sizeof secret->bytes);
    secret->open = false;
    secret->gone = true;
}

bool keys_knows_class_key(const struct keys *keys, const char *id)
{
    return find(keys->class_keys, id) != NULL;
}

bool keys_has_secret(const struct keys *keys, const char *id)
{
    return find(keys->secrets, id) != NULL;
}

bool keys_is_shredded(const struct keys *keys, const char *id)
{
    const struct held *secret = find(keys->secrets, id);
    return secret != NULL && secret->gone;
}

/* --- the seal --- */

static void read_class(char *part, struct seal *out)
{
    char *at = strchr(part, '@'), *colon = strchr(part, ':');
    int data_class = at != NULL ? class_of(part, (size_t)(at - part)) : 0;
    if (colon == NULL || data_class == 0 || colon - at != ID_LEN + 1)
        refuse("a seal that is not readable");
    (void)snprintf(out->classes[data_class].key_id, ID_LEN + 1, "%.*s", ID_LEN, at + 1);
    if (decode(colon + 1, strlen(colon + 1), sodium_base64_VARIANT_URLSAFE_NO_PADDING, out->classes[data_class].commitment, 32) != 32)
        refuse("a seal that is not readable");
}

void seal_read(const char *text, struct seal *out)
{
    char *copy = strdup(text), *rest = copy, *part;
    memset(out, 0, sizeof *out);
    for (int i = 0; (part = strsep(&rest, ";")) != NULL; i++) {
        if (i == 0 && strcmp(part, "1") != 0)
            refuse("a seal of a version that this program does not know");
        if (i == 1)
            out->suite = strcmp(part, "xc20p") == 0 ? 1 : strcmp(part, "aes256gcm") == 0 ? 2 : 0;
        if (i == 2 && decode(part, strlen(part), sodium_base64_VARIANT_URLSAFE_NO_PADDING, out->salt, 16) != 16)
            refuse("a seal that is not readable");
        if (i == 3)
            (void)snprintf(out->secret_id, sizeof out->secret_id, "%s", part);
        if (i > 3)
            read_class(part, out);
    }
    if (out->suite == 0 || out->secret_id[0] == '\0')
        refuse("a seal that is not readable");
    free(copy);
}

/* --- a sealed field --- */

struct opener {
    const struct keys *keys;
    struct seal seal;
    const char *event, *subject, *resource;
    struct text remainder; /* the resource's clear remainder, canonical */
};

/* F of a class, checked against the commitment before anything is decrypted. False: there is no key for it. */
static bool field_key(const struct opener *o, int data_class, uint8_t key[32])
{
    const struct held *class_key = find(o->keys->class_keys, o->seal.classes[data_class].key_id);
    const struct held *secret = find(o->keys->secrets, o->seal.secret_id);
    struct text input = {0};
    uint8_t commitment[32];
    if (class_key == NULL || !class_key->open || secret == NULL || !secret->open)
        return false;
    text_words(&input, "chartline field 1");
    text_add(&input, secret->bytes, sizeof secret->bytes);
    blake2b_256(class_key->bytes, &input, key);
    sodium_memzero(input.bytes, input.len);
    input.len = 0;
    text_words(&input, "chartline commit 1");
    text_add(&input, o->seal.salt, sizeof o->seal.salt);
    blake2b_256(key, &input, commitment);
    free(input.bytes);
    if (class_key->data_class != data_class || sodium_memcmp(commitment, o->seal.classes[data_class].commitment, 32) != 0)
        refuse("a key that is not the one the seal commits to");
    return true;
}

static struct text authenticated(const struct opener *o, const uint8_t *field)
{
    const char *key_id = o->seal.classes[field[1]].key_id;
    struct text aad = {0};
    uint8_t hash[32];
    blake2b_256(NULL, &o->remainder, hash);
    add_lp(&aad, field, 1);
    add_lp(&aad, o->event, strlen(o->event));
    add_lp(&aad, o->subject, strlen(o->subject));
    add_lp(&aad, field + 1, 1);
    add_lp(&aad, key_id, strlen(key_id));
    add_lp(&aad, o->resource, strlen(o->resource));
    add_lp(&aad, hash, sizeof hash);
    return aad;
}

/* HKDF-SHA256, one block: the event's key of suite 2. */
static void event_key(const struct opener *o, uint8_t key[32])
{
    uint8_t middle[32];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, o->seal.salt, sizeof o->seal.salt);
    crypto_auth_hmacsha256_update(&state, key, 32);
    crypto_auth_hmacsha256_final(&state, middle);
    crypto_auth_hmacsha256(key, (const uint8_t *)"\x01", 1, middle);
}

static bool decrypt(const struct opener *o, const uint8_t *field, size_t len, uint8_t key[32], uint8_t *out)
{
    struct text aad = authenticated(o, field);
    const uint8_t *ad = (const uint8_t *)aad.bytes;
    uint8_t nonce[24] = {0};
    int rc;
    if (o->seal.suite == 1) {
        memcpy(nonce, o->seal.salt, 16);
        memcpy(nonce + 20, field + 2, 4);
        rc = crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, field + 6, len - 6, ad, aad.len, nonce, key);
    } else {
        if (!crypto_aead_aes256gcm_is_available())
            refuse("suite 2 needs a processor with AES instructions here (or AES-256-GCM of another library)");
        event_key(o, key);
        memcpy(nonce + 8, field + 2, 4);
        rc = crypto_aead_aes256gcm_decrypt(out, NULL, NULL, field + 6, len - 6, ad, aad.len, nonce, key);
    }
    free(aad.bytes);
    return rc == 0;
}

/* The content of one sealed field (to be freed), NULL when the role has no key for its class. */
static char *open_field(const struct opener *o, yyjson_val *base64, int *data_class, size_t *content_len)
{
    size_t text_len = yyjson_get_len(base64), cap = text_len / 4 * 3 + 3;
    uint8_t *field = allocate(cap), key[32];
    char *content = NULL;
    size_t len = decode(yyjson_get_str(base64), text_len, sodium_base64_VARIANT_ORIGINAL, field, cap);
    if (len < 6 + 16 || field[0] != o->seal.suite || field[1] == 0 || field[1] >= SEAL_CLASSES || o->seal.classes[field[1]].key_id[0] == '\0')
        refuse("not a sealed field of this seal");
    *data_class = field[1];
    if (field_key(o, field[1], key)) {
        size_t end = len - 6 - 16;
        content = allocate(end + 1);
        if (!decrypt(o, field, len, key, (uint8_t *)content))
            refuse("a ciphertext, or what stands clear beside it, was changed");
        while (end > 0 && content[end - 1] == '\0')
            end--;
        if (end == 0 || (uint8_t)content[end - 1] != 0x80)
            refuse("a field without its padding");
        content[--end] = '\0';
        *content_len = end;
        sodium_memzero(key, sizeof key);
    }
    free(field);
    return content;
}

/* --- putting the items back --- */

struct item {
    const char *path;
    yyjson_mut_val *value; /* NULL: a placeholder that goes away */
    size_t depth, index;   /* of an insertion */
    bool insert;
};

static struct item item_of(yyjson_val *pair, yyjson_mut_doc *doc)
{
    struct item item = {.path = yyjson_get_str(yyjson_arr_get(pair, 0))};
    const char *last = item.path != NULL ? strrchr(item.path, '/') : NULL;
    if (last == NULL)
        refuse("a sealed item without a path");
    if (yyjson_arr_size(pair) == 2)
        item.value = yyjson_val_mut_copy(doc, yyjson_arr_get(pair, 1));
    item.insert = item.value != NULL && isdigit((unsigned char)last[1]) && last[1 + strspn(last + 1, "0123456789")] == '\0';
    item.index = strtoul(last + 1, NULL, 10);
    for (const char *c = item.path; *c != '\0'; c++)
        item.depth += *c == '/';
    return item;
}

/* Longest paths first, then by index; otherwise as they stood. */
static int compare_inserts(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static void insert(yyjson_mut_doc *doc, yyjson_mut_val *resource, const struct item *item)
{
    size_t parent_len = (size_t)(strrchr(item->path, '/') - item->path);
    yyjson_mut_val *list = yyjson_mut_ptr_getn(resource, item->path, parent_len);
    if (list == NULL) {
        list = yyjson_mut_arr(doc);
        (void)yyjson_mut_ptr_setn(resource, item->path, parent_len, list, doc);
    }
    size_t size = yyjson_mut_arr_size(list);
    if (!yyjson_mut_arr_insert(list, item->value, item->index < size ? item->index : size))
        refuse("a sealed item that does not fit its resource");
}

static void put_back(yyjson_mut_doc *doc, yyjson_mut_val *resource, struct item *items, size_t count)
{
    size_t inserts = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].insert)
            items[inserts++] = items[i];
        else if (items[i].value != NULL)
            (void)yyjson_mut_ptr_set(resource, items[i].path, items[i].value, doc);
        else
            (void)yyjson_mut_ptr_remove(resource, items[i].path);
    }
    qsort(items, inserts, sizeof *items, compare_inserts);
    for (size_t i = 0; i < inserts; i++)
        insert(doc, resource, &items[i]);
}

/* --- resources --- */

static void open_binary(struct opener *o, yyjson_val *stored, yyjson_mut_val *out, yyjson_mut_doc *doc)
{
    int data_class;
    size_t len;
    char *content = open_field(o, yyjson_obj_get(stored, "data"), &data_class, &len), *base64;
    if (content == NULL || len == 0 || (content[0] != 'B' && content[0] != 'T')) { /* P, R: original messages, in events only */
        (void)yyjson_mut_obj_add_val(doc, out, "data", yyjson_val_mut_copy(doc, yyjson_obj_get(stored, "data")));
        free(content);
        return;
    }
    size_t cap = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
    base64 = allocate(cap);
    (void)sodium_bin2base64(base64, cap, (const uint8_t *)content + 1, len - 1, sodium_base64_VARIANT_ORIGINAL);
    (void)yyjson_mut_obj_add_strcpy(doc, out, "data", content[0] == 'T' ? content + 1 : base64);
    free(base64);
    free(content);
}

/* Takes the items of every class that opens; the fields of the others go back to the end of `extension`. */
static void open_fields(struct opener *o, yyjson_val *extensions, yyjson_mut_val *out, yyjson_mut_doc *doc)
{
    char *contents[SEAL_CLASSES] = {NULL};
    yyjson_doc *docs[SEAL_CLASSES] = {NULL};
    yyjson_mut_val *closed = yyjson_mut_arr(doc), *e;
    size_t i, n, len, count = 0, cap = 0;
    yyjson_val *extension, *pair;
    bool seen[SEAL_CLASSES] = {false};
    yyjson_arr_foreach(extensions, i, n, extension)
    {
        int data_class;
        if (strcmp(json_string(extension, "url"), SEALED) != 0)
            continue;
        char *content = open_field(o, yyjson_obj_get(extension, "valueBase64Binary"), &data_class, &len);
        if (seen[data_class])
            refuse("two fields of one class");
        seen[data_class] = true;
        contents[data_class] = content;
        if (content != NULL)
            docs[data_class] = json_read(content, len);
        else
            (void)yyjson_mut_arr_append(closed, yyjson_val_mut_copy(doc, extension));
    }
    for (int c = 0; c < SEAL_CLASSES; c++)
        cap += yyjson_arr_size(yyjson_doc_get_root(docs[c]));
    struct item *items = allocate(cap * sizeof *items);
    for (int c = 0; c < SEAL_CLASSES; c++) {
        yyjson_arr_foreach(yyjson_doc_get_root(docs[c]), i, n, pair) items[count++] = item_of(pair, doc);
    }
    put_back(doc, out, items, count);
    if (yyjson_mut_arr_size(closed) != 0 && yyjson_mut_obj_get(out, "extension") == NULL)
        (void)yyjson_mut_obj_add_val(doc, out, "extension", yyjson_mut_arr(doc));
    while ((e = yyjson_mut_arr_remove_first(closed)) != NULL)
        (void)yyjson_mut_arr_append(yyjson_mut_obj_get(out, "extension"), e);
    for (int c = 0; c < SEAL_CLASSES; c++) {
        yyjson_doc_free(docs[c]);
        free(contents[c]);
    }
    free(items);
}

/* What is authenticated: the resource as it is stored without its fields. */
static yyjson_mut_val *clear_remainder(yyjson_val *stored, bool binary, yyjson_mut_doc *doc)
{
    yyjson_mut_val *out = yyjson_val_mut_copy(doc, stored), *list = yyjson_mut_obj_get(out, "extension");
    if (binary) {
        (void)yyjson_mut_obj_remove_key(out, "data");
        return out;
    }
    for (size_t i = 0; i < yyjson_mut_arr_size(list);) {
        const char *url = yyjson_mut_get_str(yyjson_mut_obj_get(yyjson_mut_arr_get(list, i), "url"));
        if (url != NULL && strcmp(url, SEALED) == 0)
            (void)yyjson_mut_arr_remove(list, i);
        else
            i++;
    }
    if (list != NULL && yyjson_mut_arr_size(list) == 0)
        (void)yyjson_mut_obj_remove_key(out, "extension");
    return out;
}

yyjson_mut_val *open_resource(const struct keys *keys, yyjson_val *record, yyjson_mut_doc *doc)
{
    yyjson_val *stored = yyjson_obj_get(record, "resource");
    bool binary = strcmp(json_string(stored, "resourceType"), "Binary") == 0;
    struct opener o = {.keys = keys, .event = json_string(record, "event"), .subject = json_string(record, "subject"), .resource = json_string(stored, "id")};
    seal_read(json_string(record, "seal"), &o.seal);
    yyjson_mut_val *out = clear_remainder(stored, binary, doc);
    text_json(&o.remainder, out);
    if (!binary)
        open_fields(&o, yyjson_obj_get(stored, "extension"), out, doc);
    else if (yyjson_obj_get(stored, "data") != NULL)
        open_binary(&o, stored, out, doc);
    free(o.remainder.bytes);
    return out;
}
