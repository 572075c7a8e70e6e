/* The answer to a batch: batches of acknowledgements (v2.8.2 2.10.3.3). */
#include <stdio.h>

#include "adapters/formats/hl7v2/ack.h"
#include "adapters/formats/hl7v2/hl7_batch.h"
#include "adapters/formats/hl7v2/hl7_charset.h"
#include "adapters/formats/hl7v2/hl7_time.h"

enum {
    APPLICATION = 3, /* BHS-3 to BHS-6 and FHS-3 to FHS-6: who sends and who receives, as in MSH */
    CONTROL_ID = 11, /* BHS-11, FHS-11 */
    FIELDS = 13,
    ID_LEN = 20,
    HEAD_MAX = 64 * 1024,
};

/* A line of the envelope, or an MSH line, as far as it can be read. */
struct header {
    struct hub_hl7_delimiters delimiters;
    struct hub_span encoding;
    struct hub_span field[FIELDS]; /* by number */
};

/* The answers of one kind: to whom and about what. */
struct writer {
    const struct hub_hl7_plan *plan;
    const struct hub_span *answers;
    const struct hub_verdict *whole;
    bool accept; /* accept acknowledgements, else application acknowledgements */
    bool faults; /* what is wrong with the envelope is told among these */
    struct hub_buf *out;
};

static void read_header(struct hub_span line, struct header *out)
{
    *out = (struct header){.delimiters = {'|', '^', '~', '\\', '&', 0}, .encoding = HUB_SPAN("^~\\&")};
    struct hub_hl7_delimiters delimiters;
    if (line.len == 0 || hub_hl7_delimiters(line, &delimiters, NULL) != HUB_OK)
        return;
    struct hub_span rest = hub_span_of(line.ptr + 4, line.len - 4);
    out->delimiters = delimiters;
    for (size_t n = 2; n < FIELDS; n++)
        if (!hub_hl7_cut(&rest, delimiters.field, &out->field[n]))
            break;
    out->encoding = out->field[2];
}

/* What stands in a frame of MLLP must hold neither VT nor FS. */
static void put_echo(struct hub_buf *out, struct hub_span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != 0x0b && value.ptr[i] != 0x1c)
            hub_buf_append_byte(out, value.ptr[i]);
}

static void put_separators(struct hub_buf *out, const struct header *header, unsigned count)
{
    while (count-- > 0)
        hub_buf_append_byte(out, header->delimiters.field);
}

/* A version, a processing id: short words that no separator of another message can break. */
static void put_word(struct hub_buf *out, struct hub_span value, const char *otherwise)
{
    size_t len = 0;
    while (len < value.len && len < 8 &&
           ((value.ptr[len] >= '0' && value.ptr[len] <= '9') || (value.ptr[len] >= 'A' && value.ptr[len] <= 'Z') ||
            value.ptr[len] == '.'))
        len++;
    if (len != 0)
        hub_buf_append(out, value.ptr, len);
    else
        hub_buf_append_str(out, otherwise);
}

/* The whole as if it had been a message: an MSH line with the envelope's addresses and control id. */
static void put_msh(struct hub_buf *out, struct hub_span line, struct hub_span sample, bool accept)
{
    struct header header, message;
    read_header(line, &header);
    read_header(sample, &message);
    hub_buf_append_str(out, "MSH");
    put_separators(out, &header, 1);
    hub_buf_append_span(out, header.encoding);
    for (size_t n = APPLICATION; n < APPLICATION + 4; n++) {
        put_separators(out, &header, 1);
        put_echo(out, header.field[n]);
    }
    put_separators(out, &header, 4);
    put_echo(out, header.field[CONTROL_ID]);
    put_separators(out, &header, 1);
    put_word(out, message.field[11], "P");
    put_separators(out, &header, 1);
    put_word(out, message.field[12], "2.5.1");
    if (!accept)
        return;
    put_separators(out, &header, 3);
    hub_buf_append_str(out, "AL");
    put_separators(out, &header, 1);
    hub_buf_append_str(out, "NE");
}

struct hub_span hub_hl7_batch_head(struct hub_arena *arena, struct hub_span bytes)
{
    struct hub_span line;
    struct hub_buf head;
    (void)hub_hl7_cut_piece(&bytes, &line);
    hub_buf_init(&head, HEAD_MAX, true);
    put_msh(&head, line, HUB_SPAN_NONE, false);
    struct hub_span out =
        hub_buf_result(&head) == HUB_OK ? hub_arena_copy(arena, hub_buf_view(&head)) : HUB_SPAN_NONE;
    hub_buf_deinit(&head);
    return out;
}

/* --- header and trailer lines --- */

/* ID is BHS or FHS: what goes back to whom, and which batch or file it is about. */
static void put_head_line(const struct writer *w, const char *id, struct hub_span line, size_t number,
                          const struct hub_error *fault)
{
    struct header header;
    char time[HUB_HL7_TIME_LEN + 1] = "";
    static const uint8_t swapped[] = {5, 6, 3, 4};
    read_header(line, &header);
    if (w->whole->recorded_us != 0)
        hub_hl7_time_format(w->whole->recorded_us, time);
    hub_buf_append_str(w->out, id);
    put_separators(w->out, &header, 1);
    hub_buf_append_span(w->out, header.encoding);
    for (size_t i = 0; i < sizeof swapped; i++) {
        put_separators(w->out, &header, 1);
        put_echo(w->out, header.field[swapped[i]]);
    }
    put_separators(w->out, &header, 1);
    hub_buf_append_str(w->out, time);
    put_separators(w->out, &header, 3);
    if (fault->result != HUB_OK)
        hub_hl7_escape(&header.delimiters, hub_span_str(fault->what), w->out);
    put_separators(w->out, &header, 1);
    hub_buf_printf(w->out, "%c%c%zu-%.10s", w->accept ? 'C' : 'A', id[0], number, w->whole->message_id);
    put_separators(w->out, &header, 1);
    put_echo(w->out, header.field[CONTROL_ID]);
    hub_buf_append_byte(w->out, '\r');
}

static void put_trailer(const struct writer *w, const char *id, struct hub_span line, size_t count)
{
    struct header header;
    read_header(line, &header);
    hub_buf_append_str(w->out, id);
    put_separators(w->out, &header, 1);
    hub_buf_append_u64(w->out, count);
    hub_buf_append_byte(w->out, '\r');
}

/* --- acknowledgements --- */

static bool is_accept(struct hub_span answer)
{
    const uint8_t *line = answer.len != 0 ? memchr(answer.ptr, '\r', answer.len) : NULL;
    size_t left = line != NULL ? answer.len - (size_t)(line - answer.ptr) : 0;
    return left > 5 && line[5] == 'C'; /* "\rMSA|CA" */
}

/* The answer of this writer's kind among one message's. */
static struct hub_span choose(const struct writer *w, size_t message)
{
    struct hub_span rest = w->answers[message];
    while (rest.len != 0) {
        const uint8_t *end = memchr(rest.ptr, HUB_ANSWER_SEPARATOR, rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
        struct hub_span answer = hub_span_of(rest.ptr, len);
        if (is_accept(answer) == w->accept)
            return answer;
        size_t used = end != NULL ? len + 1 : len;
        rest = hub_span_of(rest.ptr + used, rest.len - used);
    }
    return HUB_SPAN_NONE;
}

static size_t put_fault(const struct writer *w, struct hub_span line, size_t number, const struct hub_error *fault)
{
    struct hub_buf head;
    if (fault->result == HUB_OK || !w->faults)
        return 0;
    struct hub_verdict verdict = {
        .result = fault->result, .error = *fault, .recorded_us = w->whole->recorded_us};
    (void)snprintf(verdict.message_id, sizeof verdict.message_id, "E%zu-%.14s", number, w->whole->message_id);
    hub_buf_init(&head, HEAD_MAX, true);
    put_msh(&head, line, w->plan->sample, w->accept);
    enum hub_result result = hub_buf_result(&head);
    if (result == HUB_OK)
        result = hub_hl7_ack(w->accept ? HUB_ACK_AUTO : HUB_ACK_ORIGINAL, hub_buf_view(&head), &verdict, w->out);
    hub_buf_deinit(&head);
    if (result != HUB_OK && w->out->failed == HUB_OK)
        w->out->failed = result;
    return 1;
}

static void put_batch(const struct writer *w, const struct hub_hl7_file *file, size_t at)
{
    const struct hub_hl7_batch *batch = &w->plan->batches[at];
    struct hub_span line = batch->head.len != 0 ? batch->head : file->head;
    size_t count = 0;
    put_head_line(w, "BHS", line, at + 1, w->faults ? &batch->fault : &(struct hub_error){.result = HUB_OK});
    for (size_t i = batch->first; i < batch->first + batch->count; i++) {
        struct hub_span answer = choose(w, i);
        hub_buf_append_span(w->out, answer);
        count += answer.len != 0 ? 1 : 0;
    }
    count += put_fault(w, line, at + 1, &batch->fault);
    if (at + 1 == file->first + file->count)
        count += put_fault(w, file->head, w->plan->batch_count + at + 1, &file->fault);
    put_trailer(w, "BTS", line, count);
}

static void put_file(const struct writer *w, size_t at)
{
    const struct hub_hl7_file *file = &w->plan->files[at];
    const struct hub_hl7_batch none = {.first = 0};
    bool own = file->head.len != 0;
    if (own)
        put_head_line(w, "FHS", file->head, at + 1,
                      w->faults ? &file->fault : &(struct hub_error){.result = HUB_OK});
    for (size_t i = file->first; i < file->first + file->count; i++)
        put_batch(w, file, i);
    size_t count = file->count;
    if (count == 0 && file->fault.result != HUB_OK && w->faults) { /* its fault needs a batch to stand in */
        put_head_line(w, "BHS", file->head, w->plan->batch_count + 1, &none.fault);
        put_trailer(w, "BTS", file->head, put_fault(w, file->head, w->plan->batch_count + 1, &file->fault));
        count = 1;
    }
    if (own)
        put_trailer(w, "FTS", file->head, count);
}

static void put_all(const struct writer *w)
{
    for (size_t i = 0; i < w->plan->file_count; i++)
        put_file(w, i);
}

/* --- the whole --- */

enum hub_result hub_hl7_bundle(enum hub_ack_mode mode, const struct hub_parts *parts,
                               const struct hub_span *answers, const struct hub_verdict *whole,
                               struct hub_buf *out)
{
    struct writer w = {.plan = parts->plan, .answers = answers, .whole = whole, .out = out};
    bool accept = false, application = false, wanted = parts->count == 0;
    for (size_t i = 0; i < parts->count; i++) {
        w.accept = true;
        accept = accept || choose(&w, i).len != 0;
        w.accept = false;
        application = application || choose(&w, i).len != 0;
    }
    for (size_t i = 0; i < parts->count && !accept && !application && !wanted; i++)
        wanted = hub_hl7_ack_wanted(mode, hub_hl7_head(parts->messages[i]));
    if (accept) {
        w.accept = true;
        w.faults = !application;
        put_all(&w);
    }
    if (accept && application)
        hub_buf_append_byte(out, HUB_ANSWER_SEPARATOR);
    if (application || (wanted && !accept)) {
        w.accept = false;
        w.faults = true;
        put_all(&w);
    }
    return hub_buf_result(out);
}
