/* A site's mapping file from any bytes, over a few tables (tests/fuzz/tables): refused with a problem, or compiled;
 * then messages are mapped with it as with any other. The first byte chooses: c a code list alone, e an element path
 * put into a resource, anything else is part of the mapping file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapters/formats/hl7v2/format.h"
#include "src/codec/json.h"
#include "src/schema/codes.h"
#include "src/schema/element.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 64 << 20 };

static void check(bool good)
{
    if (!good)
        abort();
}

static const char *const messages[] = {
    "MSH|^~\\&|EHR|GENHOSP|HUB|X|20260301120000||ADT^A01^ADT_A01|M1|P|2.5.1\rEVN||20260301115900\r"
    "PID|1||1001^^^GENHOSP^MR||QUILL^Anna^B||19700101|F|||1 Elm St^^Ely||555-1234|||M|||123-45-6789\r"
    "NK1|1|QUILL^Otto|SPO\rPV1|1|I|W1^101^1||||1001^ATT^A|||MED||||||||V|V1^^^GENHOSP^VN\rZPI|1|site's own^text\r"
    "AL1|1|DA|7980^Penicillin^RXNORM|SV|Hives\rDG1|1||I10^Hypertension^I10|||A\r",
    "MSH|^~\\&|LAB|GENHOSP|HUB|X|20260301120000||ORU^R01^ORU_R01|M2|P|2.5.1\rPID|1||1001^^^GENHOSP^MR||QUILL^Anna\r"
    "OBR|1|P1^EHR|F1^LAB|718-7^Hemoglobin^LN|||20260301110000||||||||||||||||||F\r"
    "OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|12-16|N|||F|||20260301110000\rNTE|1||a note\r",
};

static void map_messages(void *context)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct hub_arena arena;
        struct hub_decoded decoded;
        struct hub_buf out;
        hub_arena_init(&arena, ARENA_MAX);
        hub_buf_init(&out, ARENA_MAX, false);
        if (hub_format_hl7v2.decode(context, &arena, hub_span_str(messages[i]), &decoded, NULL) == HUB_OK) {
            for (uint32_t e = 0; e < decoded.event_count; e++)
                for (uint32_t k = 0; k < decoded.events[e].resource_count; k++)
                    hub_json_write(&out, decoded.events[e].resources[k].json);
            check(hub_utf8_valid(hub_buf_view(&out)));
        }
        hub_buf_deinit(&out);
        hub_arena_deinit(&arena);
    }
}

static void open_overlay(const char *path)
{
    static struct hub_authority authority = {.name = "GENHOSP", .system = "urn:oid:1.2.3.4", .primary = true};
    static struct hub_config config = {
        .path = "hub.yaml", .schema_dir = CHARTLINE_SOURCE_DIR "/tests/fuzz/tables", .authorities = &authority, .authority_count = 1};
    const char *files[] = {path};
    struct hub_feed feed = {.name = "f", .id = "f1", .default_authority = "GENHOSP", .mapping = files, .mapping_count = 1};
    struct hub_problems problems;
    hub_problems_init(&problems);
    config.limits.resources = 500;
    void *context = hub_format_hl7v2.open(&config, &feed, &problems);
    check((context == NULL) == (problems.errors > 0));
    if (context != NULL)
        map_messages(context);
    hub_format_hl7v2.close(context);
    hub_problems_deinit(&problems);
}

static void overlay(struct hub_span text)
{
    char path[64];
    int fd = memfd_create("mapping", MFD_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, text.ptr, text.len) == (ssize_t)text.len) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        open_overlay(path);
    }
    (void)close(fd);
}

static void codes(struct hub_span text)
{
    struct hub_arena arena;
    struct hub_problems problems;
    struct hub_codes out;
    hub_arena_init(&arena, ARENA_MAX);
    hub_problems_init(&problems);
    struct hub_yaml *yaml = hub_yaml_parse(&arena, "codes.yaml", text, &problems);
    if (yaml != NULL) {
        const struct hub_codes_source source = {"codes.yaml", yaml};
        memset(&out, 0, sizeof out);
        hub_codes_compile(&arena, "codes", &source, 1, &out, &problems);
        for (size_t i = 0; problems.errors == 0 && i < out.count; i++)
            check(hub_codes_find(&out, out.items[i].source) != NULL);
    }
    hub_problems_deinit(&problems);
    hub_arena_deinit(&arena);
}

static void element(struct hub_span text)
{
    struct hub_arena arena;
    struct hub_element parsed;
    char path[512];
    if (text.len >= sizeof path)
        return;
    (void)snprintf(path, sizeof path, "%.*s", (int)text.len, (const char *)text.ptr);
    hub_arena_init(&arena, ARENA_MAX);
    struct hub_json *object = hub_json_new(&arena, HUB_JSON_OBJECT);
    if (hub_element_parse(&arena, path, &parsed)) {
        for (int i = 0; i < 3 && parsed.count != 0; i++)
            (void)(hub_element_put(&arena, object, &parsed, hub_json_string_c(&arena, "value"), NULL) == HUB_OK);
        (void)hub_element_get(object, &parsed);
    }
    hub_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] == 'c')
        codes(hub_span_of(data + 1, size - 1));
    else if (data[0] == 'e')
        element(hub_span_of(data + 1, size - 1));
    else
        overlay(hub_span_of(data, size));
    return 0;
}
