#include "src/pipeline/bus_schemas.h"

#include <stdatomic.h>
#include <stdio.h>

#include "src/base/diag.h"
#include "src/base/mem.h"
#include "src/bus/registry.h"
#include "src/codec/encode.h"
#include "src/codec/json.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/hub.h"

enum { ARENA_BYTES_MAX = 16 * 1024 * 1024, FILE_BYTES_MAX = 256 * 1024, PATH_CAP = 4096, SUBJECT_CAP = 160, ID_FILE_CAP = 4096 };

static const char component[] = "registry";
static const char option[] = "bus.kafka.schema_registry";

/* The versions in force. A schema that has been in a release is never edited: the next one is a new file. */
static const struct {
    enum hub_topic topic;
    const char *file;
    unsigned writers; /* roles */
} files[] = {
    {HUB_TOPIC_EVENTS, "event/2026-11.json", HUB_RUN_FORWARD},
    {HUB_TOPIC_TIMELINE, "timeline/2026-11.json", HUB_RUN_TIMELINE},
};
enum { FILES = sizeof files / sizeof files[0] };

struct schema {
    const struct hub_json_schema *compiled;
    struct hub_span text; /* canonical */
    char subject[SUBJECT_CAP];
    char hash[2 * HUB_HASH_LEN + 1];
    atomic_uint id; /* 0: not known */
    bool asked;     /* the registry has said it since the start */
};

struct hub_bus_schemas {
    const struct hub_config *config;
    struct hub_disk *disk; /* NULL: ids are not kept */
    struct hub_arena arena;
    struct hub_subject_options options;
    struct schema items[FILES];
    char folder[PATH_CAP];
};

/* --- the files --- */

static enum hub_result read_file(struct hub_disk *disk, const char *path, struct hub_buf *out, struct hub_error *err)
{
    int fd = -1;
    size_t len = 0;
    HUB_TRY(disk->ops->open(disk, path, HUB_DISK_READ, &fd, err));
    uint8_t *into = hub_buf_reserve(out, FILE_BYTES_MAX);
    enum hub_result result = into != NULL ? disk->ops->read(disk, fd, 0, into, FILE_BYTES_MAX, &len, err)
                                          : hub_fail(err, HUB_NO_MEMORY, "no memory for a schema", NULL);
    disk->ops->close(disk, fd);
    out->len = len;
    return result;
}

/* White space and the order of members are none of a schema's meaning: the registry sees the canonical form. */
static enum hub_result canonical(struct hub_arena *arena, struct hub_span text, struct hub_span *out, struct hub_error *err)
{
    struct hub_buf buf;
    struct hub_json *tree = NULL;
    HUB_TRY(hub_json_parse(arena, text, &tree, err));
    hub_buf_init(&buf, FILE_BYTES_MAX, false);
    hub_json_write(&buf, tree);
    *out = hub_buf_result(&buf) == HUB_OK ? hub_arena_copy(arena, hub_buf_view(&buf)) : HUB_SPAN_NONE;
    hub_buf_deinit(&buf);
    return out->ptr != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, "no memory for a schema", NULL);
}

static enum hub_result compile(struct hub_bus_schemas *s, struct schema *schema, struct hub_span text, struct hub_error *err)
{
    uint8_t hash[HUB_HASH_LEN];
    HUB_TRY(hub_json_schema_compile(&s->arena, text, &schema->compiled, err));
    HUB_TRY(canonical(&s->arena, text, &schema->text, err));
    hub_sha256_of(schema->text, hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, sizeof hash), schema->hash, sizeof schema->hash);
    return HUB_OK;
}

static enum hub_result load(struct hub_bus_schemas *s, size_t i, struct hub_error *err)
{
    char path[PATH_CAP];
    struct hub_buf text;
    hub_buf_init(&text, 2 * FILE_BYTES_MAX, false);
    (void)snprintf(path, sizeof path, "%s/%s", s->config->schema_dir != NULL ? s->config->schema_dir : "schemas", files[i].file);
    enum hub_result result = read_file(hub_disk_system(), path, &text, err);
    if (result == HUB_NOT_FOUND)
        result = hub_fail(err, HUB_CONFIG, "the schema of a topic is not there", "restore it, or correct hub.schema_dir");
    else if (result == HUB_OK)
        result = compile(s, &s->items[i], hub_buf_view(&text), err);
    hub_buf_deinit(&text);
    return result == HUB_OK ? HUB_OK : (hub_error_in(err, path, 0), result);
}

/* --- ids on disk: <data_dir>/registry/<subject>.json --- */

static void id_path(const struct hub_bus_schemas *s, const struct schema *schema, char out[PATH_CAP])
{
    (void)snprintf(out, PATH_CAP, "%s/%s.json", s->folder, schema->subject);
}

/* Of this very schema at this very registry, or it means nothing. */
static void read_id(struct hub_bus_schemas *s, struct schema *schema)
{
    char path[PATH_CAP], text[ID_FILE_CAP];
    size_t len = 0;
    int fd = -1;
    struct hub_json *json = NULL;
    uint64_t id = 0;
    id_path(s, schema, path);
    if (s->disk->ops->open(s->disk, path, HUB_DISK_READ, &fd, NULL) != HUB_OK)
        return;
    enum hub_result result = s->disk->ops->read(s->disk, fd, 0, text, sizeof text, &len, NULL);
    s->disk->ops->close(s->disk, fd);
    if (result != HUB_OK || hub_json_parse(&s->arena, hub_span_of(text, len), &json, NULL) != HUB_OK)
        return;
    struct hub_span number = hub_json_span(hub_json_get(json, "id"));
    if (hub_span_is(hub_json_get_span(json, "sha256"), schema->hash) &&
        hub_span_is(hub_json_get_span(json, "url"), s->options.url) && hub_span_parse_u64(number, &id) && id <= INT32_MAX)
        atomic_store(&schema->id, (unsigned)id);
}

static void keep_id(struct hub_bus_schemas *s, const struct schema *schema)
{
    char path[PATH_CAP];
    struct hub_error err = {0};
    struct hub_buf text;
    if (s->disk == NULL)
        return;
    id_path(s, schema, path);
    hub_buf_init(&text, ID_FILE_CAP, false);
    hub_buf_printf(&text, "{\"id\":%u,\"sha256\":\"%s\",\"url\":", atomic_load(&schema->id), schema->hash);
    hub_json_write_string(&text, hub_span_str(s->options.url));
    hub_buf_append_str(&text, "}\n");
    enum hub_result result = hub_buf_result(&text);
    if (result == HUB_OK)
        result = s->disk->ops->mkdir(s->disk, s->folder, &err);
    if (result == HUB_OK)
        result = hub_disk_replace(s->disk, path, hub_buf_view(&text), &err);
    if (result != HUB_OK)
        HUB_DIAG(HUB_DIAG_WARNING, component, "a schema's id cannot be kept; the next start needs the registry",
                 hub_diag_error(&err));
    hub_buf_deinit(&text);
}

/* --- life --- */

static enum hub_result secret(void *ctx, uint8_t *out, size_t *len, struct hub_error *err)
{
    const struct hub_schema_registry *r = ctx;
    return hub_secret_read(r->username != NULL ? &r->password : &r->token, out, HUB_HTTP_SECRET_MAX, len, err);
}

static struct hub_subject_options options_of(const struct hub_schema_registry *r)
{
    static const char *const modes[] = {
        [HUB_REGISTRY_BACKWARD_TRANSITIVE] = "BACKWARD_TRANSITIVE", [HUB_REGISTRY_BACKWARD] = "BACKWARD",
        [HUB_REGISTRY_FORWARD] = "FORWARD",                         [HUB_REGISTRY_FORWARD_TRANSITIVE] = "FORWARD_TRANSITIVE",
        [HUB_REGISTRY_FULL] = "FULL",                               [HUB_REGISTRY_FULL_TRANSITIVE] = "FULL_TRANSITIVE",
        [HUB_REGISTRY_NONE] = "NONE",                               [HUB_REGISTRY_LEAVE] = NULL,
    };
    bool login = hub_secret_given(&r->password) || hub_secret_given(&r->token);
    return (struct hub_subject_options){.url = r->url,
                                        .http = {.ca = r->tls.ca,
                                                 .cert = r->tls.cert,
                                                 .key = r->tls.key,
                                                 .username = r->username,
                                                 .secret = login ? secret : NULL,
                                                 .secret_ctx = (void *)(uintptr_t)r,
                                                 .timeout_ms = (int)r->timeout_ms},
                                        .compatibility = modes[r->compatibility],
                                        .create = r->create};
}

static bool uses_registry(const struct hub_bus_schemas *s)
{
    return s->config->kafka.registry.enabled;
}

static enum hub_result open_all(struct hub_bus_schemas *s, const struct hub_bus_setup *setup, struct hub_error *err)
{
    int len = snprintf(s->folder, sizeof s->folder, "%s/registry", s->config->data_dir);
    HUB_ENSURE(len > 0 && (size_t)len + SUBJECT_CAP + 8 < sizeof s->folder,
               hub_fail(err, HUB_CONFIG, "the data directory's path is too long", NULL));
    for (size_t i = 0; i < FILES; i++) {
        struct schema *schema = &s->items[i];
        HUB_TRY(load(s, i, err));
        (void)snprintf(schema->subject, sizeof schema->subject, "%s-value", hub_bus_setup_topic(setup, files[i].topic));
        if (uses_registry(s) && s->disk != NULL)
            read_id(s, schema);
    }
    return HUB_OK;
}

enum hub_result hub_bus_schemas_open(const struct hub_config *config, const struct hub_bus_setup *setup,
                                     struct hub_disk *disk, struct hub_bus_schemas **out, struct hub_error *err)
{
    *out = NULL;
    struct hub_bus_schemas *s = hub_mem_alloc(sizeof *s);
    if (s == NULL)
        return hub_fail(err, HUB_NO_MEMORY, "no memory for the schemas of topics", NULL);
    s->config = config;
    s->disk = disk;
    s->options = options_of(&config->kafka.registry);
    hub_arena_init(&s->arena, ARENA_BYTES_MAX);
    enum hub_result result = open_all(s, setup, err);
    if (result != HUB_OK) {
        hub_bus_schemas_close(s);
        return result;
    }
    *out = s;
    return HUB_OK;
}

void hub_bus_schemas_close(struct hub_bus_schemas *s)
{
    if (s == NULL)
        return;
    hub_arena_deinit(&s->arena);
    hub_mem_free(s);
}

static const struct schema *schema_of(const struct hub_bus_schemas *s, enum hub_topic topic)
{
    for (size_t i = 0; i < FILES; i++)
        if (files[i].topic == topic)
            return &s->items[i];
    return NULL;
}

const struct hub_json_schema *hub_bus_schemas_of(const struct hub_bus_schemas *s, enum hub_topic topic)
{
    const struct schema *schema = schema_of(s, topic);
    return schema != NULL ? schema->compiled : NULL;
}

uint32_t hub_bus_schemas_id(const struct hub_bus_schemas *s, enum hub_topic topic)
{
    const struct schema *schema = schema_of(s, topic);
    return schema != NULL ? atomic_load(&schema->id) : 0;
}

/* --- the registry --- */

/* With an id from before, what the registry says now stands in nobody's way, unless it is that the schema does not fit. */
static enum hub_result register_one(struct hub_bus_schemas *s, struct schema *schema, struct hub_problems *problems,
                                    struct hub_error *err)
{
    struct hub_subject subject;
    struct hub_error why = {0};
    enum hub_result result = hub_subject_register(&s->options, schema->subject, schema->text, &subject, &why);
    if (result == HUB_OK) {
        schema->asked = true;
        if (atomic_exchange(&schema->id, subject.id) != subject.id)
            keep_id(s, schema);
        return HUB_OK;
    }
    if (atomic_load(&schema->id) != 0 && result != HUB_CONFIG) {
        HUB_DIAG(HUB_DIAG_WARNING, component, "the schema registry cannot be asked; the schema's id of before is used",
                 hub_diag_configured("subject", schema->subject), hub_diag_error(&why));
        return HUB_OK;
    }
    if (subject.reason[0] != '\0' && result == HUB_CONFIG)
        HUB_DIAG(HUB_DIAG_WARNING, component, "refused", hub_diag_configured("subject", schema->subject),
                 hub_diag_configured("reason", subject.reason));
    if (problems != NULL && hub_result_row(result)->class != HUB_CLASS_RETRY)
        hub_problems_add(problems, HUB_SEVERITY_ERROR, s->config->path, 0, schema->subject, why.what, why.mend, "%s",
                         subject.reason);
    if (err != NULL)
        *err = why;
    return result;
}

enum hub_result hub_bus_schemas_register(struct hub_bus_schemas *s, unsigned roles, struct hub_problems *problems,
                                         struct hub_error *err)
{
    for (size_t i = 0; uses_registry(s) && i < FILES; i++)
        if ((files[i].writers & roles) != 0 && !s->items[i].asked)
            HUB_TRY(register_one(s, &s->items[i], problems, err));
    return HUB_OK;
}

/* --- check --connect --- */

static void check_mode(struct hub_bus_schemas *s, const struct schema *schema, const struct hub_subject *subject,
                       struct hub_problems *problems)
{
    const char *wanted = s->options.compatibility;
    if (wanted == NULL || strcmp(wanted, subject->compatibility) == 0 || subject->version == 0)
        return;
    hub_problems_add(problems, HUB_SEVERITY_WARNING, s->config->path, 0, schema->subject,
                     "the subject's compatibility mode is another one", "set it there, or write it in compatibility", "%s",
                     subject->compatibility[0] != '\0' ? subject->compatibility : "the registry's default");
}

static bool check_one(struct hub_bus_schemas *s, const struct schema *schema, struct hub_problems *problems)
{
    struct hub_subject subject;
    struct hub_error err = {0};
    enum hub_result result = hub_subject_look(&s->options, schema->subject, schema->text, &subject, &err);
    if (result == HUB_OK) {
        hub_problems_add(problems, HUB_SEVERITY_NOTE, s->config->path, 0, schema->subject, "the schema is in the registry", NULL,
                         "version %u, id %u, compatibility %s", subject.version, subject.id,
                         subject.compatibility[0] != '\0' ? subject.compatibility : "the registry's default");
        check_mode(s, schema, &subject, problems);
        return true;
    }
    if (result == HUB_NOT_FOUND && s->options.create) {
        hub_problems_add(problems, HUB_SEVERITY_NOTE, s->config->path, 0, schema->subject,
                         "the schema is not in the registry yet, and fits: the first start puts it there", NULL, "%s", "");
        return true;
    }
    bool subject_only = result == HUB_CONFIG || result == HUB_NOT_FOUND;
    hub_problems_add(problems, HUB_SEVERITY_ERROR, s->config->path, 0, subject_only ? schema->subject : option, err.what, err.mend,
                     "%s", subject.reason[0] != '\0' ? subject.reason : err.path);
    return subject_only;
}

void hub_bus_schemas_check(struct hub_bus_schemas *s, unsigned roles, struct hub_problems *problems)
{
    for (size_t i = 0; uses_registry(s) && i < FILES; i++)
        if ((files[i].writers & roles) != 0 && !check_one(s, &s->items[i], problems))
            return; /* it would only be said again */
}
