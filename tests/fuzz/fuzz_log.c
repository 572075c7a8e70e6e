/* The event log over damaged bytes. The first byte chooses:
 *   even: a good log of a few groups in two segments is damaged as the rest says (three bytes a change: where
 *         and what) and opened. It opens or is refused as corrupt; what it shows is a prefix of what was
 *         written, record by record; and once opened it takes and keeps new records.
 *   odd:  the rest is the first segment's file as it is. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/diag.h"
#include "src/log/log.h"
#include "tests/temp_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS = 12, FILE_MAX = 8192 };

static char folder[512];
static uint8_t good[2][FILE_MAX]; /* the segments of the good log */
static size_t good_len[2];
static char paths[2][600];
static const struct hub_log_options options = {.segment_bytes = 640, .record_bytes_max = 20000};

static void check(bool ok)
{
    if (!ok)
        abort();
}

static struct hub_span content(uint64_t n, char out[200])
{
    size_t len = (size_t)(n * 31 % 150);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)('a' + (n + i) % 26);
    return hub_span_of(out, len);
}

static void remove_folder(void)
{
    temp_folder_remove(folder);
}

static size_t load(const char *path, uint8_t *into)
{
    int fd = open(path, O_RDONLY);
    check(fd >= 0);
    ssize_t got = read(fd, into, FILE_MAX);
    close(fd);
    check(got > 0 && got < FILE_MAX);
    return (size_t)got;
}

static void store(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0 && (len == 0 || pwrite(fd, bytes, len, 0) == (ssize_t)len));
    close(fd);
}

static void append(struct hub_log *log, uint64_t from, uint64_t count)
{
    char text[200];
    for (uint64_t n = from; n < from + count; n++) {
        struct hub_span part = content(n, text);
        uint64_t number = 0;
        check(hub_log_append(log, &part, 1, &number, NULL) == HUB_OK && number == n);
    }
    check(hub_log_sync(log, NULL) == HUB_OK);
}

static void make_good(void)
{
    struct hub_log *log = NULL;
    hub_diag_set_level(HUB_DIAG_ERROR);
    check(temp_folder_new(folder) != NULL && atexit(remove_folder) == 0);
    check(hub_log_open(folder, hub_disk_system(), &options, &log, NULL) == HUB_OK);
    append(log, 1, 5);
    append(log, 6, 1); /* starts the second segment */
    append(log, 7, 2);
    append(log, 9, 4);
    hub_log_close(log, false);
    snprintf(paths[0], sizeof paths[0], "%s/%020d.seg", folder, 1);
    snprintf(paths[1], sizeof paths[1], "%s/%020d.seg", folder, 6);
    for (int i = 0; i < 2; i++)
        good_len[i] = load(paths[i], good[i]);
}

/* Counts what a reader gets; every record must be the one that was written, when STRICT. */
static uint64_t read_back(struct hub_log *log, bool strict)
{
    struct hub_log_reader *reader = NULL;
    struct hub_span payload;
    uint64_t number = 0;
    uint64_t count = 0;
    char text[200];
    enum hub_result result;
    check(hub_log_reader_open(log, 1, &reader, NULL) == HUB_OK);
    while ((result = hub_log_reader_next(reader, &number, &payload, NULL)) == HUB_OK) {
        check(number == ++count);
        if (strict)
            check(hub_span_equal(payload, content(number, text)));
    }
    check(result == HUB_END || result == HUB_CORRUPT);
    hub_log_reader_close(reader);
    return result == HUB_END ? count : UINT64_MAX;
}

static void open_damaged(bool strict)
{
    struct hub_log *log = NULL;
    enum hub_result result = hub_log_open(folder, hub_disk_system(), &options, &log, NULL);
    check(result == HUB_OK || result == HUB_CORRUPT);
    if (result != HUB_OK)
        return;
    uint64_t durable = hub_log_durable(log);
    uint64_t count = read_back(log, strict);
    check(count == UINT64_MAX ||
          count == durable); /* the former: damage in the first segment, found when it is read */
    if (strict && count != UINT64_MAX) {
        check(durable <= RECORDS);
        append(log, durable + 1, 3);
        hub_log_close(log, false);
        check(hub_log_open(folder, hub_disk_system(), &options, &log, NULL) == HUB_OK);
        check(read_back(log, true) == durable + 3);
    }
    hub_log_close(log, false);
}

static void damage(const uint8_t *data, size_t size)
{
    static uint8_t bytes[2][FILE_MAX];
    size_t len[2] = {good_len[0], good_len[1]};
    memcpy(bytes, good, sizeof bytes);
    for (; size >= 3; data += 3, size -= 3) {
        int which = data[0] >> 7;
        size_t at = ((size_t)(data[0] & 0x07) << 8 | data[1]) % good_len[which];
        if ((data[0] & 0x40) != 0) /* cut */
            len[which] = at < len[which] ? at : len[which];
        else if ((data[0] & 0x20) != 0) /* zeros from here on, as blocks that never got written */
            memset(bytes[which] + at, 0, FILE_MAX - at);
        else
            bytes[which][at] ^= data[2];
    }
    for (int i = 0; i < 2; i++)
        store(paths[i], bytes[i], len[i]);
    open_damaged(true);
}

static void clear_folder(void)
{
    temp_folder_remove(folder);
    check(mkdir(folder, 0700) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (good_len[0] == 0)
        make_good();
    if (size == 0)
        return 0;
    clear_folder();
    if (data[0] % 2 == 0) {
        damage(data + 1, size - 1);
    } else {
        store(paths[0], data + 1, size - 1);
        open_damaged(false);
    }
    return 0;
}
