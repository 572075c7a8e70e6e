/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of the event log: with the processor's
 * instruction where it has one, by tables elsewhere, chosen at run time. Any thread. */
#pragma once

#include <stdint.h>

#include "src/base/span.h"

/* Continues CRC over BYTES; 0 starts. hub_crc32c(hub_crc32c(0, a), b) is the CRC of a followed by b. */
uint32_t hub_crc32c(uint32_t crc, struct hub_span bytes);
/* The table version alone, for the test that both agree. */
uint32_t hub_crc32c_portable(uint32_t crc, struct hub_span bytes);
