/* The bytes of segment files (docs/FORMATS.md "event log"): headers, record heads, the clean-stop marker, and
 * a buffered look at a file. Internal to src/log. Pure functions but for the window. */
#pragma once

#include "src/base/disk.h"
#include "src/base/result.h"
#include "src/base/span.h"

enum {
    HUB_LOG_ID_LEN = 16,
    HUB_SEGMENT_HEADER_LEN = 72,
    HUB_SEGMENT_HEAD_LEN = 40, /* of a record */
    HUB_SEGMENT_ALIGN = 8,
    HUB_SEGMENT_MARKER_LEN = 68,
    HUB_SEGMENT_NAME_LEN = 24, /* 20 digits and ".seg" */
    HUB_LOG_PATH_MAX = 4096,
};

struct hub_segment_header {
    uint8_t log_id[HUB_LOG_ID_LEN];
    uint64_t first;      /* number of the first record */
    uint64_t prev_first; /* first record number of the segment before, 0 = none */
    uint64_t prev_bytes; /* its final size */
    uint64_t prev_chain; /* checksum of the last record before */
};
void hub_segment_header_encode(const struct hub_segment_header *header, uint8_t out[HUB_SEGMENT_HEADER_LEN]);
/* HUB_CORRUPT: not a header of this version, or its checksum is wrong. */
enum hub_result hub_segment_header_decode(const uint8_t bytes[HUB_SEGMENT_HEADER_LEN],
                                          struct hub_segment_header *out) HUB_MUST_USE;

struct hub_segment_head {
    uint32_t len; /* of the payload */
    uint64_t number;
    uint64_t synced; /* last record known to be durable when this one was written */
    uint64_t prev_chain;
    uint32_t head_crc;
    uint32_t body_crc;
};
/* Every checksum of a log starts from this, so that records of another log never pass. */
uint32_t hub_segment_seed(const uint8_t log_id[HUB_LOG_ID_LEN]);
/* What the next record carries as prev_chain. */
uint64_t hub_segment_chain(const struct hub_segment_head *head);
/* Fills both checksums of HEAD from its other members and the payload's PARTS, and writes it. */
void hub_segment_head_encode(struct hub_segment_head *head, uint32_t seed, const struct hub_span *parts,
                             size_t count, uint8_t out[HUB_SEGMENT_HEAD_LEN]);
/* False: no record starts here. The payload is not looked at. */
bool hub_segment_head_decode(const uint8_t bytes[HUB_SEGMENT_HEAD_LEN], uint32_t seed,
                             struct hub_segment_head *out);
/* BODY is payload and padding. */
bool hub_segment_body_valid(const uint8_t head_bytes[HUB_SEGMENT_HEAD_LEN],
                            const struct hub_segment_head *head, uint32_t seed, struct hub_span body);
/* Bytes after the head: payload and padding to HUB_SEGMENT_ALIGN. */
uint64_t hub_segment_body_len(uint32_t payload_len);

struct hub_segment_marker { /* the clean stop */
    uint8_t log_id[HUB_LOG_ID_LEN];
    uint64_t last;
    uint64_t tail_first;
    uint64_t tail_bytes;
    uint64_t chain;
};
void hub_segment_marker_encode(const struct hub_segment_marker *marker, uint8_t out[HUB_SEGMENT_MARKER_LEN]);
bool hub_segment_marker_decode(struct hub_span bytes, struct hub_segment_marker *out);

/* "<folder>/<20 digits>.seg" and SUFFIX ("" or ".new"). HUB_IO when the folder's name is too long. */
enum hub_result hub_segment_path(const char *folder, uint64_t first, const char *suffix,
                                 char out[HUB_LOG_PATH_MAX], struct hub_error *err) HUB_MUST_USE;
/* The first record number that a file name says; 0: not a segment's name. */
uint64_t hub_segment_name_parse(const char *name);

/* A look at part of a file through one buffer. */
struct hub_segment_window {
    struct hub_disk *disk;
    int fd;
    uint64_t limit; /* nothing at or after this offset is read */
    uint8_t *ptr;
    size_t cap;
    uint64_t start;
    size_t len;
};
void hub_segment_window_init(struct hub_segment_window *window, struct hub_disk *disk, int fd,
                             uint64_t limit);
void hub_segment_window_deinit(struct hub_segment_window *window);
/* LEN bytes at OFFSET, valid until the next call. HUB_END: not that many before the limit; HUB_IO. */
enum hub_result hub_segment_window_view(struct hub_segment_window *window, uint64_t offset, size_t len,
                                        const uint8_t **out, struct hub_error *err) HUB_MUST_USE;
