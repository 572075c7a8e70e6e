/* HL7 v2 as a format of the hub (contract: src/pipeline/adapter.h). A context is the compiled mapping tables with
 * the feed's overlays, its zone and character set. */
#pragma once

#include "src/pipeline/adapter.h"

extern const struct hub_format hub_format_hl7v2;
