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

static void read_word(struct hub_span name, struct hub_span value, struct hub_entry_view *out)
{
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
    else if (hub_span_is(name, "list-version"))
        out->list_version = value;
    else if (hub_span_is(name, "list-marks"))
        out->list_marks = hub_span_is(value, "true");
    else if (hub_span_is(name, "measure"))
        out->measure = value;
    else if (hub_span_is(name, "location"))
        out->location = value;
    else if (hub_span_is(name, "encounter"))
        out->encounter = value;
}

/* Words are name=value, a space between. What is no such word says nothing. */
static void read_words(struct hub_span text, struct hub_entry_view *out)
{
    while (text.len != 0) {
        const uint8_t *space = memchr(text.ptr, ' ', text.len);
        const size_t len = space != NULL ? (size_t)(space - text.ptr) : text.len;
        const uint8_t *equals = len != 0 ? memchr(text.ptr, '=', len) : NULL;
        if (equals != NULL) {
            const size_t name_len = (size_t)(equals - text.ptr);
            read_word(hub_span_of(text.ptr, name_len), hub_span_of(equals + 1, len - name_len - 1), out);
        }
        text = space != NULL ? hub_span_of(space + 1, text.len - len - 1) : HUB_SPAN_NONE;
    }
}

void hub_entry_view_words(struct hub_span words, struct hub_span type, struct hub_entry_view *out)
{
    memset(out, 0, sizeof *out);
    out->status_class = 1;
    read_words(words, out);
    if (out->kind == HUB_KIND_NONE)
        out->kind = kind_of_type(type);
}

bool hub_entry_view_of(const struct hub_json *resource, struct hub_entry_view *out)
{
    const struct hub_json *extension = hub_extension_of(resource, "urn:chartline:entry");
    hub_entry_view_words(hub_json_get_span(extension, "valueString"), hub_json_get_span(resource, "resourceType"), out);
    return extension != NULL;
}
