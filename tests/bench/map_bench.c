/* Mapping on one core: bytes of a message to the bytes of its Bundle, over a folder of messages.
 * usage: map_bench FOLDER SECONDS   prints one JSON line */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "adapters/formats/hl7v2/format.h"
#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/crypto/crypto.h"
#include "src/protect/protect.h"

enum { MESSAGES_MAX = 10000, MESSAGE_MAX = 1 << 20, ARENA_MAX = 64 << 20 };

struct message {
    uint8_t *ptr;
    size_t len;
};

static size_t load(const char *folder, struct message *out)
{
    DIR *dir = opendir(folder);
    size_t count = 0;
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL && count < MESSAGES_MAX;
         e = readdir(dir)) {
        char path[4096];
        if (strstr(e->d_name, ".hl7") == NULL)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *f = fopen(path, "rb");
        if (f == NULL)
            continue;
        uint8_t *bytes = hub_mem_alloc(MESSAGE_MAX);
        size_t len = bytes != NULL ? fread(bytes, 1, MESSAGE_MAX, f) : 0;
        (void)fclose(f);
        out[count++] = (struct message){bytes, len};
    }
    if (dir != NULL)
        (void)closedir(dir);
    return count;
}

/* Time this thread ran: what another program takes of the machine does not count. */
static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct totals {
    uint64_t messages, failed, in, out;
};

static void map_one(void *context, struct hub_arena *arena, struct hub_buf *json, const struct message *m,
                    struct totals *t)
{
    struct hub_decoded decoded;
    struct hub_error err;
    struct hub_span bytes = hub_span_of(m->ptr, m->len);
    memset(&decoded, 0, sizeof decoded);
    hub_arena_reset(arena);
    hub_buf_reset(json);
    enum hub_result result = hub_format_hl7v2.decode(context, arena, bytes, &decoded, &err);
    for (uint32_t i = 0; result == HUB_OK && i < decoded.event_count; i++) {
        struct hub_json *bundle = NULL;
        const struct hub_origin origin = {.message = bytes};
        result = hub_protect_plain_bundle(arena, &decoded.events[i], &origin, i, false, &bundle, &err);
        if (result == HUB_OK)
            hub_json_write(json, bundle);
    }
    t->messages++;
    t->in += m->len;
    t->out += json->len;
    if (result != HUB_OK || hub_buf_result(json) != HUB_OK)
        t->failed++;
}

int main(int argc, char **argv)
{
    static struct message messages[MESSAGES_MAX];
    if (argc != 3 || hub_crypto_init() != HUB_OK)
        return 2;
    size_t count = load(argv[1], messages);
    double seconds = strtod(argv[2], NULL);
    struct hub_problems problems;
    hub_problems_init(&problems);
    const struct hub_config config = {.schema_dir = CHARTLINE_SOURCE_DIR "/schemas"};
    void *context = hub_format_hl7v2.open(&config, NULL, &problems);
    if (context == NULL || count == 0) {
        (void)hub_problems_print(&problems, stderr);
        return 1;
    }
    struct hub_arena arena;
    struct hub_buf json;
    hub_arena_init(&arena, ARENA_MAX);
    hub_buf_init(&json, ARENA_MAX, false);
    const struct hub_clock *clock = hub_clock_system();
    struct totals warm = {0};
    struct totals t = {0};
    for (size_t i = 0; i < count; i++)
        map_one(context, &arena, &json, &messages[i], &warm);
    int64_t begin = hub_clock_mono_us(clock);
    int64_t now = begin;
    double cpu = cpu_seconds();
    for (size_t i = 0; (double)(now - begin) < seconds * 1e6; i = (i + 1) % count) {
        map_one(context, &arena, &json, &messages[i], &t);
        if (i % 16 == 0)
            now = hub_clock_mono_us(clock);
    }
    cpu = cpu_seconds() - cpu;
    double took = (double)(now - begin) / 1e6;
    printf("{\"name\":\"map\",\"messages\":%llu,\"failed\":%llu,\"seconds\":%.3f,\"per_second\":%.0f,\"per_"
           "cpu_second\":%.0f,\"bytes_in\":%.0f,\"bytes_out\":%.0f}\n",
           (unsigned long long)t.messages, (unsigned long long)t.failed, took, (double)t.messages / took,
           (double)t.messages / cpu, (double)t.in / (double)t.messages, (double)t.out / (double)t.messages);
    for (size_t i = 0; i < count; i++)
        hub_mem_free(messages[i].ptr);
    hub_buf_deinit(&json);
    hub_arena_deinit(&arena);
    hub_format_hl7v2.close(context);
    hub_problems_deinit(&problems);
    return t.failed == 0 ? 0 : 1;
}
