/* The patient event model: what a format makes of a message, before it is protected. FHIR R4 content as
 * JSON trees, and beside each resource what the timeline needs to know of it (RULES: entries, keys, order).
 *
 * No keys and no tokens here: identifiers are (system, value) pairs, references between resources are
 * ordinals. src/protect turns this into a sealed CloudEvent; `chartline map` prints it as it is.
 * Everything lives in the message's arena. */
#pragma once

#include "src/base/arena.h"
#include "src/base/result.h"
#include "src/base/span.h"
#include "src/codec/json.h"

enum hub_kind {
    HUB_KIND_NONE, /* supporting resource (Practitioner, Organization, MessageHeader, ...): no timeline entry */
    HUB_KIND_PATIENT,
    HUB_KIND_ENCOUNTER,
    HUB_KIND_LOCATION,
    HUB_KIND_OBSERVATION,
    HUB_KIND_REPORT,
    HUB_KIND_ORDER,
    HUB_KIND_MEDICATION_REQUEST,
    HUB_KIND_MEDICATION_DISPENSE,
    HUB_KIND_MEDICATION_ADMINISTRATION,
    HUB_KIND_ALLERGY,
    HUB_KIND_CONDITION,
    HUB_KIND_PROCEDURE,
    HUB_KIND_IMMUNIZATION,
    HUB_KIND_DOCUMENT,
    HUB_KIND_APPOINTMENT,
    HUB_KIND_COVERAGE,
    HUB_KIND_RELATED_PERSON,
    HUB_KIND_COUNT
};

/* "observation", "medication-request", ...; "" for NONE. */
const char *hub_kind_name(enum hub_kind kind);
/* HUB_KIND_NONE when unknown. */
enum hub_kind hub_kind_of(struct hub_span name);

/* A point in time as sent: RFC 3339 / FHIR dateTime text of the precision that was sent, and its start. */
struct hub_when {
    struct hub_span text; /* empty = absent */
    int64_t us;           /* start of the interval it names, UTC microseconds */
};

/* How the reader of a chart combines the versions of a fact. */
enum hub_mode {
    HUB_MODE_REPLACE, /* the newest version stands */
    HUB_MODE_FOLD,    /* absent = unchanged, valued = replaces the field, deleted = removed (Patient, Encounter from ADT);
                       * absent also: Encounter.status "unknown" and an element that only carries data-absent-reason "unknown" */
    HUB_MODE_FILL,    /* only what no FOLD version has said (PID outside ADT) */
    HUB_MODE_STATUS,  /* only the status of the newest other version changes (OBX-11 U) */
};

/* What a version does besides stating the fact. */
enum hub_act {
    HUB_ACT_STATE,
    HUB_ACT_WITHDRAW,         /* entered-in-error, deleted: the fact is not current, whichever arrives first */
    HUB_ACT_CANCEL_TRANSFER,  /* A12: withdraws the encounter's last transfer effective before this version's time */
    HUB_ACT_CANCEL_ADMISSION, /* A11: withdraws the encounter's admission location */
    HUB_ACT_CANCEL_DISCHARGE, /* A13: in-progress again, the end removed */
};

enum { HUB_KEYS_MAX = 2 };

/* A business key: parts that are hashed with key M, never stored. `with_subject` puts the event's subject
 * token in front. Parts are already canonical (authority and value, code as code^system, time as UTC). */
struct hub_fact_key {
    bool with_subject;
    uint16_t part_count; /* 0 = absent */
    const struct hub_span *parts;
};

struct hub_entry {
    enum hub_kind kind;
    struct hub_fact_key keys[HUB_KEYS_MAX]; /* versions that share one are one fact */
    enum hub_mode mode;
    enum hub_act act;
    uint8_t status_class;      /* 0 registered/partial/preliminary, 1 everything else; 1 where the rule knows one class */
    struct hub_when effective; /* when it happened in the world */
    struct hub_when version;   /* RULES "version time"; absent = message time */
    struct hub_fact_key list;  /* the list this entry is stated in (AL1, DG1, PR1, IN1, NK1); absent = none */
    bool list_marks;           /* not being in the newest list only marks it (AL1), else it drops it */
    struct hub_when listed;    /* when the list was stated, where `version` is the entry's own; absent = as `version` */
    struct hub_fact_key measure;  /* observation code, hashed with the subject; absent = none */
    struct hub_fact_key location; /* point of care, hashed with key M alone */
    struct hub_fact_key encounter; /* the encounter this belongs to (facts join on it); absent = none */
    bool sensitive;            /* a security label lifts the whole resource: only the fact stays clear */
};

/* A reference to be written once ids are known: NODE is a string node inside the resource's tree that will
 * become "<Type>/<id>" of resource TARGET. */
struct hub_reference {
    struct hub_json *node;
    uint32_t target;
};

struct hub_resource {
    const char *type;      /* static, equals json's resourceType */
    struct hub_json *json; /* without id; `id` and the urn:chartline:entry extension are added later */
    struct hub_entry entry;
};

/* One identifier of PID-3 or MRG-1 that makes a patient token. */
struct hub_identifier {
    struct hub_span system; /* canonical form of the authority (src/event/authority.h) */
    struct hub_span value;  /* trimmed, zeros kept */
    bool primary;           /* of an authority marked primary */
    bool placeholder;       /* identity.ignore: stays an identifier, never links */
};

enum hub_fact_kind { HUB_FACT_SAME, HUB_FACT_MERGE, HUB_FACT_LINK, HUB_FACT_UNLINK, HUB_FACT_RETRACT, HUB_FACT_MANUAL, HUB_FACT_MATCH };

/* SAME: all identifiers of one PID-3 from an authority trusted to link (a snapshot; one identifier is a
 * snapshot too). Others: exactly two, for MERGE the surviving one first. Indices into identifiers[]. */
struct hub_identity_fact {
    enum hub_fact_kind kind;
    uint16_t count;
    const uint16_t *identifiers;
};

/* One event: one message and patient. */
struct hub_event {
    const struct hub_identifier *identifiers; /* [0] is the subject; none: the patient is unidentified or absent */
    uint16_t identifier_count;
    bool has_patient; /* false: MFN, ACK, QBP: an event with a feed-scoped subject and no chart */
    const struct hub_identity_fact *facts;
    uint16_t fact_count;
    struct hub_resource *resources; /* ordinal = index */
    uint32_t resource_count;
    const struct hub_reference *references;
    uint32_t reference_count;
    struct hub_when time;     /* earliest effective time; else MSH-7, else receive time */
    const char *time_source;  /* "OBX-14", "EVN-2", "MSH-7", "received": static */
    struct hub_span speaker;   /* who speaks inside the feed (MSH-3 and MSH-4): its PID-3 lists replace its own only */
    struct hub_span raw;      /* this patient's part of the original bytes (the whole message when there is one patient) */
    struct hub_span raw_positions; /* "" or the positions of raw's pieces in the message: "0-120,540-900" */
    bool test;                /* MSH-11 T or D taken by the feed: meta.security HTEST, chart marked test */
};

/* What a format makes of one message. */
struct hub_decoded {
    char trigger[16];           /* "ADT^A08": letters and digits only, "" when the message does not name one that is */
    struct hub_span control_id; /* MSH-10, may be empty */
    struct hub_when message_time; /* MSH-7 */
    struct hub_span reply_head; /* what hub_format.reply needs of the message (for HL7 v2 its MSH segment) */
    uint64_t sequence;          /* the sender's own count of its messages (MSH-13), 0 = none */
    struct hub_span sequence_source; /* whose count: MSH-3 and MSH-4 as sent */
    bool zone_overruled; /* its own offset (MSH-7) is none of the feed's zone's then, and stands for all its times */
    struct hub_span before, after; /* HUB_CONTINUED: the pointers to the part before this one and to the one behind it;
                                      empty: it is the first, the last */
    struct hub_span application, facility; /* who it says it is from (MSH-3 and MSH-4, first component) */
    bool readable; /* the syntax is good and there is an id to answer to: what fails then is its content
                      (ack.on_error: accept) */
    struct hub_event *events;   /* none for a rejected message */
    uint32_t event_count;
};
