/* The configuration's rows for people and tools: the documentation, the JSON Schema, and a configuration as
 * it was understood. All three come from the rows that load it. One thread. */
#pragma once

#include <stdio.h>

#include "src/base/buf.h"
#include "src/config/config.h"

/* docs/CONFIGURATION.md, whole. Check hub_buf_result. */
void hub_config_docs(struct hub_buf *out);
/* schemas/config/hub.schema.json (JSON Schema 2020-12), whole, for editors. Check hub_buf_result. */
void hub_config_schema(struct hub_buf *out);
/* CONFIG as YAML with every default filled in; secrets show where they come from, never what they are. */
void hub_config_dump(const struct hub_config *config, FILE *out);
