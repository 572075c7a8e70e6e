#include "adapters/formats/hl7v2/format.h"

#include <string.h>

#include "adapters/formats/hl7v2/ack.h"
#include "adapters/formats/hl7v2/hl7_batch.h"
#include "adapters/formats/hl7v2/hl7_charset.h"
#include "adapters/formats/hl7v2/lint.h"
#include "adapters/formats/hl7v2/hl7_part.h"
#include "adapters/formats/hl7v2/map.h"
#include "src/base/mem.h"
#include "src/codec/charset.h"
#include "src/codec/tz.h"

enum { SEGMENTS_MAX = 100000, REPETITIONS_MAX = 10000, RESOURCES_MAX = 20000, PATIENTS_MAX = 1000, BATCH_MAX = 10000 }; /* without configured limits */

struct context {
    struct map_tables *tables;
    const char *charset;
    bool charset_overrides;
    enum hub_ack_mode ack_mode;
    struct hub_map_options options;
    uint32_t segments_max;
    uint32_t repetitions_max;
    uint32_t batch_max; /* messages of a batch */
};

/* VALUE: the configured one that is wrong; NULL: none is there. */
static void feed_problem(const struct hub_config *config, const struct hub_feed *feed, const char *what, const char *value,
                         const char *mend, struct hub_problems *problems)
{
    hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, feed->line, feed->name, what, mend, value != NULL ? "%s" : NULL, value);
}

static const struct hub_tz *find_zone(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems)
{
    const struct hub_tz *zone = NULL;
    struct hub_error err;
    if (feed == NULL || feed->timezone == NULL)
        return NULL;
    if (hub_tz_find(feed->timezone, &zone, &err) != HUB_OK)
        feed_problem(config, feed, "no such time zone on this system", feed->timezone, "use a name such as Europe/Berlin", problems);
    return zone;
}

static void check_charset(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems)
{
    if (feed != NULL && feed->charset != NULL && hub_charset_find(hub_span_str(feed->charset)) == NULL)
        feed_problem(config, feed, "an unknown character set", feed->charset, "use a name such as UTF-8 or 8859/1", problems);
}

static void format_close(void *instance)
{
    struct context *context = instance;
    if (context == NULL)
        return;
    hub_map_free(context->tables);
    hub_mem_free(context);
}

static uint32_t limit(const struct hub_config *config, uint32_t configured, uint32_t absent)
{
    return config != NULL && configured != 0 ? configured : absent;
}

static void *format_open(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems)
{
    size_t errors = problems->errors;
    struct context *context = hub_mem_alloc(sizeof *context);
    if (context == NULL || config == NULL || config->schema_dir == NULL) {
        hub_problems_add(problems, HUB_SEVERITY_ERROR, NULL, 0, "format.hl7v2", "the folder of schemas is not known", NULL, NULL);
        hub_mem_free(context);
        return NULL;
    }
    context->charset = feed != NULL ? feed->charset : NULL;
    context->charset_overrides = feed != NULL && feed->charset_override;
    context->ack_mode = feed != NULL ? feed->ack_mode : HUB_ACK_AUTO;
    context->segments_max = limit(config, config->limits.segments, SEGMENTS_MAX);
    context->repetitions_max = limit(config, config->limits.repetitions, REPETITIONS_MAX);
    context->batch_max = limit(config, config->limits.batch_messages, BATCH_MAX);
    context->options = (struct hub_map_options){
        .config = config,
        .feed = feed,
        .zone = find_zone(config, feed, problems),
        .lenient = feed == NULL,
        .resources_max = limit(config, config->limits.resources, RESOURCES_MAX),
        .patients_max = limit(config, config->limits.patients, PATIENTS_MAX),
    };
    check_charset(config, feed, problems);
    context->tables = hub_map_compile(config->schema_dir, feed != NULL ? feed->mapping : NULL,
                                      feed != NULL ? feed->mapping_count : 0, problems);
    if (problems->errors == errors)
        return context;
    format_close(context);
    return NULL;
}

static void format_check(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems)
{
    if (feed->timezone == NULL)
        feed_problem(config, feed, "a feed of HL7 v2 needs a time zone: times without offset would be guessed", NULL,
                     "add timezone to format.hl7v2, such as America/New_York", problems);
    format_close(format_open(config, feed, problems));
}

static void format_lint(const struct hub_config *config, const struct hub_feed *feed, struct hub_problems *problems)
{
    hub_map_lint(config->schema_dir, feed->mapping, feed->mapping_count, problems);
}

/* --- may this message come in --- */

static struct hub_span header_value(const struct hub_hl7 *message, uint32_t field, uint32_t component)
{
    struct hub_span first = hub_hl7_repetition(message, hub_hl7_field(&message->segments[0], field), 0);
    return hub_span_trim(hub_hl7_subcomponent(message, hub_hl7_component(message, first, component), 1));
}

static enum hub_result refuse(struct hub_error *err, enum hub_result result, const char *what, const char *place)
{
    (void)hub_fail(err, result, what, NULL);
    (void)hub_error_at(err, "%s", place);
    return result;
}

static bool is_version(struct hub_span v)
{
    bool good = v.len >= 3 && v.ptr[0] == '2' && v.ptr[1] == '.' && v.ptr[2] >= '1' && v.ptr[2] <= '9';
    for (size_t i = 3; i < v.len && good; i++)
        good = i == 3 ? v.ptr[i] == '.' : v.ptr[i] >= '0' && v.ptr[i] <= '9';
    return good && v.len != 4 && v.len <= 6;
}

static bool is_message_type(struct hub_span type)
{
    bool good = type.len == 3;
    for (size_t i = 0; i < type.len && good; i++)
        good = (type.ptr[i] >= 'A' && type.ptr[i] <= 'Z') || (i > 0 && type.ptr[i] >= '0' && type.ptr[i] <= '9');
    return good;
}

static bool takes_processing(const struct hub_feed *feed, struct hub_span processing)
{
    if (processing.len == 0)
        return true;
    if (feed->processing_count == 0)
        return hub_span_is(processing, "P");
    for (size_t i = 0; i < feed->processing_count; i++) {
        if (hub_span_is(processing, feed->processing[i]))
            return true;
    }
    return false;
}

static enum hub_result check_header(const struct context *context, const struct hub_hl7 *message, struct hub_error *err)
{
    struct hub_span type = header_value(message, 9, 1);
    struct hub_span version = header_value(message, 12, 1);
    if (type.len == 0)
        return refuse(err, HUB_REQUIRED, "the message does not say its type", "MSH-9");
    if (!is_message_type(type))
        return refuse(err, HUB_UNSUPPORTED_TYPE, NULL, "MSH-9.1");
    if (version.len != 0 && !is_version(version))
        return refuse(err, HUB_UNSUPPORTED_VERSION, NULL, "MSH-12");
    if (context->options.lenient)
        return HUB_OK;
    if (!takes_processing(context->options.feed, header_value(message, 11, 1)))
        return refuse(err, HUB_UNSUPPORTED_PROCESSING, NULL, "MSH-11");
    if (header_value(message, 10, 1).len == 0)
        return refuse(err, HUB_REQUIRED, "a message without control id cannot be acknowledged", "MSH-10");
    return HUB_OK;
}

/* A sender that broke off in the middle of a frame and began anew on the same connection: what was cut off may be half a
 * value, which must not become a fact. */
static bool begins_anew(struct hub_span bytes)
{
    enum { VT = 0x0b, ID_LEN = 3 };
    const uint8_t *end = bytes.ptr + bytes.len;
    for (const uint8_t *at = bytes.ptr; bytes.len != 0 && (at = memchr(at, VT, (size_t)(end - at))) != NULL; at++) {
        struct hub_span id = hub_span_of(at + 1, (size_t)(end - at) - 1 < ID_LEN ? (size_t)(end - at) - 1 : ID_LEN);
        if (at != bytes.ptr && (hub_span_is(id, "MSH") || hub_span_is(id, "BHS") || hub_span_is(id, "FHS")))
            return true;
    }
    return false;
}

/* Several messages without the envelope of a batch cannot be told from one that broke off. */
static enum hub_result refuse_another(const struct hub_hl7 *message, struct hub_span bytes, struct hub_error *err)
{
    bool another = begins_anew(bytes);
    for (size_t i = 1; i < message->segment_count && !another; i++)
        another = memcmp(message->segments[i].id, "MSH", 4) == 0;
    return another ? hub_fail(err, HUB_SYNTAX, "another message begins inside this one",
                              "send each in a frame of its own, or all in a batch with BHS and BTS")
                   : HUB_OK;
}

static enum hub_result check_part(const struct context *context, const struct hub_hl7 *message, struct hub_span bytes,
                                  struct hub_decoded *out, struct hub_error *err)
{
    struct hub_charset_shape shape;
    if (context->options.lenient)
        return HUB_OK;
    hub_hl7_part(message, &out->before, &out->after);
    if (out->before.len == 0 && out->after.len == 0)
        return HUB_OK;
    if (hub_charset_wide(bytes, &shape) != NULL)
        return hub_fail(err, HUB_SYNTAX, "parts of a message in UTF-16 or UTF-32 cannot be joined", "send it in UTF-8, or in one piece");
    return hub_fail(err, HUB_CONTINUED, NULL, NULL);
}

/* What a refused message is called in logs and lists. */
static void name_message(const struct hub_hl7 *message, struct hub_decoded *out)
{
    struct hub_span type = header_value(message, 9, 1);
    struct hub_span trigger = header_value(message, 9, 2);
    size_t n = 0;
    out->control_id = header_value(message, 10, 1);
    for (size_t i = 0; i < type.len && type.len == 3; i++)
        out->trigger[n++] = (char)type.ptr[i];
    for (size_t i = 0; i < trigger.len && trigger.len == 3 && n != 0; i++) {
        if (i == 0)
            out->trigger[n++] = '^';
        out->trigger[n++] = (char)trigger.ptr[i];
    }
    for (size_t i = 0; i < n; i++) {
        char c = out->trigger[i];
        bool good = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c == '^' && i == 3);
        if (!good)
            n = 0;
    }
    out->trigger[n] = '\0';
}

/* MSH-13 (2.14.9.13); 0 and -1 are words of a protocol that is not spoken. */
static void read_sequence(const struct hub_hl7 *message, struct hub_decoded *out)
{
    enum { DIGITS_MAX = 15 };
    struct hub_span number = header_value(message, 13, 1);
    struct hub_span application = hub_hl7_field(&message->segments[0], 3);
    struct hub_span facility = hub_hl7_field(&message->segments[0], 4);
    uint64_t value = 0;
    for (size_t i = 0; i < number.len; i++) {
        if (number.ptr[i] < '0' || number.ptr[i] > '9' || number.len > DIGITS_MAX)
            return;
        value = value * 10 + (uint64_t)(number.ptr[i] - '0');
    }
    out->sequence = value;
    if (application.len != 0 && facility.len != 0)
        out->sequence_source =
            hub_span_of(application.ptr, (size_t)(facility.ptr + facility.len - application.ptr));
    else
        out->sequence_source = application.len != 0 ? application : facility;
}

/* A batch comes here as one message when it has too many of them, and when its dead letter is replayed. */
static enum hub_result refuse_batch(const struct context *context, struct hub_arena *arena, struct hub_span bytes,
                                    struct hub_decoded *out, struct hub_error *err)
{
    struct hub_parts parts;
    out->reply_head = hub_hl7_batch_head(arena, bytes);
    HUB_TRY(hub_hl7_split(arena, bytes, context->batch_max, &parts, err));
    return hub_fail(err, HUB_SYNTAX, "a batch where one message is expected", "send the batch again");
}

static uint32_t count_repetitions(struct hub_span field, uint8_t separator)
{
    uint32_t count = 1;
    struct hub_span part;
    while (hub_hl7_cut(&field, separator, &part) && field.ptr != NULL)
        count++;
    return count;
}

/* Each repetition becomes a tree of its own: millions of them are no message that anybody means. */
static enum hub_result check_repetitions(const struct context *context, const struct hub_hl7 *message, struct hub_error *err)
{
    const uint8_t separator = message->delimiters.repetition;
    for (size_t i = 0; i < message->segment_count; i++) {
        const struct hub_hl7_segment *segment = &message->segments[i];
        if (segment->bytes.len <= context->repetitions_max)
            continue;
        for (uint32_t n = 1; n <= segment->field_count; n++) {
            struct hub_span field = hub_hl7_field(segment, n);
            if (field.len < context->repetitions_max || count_repetitions(field, separator) <= context->repetitions_max)
                continue;
            (void)hub_fail(err, HUB_TOO_MANY, "a field with more repetitions than limits.repetitions", "send it in several messages, or raise the limit");
            (void)hub_error_at(err, "%s[%u]-%u", segment->id, (unsigned)segment->occurrence, (unsigned)n);
            hub_error_number(err, context->repetitions_max);
            return HUB_TOO_MANY;
        }
    }
    return HUB_OK;
}

static enum hub_result decode_with(const struct context *context, struct hub_arena *arena, struct hub_span bytes, unsigned flags,
                                   struct hub_decoded *out, struct hub_json **report, struct hub_error *err)
{
    struct hub_hl7_input input;
    memset(out, 0, sizeof *out);
    memset(&input, 0, sizeof input);
    if (hub_hl7_is_batch(bytes))
        return refuse_batch(context, arena, bytes, out, err);
    enum hub_result result = hub_hl7_read(arena, bytes, context->charset, context->charset_overrides,
                                          context->segments_max, &input, err);
    out->reply_head = input.head;
    if (input.message.segment_count != 0)
        name_message(&input.message, out);
    if (result == HUB_OK)
        read_sequence(&input.message, out);
    HUB_TRY(result);
    HUB_TRY(refuse_another(&input.message, bytes, err));
    out->readable = out->control_id.len != 0;
    out->application = header_value(&input.message, 3, 1);
    out->facility = header_value(&input.message, 4, 1);
    HUB_TRY(check_header(context, &input.message, err));
    HUB_TRY(check_repetitions(context, &input.message, err));
    HUB_TRY(check_part(context, &input.message, bytes, out, err));
    struct hub_map_trace *trace = NULL;
    if (flags != 0) {
        trace = hub_map_trace_new(arena, &input.message, flags);
        HUB_ENSURE(trace != NULL, hub_fail(err, HUB_NO_MEMORY, NULL, NULL));
    }
    HUB_TRY(hub_map_run(context->tables, &context->options, arena, &input.message, bytes, trace, out, err));
    if (report == NULL)
        return HUB_OK;
    *report = trace != NULL ? hub_map_trace_report(trace, out) : hub_json_new(arena, HUB_JSON_OBJECT);
    return *report != NULL ? HUB_OK : hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
}

static enum hub_result format_decode(void *instance, struct hub_arena *arena, struct hub_span bytes, struct hub_decoded *out,
                                     struct hub_error *err)
{
    const struct context *context = instance;
    return decode_with(context, arena, bytes, 0, out, NULL, err);
}

static enum hub_result format_inspect(void *instance, struct hub_arena *arena, struct hub_span bytes, unsigned flags,
                                      struct hub_decoded *out, struct hub_json **report, struct hub_error *err)
{
    struct context context = *(const struct context *)instance;
    context.options.lenient = true;
    *report = NULL;
    return decode_with(&context, arena, bytes, flags, out, report, err);
}

static enum hub_result format_reply(void *instance, struct hub_span head, const struct hub_verdict *verdict, struct hub_buf *out)
{
    const struct context *context = instance;
    return hub_hl7_ack(context->ack_mode, head, verdict, out);
}

static enum hub_result format_split(void *instance, struct hub_arena *arena, struct hub_span bytes, struct hub_parts *out,
                                    struct hub_error *err)
{
    const struct context *context = instance;
    return hub_hl7_split(arena, bytes, context->batch_max, out, err);
}

static enum hub_result format_bundle(void *instance, const struct hub_parts *parts, const struct hub_span *answers,
                                     const struct hub_verdict *whole, struct hub_buf *out)
{
    const struct context *context = instance;
    return hub_hl7_bundle(context->ack_mode, parts, answers, whole, out);
}

static enum hub_result format_join(void *instance, struct hub_arena *arena, const struct hub_span *parts, size_t count,
                                   struct hub_span *out, struct hub_error *err)
{
    const struct context *context = instance;
    return hub_hl7_join(arena, parts, count, context->segments_max, out, err);
}

const struct hub_format hub_format_hl7v2 = {
    .name = "hl7v2",
    .check = format_check,
    .open = format_open,
    .close = format_close,
    .lint = format_lint,
    .decode = format_decode,
    .inspect = format_inspect,
    .reply = format_reply,
    .envelope = hub_hl7_is_batch,
    .split = format_split,
    .bundle = format_bundle,
    .join = format_join,
};
