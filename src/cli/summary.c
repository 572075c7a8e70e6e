#include "src/cli/summary.h"

/* Appends TEXT after a separator. */
static void add(struct hub_buf *out, size_t start, const char *separator, struct hub_span text)
{
    if (text.len == 0)
        return;
    if (out->len > start)
        hub_buf_append_str(out, separator);
    hub_buf_append_span(out, text);
}

static void number(struct hub_buf *out, size_t start, const struct hub_json *node)
{
    add(out, start, " ", hub_json_span(node));
}

/* text, else the first coding's display, else its code. */
static struct hub_span concept_text(const struct hub_json *concept)
{
    struct hub_span text = hub_json_get_span(concept, "text");
    const struct hub_json *codings = hub_json_get(concept, "coding");
    for (const struct hub_json *c = codings != NULL ? codings->first : NULL; c != NULL && text.len == 0;
         c = c->next)
        text = hub_json_get_span(c, "display");
    return text.len > 0 ? text : hub_json_get_span(hub_json_at(codings, 0), "code");
}

static void add_concept(struct hub_buf *out, size_t start, const char *separator,
                        const struct hub_json *resource, const char *name)
{
    const struct hub_json *concept = hub_json_get(resource, name);
    if (concept != NULL && concept->type == HUB_JSON_ARRAY)
    concept = hub_json_at(concept, 0);
    add(out, start, separator, concept_text(concept));
}

static void add_quantity(struct hub_buf *out, size_t start, const struct hub_json *quantity)
{
    struct hub_span unit = hub_json_get_span(quantity, "unit");
    add(out, start, " ", hub_json_get_span(quantity, "comparator"));
    number(out, start, hub_json_get(quantity, "value"));
    add(out, start, " ", unit.len > 0 ? unit : hub_json_get_span(quantity, "code"));
}

static void add_value(struct hub_buf *out, size_t start, const struct hub_json *observation)
{
    static const char *const texts[] = {"valueString", "valueDateTime", "valueTime"};
    const struct hub_json *quantity = hub_json_get(observation, "valueQuantity");
    if (quantity != NULL)
        add_quantity(out, start, quantity);
    add_concept(out, start, " ", observation, "valueCodeableConcept");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        add(out, start, " ", hub_json_get_span(observation, texts[i]));
    const struct hub_json *interpretation = hub_json_at(hub_json_get(observation, "interpretation"), 0);
    struct hub_span flag = hub_json_get_span(hub_json_at(hub_json_get(interpretation, "coding"), 0), "code");
    if (flag.len > 0 && !hub_span_is(flag, "N")) {
        hub_buf_append_str(out, " [");
        hub_buf_append_span(out, flag);
        hub_buf_append_str(out, "]");
    }
}

static void add_name(struct hub_buf *out, size_t start, const struct hub_json *resource)
{
    const struct hub_json *name = hub_json_at(hub_json_get(resource, "name"), 0);
    struct hub_span family = hub_json_get_span(name, "family");
    add(out, start, " ", family.len > 0 ? family : hub_json_get_span(name, "text"));
    add(out, start, ", ", hub_json_span(hub_json_at(hub_json_get(name, "given"), 0)));
}

static void add_patient(struct hub_buf *out, size_t start, const struct hub_json *resource)
{
    add_name(out, start, resource);
    add(out, start, ", born ", hub_json_get_span(resource, "birthDate"));
    const struct hub_json *identifier = hub_json_at(hub_json_get(resource, "identifier"), 0);
    add(out, start, ", ", hub_json_get_span(identifier, "value"));
}

/* The last place that is active, else the last one. */
static const struct hub_json *place_now(const struct hub_json *encounter)
{
    const struct hub_json *places = hub_json_get(encounter, "location"), *last = NULL, *active = NULL;
    for (const struct hub_json *place = places != NULL ? places->first : NULL; place != NULL;
         place = place->next) {
        last = place;
        if (hub_span_is(hub_json_get_span(place, "status"), "active"))
            active = place;
    }
    return active != NULL ? active : last;
}

static void add_encounter(struct hub_buf *out, size_t start, const struct hub_json *resource)
{
    const struct hub_json *class_ = hub_json_get(resource, "class");
    struct hub_span display = hub_json_get_span(class_, "display");
    add(out, start, " ", display.len > 0 ? display : hub_json_get_span(class_, "code"));
    const struct hub_json *location = hub_json_get(place_now(resource), "location");
    add(out, start, " at ", hub_json_get_span(location, "display"));
    add_concept(out, start, ", ", resource, "reasonCode");
}

/* Whether anything in the resource is still sealed or masked. */
static bool has_sealed(const struct hub_json *node)
{
    if (node == NULL)
        return false;
    struct hub_span url = hub_json_get_span(node, "url");
    if (hub_span_is(url, "urn:chartline:sealed") ||
        hub_span_is(hub_json_get_span(node, "valueCode"), "masked"))
        return true;
    if (node->type != HUB_JSON_OBJECT && node->type != HUB_JSON_ARRAY)
        return false;
    for (const struct hub_json *child = node->first; child != NULL; child = child->next)
        if (has_sealed(child))
            return true;
    return false;
}

void hub_cli_summary(const struct hub_json *resource, struct hub_buf *out)
{
    static const char *const concepts[] = {"code", "vaccineCode", "medicationCodeableConcept", "serviceType",
                                           "type"};
    struct hub_span type = hub_json_get_span(resource, "resourceType");
    size_t start = out->len;
    if (hub_span_is(type, "Patient"))
        add_patient(out, start, resource);
    else if (hub_span_is(type, "Encounter"))
        add_encounter(out, start, resource);
    else if (hub_span_is(type, "RelatedPerson"))
        add_name(out, start, resource);
    for (size_t i = 0; i < sizeof concepts / sizeof concepts[0] && out->len == start; i++)
        add_concept(out, start, " ", resource, concepts[i]);
    if (hub_span_is(type, "Observation"))
        add_value(out, start, resource);
    else if (hub_span_is(type, "RelatedPerson"))
        add_concept(out, start, ", ", resource, "relationship");
    else if (hub_span_is(type, "AllergyIntolerance"))
        add_concept(out, start, ": ", hub_json_at(hub_json_get(resource, "reaction"), 0), "manifestation");
    add(out, start, ", ", hub_json_get_span(resource, "description"));
    if (has_sealed(resource))
        add(out, start, " ", HUB_SPAN("(sealed)"));
}
