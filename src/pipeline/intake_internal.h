/* Between intake.c (a worker's messages) and ingest.c (what all workers share). */
#pragma once

#include "src/pipeline/intake.h"

struct hub_ingest *hub_intake_ingest(struct hub_intake *intake);
struct hub_ingest_feed *hub_intake_feed(struct hub_intake *intake, const struct hub_feed *feed);
const struct hub_config *hub_intake_config(const struct hub_intake *intake);
