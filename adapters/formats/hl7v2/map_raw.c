/* The original bytes of an event: the whole message, or of a message about several patients the shared head
 * and that patient's segments with their positions (DESIGN section 3, Patient event). */
#include "adapters/formats/hl7v2/map_run.h"

#include <string.h>

#include "src/base/buf.h"

/* ADD is part of the segment before it (hl7_mend.h). */
static bool continues(struct hub_span line, uint8_t separator)
{
    enum { ID_LEN = 3 };
    return line.len >= ID_LEN && hub_span_equal_nocase(hub_span_of(line.ptr, ID_LEN), HUB_SPAN("ADD")) &&
           (line.len == ID_LEN || line.ptr[ID_LEN] == separator);
}

/* Where each segment starts in the original bytes, into STARTS; false when lines cannot be counted there (not an
 * ASCII-compatible character set). */
static bool segment_starts(const struct map_run *run, size_t *starts)
{
    struct hub_span bytes = run->original;
    uint32_t count = 0;
    size_t at = 0;
    if (run->message->bytes.ptr == bytes.ptr) {
        for (uint32_t i = 0; i < run->seg_count; i++)
            starts[i] = (size_t)(run->segs[i].hl7->bytes.ptr - bytes.ptr);
        starts[0] = 0;
        starts[run->seg_count] = bytes.len;
        return true;
    }
    while (at < bytes.len) {
        size_t end = at;
        while (end < bytes.len && bytes.ptr[end] != '\r' && bytes.ptr[end] != '\n')
            end++;
        bool own = end > at && !continues(hub_span_of(bytes.ptr + at, end - at), run->message->delimiters.field);
        if (own && count < run->seg_count)
            starts[count] = at;
        count += own ? 1 : 0;
        at = end + 1;
    }
    starts[run->seg_count] = bytes.len;
    starts[0] = 0; /* with a byte order mark and blank lines before it */
    return count == run->seg_count;
}

struct piece_writer {
    struct map_run *run;
    const size_t *starts;
    char *raw;
    size_t raw_len;
    char *positions;
    size_t positions_len;
    size_t from, to; /* the piece being collected */
    bool any;
};

static bool flush(struct piece_writer *w)
{
    if (!w->any)
        return true;
    memcpy(w->raw + w->raw_len, w->run->original.ptr + w->from, w->to - w->from);
    w->raw_len += w->to - w->from;
    const char *text = hub_arena_printf(w->run->arena, "%s%zu-%zu", w->positions_len != 0 ? "," : "", w->from, w->to);
    if (text == NULL)
        return false;
    memcpy(w->positions + w->positions_len, text, strlen(text));
    w->positions_len += strlen(text);
    return true;
}

static bool add(struct piece_writer *w, const struct map_seg *first)
{
    for (const struct map_seg *seg = first; seg != NULL; seg = seg->after) {
        size_t from = w->starts[seg->index];
        size_t to = w->starts[seg->index + 1];
        if (w->any && w->to == from) {
            w->to = to;
            continue;
        }
        if (!flush(w))
            return false;
        w->any = true;
        w->from = from;
        w->to = to;
    }
    return true;
}

static size_t count_segments(const struct map_seg *seg)
{
    size_t count = 0;
    for (; seg != NULL; seg = seg->after)
        count++;
    return count;
}

enum hub_result map_raw(struct map_run *run, const struct map_patient *patient, struct hub_event *event)
{
    event->raw = run->original;
    event->raw_positions = HUB_SPAN("");
    if (patient == NULL || run->patient_count < 2)
        return HUB_OK;
    size_t *starts = HUB_ARENA_ARRAY(run->arena, size_t, (size_t)run->seg_count + 1);
    HUB_ENSURE(starts != NULL, HUB_NO_MEMORY);
    if (!segment_starts(run, starts)) {
        (void)hub_fail(run->err, HUB_CHARSET, "several patients in a character set whose lines cannot be told apart", NULL);
        return HUB_CHARSET;
    }
    enum { POSITION_LEN = 48 };
    size_t segments = count_segments(run->head_first) + count_segments(patient->first);
    size_t bytes = 0;
    for (const struct map_seg *seg = run->head_first; seg != NULL; seg = seg->after)
        bytes += starts[seg->index + 1] - starts[seg->index];
    for (const struct map_seg *seg = patient->first; seg != NULL; seg = seg->after)
        bytes += starts[seg->index + 1] - starts[seg->index];
    struct piece_writer w = {.run = run, .starts = starts};
    w.raw = hub_arena_bytes(run->arena, bytes + 1);
    w.positions = hub_arena_bytes(run->arena, segments * POSITION_LEN);
    HUB_ENSURE(w.raw != NULL && w.positions != NULL, HUB_NO_MEMORY);
    HUB_ENSURE(add(&w, run->head_first) && add(&w, patient->first) && flush(&w), HUB_NO_MEMORY);
    event->raw = hub_span_of(w.raw, w.raw_len);
    event->raw_positions = hub_span_of(w.positions, w.positions_len);
    return HUB_OK;
}
