/* The schemas of topics whose values have one (events, timeline): read from schemas/ and compiled, so that nothing leaves
 * that they do not describe; and, with a schema registry, registered there, with their ids on disk too, so that
 * a registry that is away does not stop a hub that has worked before (docs/FORMATS.md, Schemas).
 *
 * hub_bus_schemas_register is for one thread at a time and role, the other calls for any thread. */
#pragma once

#include "src/base/disk.h"
#include "src/base/problem.h"
#include "src/pipeline/bus_setup.h"
#include "src/schema/json_schema.h"

struct hub_bus_schemas;

/* SETUP, for the topics' names, and CONFIG must outlive it. HUB_CONFIG: a schema cannot be read, or uses what is not checked
 * here. DISK NULL: ids are neither read nor kept (for `check`). */
enum hub_result hub_bus_schemas_open(const struct hub_config *config, const struct hub_bus_setup *setup,
                                     struct hub_disk *disk, struct hub_bus_schemas **out, struct hub_error *err) HUB_MUST_USE;
void hub_bus_schemas_close(struct hub_bus_schemas *schemas);

/* What values of TOPIC must be; NULL: it has no schema. */
const struct hub_json_schema *hub_bus_schemas_of(const struct hub_bus_schemas *schemas, enum hub_topic topic);
/* The id that stands before values of TOPIC; 0: none (no registry, or not known yet). */
uint32_t hub_bus_schemas_id(const struct hub_bus_schemas *schemas, enum hub_topic topic);

/* Asks the registry for the ids of what ROLES (HUB_RUN_...) write, once; fine without a registry. HUB_OK: all are known, perhaps
 * from disk, which a line of the log says. Else as hub_subject_register; a refusal is a problem with the registry's reason
 * in PROBLEMS, too. */
enum hub_result hub_bus_schemas_register(struct hub_bus_schemas *schemas, unsigned roles, struct hub_problems *problems,
                                         struct hub_error *err) HUB_MUST_USE;
/* For `check --connect`: what is there, a note or a problem for each subject. */
void hub_bus_schemas_check(struct hub_bus_schemas *schemas, unsigned roles, struct hub_problems *problems);
