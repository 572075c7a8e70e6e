/* Every option of hub.yaml, one row each. */
#include <stddef.h>

#include "src/config/option.h"

#define AT(type, field) offsetof(struct type, field)
#define END                                                                                                  \
    {                                                                                                        \
        .name = NULL                                                                                         \
    }
#define NOWHERE HUB_OPTION_NO_OFFSET
#define RELOAD HUB_OPTION_RELOAD

static const struct hub_option secret_rows[] = {
    {"file", HUB_OPTION_PATH, AT(hub_secret_ref, file),
     .description = "file that holds the secret (mode 0600)"},
    {"env", HUB_OPTION_NAME, AT(hub_secret_ref, env),
     .description = "environment variable that holds the secret"},
    {"credential", HUB_OPTION_NAME, AT(hub_secret_ref, credential),
     .description = "systemd credential ($CREDENTIALS_DIRECTORY)"},
    {"command", HUB_OPTION_TEXT, AT(hub_secret_ref, command),
     .description = "command that prints the secret (run by /bin/sh)"},
    END,
};
const struct hub_section hub_config_secret_section = {.title = NULL, .rows = secret_rows};

static const struct hub_option tls_rows[] = {
    {"cert", HUB_OPTION_PATH, AT(hub_tls_server, cert), .flags = HUB_OPTION_REQUIRED | RELOAD,
     .description = "server certificate chain (PEM)"},
    {"key", HUB_OPTION_PATH, AT(hub_tls_server, key), .flags = HUB_OPTION_REQUIRED | RELOAD,
     .description = "its private key (PEM, mode 0600)"},
    {"client_ca", HUB_OPTION_PATH, AT(hub_tls_server, client_ca), .flags = RELOAD,
     .description = "certificate authorities of clients (PEM); with it every client must show a certificate"},
    {"allow", HUB_OPTION_TEXTS, AT(hub_tls_server, allow), .count_offset = AT(hub_tls_server, allow_count),
     .max = 10000, .flags = RELOAD,
     .description = "names a client certificate may carry, as `CN=name` or `DNS:name`; empty: any "
                    "certificate of `client_ca`"},
    END,
};
static const struct hub_section tls_section = {.title = NULL, .rows = tls_rows};

static const struct hub_option mllp_rows[] = {
    {"listen", HUB_OPTION_LISTEN, AT(hub_feed, listen), .flags = HUB_OPTION_REQUIRED,
     .description = "address and port, such as 127.0.0.1:6661"},
    {"insecure", HUB_OPTION_BOOL, AT(hub_feed, insecure), "false",
     .description = "allow a listener without TLS outside loopback; said again at every check and start"},
    {"tls", HUB_OPTION_SECTION, AT(hub_feed, tls), .section = &tls_section,
     .present_offset = AT(hub_feed, tls) + AT(hub_tls_server, enabled),
     .description = "TLS 1.2 or 1.3; with `client_ca` mutual TLS"},
    END,
};
static const struct hub_section mllp_section = {.title = NULL, .rows = mllp_rows};

static const struct hub_variant transports[] = {
    {"mllp", &mllp_section, "HL7 v2 framing over TCP"},
    {"https", NULL, "messages as HTTP requests"},
    {"file", NULL, "a watched folder"},
    {"tcp", NULL, "plain TCP framings of devices"},
    END,
};

static const struct hub_option sender_rows[] = {
    {"name", HUB_OPTION_TEXT, AT(hub_sender, name), .max = 256, .flags = HUB_OPTION_REQUIRED,
     .description = "an entry of `allow`"},
    {"applications", HUB_OPTION_TEXTS, AT(hub_sender, applications), .max = 1000,
     .count_offset = AT(hub_sender, application_count),
     .description = "sending applications (MSH-3) it may name, by their first component; empty: any"},
    {"facilities", HUB_OPTION_TEXTS, AT(hub_sender, facilities), .max = 1000,
     .count_offset = AT(hub_sender, facility_count),
     .description = "sending facilities (MSH-4), likewise"},
    END,
};
static const struct hub_section sender_section = {.title = NULL, .rows = sender_rows};

static const struct hub_option hl7v2_rows[] = {
    {"charset", HUB_OPTION_TEXT, AT(hub_feed, charset), .flags = RELOAD,
     .description =
         "character set where MSH-18 is empty, a name of HL7 table 0211 or a usual one (`8859/1`, `latin1`, "
         "`UNICODE UTF-8`, `GB 18030-2000`); absent: UTF-8"},
    {"charset_override", HUB_OPTION_BOOL, AT(hub_feed, charset_override), "false", .flags = RELOAD,
     .description =
         "take `charset` for every message, whatever MSH-18 says: for senders that say something else than "
         "they send"},
    {"timezone", HUB_OPTION_TEXT, AT(hub_feed, timezone), .flags = RELOAD,
     .description = "zone of times without an offset, an IANA name such as Europe/Berlin"},
    {"processing", HUB_OPTION_TEXTS, AT(hub_feed, processing), "P", 1, 3,
     .count_offset = AT(hub_feed, processing_count), .flags = RELOAD,
     .description = "processing ids (MSH-11) this feed takes: P production, T training, D debugging; others "
                    "are answered AR 202"},
    {"mapping", HUB_OPTION_PATHS, AT(hub_feed, mapping), .max = 100,
     .count_offset = AT(hub_feed, mapping_count), .flags = RELOAD,
     .description = "site overlays of the mapping tables, in order"},
    {"senders", HUB_OPTION_ITEMS, AT(hub_feed, senders), .max = 10000, .section = &sender_section,
     .count_offset = AT(hub_feed, sender_count), .item_size = sizeof(struct hub_sender),
     .line_offset = AT(hub_sender, line), .flags = RELOAD,
     .description = "which sending applications and facilities a connection's name stands for; others are "
                    "answered AR. A name that is not listed is not bound"},
    END,
};
static const struct hub_section hl7v2_section = {.title = NULL, .rows = hl7v2_rows};

static const struct hub_variant formats[] = {
    {"hl7v2", &hl7v2_section, "HL7 version 2, ER7 encoding"},
    {"fhir", NULL, "FHIR R4"},
    {"ccda", NULL, "C-CDA documents"},
    {"astm", NULL, "ASTM E1394 records"},
    {"poct1a", NULL, "POCT1-A device messages"},
    END,
};

static const char *const ack_waits[] = {"stored", "broker", NULL};
static const char *const ack_modes[] = {"auto", "original", "enhanced", "aa", NULL};
static const char *const on_errors[] = {"reject", "accept", NULL};
static const char *const inverse_merges[] = {"accept", "reject", NULL};

static const struct hub_option ack_rows[] = {
    {"wait", HUB_OPTION_ENUM, AT(hub_feed, ack_wait), "stored", .choices = ack_waits, .flags = RELOAD,
     .description = "what must have happened before a positive answer: the event log is on disk, or the "
                    "brokers have it too"},
    {"mode", HUB_OPTION_ENUM, AT(hub_feed, ack_mode), "auto", .choices = ack_modes, .flags = RELOAD,
     .description = "acknowledgement mode; `auto` follows MSH-15 and MSH-16"},
    {"on_error", HUB_OPTION_ENUM, AT(hub_feed, on_error), "reject", .choices = on_errors, .flags = RELOAD,
     .description = "answer for a message that parses and does not map: negative, or positive once its "
                    "sealed original is safe"},
    END,
};
static const struct hub_section ack_section = {.title = NULL, .rows = ack_rows};

static const struct hub_option feed_identity_rows[] = {
    {"default_authority", HUB_OPTION_TEXT, AT(hub_feed, default_authority), .flags = RELOAD,
     .description = "authority of identifiers that name none"},
    {"trust_links", HUB_OPTION_TEXTS, AT(hub_feed, trust_links), .max = 1000,
     .count_offset = AT(hub_feed, trust_link_count), .flags = RELOAD,
     .description = "authorities whose lists of identifiers in one PID-3 link patients"},
    {"known_authorities_only", HUB_OPTION_BOOL, AT(hub_feed, known_authorities_only), "false",
     .flags = RELOAD, .description = "refuse patient identifiers of an authority that is not configured"},
    {"inverse_merge", HUB_OPTION_SWITCH, AT(hub_feed, inverse_merge_reject), "accept",
     .choices = inverse_merges,
     .description = "whether a merge the other way round than an earlier one takes force"},
    {"visit_from_pid18", HUB_OPTION_BOOL, AT(hub_feed, visit_from_pid18), "false", .flags = RELOAD,
     .description = "take the visit number from PID-18 where PV1-19 is empty"},
    END,
};
static const struct hub_section feed_identity_section = {.title = NULL, .rows = feed_identity_rows};

static const struct hub_option feed_rows[] = {
    {"name", HUB_OPTION_NAME, AT(hub_feed, name), .max = 64, .flags = HUB_OPTION_REQUIRED,
     .description = "name in commands, logs and events; may change"},
    {"id", HUB_OPTION_NAME, AT(hub_feed, id), .max = 64, .flags = HUB_OPTION_REQUIRED,
     .description =
         "permanent id, part of every event id: never change it and never give it to another feed"},
    {"transport", HUB_OPTION_VARIANT, AT(hub_feed, transport), .flags = HUB_OPTION_REQUIRED,
     .variants = transports, .description = "how messages come in"},
    {"format", HUB_OPTION_VARIANT, AT(hub_feed, format), .flags = HUB_OPTION_REQUIRED, .variants = formats,
     .description = "what the messages are"},
    {"ack", HUB_OPTION_SECTION, 0, .section = &ack_section, .present_offset = NOWHERE,
     .description = "how messages are answered"},
    {"identity", HUB_OPTION_SECTION, 0, .section = &feed_identity_section, .present_offset = NOWHERE,
     .description = "what this feed may say about who is who"},
    {"policy", HUB_OPTION_PATH, AT(hub_feed, policy), .flags = RELOAD,
     .description = "protect policy of this feed's messages; absent: `policy.protect`"},
    END,
};
static const struct hub_section feed_section = {
    .title = "feeds",
    .rows = feed_rows,
    .text =
        "One entry per source of messages: a transport and a format with their options, and a permanent id."};

static const struct hub_option authority_rows[] = {
    {"name", HUB_OPTION_TEXT, AT(hub_authority, name), .max = 256, .flags = HUB_OPTION_REQUIRED,
     .description = "name as senders write it (CX-4.1, HD-1)"},
    {"system", HUB_OPTION_TEXT, AT(hub_authority, system), .max = 512, .flags = HUB_OPTION_REQUIRED,
     .description = "its canonical URI (Identifier.system)"},
    {"aliases", HUB_OPTION_TEXTS, AT(hub_authority, aliases), .max = 1000,
     .count_offset = AT(hub_authority, alias_count), .description = "other names of the same authority"},
    {"primary", HUB_OPTION_BOOL, AT(hub_authority, primary), "false",
     .description = "its identifiers name patients first; the order of the list decides between several"},
    END,
};
static const struct hub_section authority_section = {
    .title = "authorities",
    .rows = authority_rows,
    .text = "Assigning authorities of patient identifiers, used by every format."};

static const struct hub_option hub_rows[] = {
    {"name", HUB_OPTION_NAME, AT(hub_config, name), .max = 64, .flags = HUB_OPTION_REQUIRED,
     .description = "name of this hub; the audit log is signed as chartline/NAME"},
    {"data_dir", HUB_OPTION_PATH, AT(hub_config, data_dir), "data",
     .description = "event log, audit log and the stores derived from them"},
    {"key_store", HUB_OPTION_PATH, AT(hub_config, key_store), "keys/store",
     .description = "wrapped keys; must lie outside data_dir and its backups"},
    {"root_key", HUB_OPTION_SECRET, AT(hub_config, root_key),
     .flags = HUB_OPTION_REQUIRED | HUB_OPTION_SECRET_VALUE, .section = &hub_config_secret_section,
     .description = "the key that wraps the key store: 64 hex digits",
     .mend = "add root_key: {file: keys/root.key}"},
    {"schema_dir", HUB_OPTION_PATH, AT(hub_config, schema_dir),
     .description = "mapping tables; absent: those of the installation"},
    END,
};
static const struct hub_section hub_section = {.title = "hub", .rows = hub_rows, .text = NULL};

/* All zeros and all nines at usual lengths, never a prefix pattern: 00012345 is a person. */
#define PLACEHOLDERS                                                                                         \
    "0,00,000,0000,00000,000000,0000000,00000000,000000000,0000000000,9999,99999,999999,9999999,99999999,"   \
    "999999999,9999999999,UNKNOWN,UNK,NONE,NULL,N/A,NA"

static const struct hub_option identity_rows[] = {
    {"ignore", HUB_OPTION_TEXTS, AT(hub_config, identity_ignore), PLACEHOLDERS, 0, 1000,
     .count_offset = AT(hub_config, identity_ignore_count), .flags = RELOAD,
     .description = "placeholder identifiers that never link patients; `*` any characters, `?` one"},
    END,
};
static const struct hub_section identity_section = {.title = "identity", .rows = identity_rows, .text = NULL};

static const struct hub_option none_rows[] = {END};
static const struct hub_section none_section = {.title = NULL, .rows = none_rows, .text = NULL};
static const struct hub_variant buses[] = {
    {"local", &none_section, "the event log itself"},
    {"kafka", &hub_config_kafka_section, "Apache Kafka"},
    END,
};

static const struct hub_option policy_rows[] = {
    {"protect", HUB_OPTION_PATH, AT(hub_config, policy_protect), "policies/protect/default.yaml",
     .flags = RELOAD, .description = "which element is sealed under which data class"},
    {"access", HUB_OPTION_PATH, AT(hub_config, policy_access), "policies/access/roles.yaml",
     .description = "which role may open which data class"},
    {"insights", HUB_OPTION_PATH, AT(hub_config, policy_insights), .description = "folder of insight rules"},
    END,
};
static const struct hub_section policy_section = {.title = "policy", .rows = policy_rows, .text = NULL};

static const struct hub_option oauth_rows[] = {
    {"issuer", HUB_OPTION_TEXT, AT(hub_config, api_oauth_issuer), .flags = HUB_OPTION_REQUIRED,
     .description = "issuer of access tokens"},
    {"jwks", HUB_OPTION_TEXT, AT(hub_config, api_oauth_jwks), .flags = HUB_OPTION_REQUIRED,
     .description = "its key set (file or URL)"},
    END,
};
static const struct hub_section oauth_section = {.title = NULL, .rows = oauth_rows, .text = NULL};
static const struct hub_option auth_rows[] = {
    {"mtls", HUB_OPTION_BOOL, AT(hub_config, api_mtls), "false",
     .description = "apps prove who they are with a client certificate"},
    {"oauth", HUB_OPTION_SECTION, 0, .section = &oauth_section, .present_offset = NOWHERE,
     .description = "apps prove who they are with an access token"},
    END,
};
static const struct hub_section auth_section = {.title = NULL, .rows = auth_rows, .text = NULL};
static const struct hub_option api_rows[] = {
    {"listen", HUB_OPTION_LISTEN, AT(hub_config, api_listen), .flags = HUB_OPTION_REQUIRED,
     .description = "address and port"},
    {"insecure", HUB_OPTION_BOOL, AT(hub_config, api_insecure), "false",
     .description = "allow the API without TLS outside loopback"},
    {"tls", HUB_OPTION_SECTION, AT(hub_config, api_tls), .section = &tls_section,
     .present_offset = AT(hub_config, api_tls) + AT(hub_tls_server, enabled),
     .description = "TLS of the API"},
    {"auth", HUB_OPTION_SECTION, 0, .section = &auth_section, .present_offset = NOWHERE,
     .description = "how apps prove who they are"},
    END,
};
static const struct hub_section api_section = {
    .title = "api",
    .rows = api_rows,
    .text = "The query API. This version checks these keys and does not serve them yet."};

#define LOG(field) AT(hub_config, log) + AT(hub_log_keep, field)
#define DAY_S INT64_C(86400)
static const struct hub_option log_rows[] = {
    {"keep", HUB_OPTION_SECONDS, LOG(keep_s), "0", 0, 36500 * DAY_S, .flags = RELOAD,
     .description = "segments whose records are all older are removed; 0: kept for ever"},
    {"max_bytes", HUB_OPTION_SIZE, LOG(max_bytes), "0", 0, INT64_MAX, .flags = RELOAD,
     .description = "while the event log is larger its oldest segments are removed; 0: no limit"},
    {"snapshot", HUB_OPTION_SECONDS, LOG(snapshot_s), "1h", 1, 3650 * DAY_S, .flags = RELOAD,
     .description = "shortest time between two snapshots of timeline and index; one is taken when retention needs it"},
    {"dedup", HUB_OPTION_SECONDS, LOG(dedup_s), "400d", 0, 36500 * DAY_S, .flags = RELOAD,
     .description = "how long a removed message is known as a duplicate after it last came; 0: for ever"},
    END,
};
static const struct hub_section log_section = {
    .title = "log",
    .rows = log_rows,
    .text = "How long the event log is kept. Both limits may be given; whichever is passed first removes. Nothing goes that "
            "a follower still needs, that no verified snapshot covers, or that is an open dead letter (OPERATIONS, "
            "\"Retention\")."};

#define LIMIT(field) AT(hub_config, limits) + AT(hub_limits, field)
#define KIB (INT64_C(1) << 10)
#define MIB (INT64_C(1) << 20)
#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)
static const struct hub_option limit_rows[] = {
    {"message_bytes", HUB_OPTION_SIZE, LIMIT(message_bytes), "16MiB", KIB, GIB,
     .description = "largest message"},
    {"in_flight_bytes", HUB_OPTION_SIZE, LIMIT(in_flight_bytes), "256MiB", MIB, TIB, .flags = RELOAD,
     .description = "messages being worked on, all connections together"},
    {"data_bytes", HUB_OPTION_SIZE, LIMIT(data_bytes), "0", 0, INT64_MAX,
     .description = "quota of data_dir; 0: the disk's size less the reserve"},
    {"log_bytes", HUB_OPTION_SIZE, LIMIT(log_bytes), "0", 0, INT64_MAX,
     .description = "quota of the event log, past which acknowledgements stop; 0: none of its own"},
    {"reserve_bytes", HUB_OPTION_SIZE, LIMIT(reserve_bytes), "64MiB", 0, TIB,
     .description = "free disk space below which acknowledgements stop"},
    {"segment_bytes", HUB_OPTION_SIZE, LIMIT(segment_bytes), "64MiB", MIB, 4 * GIB,
     .description = "size of an event log segment"},
    {"connections", HUB_OPTION_COUNT, LIMIT(connections), "2000", 1, 1000000, .flags = RELOAD,
     .description = "open connections, all listeners together"},
    {"pending", HUB_OPTION_COUNT, LIMIT(pending), "64", 1, 65536, .flags = RELOAD,
     .description = "messages of one connection that wait for their answer"},
    {"segments", HUB_OPTION_COUNT, LIMIT(segments), "100000", 1, 10000000, .flags = RELOAD,
     .description = "HL7 segments of a message"},
    {"repetitions", HUB_OPTION_COUNT, LIMIT(repetitions), "10000", 1, 1000000, .flags = RELOAD,
     .description = "repetitions of an HL7 field"},
    {"resources", HUB_OPTION_COUNT, LIMIT(resources), "20000", 1, 1000000, .flags = RELOAD,
     .description = "resources of an event"},
    {"patients", HUB_OPTION_COUNT, LIMIT(patients), "1000", 1, 100000, .flags = RELOAD,
     .description = "patients of a message"},
    {"parts", HUB_OPTION_COUNT, LIMIT(parts), "1000", 1, 100000, .flags = RELOAD,
     .description = "parts of a message that is sent in parts (DSC), together no larger than `message_bytes`"},
    {"batch_messages", HUB_OPTION_COUNT, LIMIT(batch_messages), "10000", 1, 1000000, .flags = RELOAD,
     .description = "messages (and batches) of a batch"},
    {"chart_tokens", HUB_OPTION_COUNT, LIMIT(chart_tokens), "100", 1, 10000,
     .description = "identifiers joined into one chart"},
    {"queue", HUB_OPTION_COUNT, LIMIT(queue), "4096", 1, 1048576,
     .description = "messages waiting for the committer"},
    {"workers", HUB_OPTION_COUNT, LIMIT(workers), "0", 0, 1024,
     .description = "worker threads; 0: one per processor this process may run on, each kept on its own"},
    {"idle", HUB_OPTION_MILLIS, LIMIT(idle_ms), "10m", 100, INT64_C(7) * 86400000, .flags = RELOAD,
     .description = "a connection without traffic is closed after this time"},
    {"frame", HUB_OPTION_MILLIS, LIMIT(frame_ms), "60s", 100, 86400000, .flags = RELOAD,
     .description = "longest time from the first to the last byte of a message"},
    {"drain", HUB_OPTION_MILLIS, LIMIT(drain_ms), "10s", 0, 3600000,
     .description = "time to finish what was started when the hub is asked to stop"},
    {"commit_wait", HUB_OPTION_MICROS, LIMIT(commit_wait_us), "0", 0, 1000000,
     .description = "how long a group commit waits for more messages, when the one before had more than one; whatever comes during a sync is the next group anyway"},
    {"timeline_lag", HUB_OPTION_COUNT, LIMIT(timeline_lag), "50000", 10, 100000000,
     .description = "messages that the timeline may fall behind what is stored before senders wait for it"},
    {"remap_rate", HUB_OPTION_COUNT, LIMIT(remap_rate), "500", 0, 1000000, .flags = RELOAD,
     .description = "messages a second that feed remap and feed diff work on; 0: as fast as live traffic lets them"},
    END,
};
static const struct hub_section limit_section = {
    .title = "limits",
    .rows = limit_rows,
    .text = "Everything that could grow has a limit. Passing one is a clear refusal, never a crash."};

#define KEYS(field) AT(hub_config, keys) + AT(hub_key_options, field)
static const struct hub_option rotate_rows[] = {
    {"days", HUB_OPTION_COUNT, KEYS(days), "365", 0, 36500, .description = "age of a key; 0: whatever its age"},
    {"on", HUB_OPTION_TEXTS, KEYS(on), .max = 1000, .count_offset = KEYS(on_count),
     .description = "dates (YYYY-MM-DD, from their start in UTC) on which every class gets a new key"},
    {"bytes", HUB_OPTION_SIZE, KEYS(bytes), "1TiB", 0, INT64_MAX,
     .description = "bytes sealed under one key; 0: any number"},
    {"fields", HUB_OPTION_COUNT, KEYS(fields), "1000000000", 0, UINT32_MAX,
     .description = "ciphertexts under one key; 0: any number"},
    END,
};
static const struct hub_section rotate_section = {.title = NULL, .rows = rotate_rows};
static const struct hub_option key_rows[] = {
    {"rotate", HUB_OPTION_SECTION, 0, .section = &rotate_section, .present_offset = NOWHERE,
     .description = "when a class key's epoch ends by itself"},
    END,
};
static const struct hub_section key_section = {
    .title = "keys",
    .rows = key_rows,
    .text = "Epochs of class keys. What was sealed before stays readable."};

static const struct hub_option top_rows[] = {
    {"hub", HUB_OPTION_SECTION, 0, .flags = HUB_OPTION_REQUIRED, .section = &hub_section,
     .present_offset = NOWHERE, .description = "the hub itself",
     .mend = "add hub: {name: NAME, data_dir: data, root_key: {file: keys/root.key}}"},
    {"feeds", HUB_OPTION_ITEMS, AT(hub_config, feeds), .max = 1000, .section = &feed_section,
     .count_offset = AT(hub_config, feed_count), .item_size = sizeof(struct hub_feed),
     .line_offset = AT(hub_feed, line), .description = "sources of messages"},
    {"authorities", HUB_OPTION_ITEMS, AT(hub_config, authorities), .max = 10000,
     .section = &authority_section, .count_offset = AT(hub_config, authority_count),
     .item_size = sizeof(struct hub_authority), .line_offset = AT(hub_authority, line), .flags = RELOAD,
     .description = "assigning authorities of patient identifiers"},
    {"identity", HUB_OPTION_SECTION, 0, .section = &identity_section, .present_offset = NOWHERE,
     .description = "rules for all feeds about who is who"},
    {"bus", HUB_OPTION_VARIANT, AT(hub_config, bus), "local", .variants = buses,
     .description = "where committed events go"},
    {"policy", HUB_OPTION_SECTION, 0, .section = &policy_section, .present_offset = NOWHERE,
     .description = "policy files"},
    {"api", HUB_OPTION_SECTION, 0, .section = &api_section, .present_offset = NOWHERE,
     .description = "the query API"},
    {"log", HUB_OPTION_SECTION, 0, .section = &log_section, .present_offset = NOWHERE,
     .description = "retention of the event log"},
    {"keys", HUB_OPTION_SECTION, 0, .section = &key_section, .present_offset = NOWHERE,
     .description = "epochs of class keys"},
    {"limits", HUB_OPTION_SECTION, 0, .section = &limit_section, .present_offset = NOWHERE,
     .description = "limits"},
    END,
};
static const struct hub_section top_section = {
    .title = "hub.yaml",
    .rows = top_rows,
    .text = "A key that is not listed here is an error. Paths are relative to the folder of hub.yaml. Sizes "
            "are bytes or "
            "carry KiB, MiB, GiB or TiB; durations carry us, ms, s, m, h or d. What is marked `reload` takes "
            "a new "
            "value at SIGHUP, everything else at the next start."};

const struct hub_section *hub_config_rows(void)
{
    return &top_section;
}
