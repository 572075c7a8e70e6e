/* The whole line, from the transport's door to the timeline, while the disk, the stores or the heap fail at every
 * place, once or for good: no crash, no silence on an open connection, nothing acknowledged that is not there
 * afterwards, nothing there twice, and after the next start everything as in an undisturbed hub. */
#include "tests/fault/fault_line.h"

enum { STRIDE_MEMORY = 4 };

struct fixture {
    struct line line;
    unsigned generation; /* messages of one generation are sent again until all are answered */
    uint64_t expected_events, expected_dead;
};

/* --- messages --- */

static void put(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    assert_true(line->count < LINE_MESSAGES_MAX);
    int len = vsnprintf(line->messages[line->count++], LINE_MESSAGE_BYTES, format, args);
    assert_true(len > 0 && len < LINE_MESSAGE_BYTES);
    va_end(args);
}

#define MSH "MSH|^~\\&|EHR|GENHOSP|HUB|HUB|20261120080000||"
#define PID "PID|1||%u%u^^^GENHOSP^MR||QUILL^Anna||19700101|F|||1 Elm St^^Ely\r"

/* Of patients nobody has seen: two admissions, a result, a merge, one that is refused, the first again, a result in
 * two parts, a batch of two. */
static void make_generation(struct fixture *f)
{
    struct line *line = &f->line;
    unsigned g = ++f->generation;
    line->count = 0;
    for (unsigned i = 1; i <= 2; i++)
        put(line, MSH "ADT^A01^ADT_A01|A%u-%u|P|2.5.1\rEVN|A01|20261120080000\r" PID
            "PV1|1|I|W1^101^1||||||||||||||||V%u%u^^^GENHOSP\rAL1|1|DA|7980^Penicillin^RXNORM|SV\r", g, i, i, g, i, g);
    put(line, MSH "ORU^R01^ORU_R01|R%u|P|2.5.1\r" PID "OBR|1|P%u^EHR|F%u^LAB|718-7^Hemoglobin^LN|||20261120070000||||||||||||||||||F\r"
        "OBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F|||20261120070000\r", g, 1u, g, g, g);
    put(line, MSH "ADT^A40^ADT_A39|M%u|P|2.5.1\rEVN|A40|20261120080000\r" PID "MRG|2%u^^^GENHOSP^MR\r", g, 1u, g, g);
    put(line, MSH "ADT^A01^ADT_A01|B%u|P|9.9\rEVN|A01|20261120080000\r" PID, g, 3u, g);
    memcpy(line->messages[line->count++], line->messages[0], LINE_MESSAGE_BYTES);
    put(line, MSH "ORU^R01^ORU_R01|D%u|P|2.5.1\r" PID "OBR|1|Q%u^EHR|G%u^LAB|718-7^Hemoglobin^LN|||20261120070000\rDSC|p%u|F\r", g, 2u, g, g, g, g);
    put(line, MSH "ORU^R01^ORU_R01|E%u|P|2.5.1||p%u\rOBX|1|NM|718-7^Hemoglobin^LN||13.1|g/dL|||||F\r", g, g);
    put(line, "BHS|^~\\&|||||||||N%u\r" MSH "ADT^A01^ADT_A01|F%u|P|2.5.1\rEVN|A01|20261120080000\r" PID
        "PV1|1|I|W1\r" MSH "ADT^A01^ADT_A01|G%u|P|2.5.1\rEVN|A01|20261120080000\r" PID "PV1|1|I|W1\rBTS|2\r", g, g, 4u, g, g, 5u, g);
}

enum { ACCEPTED = 7, REFUSED_AT = 4, PART_AT = 6, GENERATION = 9 };

static void check_answers(const struct line_report *report, bool all)
{
    bool alone = report->answers[PART_AT][0] == '\0'; /* the last part without the first is refused */
    for (size_t i = 0; i < GENERATION; i++) {
        const char *expected = i == REFUSED_AT                                                                   ? "AR"
                               : i == PART_AT + 1 && alone && strcmp(report->answers[i], "AE") == 0 ? "AE"
                                                                                                                   : "AA";
        bool heard = report->answers[i][0] != '\0';
        if ((heard || all) && strcmp(report->answers[i], expected) != 0)
            fail_msg("message %zu was answered '%s', not '%s'%s", i, report->answers[i], expected, all ? ", without faults" : "");
    }
}

/* --- one generation with a fault, then without --- */

static const struct line_fault nothing = {.where = LINE_NOTHING};

/* False when nothing failed any more: NTH is past the last operation. */
static bool with(struct fixture *f, const struct line_fault *fault)
{
    struct line_report disturbed, calm;
    make_generation(f);
    line_run(&f->line, fault, &disturbed);
    bool failed = disturbed.ended_itself || disturbed.counted >= fault->nth;
    if (getenv("CHARTLINE_KEEP") != NULL)
        print_message("%d %llu %d\n", fault->where, (unsigned long long)fault->nth, fault->lasting);
    check_answers(&disturbed, !failed);
    line_run(&f->line, &nothing, &calm); /* every sender repeats what it did not hear, and what it did */
    assert_true(calm.stopped);
    check_answers(&calm, true);
    f->expected_events += ACCEPTED;
    f->expected_dead += 1;
    assert_int_equal(calm.events, f->expected_events);
    assert_int_equal(calm.dead_letters, f->expected_dead);
    return failed;
}

/* The same messages in a hub that nothing ever happened to. */
static void compare(struct fixture *f)
{
    struct line_report disturbed, calm;
    struct fixture *other = calloc(1, sizeof *other);
    assert_non_null(other);
    line_new(&other->line, "");
    for (unsigned g = f->generation; other->generation < g;) {
        make_generation(other);
        line_run(&other->line, &nothing, &calm);
    }
    f->line.count = 0;
    line_run(&f->line, &nothing, &disturbed);
    assert_memory_equal(disturbed.content, calm.content, sizeof calm.content);
    line_remove(&other->line);
    free(other);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (f == NULL)
        return -1;
    line_new(&f->line, "");
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    line_remove(&f->line);
    free(f);
    return 0;
}

static void line_without_faults_takes_everything_once(void **state)
{
    struct fixture *f = *state;
    assert_false(with(f, &(struct line_fault){.where = LINE_DISK, .what = FAULT_ANY, .nth = 1000000}));
    assert_false(with(f, &(struct line_fault){.where = LINE_MEMORY, .nth = 100000000}));
    compare(f);
}

static void each(struct fixture *f, struct line_fault fault, uint64_t step)
{
    unsigned failed = 0;
    for (fault.nth = 1; with(f, &fault); fault.nth += step)
        failed++;
    assert_true(failed > 3);
}

static void line_loses_nothing_when_any_step_on_the_disk_fails_once(void **state)
{
    each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_ANY, .running = true}, 1);
    compare(*state);
}

static void line_loses_nothing_when_the_disk_fails_for_good(void **state)
{
    each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_ANY, .running = true, .lasting = true, .half = true}, 2);
    compare(*state);
}

static void line_loses_nothing_when_there_is_no_space(void **state)
{
    each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_WRITE | FAULT_CREATE, .running = true, .half = true, .result = HUB_QUOTA}, 1);
    each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_WRITE | FAULT_CREATE, .running = true, .lasting = true, .result = HUB_QUOTA}, 2);
    compare(*state);
}

static void line_starts_after_a_start_that_failed_on_the_disk(void **state)
{
    each(*state, (struct line_fault){.where = LINE_DISK, .what = FAULT_ANY}, 2);
    compare(*state);
}

static void line_loses_nothing_when_any_write_of_a_store_fails(void **state)
{
    each(*state, (struct line_fault){.where = LINE_STORE, .what = HUB_KV_WRITES}, 1);
    each(*state, (struct line_fault){.where = LINE_STORE, .what = HUB_KV_WRITES, .running = true, .lasting = true}, 1);
    compare(*state);
}

static void line_loses_nothing_when_any_read_of_a_store_fails(void **state)
{
    each(*state, (struct line_fault){.where = LINE_STORE, .what = HUB_KV_READS}, 3);
    each(*state, (struct line_fault){.where = LINE_STORE, .what = HUB_KV_READS, .running = true, .lasting = true}, 2);
    compare(*state);
}

static void line_loses_nothing_when_memory_runs_out(void **state)
{
    each(*state, (struct line_fault){.where = LINE_MEMORY, .running = true}, STRIDE_MEMORY);
    each(*state, (struct line_fault){.where = LINE_MEMORY, .running = true, .lasting = true}, 2 * STRIDE_MEMORY);
    each(*state, (struct line_fault){.where = LINE_MEMORY}, 20 * STRIDE_MEMORY);
    compare(*state);
}

/* An argument: only the tests of this name. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(line_without_faults_takes_everything_once),
        TEST(line_loses_nothing_when_any_step_on_the_disk_fails_once),
        TEST(line_loses_nothing_when_the_disk_fails_for_good),
        TEST(line_loses_nothing_when_there_is_no_space),
        TEST(line_starts_after_a_start_that_failed_on_the_disk),
        TEST(line_loses_nothing_when_any_write_of_a_store_fails),
        TEST(line_loses_nothing_when_any_read_of_a_store_fails),
        TEST(line_loses_nothing_when_memory_runs_out),
#undef TEST
    };
    hub_diag_set_level(HUB_DIAG_ERROR);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
