/* A FHIR Bundle (or single resource) as a patient event, for `seal`. */
#pragma once

#include "src/config/config.h"
#include "src/event/event.h"

/* Builds OUT in ARENA from TREE, which it takes over: ids leave, references between the resources become
 * ordinals, the patient's identifiers with a system become the event's (configured authorities first, the
 * primary ones before them). HUB_SYNTAX when TREE holds no resource. */
enum hub_result hub_seal_bundle(struct hub_arena *arena, const struct hub_config *config,
                                    struct hub_json *tree, struct hub_event *out,
                                    struct hub_error *err) HUB_MUST_USE;
