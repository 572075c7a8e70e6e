/* `bench`: what this machine does, for sizing: messages mapped on one core, mapped and sealed as the hub does, and records
 * made durable on a disk. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/cli/commands.h"
#include "src/cli/messages.h"
#include "src/crypto/crypto.h"
#include "src/log/log.h"
#include "src/protect/protect.h"

enum {
    ARENA_BYTES_MAX = 1 << 30,
    FILE_BYTES_MAX = 1 << 30,
    MESSAGES_MAX = 100000,
    LOOK_EVERY = 16,        /* messages between looks at the clock */
    RECORD_BYTES = 20000,   /* about what a message of 1 KB becomes in the event log */
    RECORDS_A_GROUP = 32,   /* as with 32 senders that wait for their answers */
    SECONDS_MAX = 3600,
    PATH_BYTES = 4096,
};

static struct {
    const char *folder;
    uint64_t seconds;
} opt = {".", 3};

const struct hub_cli_option hub_cli_bench_options[] = {
    {"seconds", 0, HUB_CLI_NUMBER, &opt.seconds, "N", "how long each part runs (default 3; 0: once)"},
    {"dir", 0, HUB_CLI_TEXT, &opt.folder, "DIR", "a folder on the disk to measure (default: here)"},
    HUB_CLI_OPTION_END,
};

static const char built_in[] =
    "MSH|^~\\&|EHR|NORTHGATE|HUB|NORTHGATE|20260301090500+0000||ADT^A01^ADT_A01|BENCH1|P|2.5.1\r"
    "EVN|A01|20260301090500+0000\r"
    "PID|1||100001^^^NORTHGATE^MR||Hazel^Birch^Q||19610704|F|||4 Alder Street^^Fernham^^12345^USA||(555)555-0101^PRN^PH\r"
    "PV1|1|I|4WEST^412^B^NORTHGATE||||7801^Larch^Rowan^^^Dr.^^^NORTHGATE^L|||MED||||7|||||V100001^^^NORTHGATE^VN\r"
    "AL1|1|DA|7980^Penicillin^RXNORM|SV|Hives\r"
    "DG1|1||I20.9^Angina pectoris^I10|||A\r"
    "MSH|^~\\&|LAB|NORTHGATE|HUB|NORTHGATE|20260301100500+0000||ORU^R01^ORU_R01|BENCH2|P|2.5.1\r"
    "PID|1||100001^^^NORTHGATE^MR||Hazel^Birch^Q||19610704|F\r"
    "OBR|1|P1^EHR|F1^LAB|24323-8^Comprehensive metabolic panel^LN|||20260301100000+0000|||||||||||||||20260301100500+0000||CH|F\r"
    "OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|3.5-5.1|N|||F|||20260301100000+0000\r"
    "OBX|2|NM|2951-2^Sodium^LN||139|mmol/L|136-145|N|||F|||20260301100000+0000\r"
    "OBX|3|NM|2160-0^Creatinine^LN||0.9|mg/dL|0.6-1.2|N|||F|||20260301100000+0000\r";

static int64_t length_us(void)
{
    return (int64_t)(opt.seconds < SECONDS_MAX ? opt.seconds : SECONDS_MAX) * 1000000;
}

/* --- mapping --- */

struct mapping {
    const struct hub_format *format;
    void *context;
    struct hub_arena arena;
    struct hub_buf json;
    struct hub_span *messages;
    size_t count;
    uint64_t done, failed, in, out;
    struct hub_keys *keys; /* NULL: nothing is sealed */
    struct hub_policy *policy;
};

/* Time that this thread ran: what other programs take of the machine does not count. */
static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static enum hub_result decode_one(struct mapping *m, struct hub_span message, struct hub_decoded *decoded, struct hub_error *err)
{
    memset(decoded, 0, sizeof *decoded);
    hub_arena_reset(&m->arena);
    hub_buf_reset(&m->json);
    return m->format->decode(m->context, &m->arena, message, decoded, err);
}

static void count_one(struct mapping *m, struct hub_span message, enum hub_result result)
{
    m->done++;
    m->in += message.len;
    m->out += m->json.len;
    if (result != HUB_OK || hub_buf_result(&m->json) != HUB_OK)
        m->failed++;
}

static void map_one(struct mapping *m, struct hub_span message)
{
    struct hub_decoded decoded;
    struct hub_error err;
    enum hub_result result = decode_one(m, message, &decoded, &err);
    for (uint32_t i = 0; result == HUB_OK && i < decoded.event_count; i++) {
        struct hub_json *bundle = NULL;
        const struct hub_origin origin = {.message = message};
        result = hub_protect_plain_bundle(&m->arena, &decoded.events[i], &origin, i, false, &bundle, &err);
        if (result == HUB_OK)
            hub_json_write(&m->json, bundle);
    }
    count_one(m, message, result);
}

static enum hub_result seal_events(struct mapping *m, struct hub_span message, struct hub_decoded *decoded, struct hub_error *err)
{
    const struct hub_origin origin = {
        .feed_id = HUB_SPAN("bench"), .feed_name = HUB_SPAN("bench"), .sender = HUB_SPAN("CN=bench"), .message = message};
    struct hub_sealed sealed;
    for (uint32_t i = 0; i < decoded->event_count; i++)
        HUB_TRY(hub_protect_seal(m->keys, m->policy, &m->arena, &decoded->events[i], decoded, &origin, i, 0, &m->json, &sealed, err));
    return HUB_OK;
}

static void seal_one(struct mapping *m, struct hub_span message)
{
    struct hub_decoded decoded;
    struct hub_error err;
    enum hub_result result = decode_one(m, message, &decoded, &err);
    if (result == HUB_OK)
        result = seal_events(m, message, &decoded, &err);
    count_one(m, message, result);
}

static void run_all(struct mapping *m, const char *name, void (*one)(struct mapping *m, struct hub_span message))
{
    const struct hub_clock *clock = hub_clock_system();
    if (opt.seconds != 0) /* the first time tables and memory are cold */
        for (size_t i = 0; i < m->count; i++)
            one(m, m->messages[i]);
    m->done = m->in = m->out = 0;
    int64_t begin = hub_clock_mono_us(clock), now = begin;
    double cpu = cpu_seconds();
    do {
        for (size_t i = 0; i < m->count && (i == 0 || opt.seconds == 0 || now - begin < length_us()); i++) {
            one(m, m->messages[i]);
            if (m->done % LOOK_EVERY == 0)
                now = hub_clock_mono_us(clock);
        }
    } while (now - begin < length_us());
    now = hub_clock_mono_us(clock);
    cpu = cpu_seconds() - cpu;
    double took = (double)(now - begin) / 1e6;
    printf("{\"name\":\"%s\",\"messages\":%llu,\"failed\":%llu,\"seconds\":%.3f,\"per_second\":%.0f,\"per_cpu_second\":%.0f,"
           "\"bytes_in\":%.0f,\"bytes_out\":%.0f}",
           name, (unsigned long long)m->done, (unsigned long long)m->failed, took, (double)m->done / took, (double)m->done / cpu,
           (double)m->in / (double)m->done, (double)m->out / (double)m->done);
}

static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir)) {
        char path[PATH_BYTES + 300];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        (void)unlink(path); /* "." and ".." are no files */
    }
    if (dir != NULL)
        (void)closedir(dir);
    (void)rmdir(folder);
}

/* A new folder on the disk that is measured; an exit code. */
static int make_folder(char path[PATH_BYTES])
{
    if ((size_t)snprintf(path, PATH_BYTES, "%s/chartline-bench-XXXXXX", opt.folder) >= PATH_BYTES || mkdtemp(path) == NULL)
        return hub_cli_usage("bench: no folder can be made in %s: name another with --dir", opt.folder);
    return HUB_EXIT_OK;
}

/* With the standard policy, and a key store that is gone afterwards. */
static int run_sealing(struct mapping *m)
{
    static const uint8_t root[HUB_KEY_LEN] = {1};
    char folder[PATH_BYTES], policy[PATH_BYTES], schemas[PATH_BYTES];
    struct hub_problems problems;
    struct hub_error err = {0};
    enum hub_result result = HUB_OK;
    int code = make_folder(folder);
    if (code != HUB_EXIT_OK)
        return code;
    (void)snprintf(policy, sizeof policy, "%s/policies/protect/default.yaml", hub_cli_share_dir());
    (void)snprintf(schemas, sizeof schemas, "%s/schemas", hub_cli_share_dir());
    hub_problems_init(&problems);
    m->policy = hub_policy_load(policy, schemas, &problems);
    code = hub_cli_problems(&problems, false);
    if (m->policy != NULL)
        result = hub_keys_open(folder, root, NULL, hub_clock_system(), true, &m->keys, &err);
    if (result != HUB_OK) {
        code = hub_cli_fail(&err);
    } else if (m->policy != NULL) {
        printf(",");
        run_all(m, "seal", seal_one);
    }
    hub_keys_close(m->keys);
    hub_policy_free(m->policy);
    hub_problems_deinit(&problems);
    remove_folder(folder);
    return code;
}

static bool add_messages(struct mapping *m, struct hub_span bytes)
{
    struct hub_cli_messages messages;
    struct hub_span message;
    hub_cli_messages_begin(&messages, bytes, false);
    while (hub_cli_messages_next(&messages, &message)) {
        if (m->count == MESSAGES_MAX)
            return false;
        m->messages[m->count++] = message;
    }
    return true;
}

/* FILES stay read until the end: the messages are views into them. */
static int map_files(struct mapping *m, struct hub_buf *files, int count, char **names)
{
    if (count == 0)
        (void)add_messages(m, hub_span_of(built_in, sizeof built_in - 1));
    for (int i = 0; i < count; i++) {
        struct hub_error err = {0};
        enum hub_result result = hub_cli_read_file(names[i], FILE_BYTES_MAX, &files[i], &err);
        if (result == HUB_OK && !add_messages(m, hub_buf_view(&files[i])))
            result = hub_fail(&err, HUB_TOO_MANY, "more messages than bench takes", NULL);
        if (result != HUB_OK)
            return hub_cli_fail(&err);
    }
    if (m->count == 0)
        return hub_cli_usage("bench: no message in the files");
    run_all(m, "map", map_one);
    const int code = run_sealing(m);
    return m->failed == 0 ? code : HUB_EXIT_WRONG;
}

static int bench_map(int count, char **names)
{
    char schemas[PATH_BYTES];
    const char *share = hub_cli_share_dir();
    if (share == NULL)
        return HUB_EXIT_USAGE;
    (void)snprintf(schemas, sizeof schemas, "%s/schemas", share);
    struct hub_config *config = hub_config_new(schemas);
    struct mapping m = {.format = hub_registry_format(hub_cli_registry(), "hl7v2"),
                        .messages = hub_mem_array(MESSAGES_MAX, sizeof *m.messages)};
    struct hub_buf *files = hub_mem_array((size_t)count + 1, sizeof *files);
    struct hub_problems problems;
    int code = HUB_EXIT_WRONG;
    hub_problems_init(&problems);
    if (config == NULL || m.messages == NULL || files == NULL)
        goto out;
    m.context = m.format->open(config, NULL, &problems);
    code = hub_cli_problems(&problems, false);
    if (m.context == NULL)
        goto out;
    hub_arena_init(&m.arena, ARENA_BYTES_MAX);
    hub_buf_init(&m.json, ARENA_BYTES_MAX, false);
    code = map_files(&m, files, count, names);
    hub_buf_deinit(&m.json);
    hub_arena_deinit(&m.arena);
    m.format->close(m.context);
out:
    for (int i = 0; files != NULL && i < count; i++)
        hub_buf_deinit(&files[i]);
    hub_problems_deinit(&problems);
    hub_mem_free(files);
    hub_mem_free(m.messages);
    hub_config_free(config);
    return code;
}

/* --- the disk --- */

static enum hub_result append_group(struct hub_log *log, struct hub_span record, struct hub_error *err)
{
    for (unsigned i = 0; i < RECORDS_A_GROUP; i++)
        HUB_TRY(hub_log_append(log, &record, 1, NULL, err));
    return hub_log_sync(log, err);
}

static enum hub_result run_log(struct hub_log *log, struct hub_error *err)
{
    static uint8_t bytes[RECORD_BYTES];
    const struct hub_clock *clock = hub_clock_system();
    uint64_t groups = 0;
    int64_t longest = 0, begin = hub_clock_mono_us(clock), now = begin;
    hub_random(bytes, sizeof bytes);
    do {
        HUB_TRY(append_group(log, hub_span_of(bytes, sizeof bytes), err));
        int64_t then = hub_clock_mono_us(clock);
        longest = then - now > longest ? then - now : longest;
        now = then;
        groups++;
    } while (now - begin < length_us());
    double took = (double)(now - begin) / 1e6;
    printf(",{\"name\":\"log\",\"records\":%llu,\"record_bytes\":%d,\"records_a_sync\":%d,\"seconds\":%.3f,\"per_second\":%.0f,"
           "\"sync_ms\":%.3f,\"longest_sync_ms\":%.3f}",
           (unsigned long long)groups * RECORDS_A_GROUP, RECORD_BYTES, RECORDS_A_GROUP, took,
           (double)groups * RECORDS_A_GROUP / took, took * 1e3 / (double)groups, (double)longest / 1e3);
    return HUB_OK;
}

static int bench_log(void)
{
    char folder[PATH_BYTES];
    struct hub_error err = {0};
    struct hub_log *log = NULL;
    const int code = make_folder(folder);
    if (code != HUB_EXIT_OK)
        return code;
    enum hub_result result = hub_log_open(folder, hub_disk_system(), NULL, &log, &err);
    if (result == HUB_OK)
        result = run_log(log, &err);
    hub_log_close(log, false);
    remove_folder(folder);
    return result == HUB_OK ? HUB_EXIT_OK : hub_cli_fail(&err);
}

int hub_cli_bench(int count, char **operands)
{
    printf("{\"results\":[");
    int code = bench_map(count, operands);
    int disk = code == HUB_EXIT_OK ? bench_log() : HUB_EXIT_OK;
    printf("]}\n");
    return code != HUB_EXIT_OK ? code : disk;
}
