#include "src/log/segment.h"

#include <stdio.h>

#include "src/base/mem.h"
#include "src/log/crc32c.h"

static const uint8_t segment_magic[8] = {0x89, 'C', 'H', 'L', 'S', 'E', 'G', '\n'};
static const uint8_t marker_magic[8] = {0x89, 'C', 'H', 'L', 'E', 'N', 'D', '\n'};
static const uint8_t record_magic[4] = {0x89, 'R', 'E', 'C'};

enum {
    FORMAT_VERSION = 1,
    WINDOW_BYTES = 256 * 1024,
    CRC_LEN = 4,
};

static void put32(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (24 - 8 * i));
}

static void put64(uint8_t *to, uint64_t number)
{
    put32(to, (uint32_t)(number >> 32));
    put32(to + 4, (uint32_t)number);
}

static uint32_t get32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static uint64_t get64(const uint8_t *from)
{
    return (uint64_t)get32(from) << 32 | get32(from + 4);
}

void hub_segment_header_encode(const struct hub_segment_header *header, uint8_t out[HUB_SEGMENT_HEADER_LEN])
{
    memset(out, 0, HUB_SEGMENT_HEADER_LEN);
    memcpy(out, segment_magic, sizeof segment_magic);
    put32(out + 8, FORMAT_VERSION);
    put32(out + 12, HUB_SEGMENT_HEADER_LEN);
    memcpy(out + 16, header->log_id, HUB_LOG_ID_LEN);
    put64(out + 32, header->first);
    put64(out + 40, header->prev_first);
    put64(out + 48, header->prev_bytes);
    put64(out + 56, header->prev_chain);
    put32(out + 68, hub_crc32c(0, hub_span_of(out, HUB_SEGMENT_HEADER_LEN - CRC_LEN)));
}

enum hub_result hub_segment_header_decode(const uint8_t bytes[HUB_SEGMENT_HEADER_LEN],
                                          struct hub_segment_header *out)
{
    memcpy(out->log_id, bytes + 16, HUB_LOG_ID_LEN);
    out->first = get64(bytes + 32);
    out->prev_first = get64(bytes + 40);
    out->prev_bytes = get64(bytes + 48);
    out->prev_chain = get64(bytes + 56);
    /* everything decoded must encode to the same bytes: magic, version, reserved bytes and checksum at once
     */
    uint8_t again[HUB_SEGMENT_HEADER_LEN];
    hub_segment_header_encode(out, again);
    return memcmp(again, bytes, sizeof again) == 0 ? HUB_OK : HUB_CORRUPT;
}

uint32_t hub_segment_seed(const uint8_t log_id[HUB_LOG_ID_LEN])
{
    return hub_crc32c(0, hub_span_of(log_id, HUB_LOG_ID_LEN));
}

uint64_t hub_segment_chain(const struct hub_segment_head *head)
{
    return (uint64_t)head->head_crc << 32 | head->body_crc;
}

uint64_t hub_segment_body_len(uint32_t payload_len)
{
    return ((uint64_t)payload_len + HUB_SEGMENT_ALIGN - 1) / HUB_SEGMENT_ALIGN * HUB_SEGMENT_ALIGN;
}

void hub_segment_head_encode(struct hub_segment_head *head, uint32_t seed, const struct hub_span *parts,
                             size_t count, uint8_t out[HUB_SEGMENT_HEAD_LEN])
{
    memcpy(out, record_magic, sizeof record_magic);
    put32(out + 4, head->len);
    put64(out + 8, head->number);
    put64(out + 16, head->synced);
    put64(out + 24, head->prev_chain);
    head->head_crc = hub_crc32c(seed, hub_span_of(out, 32));
    put32(out + 32, head->head_crc);
    head->body_crc = hub_crc32c(seed, hub_span_of(out, 36));
    for (size_t i = 0; i < count; i++)
        head->body_crc = hub_crc32c(head->body_crc, parts[i]);
    put32(out + 36, head->body_crc);
}

bool hub_segment_head_decode(const uint8_t bytes[HUB_SEGMENT_HEAD_LEN], uint32_t seed,
                             struct hub_segment_head *out)
{
    if (memcmp(bytes, record_magic, sizeof record_magic) != 0)
        return false;
    out->len = get32(bytes + 4);
    out->number = get64(bytes + 8);
    out->synced = get64(bytes + 16);
    out->prev_chain = get64(bytes + 24);
    out->head_crc = get32(bytes + 32);
    out->body_crc = get32(bytes + 36);
    return out->head_crc == hub_crc32c(seed, hub_span_of(bytes, 32)) && out->synced < out->number;
}

bool hub_segment_body_valid(const uint8_t head_bytes[HUB_SEGMENT_HEAD_LEN],
                            const struct hub_segment_head *head, uint32_t seed, struct hub_span body)
{
    if (body.len != hub_segment_body_len(head->len))
        return false;
    for (size_t i = head->len; i < body.len; i++)
        if (body.ptr[i] != 0)
            return false;
    uint32_t crc = hub_crc32c(seed, hub_span_of(head_bytes, 36));
    return hub_crc32c(crc, hub_span_of(body.ptr, head->len)) == head->body_crc;
}

void hub_segment_marker_encode(const struct hub_segment_marker *marker, uint8_t out[HUB_SEGMENT_MARKER_LEN])
{
    memset(out, 0, HUB_SEGMENT_MARKER_LEN);
    memcpy(out, marker_magic, sizeof marker_magic);
    put32(out + 8, FORMAT_VERSION);
    memcpy(out + 16, marker->log_id, HUB_LOG_ID_LEN);
    put64(out + 32, marker->last);
    put64(out + 40, marker->tail_first);
    put64(out + 48, marker->tail_bytes);
    put64(out + 56, marker->chain);
    put32(out + 64, hub_crc32c(0, hub_span_of(out, HUB_SEGMENT_MARKER_LEN - CRC_LEN)));
}

bool hub_segment_marker_decode(struct hub_span bytes, struct hub_segment_marker *out)
{
    if (bytes.len != HUB_SEGMENT_MARKER_LEN)
        return false;
    memcpy(out->log_id, bytes.ptr + 16, HUB_LOG_ID_LEN);
    out->last = get64(bytes.ptr + 32);
    out->tail_first = get64(bytes.ptr + 40);
    out->tail_bytes = get64(bytes.ptr + 48);
    out->chain = get64(bytes.ptr + 56);
    uint8_t again[HUB_SEGMENT_MARKER_LEN];
    hub_segment_marker_encode(out, again);
    return memcmp(again, bytes.ptr, sizeof again) == 0;
}

enum hub_result hub_segment_path(const char *folder, uint64_t first, const char *suffix,
                                 char out[HUB_LOG_PATH_MAX], struct hub_error *err)
{
    int len = snprintf(out, HUB_LOG_PATH_MAX, "%s/%020llu.seg%s", folder, (unsigned long long)first, suffix);
    if (len < 0 || len >= HUB_LOG_PATH_MAX)
        return hub_fail(err, HUB_IO, "a path is too long", NULL);
    return HUB_OK;
}

uint64_t hub_segment_name_parse(const char *name)
{
    struct hub_span text = hub_span_str(name);
    uint64_t first = 0;
    if (text.len != HUB_SEGMENT_NAME_LEN || memcmp(name + 20, ".seg", 4) != 0)
        return 0;
    return hub_span_parse_u64(hub_span_of(name, 20), &first) ? first : 0;
}

void hub_segment_window_init(struct hub_segment_window *window, struct hub_disk *disk, int fd, uint64_t limit)
{
    *window = (struct hub_segment_window){.disk = disk, .fd = fd, .limit = limit};
}

void hub_segment_window_deinit(struct hub_segment_window *window)
{
    hub_mem_free(window->ptr);
    window->ptr = NULL;
    window->cap = 0;
    window->len = 0;
}

static enum hub_result window_fill(struct hub_segment_window *window, uint64_t offset, size_t len,
                                   struct hub_error *err)
{
    uint64_t rest = window->limit - offset;
    size_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;
    if (want > rest)
        want = (size_t)rest;
    if (window->cap < want) {
        size_t cap = want > WINDOW_BYTES ? want : WINDOW_BYTES;
        uint8_t *ptr = hub_mem_resize(window->ptr, cap);
        if (ptr == NULL)
            return hub_fail(err, HUB_NO_MEMORY, "no memory to read the event log", NULL);
        window->ptr = ptr;
        window->cap = cap;
    }
    window->len = 0;
    window->start = offset;
    return window->disk->ops->read(window->disk, window->fd, offset, window->ptr, want, &window->len, err);
}

enum hub_result hub_segment_window_view(struct hub_segment_window *window, uint64_t offset, size_t len,
                                        const uint8_t **out, struct hub_error *err)
{
    if (offset > window->limit || len > window->limit - offset)
        return HUB_END;
    bool inside = window->len != 0 && offset >= window->start && offset - window->start <= window->len &&
                  len <= window->len - (size_t)(offset - window->start);
    if (!inside) {
        HUB_TRY(window_fill(window, offset, len, err));
        if (window->len < len)
            return HUB_END;
    }
    HUB_ASSERT(window->ptr != NULL);
    *out = window->ptr + (offset - window->start);
    return HUB_OK;
}
