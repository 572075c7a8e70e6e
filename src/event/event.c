#include "src/event/event.h"

static const char *const names[HUB_KIND_COUNT] = {
    [HUB_KIND_NONE] = "",
    [HUB_KIND_PATIENT] = "patient",
    [HUB_KIND_ENCOUNTER] = "encounter",
    [HUB_KIND_LOCATION] = "location",
    [HUB_KIND_OBSERVATION] = "observation",
    [HUB_KIND_REPORT] = "report",
    [HUB_KIND_ORDER] = "order",
    [HUB_KIND_MEDICATION_REQUEST] = "medication-request",
    [HUB_KIND_MEDICATION_DISPENSE] = "medication-dispense",
    [HUB_KIND_MEDICATION_ADMINISTRATION] = "medication-administration",
    [HUB_KIND_ALLERGY] = "allergy",
    [HUB_KIND_CONDITION] = "condition",
    [HUB_KIND_PROCEDURE] = "procedure",
    [HUB_KIND_IMMUNIZATION] = "immunization",
    [HUB_KIND_DOCUMENT] = "document",
    [HUB_KIND_APPOINTMENT] = "appointment",
    [HUB_KIND_COVERAGE] = "coverage",
    [HUB_KIND_RELATED_PERSON] = "related-person",
};

const char *hub_kind_name(enum hub_kind kind)
{
    return (unsigned)kind < HUB_KIND_COUNT ? names[kind] : "";
}

enum hub_kind hub_kind_of(struct hub_span name)
{
    for (unsigned i = HUB_KIND_PATIENT; i < HUB_KIND_COUNT; i++) {
        if (hub_span_is(name, names[i]))
            return (enum hub_kind)i;
    }
    return HUB_KIND_NONE;
}
