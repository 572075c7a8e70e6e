/* For tests of the whole line, from the transport's door to the timeline, while the disk, the stores or the heap fail
 * at every place, once or for good: no crash, no silence on an open connection, nothing acknowledged that is not there
 * afterwards, nothing there twice, and after the next start everything as in an undisturbed hub.
 *
 * line_each runs one hub after the other on one folder, each with one more place failing and messages of its own, and
 * after each a hub without faults, to which every sender repeats them; line_compare puts all of them into a hub that
 * nothing ever happened to. */
#pragma once

#include "tests/fault/fault_line.h"

/* Messages of patients nobody has seen, sent again until all are answered. */
struct line_generation {
    void (*make)(struct line *line, unsigned number);
    /* What may be answered to message I, in a hub without faults: "AA", "AA AE". */
    const char *(*answers)(const struct line_report *report, size_t i, bool calm);
    uint64_t events, dead_letters; /* that there are in the end */
};

struct line_fixture {
    struct line line; /* first */
    const struct line_generation *kind;
    unsigned generation, generations; /* the last one made; in line_compare, of how many */
    uint64_t expected_events, expected_dead;
};

/* --- messages --- */

static inline void line_put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void line_put(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    assert_true(line->count < LINE_MESSAGES_MAX);
    int len = vsnprintf(line->messages[line->count++], LINE_MESSAGE_BYTES, format, args);
    assert_true(len > 0 && len < LINE_MESSAGE_BYTES);
    va_end(args);
}

#define LINE_MSH "MSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||"
#define LINE_PID "PID|1||%u%u^^^GENHOSP^MR||QUILL^Anna||19700101|F|||1 Elm St^^Ely\r"

/* Of patients nobody has seen: two admissions, a result, a merge, one that is refused, the first again, a result in
 * two parts, a batch of two. */
static inline void line_make_mixed(struct line *line, unsigned g)
{
    for (unsigned i = 1; i <= 2; i++)
        line_put(line, LINE_MSH "ADT^A01^ADT_A01|A%u-%u|P|2.5.1\rEVN|A01|20261120080000\r" LINE_PID
            "PV1|1|I|W1^101^1||||||||||||||||V%u%u^^^GENHOSP\rAL1|1|DA|7980^Penicillin^RXNORM|SV\r", g, i, i, g, i, g);
    line_put(line, LINE_MSH "ORU^R01^ORU_R01|R%u|P|2.5.1\r" LINE_PID "OBR|1|P%u^EHR|F%u^LAB|718-7^Hemoglobin^LN|||20261120070000||||||||||||||||||F\r"
        "OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F|||20261120070000\r", g, 1u, g, g, g);
    line_put(line, LINE_MSH "ADT^A40^ADT_A39|M%u|P|2.5.1\rEVN|A40|20261120080000\r" LINE_PID "MRG|2%u^^^GENHOSP^MR\r", g, 1u, g, g);
    line_put(line, LINE_MSH "ADT^A01^ADT_A01|B%u|P|9.9\rEVN|A01|20261120080000\r" LINE_PID, g, 3u, g);
    memcpy(line->messages[line->count++], line->messages[0], LINE_MESSAGE_BYTES);
    line_put(line, LINE_MSH "ORU^R01^ORU_R01|D%u|P|2.5.1\r" LINE_PID "OBR|1|Q%u^EHR|G%u^LAB|718-7^Hemoglobin^LN|||20261120070000\rDSC|p%u|F\r", g, 2u, g, g, g, g);
    line_put(line, LINE_MSH "ORU^R01^ORU_R01|E%u|P|2.5.1||p%u\rOBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F\r", g, g);
    line_put(line, "BHS|^~\\&|||||||||N%u\r" LINE_MSH "ADT^A01^ADT_A01|F%u|P|2.5.1\rEVN|A01|20261120080000\r" LINE_PID
        "PV1|1|I|W1\r" LINE_MSH "ADT^A01^ADT_A01|G%u|P|2.5.1\rEVN|A01|20261120080000\r" LINE_PID "PV1|1|I|W1\rBTS|2\r", g, g, 4u, g, g, 5u, g);
}

static inline const char *line_mixed_answers(const struct line_report *report, size_t i, bool calm)
{
    enum { REFUSED_AT = 4, PART_AT = 6 };
    bool alone = !calm && report->answers[PART_AT][0] == '\0'; /* the last part without the first is refused */
    return i == REFUSED_AT ? "AR" : i == PART_AT + 1 && alone ? "AA AE" : "AA";
}

static const struct line_generation line_mixed = {line_make_mixed, line_mixed_answers, 7, 1};

/* A result in three parts: the last one too early, the first, the middle, the last, and the last two again when they
 * are joined. */
static inline void line_make_parts(struct line *line, unsigned g)
{
    static const unsigned order[] = {3, 1, 2, 3, 2, 3};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (order[i] == 1)
            line_put(line, LINE_MSH "ORU^R01^ORU_R01|X%u|P|2.5.1\r" LINE_PID "OBR|1|Q%u^EHR|G%u^LAB|718-7^Hemoglobin^LN|||20261120070000\rDSC|p%u|F\r", g, 6u, g, g, g, g);
        else if (order[i] == 2)
            line_put(line, LINE_MSH "ORU^R01^ORU_R01|Y%u|P|2.5.1||p%u\rOBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F\rDSC|q%u|F\r", g, g, g);
        else
            line_put(line, LINE_MSH "ORU^R01^ORU_R01|Z%u|P|2.5.1||q%u\rOBX|2|NM|4544-3^Hematocrit^LN||40|%%|||||F\r", g, g);
    }
}

static inline const char *line_parts_answers(const struct line_report *report, size_t i, bool calm)
{
    enum { EARLY_AT, FIRST_AT, MIDDLE_AT, LAST_AT, LATE_AT, END_AT };
    bool first = report->answers[FIRST_AT][0] != '\0';
    bool middle = report->answers[MIDDLE_AT][0] != '\0';
    if (i == EARLY_AT)
        return calm ? "AA AE" : "AE"; /* calm: it may have been joined before */
    if (calm || i == FIRST_AT)
        return "AA";
    return (i == LAST_AT || i == END_AT ? first && middle : first) ? "AA" : "AA AE";
}

static const struct line_generation line_parts = {line_make_parts, line_parts_answers, 1, 0};

/* --- one generation with a fault, then without --- */

static const struct line_fault line_no_fault = {.where = LINE_NOTHING};

static inline void line_make(struct line_fixture *f)
{
    f->line.count = 0;
    f->kind->make(&f->line, ++f->generation);
}

/* The first message that was answered as it may not be, or is not answered and must; COUNT: none. */
static inline size_t line_wrong_answer(const struct line_fixture *f, const struct line_report *report, bool calm)
{
    for (size_t i = 0; i < f->line.count; i++) {
        bool heard = report->answers[i][0] != '\0';
        if ((heard || calm) && (!heard || strstr(f->kind->answers(report, i, calm), report->answers[i]) == NULL))
            return i;
    }
    return f->line.count;
}

static inline void line_check(const struct line_fixture *f, const struct line_report *report, bool calm, const struct line_fault *fault)
{
    size_t at = line_wrong_answer(f, report, calm);
    bool counts = fault == NULL || (report->events == f->expected_events && report->dead_letters == f->expected_dead);
    if (at == f->line.count && counts)
        return;
    for (size_t i = 0; i < f->line.count; i++)
        print_message("message %zu was answered '%s'%s\n", i, report->answers[i], i == at ? ": wrong" : "");
    if (fault == NULL)
        fail();
    fault_places_tell(fault->places);
    fail_msg("%llu events, not %llu; %llu dead letters, not %llu", (unsigned long long)report->events, (unsigned long long)f->expected_events,
             (unsigned long long)report->dead_letters, (unsigned long long)f->expected_dead);
}

/* False when nothing failed any more: all places have failed in a run before. */
static inline bool line_with(struct line_fixture *f, const struct line_fault *fault)
{
    struct line_report disturbed, calm;
    line_make(f);
    line_run(&f->line, fault, &disturbed);
    line_check(f, &disturbed, !disturbed.failed, NULL);
    line_run(&f->line, &line_no_fault, &calm); /* every sender repeats what it did not hear, and what it did */
    assert_true(calm.stopped);
    f->expected_events += f->kind->events;
    f->expected_dead += f->kind->dead_letters;
    line_check(f, &calm, true, fault);
    return disturbed.failed;
}

/* Every place at its first TIMES turns, alone or with all that comes after. */
static inline void line_each(struct line_fixture *f, struct line_fault fault, unsigned times, bool lasting)
{
    unsigned failed = 0;
    fault.places = fault_places_new(times, lasting);
    while (line_with(f, &fault))
        failed++;
    fault_places_free(fault.places);
    if (getenv("CHARTLINE_KEEP") != NULL)
        print_message("%u places\n", failed);
    assert_true(failed > 3);
}

/* --- the same messages in a hub that nothing ever happened to --- */

static inline bool line_next(struct line_child *child)
{
    struct line_fixture *f = (struct line_fixture *)child->line;
    HUB_ASSERT(line_wrong_answer(f, child->report, true) == f->line.count);
    if (f->generation == f->generations)
        return false;
    line_make(f);
    return true;
}

static inline void line_compare(struct line_fixture *f)
{
    struct line_report disturbed, calm;
    struct line_fixture *other = calloc(1, sizeof *other);
    assert_non_null(other);
    line_new(&other->line, "");
    other->kind = f->kind;
    other->generations = f->generation;
    other->line.more = line_next;
    other->line.digest = f->line.digest = true;
    line_run(&other->line, &line_no_fault, &calm);
    f->line.count = 0;
    line_run(&f->line, &line_no_fault, &disturbed);
    assert_true(calm.stopped && disturbed.stopped);
    assert_true(calm.events == f->expected_events && disturbed.events == f->expected_events);
    assert_memory_equal(disturbed.content, calm.content, sizeof calm.content);
    line_remove(&other->line);
    free(other);
}

static inline int line_setup_kind(void **state, const struct line_generation *kind)
{
    struct line_fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL)
        return -1;
    f->kind = kind;
    line_new(&f->line, "");
    return 0;
}

static inline int line_setup_mixed(void **state)
{
    return line_setup_kind(state, &line_mixed);
}

static inline int line_setup_parts(void **state)
{
    return line_setup_kind(state, &line_parts);
}

static inline int line_teardown(void **state)
{
    struct line_fixture *f = *state;
    line_remove(&f->line);
    free(f);
    return 0;
}
