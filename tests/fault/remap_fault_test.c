/* `feed remap` while memory, the stores or the disk fail at every place: it ends with an error or says what failed, no
 * message is lost or left between two mappings, and asked for again it ends where it would have. The feed's zone goes back
 * and forth, so that there is something to mend each time. */
#include "src/pipeline/control.h"
#include "tests/fault/fault_line.h"

enum { ANSWER_BYTES = 1 << 20, MESSAGES = 3, TRIES = 1000, TRY_US = 10000 };

static const char *const zones[] = {"timezone: UTC", "timezone: EST"}; /* of one length */

/* Shared with the hubs, which may end themselves. */
static struct shared {
    uint8_t digests[2][32]; /* of the timeline, by zone, once known */
    bool known[2];
    unsigned failures;
} *shared;

static struct {
    struct hub_buf answer;
    struct line_fault fault;
} asked;

/* --- asking --- */

/* The last one counts: what comes before is progress, and messages that failed. */
static bool take_line(void *ctx, struct hub_span json)
{
    (void)ctx;
    if (memmem(json.ptr, json.len, "\"done\":true", 11) != NULL)
        return true;
    hub_buf_reset(&asked.answer);
    hub_buf_append_span(&asked.answer, json);
    return true;
}

static void ask(struct hub *hub, const char *text)
{
    hub_buf_reset(&asked.answer);
    struct hub_session *session = hub_session_new(hub, "uid 1");
    if (session != NULL)
        hub_session_handle(session, hub_span_str(text), take_line, NULL);
    hub_session_free(session);
}

static bool says(const char *text)
{
    return asked.answer.len != 0 && memmem(asked.answer.ptr, asked.answer.len, text, strlen(text)) != NULL;
}

static unsigned long long said(const char *key)
{
    const char *at = memmem(asked.answer.ptr, asked.answer.len, key, strlen(key));
    HUB_ASSERT(at != NULL);
    return strtoull(at + strlen(key), NULL, 10);
}

static void remap(struct hub *hub)
{
    ask(hub, "{\"op\":\"feed.remap\",\"feed\":\"adt\",\"since\":\"2000-01-01T00:00:00Z\"}");
}

/* --- the zone in the hub's file --- */

static unsigned zone_of(const struct line *line, bool flip)
{
    char text[4096];
    FILE *file = fopen(line->yaml, "r+");
    HUB_ASSERT(file != NULL);
    size_t len = fread(text, 1, sizeof text, file);
    char *at = memmem(text, len, "timezone: ", 10);
    HUB_ASSERT(at != NULL && len < sizeof text);
    unsigned zone = memcmp(at, zones[1], strlen(zones[1])) == 0;
    if (flip) {
        zone = 1 - zone;
        memcpy(at, zones[zone], strlen(zones[zone]));
        HUB_ASSERT(fseek(file, 0, SEEK_SET) == 0 && fwrite(text, 1, len, file) == len);
    }
    HUB_ASSERT(fclose(file) == 0);
    return zone;
}

/* --- what is there --- */

static bool newest(void *ctx, struct hub_span message_id)
{
    uint32_t revision = 0;
    uint64_t record = 0;
    HUB_ASSERT(hub_index_revision(((void **)ctx)[0], message_id, &revision, &record, NULL) == HUB_OK);
    *(uint64_t *)((void **)ctx)[1] += revision;
    return true;
}

static uint64_t revised(struct hub *hub)
{
    struct hub_commit_stats stats;
    hub_commit_stats(hub->commit, &stats);
    return stats.revised;
}

/* What the counts say is what the messages have. */
static void check_counts(struct hub *hub)
{
    struct hub_commit_stats stats;
    uint64_t revisions = 0;
    void *ctx[] = {hub->index, &revisions};
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct hub_hash_token token;
        char control[8];
        (void)snprintf(control, sizeof control, "A%u", i);
        hub_ingest_control_token(hub->keys, HUB_SPAN("f1"), HUB_SPAN("CN=ehr"), hub_span_str(control), &token);
        HUB_ASSERT(hub_index_each_control(hub->index, hub_span_str(token.text), newest, ctx, NULL) == HUB_OK);
    }
    hub_commit_stats(hub->commit, &stats);
    HUB_ASSERT(stats.messages == MESSAGES);
    HUB_ASSERT(revised(hub) == revisions);
}

static void check_timeline(struct line_child *child)
{
    uint8_t digest[32];
    unsigned zone = zone_of(child->line, false);
    while (atomic_load(&child->hub->applied) < hub_log_durable(child->hub->log))
        (void)usleep(1000);
    line_digest(child->hub, digest);
    if (!shared->known[zone])
        memcpy(shared->digests[zone], digest, sizeof digest);
    shared->known[zone] = true;
    HUB_ASSERT(memcmp(digest, shared->digests[zone], sizeof digest) == 0);
    HUB_ASSERT(!shared->known[1 - zone] || memcmp(digest, shared->digests[1 - zone], sizeof digest) != 0);
}

/* Asked for again, with nothing failing any more: it mends the rest, and after that there is nothing left to mend. */
static void remap_rest(struct line_child *child)
{
    int tries = 0;
    for (remap(child->hub); !says("{\"remapped\":") && tries < TRIES; tries++) { /* while a store is opened anew */
        (void)usleep(TRY_US);
        remap(child->hub);
    }
    if (!says("{\"remapped\":") || !says("\"failed\":0,"))
        (void)printf("%s\n", hub_buf_str(&asked.answer));
    HUB_ASSERT(says("{\"remapped\":") && says("\"failed\":0,"));
    remap(child->hub);
    HUB_ASSERT(says("\"changed\":0,") && says("\"failed\":0,") && says("\"unchanged\":3"));
    check_counts(child->hub);
}

/* A remap that came to its end has an outcome for every message, and what it says it changed is changed. */
static void check_outcome(struct hub *hub, uint64_t before)
{
    if (!says("{\"remapped\":"))
        return;
    HUB_ASSERT(said("\"changed\":") + said("\"unchanged\":") + said("\"failed\":") == MESSAGES);
    if (hub_commit_room(hub->commit) == HUB_ROOM_OK)
        HUB_ASSERT(revised(hub) - before == said("\"changed\":"));
}

/* --- in the hub --- */

static void arm(struct line_child *child)
{
    child->disk->ops = asked.fault.what;
    child->disk->result = asked.fault.result;
    const struct line_child armed = {.fault = &asked.fault, .disk = child->disk};
    line_arm((struct line_child *)(uintptr_t)&armed);
}

static void remap_each(struct line_child *child)
{
    hub_buf_init(&asked.answer, ANSWER_BYTES, false);
    HUB_ASSERT(hub_buf_reserve(&asked.answer, ANSWER_BYTES - 1) != NULL);
    bool failed = true, same = false; /* nothing was mended yet by the rules in force */
    remap_rest(child);
    check_timeline(child);
    while (failed) {
        if (!same) {
            (void)zone_of(child->line, true);
            hub_reload(child->hub);
        }
        uint64_t before = revised(child->hub);
        fault_places_begin(asked.fault.places);
        arm(child);
        remap(child->hub);
        line_disarm(child);
        failed = asked.fault.places->failing;
        shared->failures += failed;
        HUB_ASSERT(failed || says("\"changed\":3,"));
        check_outcome(child->hub, before);
        same = failed && revised(child->hub) == before && hub_commit_room(child->hub->commit) == HUB_ROOM_OK;
        if (!same)
            remap_rest(child);
    }
    check_timeline(child);
    hub_buf_deinit(&asked.answer);
}

/* --- outside --- */

static void each(struct line *line, const struct line_fault *fault, bool lasting)
{
    struct line_report report;
    asked.fault = *fault;
    asked.fault.places = fault_places_new(1, lasting);
    shared->failures = 0;
    do { /* where the log's disk fails, or there is no memory to go on, a hub ends itself */
        line_run(line, &(struct line_fault){.where = LINE_NOTHING, .places = asked.fault.places}, &report);
        shared->failures += report.ended_itself;
        line->count = 0;
    } while (report.ended_itself);
    assert_true(report.stopped);
    assert_true(shared->failures > 0);
    if (getenv("CHARTLINE_KEEP") != NULL)
        print_message("%u failures\n", shared->failures);
    fault_places_free(asked.fault.places);
}

static int setup(void **state)
{
    static struct line line;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    memset(&line, 0, sizeof line);
    line_new(&line, ", remap_rate: 0");
    line.inside = remap_each;
    for (unsigned i = 0; i < MESSAGES; i++)
        (void)snprintf(line.messages[i], LINE_MESSAGE_BYTES,
                       "MSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||ORU^R01^ORU_R01|A%u|P|2.5.1\rPID|1||100%u^^^GENHOSP^MR||QUILL^Anna||19700101|F\r"
                       "OBR|1|P%u^EHR|F%u^LAB|718-7^Hemoglobin^LN|||20261120070000||||||||||||||||||F\r"
                       "OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F|||20261120070000\r",
                       i, i, i, i);
    line.count = MESSAGES;
    *state = &line;
    return 0;
}

static int teardown(void **state)
{
    line_remove(*state);
    return munmap(shared, sizeof *shared);
}

static void remap_mends_the_rest_after_any_allocation_failed(void **state)
{
    each(*state, &(struct line_fault){.where = LINE_MEMORY}, false);
    each(*state, &(struct line_fault){.where = LINE_MEMORY}, true);
}

static void remap_mends_the_rest_after_a_store_failed(void **state)
{
    each(*state, &(struct line_fault){.where = LINE_STORE, .what = HUB_KV_READS}, false);
    each(*state, &(struct line_fault){.where = LINE_STORE, .what = HUB_KV_WRITES}, false);
    each(*state, &(struct line_fault){.where = LINE_STORE, .what = HUB_KV_READS | HUB_KV_WRITES}, true);
}

static void remap_mends_the_rest_after_the_disk_failed_or_was_full(void **state)
{
    each(*state, &(struct line_fault){.where = LINE_DISK, .what = FAULT_ANY}, false);
    each(*state, &(struct line_fault){.where = LINE_DISK, .what = FAULT_WRITE | FAULT_CREATE, .result = HUB_QUOTA}, true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(remap_mends_the_rest_after_any_allocation_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(remap_mends_the_rest_after_a_store_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(remap_mends_the_rest_after_the_disk_failed_or_was_full, setup, teardown),
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
