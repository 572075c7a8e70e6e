/* The hub's key service, over its control socket (docs/FORMATS.md, "The control socket"): requests and answers are lines of JSON. */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <sodium.h>

#include "chart.h"

struct hub {
    FILE *in, *out;
    const char *purpose;
    char *classes[SEAL_CLASSES]; /* what the role may open now */
    size_t class_count;
};

typedef void (*take_line)(void *ctx, yyjson_val *line);

/* Sends one request and gives each line of its answer but the last to TAKE. */
static void ask(struct hub *hub, yyjson_mut_doc *request, take_line take, void *ctx)
{
    struct text text = {0};
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    bool done = false;
    text_json(&text, yyjson_mut_doc_get_root(request));
    text_words(&text, "\n");
    if (fwrite(text.bytes, 1, text.len, hub->out) != text.len || fflush(hub->out) != 0)
        refuse("the hub closed the connection");
    while (!done && (len = getline(&line, &cap, hub->in)) > 0) {
        yyjson_doc *doc = json_read(line, (size_t)len);
        yyjson_val *root = yyjson_doc_get_root(doc);
        if (strncmp(line, "{\"error\":{", 10) == 0)
            refuse("the hub: %s (%s)", json_string(yyjson_obj_get(root, "error"), "what"), json_string(yyjson_obj_get(root, "error"), "code"));
        done = strncmp(line, "{\"done\":true", 12) == 0;
        if (!done && take != NULL)
            take(ctx, root);
        yyjson_doc_free(doc);
    }
    if (!done)
        refuse("the hub closed the connection");
    sodium_memzero(line, cap);
    free(line);
    free(text.bytes);
    yyjson_mut_doc_free(request);
}

/* A request with text members, up to a NULL. */
static yyjson_mut_doc *request_of(const char *const *members)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_obj(doc));
    for (; members[0] != NULL; members += 2)
        (void)yyjson_mut_obj_add_strcpy(doc, yyjson_mut_doc_get_root(doc), members[0], members[1]);
    return doc;
}

static void add_list(yyjson_mut_doc *doc, const char *name, char **texts, size_t count)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    for (size_t i = 0; i < count; i++)
        (void)yyjson_mut_arr_add_strcpy(doc, list, texts[i]);
    (void)yyjson_mut_obj_add_val(doc, yyjson_mut_doc_get_root(doc), name, list);
}

/* --- proving the role --- */

struct proof {
    const struct keys *keys;
    char answer[64];
};

static void take_challenge(void *ctx, yyjson_val *line)
{
    struct proof *proof = ctx;
    uint8_t plain[32];
    keys_open_box(proof->keys, json_string(line, "challenge"), plain, sizeof plain);
    (void)sodium_bin2base64(proof->answer, sizeof proof->answer, plain, sizeof plain, sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(plain, sizeof plain);
}

static void take_role(void *ctx, yyjson_val *line)
{
    struct hub *hub = ctx;
    size_t i, n;
    yyjson_val *name;
    yyjson_arr_foreach(yyjson_obj_get(line, "classes"), i, n, name)
    {
        if (hub->class_count < SEAL_CLASSES)
            hub->classes[hub->class_count++] = strdup(yyjson_get_str(name));
    }
}

/* Through the folder's descriptor, so that a long path fits into a socket address. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *folder = strdup(path), *name = strdup(path);
    int at = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", at, basename(name));
    if (at < 0 || fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        refuse("no hub answers at %s", path);
    (void)close(at);
    free(folder);
    free(name);
    return fd;
}

struct hub *hub_open(const char *socket_path, const char *role, const struct keys *keys, const char *purpose)
{
    struct hub *hub = allocate(sizeof *hub);
    struct proof proof = {.keys = keys};
    int fd = connect_to(socket_path);
    *hub = (struct hub){.in = fdopen(fd, "r"), .out = fdopen(dup(fd), "w"), .purpose = purpose};
    if (hub->in == NULL || hub->out == NULL)
        refuse("no memory");
    ask(hub, request_of((const char *[]){"op", "role.challenge", "role", role, NULL}), take_challenge, &proof);
    ask(hub, request_of((const char *[]){"op", "role.prove", "answer", proof.answer, NULL}), take_role, hub);
    return hub;
}

/* --- what it is asked --- */

static void take_signer(void *ctx, yyjson_val *line)
{
    if (yyjson_obj_get(line, "sign_public") != NULL)
        keys_trust(ctx, json_string(line, "sign_public"));
}

void hub_trust(struct hub *hub, struct keys *keys)
{
    ask(hub, request_of((const char *[]){"op", "keys.records", NULL}), take_signer, keys);
}

struct tokens {
    char **list;
    size_t count;
};

static void take_patient(void *ctx, yyjson_val *line)
{
    struct tokens *tokens = ctx;
    yyjson_val *patient = yyjson_obj_get(line, "patient"), *list = yyjson_obj_get(patient, "tokens"), *token;
    size_t i, n;
    if (patient == NULL)
        return;
    tokens->list = allocate((yyjson_arr_size(list) + 1) * sizeof *tokens->list);
    tokens->list[tokens->count++] = strdup(json_string(patient, "token"));
    yyjson_arr_foreach(list, i, n, token) tokens->list[tokens->count++] = strdup(yyjson_get_str(token));
}

size_t hub_tokens(struct hub *hub, const char *patient, char ***tokens)
{
    struct tokens found = {0};
    char *system = strdup(patient), *bar = strrchr(system, '|');
    if (bar == NULL) { /* a token: the topic says which others there are */
        found.list = allocate(sizeof *found.list);
        found.list[found.count++] = system;
    } else {
        *bar = '\0';
        ask(hub, request_of((const char *[]){"op", "patient.find", "system", system, "value", bar + 1, "purpose", hub->purpose, NULL}), take_patient, &found);
        free(system);
    }
    if (found.count == 0)
        refuse("no such patient");
    *tokens = found.list;
    return found.count;
}

static void take_secret(void *ctx, yyjson_val *line)
{
    yyjson_val *secret = yyjson_obj_get(line, "secret"), *missing = yyjson_obj_get(line, "missing");
    if (secret != NULL)
        keys_add_secret(ctx, json_string(secret, "id"), json_string(secret, "secret"));
    else if (strcmp(json_string(missing, "code"), "shredded") == 0 && json_string(missing, "id")[0] != '\0')
        keys_add_shredded(ctx, json_string(missing, "id"));
}

void hub_secrets(struct hub *hub, struct keys *keys, char **tokens, size_t token_count, char **ids, size_t id_count)
{
    if (hub->class_count == 0 || id_count == 0)
        return; /* nothing could be opened with them */
    yyjson_mut_doc *request = request_of((const char *[]){"op", "key.secrets", "purpose", hub->purpose, NULL});
    add_list(request, "tokens", tokens, token_count);
    add_list(request, "ids", ids, id_count);
    add_list(request, "classes", hub->classes, hub->class_count);
    ask(hub, request, take_secret, keys);
}
