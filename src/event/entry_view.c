#include "src/event/entry_view.h"

struct hub_json *hub_extension_of(const struct hub_json *resource, const char *url)
{
    const struct hub_json *list = hub_json_get(resource, "extension");
    if (list == NULL || list->type != HUB_JSON_ARRAY)
        return NULL;
    for (struct hub_json *item = list->first; item != NULL; item = item->next) {
        if (hub_span_is(hub_json_get_span(item, "url"), url))
            return item;
    }
    return NULL;
}

static enum hub_kind kind_of_type(struct hub_span type)
{
    static const struct {
        const char *type;
        enum hub_kind kind;
    } kinds[] = {
        {"Patient", HUB_KIND_PATIENT},
        {"Encounter", HUB_KIND_ENCOUNTER},
        {"Observation", HUB_KIND_OBSERVATION},
        {"DiagnosticReport", HUB_KIND_REPORT},
        {"ServiceRequest", HUB_KIND_ORDER},
        {"MedicationRequest", HUB_KIND_MEDICATION_REQUEST},
        {"MedicationDispense", HUB_KIND_MEDICATION_DISPENSE},
        {"MedicationAdministration", HUB_KIND_MEDICATION_ADMINISTRATION},
        {"AllergyIntolerance", HUB_KIND_ALLERGY},
        {"Condition", HUB_KIND_CONDITION},
        {"Procedure", HUB_KIND_PROCEDURE},
        {"Immunization", HUB_KIND_IMMUNIZATION},
        {"DocumentReference", HUB_KIND_DOCUMENT},
        {"Appointment", HUB_KIND_APPOINTMENT},
        {"Coverage", HUB_KIND_COVERAGE},
        {"RelatedPerson", HUB_KIND_RELATED_PERSON},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (hub_span_is(type, kinds[i].type))
            return kinds[i].kind;
    }
    return HUB_KIND_NONE;
}

static enum hub_mode mode_of(struct hub_span code)
{
    if (hub_span_is(code, "fold"))
        return HUB_MODE_FOLD;
    if (hub_span_is(code, "fill"))
        return HUB_MODE_FILL;
    return hub_span_is(code, "status") ? HUB_MODE_STATUS : HUB_MODE_REPLACE;
}

static enum hub_act act_of(struct hub_span code)
{
    if (hub_span_is(code, "withdraw"))
        return HUB_ACT_WITHDRAW;
    if (hub_span_is(code, "cancel-transfer"))
        return HUB_ACT_CANCEL_TRANSFER;
    if (hub_span_is(code, "cancel-admission"))
        return HUB_ACT_CANCEL_ADMISSION;
    return hub_span_is(code, "cancel-discharge") ? HUB_ACT_CANCEL_DISCHARGE : HUB_ACT_STATE;
}

/* The value of a nested extension, whatever its type: its only member besides url. */
static struct hub_span value_of(const struct hub_json *extension)
{
    for (const struct hub_json *member = extension->first; member != NULL; member = member->next) {
        if (member->key_len > 5 && memcmp(member->key, "value", 5) == 0)
            return hub_json_span(member);
    }
    return HUB_SPAN_NONE;
}

static void read_part(const struct hub_json *part, struct hub_entry_view *out)
{
    struct hub_span name = hub_json_get_span(part, "url");
    struct hub_span value = value_of(part);
    if (hub_span_is(name, "kind"))
        out->kind = hub_kind_of(value);
    else if (hub_span_is(name, "fact") && out->fact_count < HUB_KEYS_MAX)
        out->facts[out->fact_count++] = value;
    else if (hub_span_is(name, "mode"))
        out->mode = mode_of(value);
    else if (hub_span_is(name, "act"))
        out->act = act_of(value);
    else if (hub_span_is(name, "class"))
        out->status_class = !hub_span_is(value, "0");
    else if (hub_span_is(name, "effective"))
        out->effective = value;
    else if (hub_span_is(name, "version"))
        out->version = value;
    else if (hub_span_is(name, "list"))
        out->list = value;
    else if (hub_span_is(name, "list-marks"))
        out->list_marks = hub_json_get(part, "valueBoolean") != NULL &&
                          hub_json_get(part, "valueBoolean")->type == HUB_JSON_TRUE;
    else if (hub_span_is(name, "measure"))
        out->measure = value;
    else if (hub_span_is(name, "location"))
        out->location = value;
    else if (hub_span_is(name, "encounter"))
        out->encounter = value;
}

bool hub_entry_view_of(const struct hub_json *resource, struct hub_entry_view *out)
{
    memset(out, 0, sizeof *out);
    out->status_class = 1;
    const struct hub_json *extension = hub_extension_of(resource, "urn:chartline:entry");
    if (extension == NULL)
        return false;
    const struct hub_json *parts = hub_json_get(extension, "extension");
    if (parts != NULL && parts->type == HUB_JSON_ARRAY) {
        for (const struct hub_json *part = parts->first; part != NULL; part = part->next) {
            if (part->type == HUB_JSON_OBJECT)
                read_part(part, out);
        }
    }
    if (out->kind == HUB_KIND_NONE)
        out->kind = kind_of_type(hub_json_get_span(resource, "resourceType"));
    return true;
}
