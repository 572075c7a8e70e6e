#include "adapters/formats/hl7v2/ack.h"

#include <stdio.h>
#include <stdlib.h>

#include "adapters/formats/hl7v2/hl7_time.h"
#include "src/codec/charset.h"

enum {
    FIELDS = 22,     /* MSH-1 to MSH-21, by number */
    OWN_ID_LEN = 20, /* MSH-10's length up to 2.6 */
    NUMBER_MAX = 10000000,
    WIDE_HEAD_BYTES_MAX = 1 << 20,
    VERSION_2_2 = 2002000,
    VERSION_2_3_1 = 2003001,
    VERSION_2_5 = 2005000,
};

static const char default_version[] = "2.5.1";

/* The sender's header, as far as it can be read. */
struct header {
    struct hub_hl7_delimiters delimiters;
    struct hub_span encoding; /* MSH-2 as it goes back */
    struct hub_span field[FIELDS];
    struct hub_span trigger; /* MSH-9.2 */
    unsigned version;        /* major, minor, patch: three digits each */
};

/* Which answers one message gets: its sender asked for them, or the feed's mode says so. */
struct plan {
    bool enhanced; /* answers say themselves that they want none */
    bool accept, application;
};

enum condition { ALWAYS, NEVER, ON_ERROR, ON_SUCCESS, UNSAID };

/* A position: "PID-3[2].4", "OBX[3]-5", "MSH". 0 = not named. */
struct place {
    char segment[4];
    unsigned long occurrence, field, repetition, component, subcomponent;
};

static const struct hub_hl7_delimiters usual = {'|', '^', '~', '\\', '&', 0};

/* --- the sender's header --- */

/* "2.5.1"; what is no version counts as the default one. */
static unsigned read_version(struct hub_span text)
{
    unsigned value = 0;
    unsigned part = 0;
    unsigned parts = 1;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '.' && parts < 3 && i > 0) {
            value = (value + part) * 1000;
            part = 0;
            parts++;
        } else if (c >= '0' && c <= '9' && part < 100) {
            part = part * 10 + (unsigned)(c - '0');
        } else {
            return 2005001;
        }
    }
    if (text.len == 0)
        return 2005001;
    value += part;
    for (; parts < 3; parts++)
        value *= 1000;
    return value;
}

static void read_fields(struct hub_span head, struct header *out)
{
    struct hub_span rest = hub_span_of(head.ptr + 4, head.len - 4);
    for (size_t n = 2; n < FIELDS; n++)
        if (!hub_hl7_cut(&rest, out->delimiters.field, &out->field[n]))
            return;
}

static void read_head(struct hub_span head, struct header *out)
{
    struct hub_span type = HUB_SPAN_NONE;
    *out = (struct header){.delimiters = usual, .encoding = HUB_SPAN("^~\\&"), .version = 2005001};
    if (hub_hl7_delimiters(head, &out->delimiters, NULL) == HUB_OK) {
        read_fields(head, out);
        out->encoding = out->field[2];
    } else {
        /* MSH-2 alone may be at fault: the sender can still match the answer by its control id */
        bool separated = head.len > 4 && head.ptr[3] == usual.field;
        out->delimiters = usual;
        if (separated)
            read_fields(head, out);
    }
    struct hub_span rest = out->field[9];
    if (hub_hl7_cut(&rest, out->delimiters.component, &type))
        (void)hub_hl7_cut(&rest, out->delimiters.component, &out->trigger);
    struct hub_span version = HUB_SPAN_NONE;
    rest = out->field[12];
    (void)hub_hl7_cut(&rest, out->delimiters.component, &version);
    out->version = read_version(hub_span_trim(version));
}

/* --- what is due --- */

/* HL7 table 0155. What is not in it asks for something: an answer too many is ignored, a missing one waited
 * for. */
static enum condition read_condition(struct hub_span value)
{
    value = hub_span_trim(value);
    if (value.len == 0 || hub_hl7_is_null(value))
        return UNSAID;
    if (hub_span_equal_nocase(value, HUB_SPAN("NE")))
        return NEVER;
    if (hub_span_equal_nocase(value, HUB_SPAN("ER")))
        return ON_ERROR;
    return hub_span_equal_nocase(value, HUB_SPAN("SU")) ? ON_SUCCESS : ALWAYS;
}

static bool is_due(enum condition condition, bool good)
{
    switch (condition) {
    case ALWAYS:
        return true;
    case ON_ERROR:
        return !good;
    case ON_SUCCESS:
        return good;
    case NEVER:
    case UNSAID:
        return false;
    }
    return false;
}

static struct plan plan_answers(enum hub_ack_mode mode, const struct header *header, bool good)
{
    static const struct plan original = {.application = true};
    enum condition accept = read_condition(header->field[15]);
    enum condition application = read_condition(header->field[16]);
    bool unsaid = accept == UNSAID && application == UNSAID;
    switch (mode) {
    case HUB_ACK_ORIGINAL:
        return original;
    case HUB_ACK_AUTO:
        if (unsaid)
            return original;
        break;
    case HUB_ACK_ENHANCED:
        if (unsaid)
            accept = ALWAYS;
        break;
    case HUB_ACK_AA:
        if (unsaid)
            return original;
        accept = NEVER;
        application = application == UNSAID ? ALWAYS : application;
        break;
    }
    return (struct plan){
        .enhanced = true, .accept = is_due(accept, good), .application = is_due(application, good)};
}

/* --- writing --- */

static void put_echo(struct hub_buf *out, struct hub_span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != 0x0b && value.ptr[i] != 0x1c)
            hub_buf_append_byte(out, value.ptr[i]);
}

static void put_text(struct hub_buf *out, const struct header *header, const char *text)
{
    hub_hl7_escape(&header->delimiters, hub_span_str(text), out);
}

static void put_separators(struct hub_buf *out, const struct header *header, unsigned count)
{
    while (count-- > 0)
        hub_buf_append_byte(out, header->delimiters.field);
}

static void put_echo_or(struct hub_buf *out, const struct header *header, unsigned n, const char *otherwise)
{
    if (header->field[n].len != 0)
        put_echo(out, header->field[n]);
    else
        put_text(out, header, otherwise);
}

/* MSH-9: 2.1 has the type alone, the structure came with 2.3.1. */
static void put_type(struct hub_buf *out, const struct header *header)
{
    hub_buf_append_str(out, "ACK");
    if (header->trigger.len == 0 || header->version < VERSION_2_2)
        return;
    hub_buf_append_byte(out, header->delimiters.component);
    put_echo(out, header->trigger);
    if (header->version < VERSION_2_3_1)
        return;
    hub_buf_append_byte(out, header->delimiters.component);
    hub_buf_append_str(out, "ACK");
}

/* MSH-10: the same for the same message, never the sender's own, and another one for its accept
 * acknowledgement. */
static void put_own_id(struct hub_buf *out, const struct hub_verdict *verdict, bool accept)
{
    size_t all = strnlen(verdict->message_id, sizeof verdict->message_id);
    size_t len = all < OWN_ID_LEN ? all : OWN_ID_LEN;
    if (all != 0)
        hub_buf_append(out, accept ? verdict->message_id + (all - len) : verdict->message_id, len);
    else
        hub_buf_printf(out, "%c%lld", accept ? 'C' : 'T', (long long)verdict->recorded_us);
}

/* MSH-13 to MSH-21. */
static void put_header_end(struct hub_buf *out, const struct header *header, bool enhanced)
{
    bool more = header->field[18].len != 0 || header->field[21].len != 0;
    if (enhanced) {
        put_separators(out, header, 3);
        hub_buf_append_str(out, "NE");
        put_separators(out, header, 1);
        hub_buf_append_str(out, "NE");
    }
    if (more) {
        put_separators(out, header, enhanced ? 2 : 6);
        put_echo(out, header->field[18]);
    }
    if (header->field[21].len != 0) {
        put_separators(out, header, 3);
        put_echo(out, header->field[21]);
    }
    hub_buf_append_byte(out, '\r');
}

static void put_header(struct hub_buf *out, const struct header *header, const struct hub_verdict *verdict,
                       const struct plan *plan, bool accept)
{
    char time[HUB_HL7_TIME_LEN + 1] = "";
    if (verdict->recorded_us != 0)
        hub_hl7_time_format(verdict->recorded_us, time);
    hub_buf_append_str(out, "MSH");
    put_separators(out, header, 1);
    hub_buf_append_span(out, header->encoding);
    static const uint8_t swapped[] = {5, 6, 3, 4};
    for (size_t i = 0; i < sizeof swapped; i++) {
        put_separators(out, header, 1);
        put_echo(out, header->field[swapped[i]]);
    }
    put_separators(out, header, 1);
    put_text(out, header, time);
    put_separators(out, header, 2);
    put_type(out, header);
    put_separators(out, header, 1);
    put_own_id(out, verdict, accept);
    put_separators(out, header, 1);
    put_echo_or(out, header, 11, "P");
    put_separators(out, header, 1);
    put_echo_or(out, header, 12, default_version);
    put_header_end(out, header, plan->enhanced);
}

/* --- ERR --- */

/* HL7 table 0357. */
static const char *condition_text(const char *code)
{
    static const struct {
        const char *code, *text;
    } conditions[] = {
        {"0", "Message accepted"},          {"100", "Segment sequence error"},    {"101", "Required field missing"},
        {"102", "Data type error"},         {"103", "Table value not found"},     {"104", "Value too long"},
        {"200", "Unsupported message type"}, {"201", "Unsupported event code"},   {"202", "Unsupported processing id"},
        {"203", "Unsupported version id"},  {"204", "Unknown key identifier"},    {"205", "Duplicate key identifier"},
        {"206", "Application record locked"}, {"207", "Application internal error"},
    };
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++)
        if (strcmp(conditions[i].code, code) == 0)
            return conditions[i].text;
    return "";
}

/* OPEN, a number from 1, CLOSE (NUL = none); nothing is taken when it is not there. */
static bool take_number(const char **at, char open, char close, unsigned long *out)
{
    char *end;
    if ((*at)[0] != open || (*at)[1] < '1' || (*at)[1] > '9')
        return false;
    unsigned long value = strtoul(*at + 1, &end, 10);
    if (value > NUMBER_MAX || (close != '\0' && *end != close))
        return false;
    *at = end + (close != '\0' ? 1 : 0);
    *out = value;
    return true;
}

/* False when it is no place in a segment: then none is sent. */
static bool read_place(const char *text, struct place *out)
{
    const char *at = text;
    *out = (struct place){.occurrence = 1};
    for (size_t i = 0; i < 3; i++, at++) {
        bool good = (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9');
        if (!good)
            return false;
        out->segment[i] = *at;
    }
    (void)take_number(&at, '[', ']', &out->occurrence);
    if (take_number(&at, '-', '\0', &out->field)) {
        (void)take_number(&at, '[', ']', &out->repetition);
        if (take_number(&at, '.', '\0', &out->component))
            (void)take_number(&at, '.', '\0', &out->subcomponent);
    }
    return *at == '\0';
}

static void put_part(struct hub_buf *out, const struct header *header, unsigned long number)
{
    hub_buf_append_byte(out, header->delimiters.component);
    hub_buf_append_u64(out, number);
}

/* ERR-2, ERL: segment^sequence^field^repetition^component^subcomponent; as far as it is known. */
static void put_location(struct hub_buf *out, const struct header *header, const struct place *place)
{
    hub_buf_append_str(out, place->segment);
    put_part(out, header, place->occurrence);
    if (place->field == 0)
        return;
    put_part(out, header, place->field);
    put_part(out, header, place->repetition != 0 ? place->repetition : 1);
    if (place->component == 0)
        return;
    put_part(out, header, place->component);
    if (place->subcomponent != 0)
        put_part(out, header, place->subcomponent);
}

static void put_code(struct hub_buf *out, const struct header *header, const char *code, uint8_t delimiter)
{
    hub_buf_append_str(out, code);
    if (delimiter == 0)
        return;
    hub_buf_append_byte(out, delimiter);
    put_text(out, header, condition_text(code));
    hub_buf_append_byte(out, delimiter);
    hub_buf_append_str(out, "HL70357");
}

static void put_reason(struct hub_buf *out, const struct header *header, const struct hub_verdict *verdict)
{
    const struct hub_error *error = &verdict->error;
    bool known = error->what != NULL && error->what[0] != '\0';
    put_text(out, header, known ? error->what : hub_result_text(verdict->result));
    if (known && error->has_number) {
        char number[32];
        (void)snprintf(number, sizeof number, " (%lld)", (long long)error->number);
        put_text(out, header, number);
    }
}

/* Before 2.5: ERR-1, ELD: segment^sequence^field^code&text&table. */
static void put_error_old(struct hub_buf *out, const struct header *header, const struct place *place, const char *code)
{
    uint8_t component = header->delimiters.component;
    put_separators(out, header, 1);
    hub_buf_append_str(out, place->segment);
    if (place->segment[0] != '\0')
        put_part(out, header, place->occurrence);
    else
        hub_buf_append_byte(out, component);
    if (place->field != 0)
        put_part(out, header, place->field);
    else
        hub_buf_append_byte(out, component);
    hub_buf_append_byte(out, component);
    put_code(out, header, code, header->delimiters.subcomponent);
}

/* From 2.5 on: ERR-2 location, ERR-3 code, ERR-4 severity, ERR-7 for who mends the interface, ERR-8 for people. */
static void put_error_new(struct hub_buf *out, const struct header *header, const struct place *place, const char *code,
                          const struct hub_verdict *verdict)
{
    const char *mend = verdict->error.mend;
    put_separators(out, header, 2);
    if (place->segment[0] != '\0')
        put_location(out, header, place);
    put_separators(out, header, 1);
    put_code(out, header, code, header->delimiters.component);
    put_separators(out, header, 1);
    hub_buf_append_str(out, "E");
    put_separators(out, header, 3);
    put_reason(out, header, verdict);
    put_separators(out, header, 1);
    put_text(out, header, hub_result_text(verdict->result));
    if (mend != NULL && mend[0] != '\0') {
        hub_buf_append_str(out, "; ");
        put_text(out, header, mend);
    }
}

static void put_error(struct hub_buf *out, const struct header *header, const struct hub_verdict *verdict)
{
    struct place place;
    const char *code = hub_result_row(verdict->result)->err_code;
    if (!read_place(verdict->error.place, &place))
        place = (struct place){.segment = ""};
    hub_buf_append_str(out, "ERR");
    if (header->version < VERSION_2_5)
        put_error_old(out, header, &place, code);
    else
        put_error_new(out, header, &place, code, verdict);
    hub_buf_append_byte(out, '\r');
}

/* CODE is that of original mode; CA, CE and CR say the same of an accept acknowledgement. */
static void put_answer(struct hub_buf *out, const struct header *header, const struct hub_verdict *verdict,
                       const struct plan *plan, const char *code, bool accept)
{
    put_header(out, header, verdict, plan, accept);
    hub_buf_append_str(out, "MSA");
    put_separators(out, header, 1);
    hub_buf_append_byte(out, accept ? 'C' : (uint8_t)code[0]);
    hub_buf_append_str(out, code + 1);
    put_separators(out, header, 1);
    put_echo(out, header->field[10]);
    if (verdict->result != HUB_OK && header->version < VERSION_2_5) {
        put_separators(out, header, 1);
        put_reason(out, header, verdict);
    }
    hub_buf_append_byte(out, '\r');
    if (verdict->result != HUB_OK)
        put_error(out, header, verdict);
}

static enum hub_result answer(enum hub_ack_mode mode, struct hub_span head, const struct hub_verdict *verdict,
                              struct hub_buf *out)
{
    struct header header;
    const char *code = hub_result_row(verdict->result)->ack_code;
    if (code[0] == '\0')
        return HUB_OK;
    read_head(head, &header);
    struct plan plan = plan_answers(mode, &header, verdict->result == HUB_OK);
    if (plan.accept)
        put_answer(out, &header, verdict, &plan, code, true);
    if (plan.accept && plan.application)
        hub_buf_append_byte(out, HUB_ANSWER_SEPARATOR);
    if (plan.application)
        put_answer(out, &header, verdict, &plan, code, false);
    return hub_buf_result(out);
}

/* ANSWERS in UTF-8 as the message was sent. A character with a byte of the framing in it is left out, as in
 * put_echo. */
static void put_wide(struct hub_buf *out, struct hub_span answers, struct hub_span mark,
                     const struct hub_charset_shape *shape)
{
    bool at_start = true;
    while (answers.len != 0) {
        uint8_t bytes[4];
        bool separates = answers.ptr[0] == HUB_ANSWER_SEPARATOR;
        if (at_start)
            hub_buf_append_span(out, mark);
        at_start = separates;
        size_t len = hub_charset_put_wide(shape, &answers, bytes);
        if (separates)
            hub_buf_append_byte(out, HUB_ANSWER_SEPARATOR);
        else if (memchr(bytes, 0x0b, len) == NULL && memchr(bytes, 0x1c, len) == NULL)
            hub_buf_append(out, bytes, len);
    }
}

static enum hub_result answer_wide(enum hub_ack_mode mode, struct hub_span head,
                                   const struct hub_charset *charset, const struct hub_charset_shape *shape,
                                   const struct hub_verdict *verdict, struct hub_buf *out)
{
    struct hub_arena arena;
    struct hub_charset_text text;
    struct hub_buf narrow;
    struct hub_span mark = hub_span_of(head.ptr, shape->mark_len);
    hub_arena_init(&arena, WIDE_HEAD_BYTES_MAX);
    hub_buf_init(&narrow, out->bytes_max, true);
    enum hub_result result =
        hub_charset_to_utf8(&arena, charset, hub_span_of(head.ptr + mark.len, head.len - mark.len), &text);
    if (result == HUB_CHARSET) { /* an unreadable header is answered as none */
        text.utf8 = HUB_SPAN_NONE;
        result = HUB_OK;
    }
    HUB_TRY_OUT(result);
    HUB_TRY_OUT(answer(mode, text.utf8, verdict, &narrow));
    put_wide(out, hub_buf_view(&narrow), mark, shape);
    result = hub_buf_result(out);
out:
    hub_buf_deinit(&narrow);
    hub_arena_deinit(&arena);
    return result;
}

enum hub_result hub_hl7_ack(enum hub_ack_mode mode, struct hub_span head, const struct hub_verdict *verdict,
                            struct hub_buf *out)
{
    struct hub_charset_shape shape;
    const struct hub_charset *charset = hub_charset_wide(head, &shape);
    return charset != NULL ? answer_wide(mode, head, charset, &shape, verdict, out)
                           : answer(mode, head, verdict, out);
}

bool hub_hl7_ack_wanted(enum hub_ack_mode mode, struct hub_span head)
{
    struct header header;
    read_head(head, &header);
    struct plan good = plan_answers(mode, &header, true);
    struct plan bad = plan_answers(mode, &header, false);
    return good.accept || good.application || bad.accept || bad.application;
}
