/* A whole hub in a child process, from the transport's door to the timeline, with faults where the test wants them:
 * the disk port, the stores or the heap. Messages go in by a transport of the test's own, so that nothing depends
 * on sockets; what each sender would have heard comes back to the parent through a pipe, even from a hub that ends
 * itself. Nothing of the hub is in the parent, which forks and looks.
 *
 * line_new makes a hub's folder; line_run runs a hub on it and reports. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "adapters/formats/hl7v2/format.h"
#include "src/audit/audit.h"
#include "src/base/diag.h"
#include "src/net/net.h"
#include "src/pipeline/hub_internal.h"
#include "src/query/query.h"
#include "tests/fault/fault_disk.h"
#include "tests/fault/fault_place.h"
#include "src/store/kv.h"
#include "src/base/mem.h"
#include "tests/temp_folder.h"

enum { LINE_MESSAGES_MAX = 32, LINE_MESSAGE_BYTES = 4096, LINE_ANSWER_MS = 20000, LINE_PATIENCE_MS = 1000, LINE_IMPATIENCE_MS = 50, LINE_CHILD_S = 120, LINE_APPLY_STEPS = 20 };

/* What fails in the hub, and from when on. */
struct line_fault {
    enum { LINE_NOTHING, LINE_DISK, LINE_STORE, LINE_MEMORY } where;
    struct fault_places *places; /* which of them, over many runs */
    bool running;           /* from `ready` on, else from the first step of opening */
    unsigned what;          /* FAULT_... or HUB_KV_... */
    enum hub_result result; /* of the disk; HUB_OK stands for HUB_IO */
    bool half;              /* of a failing write half is there */
};

/* What came of it. */
struct line_report {
    bool opened, ended_itself, stopped;
    bool failed; /* something was made to fail */
    char answers[LINE_MESSAGES_MAX][3]; /* "AA"; "" = nothing was heard */
    uint64_t events, dead_letters;
    uint8_t content[32]; /* digest, when the line asks for it */
};

struct line_child;

struct line {
    char folder[512];
    char yaml[600];
    char messages[LINE_MESSAGES_MAX][LINE_MESSAGE_BYTES];
    size_t count;
    bool digest; /* of what is in the timeline, of a hub without faults */
    bool (*more)(struct line_child *child);   /* called in a hub when all are answered: whether it has put in others; NULL = no */
    void (*inside)(struct line_child *child); /* called in a hub without faults when all messages are in, NULL = none */
};

/* --- in the child: a transport without a network --- */

struct line_gate {
    struct hub_net_loop *loop;
    struct hub_intake *intake;
    const struct hub_feed *feed;
    struct hub_net_task task;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *message; /* waiting to go in, NULL = none */
    uint64_t ticket;     /* of the message at work */
    bool answered, ready, ended;
    enum hub_result result;
    char code[3];
};

static struct line_gate line_gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void line_answered(enum hub_result result, struct hub_span bytes)
{
    pthread_mutex_lock(&line_gate.lock);
    line_gate.answered = true;
    line_gate.result = result;
    line_gate.code[0] = '\0';
    const uint8_t *msa = bytes.len != 0 ? memmem(bytes.ptr, bytes.len, "\rMSA|", 5) : NULL;
    if (result == HUB_OK && msa != NULL && (size_t)(msa - bytes.ptr) + 7 <= bytes.len)
        (void)snprintf(line_gate.code, sizeof line_gate.code, "%c%c", msa[5], msa[6]);
    pthread_cond_broadcast(&line_gate.changed);
    pthread_mutex_unlock(&line_gate.lock);
}

static inline void line_reply(void *connection, uint64_t ticket, enum hub_result result, struct hub_span bytes)
{
    (void)connection;
    if (ticket == line_gate.ticket) /* of a sender that is still there */
        line_answered(result, bytes);
}

static inline void line_go_in(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&line_gate.lock);
    const char *message = line_gate.message;
    line_gate.message = NULL;
    pthread_mutex_unlock(&line_gate.lock);
    if (message == NULL)
        return;
    const struct hub_delivery delivery = {
        .feed = line_gate.feed, .sender = "CN=ehr", .bytes = hub_span_str(message), .reply = line_reply, .connection = &line_gate, .ticket = line_gate.ticket};
    enum hub_result result = hub_intake_submit(line_gate.intake, &delivery);
    if (result == HUB_BUSY) { /* again when there is room */
        pthread_mutex_lock(&line_gate.lock);
        line_gate.message = message;
        pthread_mutex_unlock(&line_gate.lock);
    } else if (result != HUB_OK) {
        line_answered(result, HUB_SPAN_NONE);
    }
}

static inline void *line_start(const struct hub_config *config, const struct hub_feed *feed, struct hub_net_loop *loop,
                               struct hub_intake *intake, struct hub_error *err)
{
    (void)config;
    (void)err;
    line_gate.loop = loop;
    line_gate.intake = intake;
    line_gate.feed = feed;
    line_gate.task = (struct hub_net_task){.run = line_go_in};
    return &line_gate;
}

static inline bool line_idle(void *instance)
{
    (void)instance;
    return true;
}

static inline void line_nothing(void *instance)
{
    (void)instance;
}

static inline enum hub_result line_reload(void *instance, const struct hub_config *config, const struct hub_feed *feed, struct hub_error *err)
{
    (void)instance;
    (void)config;
    (void)feed;
    (void)err;
    return HUB_OK;
}

static const struct hub_transport line_transport = {.name = "mllp",
                                                    .start = line_start,
                                                    .resume = line_go_in,
                                                    .drain = line_nothing,
                                                    .idle = line_idle,
                                                    .reload = line_reload,
                                                    .stop = line_nothing};
static const struct hub_format *const line_formats[] = {&hub_format_hl7v2, NULL};
static const struct hub_transport *const line_transports[] = {&line_transport, NULL};
static const struct hub_registry line_registry = {line_formats, line_transports};

/* --- in the child: the hub --- */

struct line_child {
    struct line *line;
    const struct line_fault *fault;
    struct line_report *report; /* shared with the parent */
    struct fault_disk *disk;
    struct hub_config *config;
    struct hub *hub;
    int stop[2];
    bool gave_up; /* the sender, on the last message */
    enum hub_result result;
};

static inline void line_arm(struct line_child *child)
{
    const struct line_fault *fault = child->fault;
    switch (fault->where) {
    case LINE_NOTHING:
        break;
    case LINE_DISK:
        pthread_mutex_lock(&child->disk->lock);
        child->disk->fails = fault_place_fails;
        pthread_mutex_unlock(&child->disk->lock);
        break;
    case LINE_STORE:
        hub_kv_fail_when(fault->what, fault_place_fails);
        break;
    case LINE_MEMORY:
        hub_mem_fail_when(fault_place_fails);
        break;
    }
}

/* Nothing fails any more. */
static inline void line_disarm(struct line_child *child)
{
    hub_mem_fail_when(NULL);
    hub_kv_fail_when(0, NULL);
    child->disk->fails = NULL;
}

static inline void line_on_ready(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&line_gate.lock);
    line_gate.ready = true;
    pthread_cond_broadcast(&line_gate.changed);
    pthread_mutex_unlock(&line_gate.lock);
}

static inline void *line_body(void *ctx)
{
    struct line_child *child = ctx;
    struct hub_error err = {0};
    child->result = hub_run(child->hub, child->stop[0], line_on_ready, NULL, &err);
    pthread_mutex_lock(&line_gate.lock);
    line_gate.ended = true;
    pthread_cond_broadcast(&line_gate.changed);
    pthread_mutex_unlock(&line_gate.lock);
    return NULL;
}

/* One message at a time, as a sender does that waits for its answer; where there is trouble it gives up after a
 * while (without space it is left waiting, unread), and sooner with the next one, until there is an answer again. */
static inline void line_send(struct line_child *child, size_t i)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    bool calm = child->fault->where == LINE_NOTHING;
    int patience = calm ? LINE_ANSWER_MS : child->gave_up ? LINE_IMPATIENCE_MS : LINE_PATIENCE_MS;
    until.tv_sec += patience / 1000 + (until.tv_nsec + patience % 1000 * 1000000) / 1000000000;
    until.tv_nsec = (until.tv_nsec + patience % 1000 * 1000000) % 1000000000;
    pthread_mutex_lock(&line_gate.lock);
    line_gate.answered = false;
    line_gate.ticket++;
    line_gate.message = child->line->messages[i];
    pthread_mutex_unlock(&line_gate.lock);
    hub_net_post(line_gate.loop, &line_gate.task);
    pthread_mutex_lock(&line_gate.lock);
    int waited = 0;
    while (!line_gate.answered && !line_gate.ended && waited == 0)
        waited = pthread_cond_clockwait(&line_gate.changed, &line_gate.lock, CLOCK_MONOTONIC, &until);
    if (line_gate.answered)
        memcpy(child->report->answers[i], line_gate.code, sizeof line_gate.code);
    else
        child->report->answers[i][0] = '\0';
    child->gave_up = waited != 0;
    line_gate.message = NULL;
    HUB_ASSERT(waited == 0 || !calm);
    pthread_mutex_unlock(&line_gate.lock);
}

static inline bool line_open(struct line_child *child)
{
    struct hub_problems problems;
    struct hub_error err = {0};
    const struct hub_options options = {.roles = HUB_RUN_ALL, .disk = &child->disk->disk};
    hub_problems_init(&problems);
    child->config = hub_config_load(child->line->yaml, &problems);
    HUB_ASSERT(child->config != NULL);
    if (!child->fault->running)
        line_arm(child);
    enum hub_result result = hub_open(child->config, &options, &line_registry, &problems, &child->hub, &err);
    if (child->fault->where == LINE_NOTHING && result != HUB_OK) {
        char text[512];
        (void)hub_error_print(&err, text, sizeof text);
        (void)printf("a hub without faults does not open: %s\n", text);
    }
    hub_problems_deinit(&problems);
    return result == HUB_OK;
}

/* --- in the child: what is there afterwards --- */

struct line_content {
    struct hub *hub;
    struct hub_arena arena;
    struct hub_json *records[8192];
    size_t count;
    struct hub_opener opener;
    uint8_t *digest;
};

static inline enum hub_result line_class_key(void *ctx, const struct hub_key_id *id, uint8_t key[HUB_KEY_LEN])
{
    enum hub_data_class class_;
    return hub_keys_class_by_id(((struct line_content *)ctx)->hub->keys, id, key, &class_, NULL);
}

static inline enum hub_result line_secret(void *ctx, const struct hub_key_id *id, const struct hub_token *subject,
                                          uint8_t secret[HUB_KEY_LEN])
{
    return hub_keys_secret(((struct line_content *)ctx)->hub->keys, id, subject, secret, NULL);
}

static inline bool line_take(void *ctx, struct hub_span key, struct hub_span record)
{
    struct line_content *content = ctx;
    (void)key;
    HUB_ASSERT(content->count < sizeof content->records / sizeof content->records[0]);
    HUB_ASSERT(hub_json_parse(&content->arena, record, &content->records[content->count++], NULL) == HUB_OK);
    return true;
}

static inline bool line_add_chart(void *ctx, const struct hub_chart *chart)
{
    struct line_content *content = ctx;
    content->count = 0;
    for (size_t i = 0; i < chart->token_count; i++)
        HUB_ASSERT(hub_timeline_each_entry(content->hub->timeline, chart->tokens[i], line_take, content, NULL) == HUB_OK);
    HUB_ASSERT(hub_query_content_digest(&content->arena, content->records, NULL, content->count, &content->opener,
                                        content->digest, NULL) == HUB_OK);
    return true;
}

static inline void line_digest(struct hub *hub, uint8_t digest[32])
{
    static struct line_content content;
    struct hub_error err = {0};
    content = (struct line_content){.hub = hub, .opener = {line_class_key, line_secret, &content}, .digest = digest};
    hub_arena_init(&content.arena, 256 << 20);
    memset(digest, 0, 32);
    HUB_ASSERT(hub_timeline_each_chart(hub->timeline, line_add_chart, &content, &err) == HUB_OK);
    hub_arena_deinit(&content.arena);
}

static inline void line_look(struct line_child *child)
{
    struct hub_commit_stats stats;
    bool calm = child->fault->where == LINE_NOTHING;
    for (int i = 0; (calm || i < LINE_APPLY_STEPS) && atomic_load(&child->hub->applied) < hub_log_durable(child->hub->log); i++)
        (void)usleep(2000);
    if (!calm)
        return;
    hub_commit_stats(child->hub->commit, &stats);
    child->report->events = stats.events;
    child->report->dead_letters = stats.dead_letters;
    if (child->line->digest)
        line_digest(child->hub, child->report->content);
}

static inline void line_verify(struct line_child *child)
{
    static struct hub_audit_report report;
    char folder[1200], log[1200];
    struct hub_error err = {0};
    (void)snprintf(folder, sizeof folder, "%s/data/audit", child->line->folder);
    (void)snprintf(log, sizeof log, "%s/data/log", child->line->folder);
    const struct hub_audit_verify_options options = {.folder = folder, .events_log = log};
    HUB_ASSERT(hub_audit_verify(&options, &report, &err) == HUB_OK);
    for (size_t i = 0; i < report.finding_count; i++)
        (void)printf("audit: %s\n", report.findings[i].text);
    HUB_ASSERT(report.finding_count == 0);
}

/* --- in the child: from the start to the end --- */

static inline void line_work(struct line_child *child)
{
    pthread_t thread;
    HUB_ASSERT(pipe(child->stop) == 0 && pthread_create(&thread, NULL, line_body, child) == 0);
    pthread_mutex_lock(&line_gate.lock);
    while (!line_gate.ready && !line_gate.ended)
        pthread_cond_wait(&line_gate.changed, &line_gate.lock);
    pthread_mutex_unlock(&line_gate.lock);
    if (line_gate.ready) {
        if (child->fault->running)
            line_arm(child);
        child->report->opened = true;
        do {
            for (size_t i = 0; i < child->line->count; i++)
                line_send(child, i);
        } while (child->line->more != NULL && child->line->more(child));
        line_look(child);
        if (child->line->inside != NULL && child->fault->where == LINE_NOTHING)
            child->line->inside(child);
    }
    HUB_ASSERT(write(child->stop[1], "x", 1) == 1 || line_gate.ended);
    HUB_ASSERT(pthread_join(thread, NULL) == 0);
    (void)close(child->stop[0]);
    (void)close(child->stop[1]);
}

static inline int line_child_main(struct line *line, const struct line_fault *fault, struct line_report *report)
{
    struct line_child child = {.line = line, .fault = fault, .report = report, .disk = fault_disk_new()};
    (void)alarm(LINE_CHILD_S);
    if (hub_crypto_init() != HUB_OK || hub_signal_fd() < 0)
        return 9;
    child.disk->untracked = true;
    child.disk->ops = fault->where == LINE_DISK ? fault->what : 0;
    child.disk->half = fault->half;
    child.disk->result = fault->result;
    if (fault->where != LINE_NOTHING && getenv("CHARTLINE_KEEP") == NULL && freopen("/dev/null", "w", stderr) == NULL)
        return 9;
    if (line_open(&child))
        line_work(&child);
    hub_close(child.hub);
    line_disarm(&child);
    hub_config_free(child.config);
    if (fault->where == LINE_NOTHING)
        line_verify(&child);
    fault_disk_free(child.disk);
    report->stopped = true;
    return 0;
}

/* --- in the parent --- */

static inline void line_new(struct line *line, const char *limits)
{
    char path[700];
    memset(line, 0, sizeof *line);
    /* nothing here depends on a real disk, and hundreds of hubs wait for one */
    if (access("/dev/shm", W_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 0);
    HUB_ASSERT(temp_folder_new(line->folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/keys", line->folder);
    HUB_ASSERT(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/root.key", line->folder);
    FILE *file = fopen(path, "w");
    HUB_ASSERT(file != NULL);
    HUB_ASSERT(fputs("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", file) >= 0);
    HUB_ASSERT(fclose(file) == 0);
    HUB_ASSERT(chmod(path, 0600) == 0);
    (void)snprintf(path, sizeof path, "%s/roles.yaml", line->folder);
    file = fopen(path, "w");
    HUB_ASSERT(file != NULL);
    HUB_ASSERT(fputs("roles: {auditor: {classes: []}}\n", file) >= 0);
    HUB_ASSERT(fclose(file) == 0);
    (void)snprintf(line->yaml, sizeof line->yaml, "%s/hub.yaml", line->folder);
    file = fopen(line->yaml, "w");
    HUB_ASSERT(file != NULL);
    HUB_ASSERT(fprintf(file,
                        "hub: {name: faulthub, data_dir: data, root_key: {file: root.key}, schema_dir: %s/schemas}\n"
                        "feeds: [{name: adt, id: f1, transport: {mllp: {listen: \"127.0.0.1:1\"}}, format: {hl7v2: {timezone: UTC}},\n"
                        "         identity: {default_authority: GENHOSP, trust_links: [GENHOSP]}}]\n"
                        "authorities: [{name: GENHOSP, system: \"urn:oid:1.2.3\", primary: true}]\n"
                        "policy: {protect: %s/policies/protect/default.yaml, access: roles.yaml}\n"
                        "limits: {workers: 1, drain: 2s%s}\n",
                        CHARTLINE_SOURCE_DIR, CHARTLINE_SOURCE_DIR, limits) > 0);
    HUB_ASSERT(fclose(file) == 0);
}

static inline void line_remove(struct line *line)
{
    temp_folder_remove(line->folder);
}

/* Runs a hub to its end. Fails the test when it crashed, hung or leaked. */
static inline void line_run(struct line *line, const struct line_fault *fault, struct line_report *out)
{
    struct line_report *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 0;
    assert_true(shared != MAP_FAILED);
    fault_places_begin(fault->places);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        exit(line_child_main(line, fault, shared));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *out = *shared;
    out->failed = fault->places != NULL && fault->places->failing;
    assert_int_equal(munmap(shared, sizeof *shared), 0);
    if (WIFSIGNALED(status))
        fault_places_tell(fault->places);
    if (WIFSIGNALED(status))
        fail_msg("the hub crashed with signal %d", WTERMSIG(status));
    out->ended_itself = WEXITSTATUS(status) == 1 && !out->stopped;
    if (WEXITSTATUS(status) != 0 && !out->ended_itself)
        fail_msg("the hub ended with %d", WEXITSTATUS(status));
}
