/* MLLP (HL7 v2 minimal lower layer protocol, release 1): HL7 messages between 0x0B and 0x1C 0x0D over TCP,
 * plain or TLS.
 *
 * Plain listeners only on loopback, or where the configuration says insecure. Replies leave in message order.
 * A message that cannot be taken now stops the reading of its connection until there is room; a message that
 * the hub cannot answer for (a key, the disk) closes it without an acknowledgement, so that the sender keeps
 * the message. */
#pragma once

#include "src/pipeline/adapter.h"

extern const struct hub_transport hub_transport_mllp;
