/* hub.yaml as a structure (DESIGN section 8). Loaded whole or not at all; strict: an unknown key is an error
 * with its line. Immutable after loading, any thread may read. Paths are already joined to the folder of
 * hub.yaml. All strings are NUL ended and live as long as the configuration; absent ones are NULL. */
#pragma once

#include "src/base/problem.h"
#include "src/base/result.h"
#include "src/base/span.h"

struct hub_secret_ref { /* a secret is a reference, never a value: exactly one is set */
    const char *file;
    const char *env;
    const char *credential; /* systemd credential name */
    const char *command;
};

struct hub_tls_server {
    bool enabled;
    const char *cert, *key, *client_ca;
    const char **allow; /* "CN=ehr-prod" or "DNS:ehr.example"; NULL ended; empty list with client_ca = any verified name */
    size_t allow_count;
};

enum hub_ack_wait { HUB_ACK_STORED, HUB_ACK_BROKER };
enum hub_ack_mode { HUB_ACK_AUTO, HUB_ACK_ORIGINAL, HUB_ACK_ENHANCED, HUB_ACK_AA };
enum hub_on_error { HUB_ON_ERROR_REJECT, HUB_ON_ERROR_ACCEPT };

struct hub_sender { /* what a connection may send as */
    const char *name; /* an entry of allow */
    const char **applications; /* MSH-3, NULL ended; empty: any */
    size_t application_count;
    const char **facilities; /* MSH-4, likewise */
    size_t facility_count;
    uint32_t line;
};

struct hub_feed {
    const char *name;
    const char *id; /* permanent */
    uint32_t line;  /* in hub.yaml, for messages */
    const char *transport; /* "mllp", ... */
    const char *format;    /* "hl7v2", ... */
    /* transport.mllp */
    const char *listen; /* host:port */
    bool insecure;      /* plain outside loopback is meant */
    struct hub_tls_server tls;
    /* format.hl7v2 */
    const char *charset;  /* feed default for an empty MSH-18; NULL = ASCII/UTF-8 by content, see docs */
    bool charset_override; /* charset stands whatever MSH-18 says */
    const char *timezone; /* IANA name */
    const char **processing; /* accepted MSH-11, NULL ended; default {"P"} */
    size_t processing_count;
    const char **mapping; /* site overlays of the mapping tables, in order */
    size_t mapping_count;
    struct hub_sender *senders;
    size_t sender_count;
    bool known_authorities_only;
    bool visit_from_pid18;
    /* ack */
    enum hub_ack_wait ack_wait;
    enum hub_ack_mode ack_mode;
    enum hub_on_error on_error;
    /* identity */
    const char *default_authority;
    const char **trust_links; /* names of authorities whose PID-3 lists link; NULL ended */
    size_t trust_link_count;
    bool inverse_merge_reject;
    const char *policy; /* protect policy of this feed; NULL: the hub's (policy_protect) */
};

struct hub_authority {
    const char *name;
    const char *system;
    const char **aliases;
    size_t alias_count;
    bool primary;
    uint32_t line;
};

struct hub_limits {
    uint64_t message_bytes;   /* 16 MiB */
    uint64_t in_flight_bytes; /* 256 MiB, all connections together */
    uint64_t data_bytes;      /* quota of data_dir, 0 = none but the reserve */
    uint64_t log_bytes;       /* quota of the event log, 0 = none */
    uint64_t reserve_bytes;   /* free space below which ACKs stop, 64 MiB */
    uint64_t segment_bytes;   /* of the event log, 64 MiB */
    uint32_t connections;     /* 2000 */
    uint32_t pending;         /* messages in flight per connection, 64 */
    uint32_t segments;        /* HL7 segments a message, 100000 */
    uint32_t resources;       /* an event, 20000 */
    uint32_t repetitions;     /* of a field, 10000 */
    uint32_t patients;        /* a message, 1000 */
    uint32_t parts;           /* of a message that is sent in parts, 1000 */
    uint32_t batch_messages;  /* messages of a batch, 10000 */
    uint32_t chart_tokens;    /* 100 */
    uint32_t queue;           /* messages waiting for the committer, 4096 */
    uint32_t workers;         /* 0 = one a core */
    uint32_t idle_ms;         /* 10 min */
    uint32_t frame_ms;        /* from first to last byte of a frame, 60 s */
    uint32_t drain_ms;        /* at SIGTERM, 10 s */
    uint32_t commit_wait_us;  /* how long a group waits for company when the one before had some */
    uint32_t timeline_lag;    /* messages that the timeline may be behind before senders wait, 50000 */
    uint32_t remap_rate;      /* messages a second that a remap works on, 500; 0 = as live traffic lets it */
};

/* No answer is longer: it repeats parts of what was sent, and has a bounded text of its own for each message. */
static inline size_t hub_limits_answer_bytes(const struct hub_limits *limits)
{
    return 65536 + (size_t)limits->message_bytes * 8 + (size_t)limits->batch_messages * 8192;
}

struct hub_log_keep { /* retention of the event log */
    uint32_t keep_s;     /* 0 = for ever */
    uint64_t max_bytes;  /* 0 = no limit */
    uint32_t snapshot_s; /* shortest time between two snapshots */
    uint32_t dedup_s;    /* 0 = for ever */
};

enum hub_kafka_compression { HUB_KAFKA_NONE, HUB_KAFKA_ZSTD, HUB_KAFKA_LZ4, HUB_KAFKA_GZIP, HUB_KAFKA_SNAPPY };

enum hub_registry_compatibility { /* as the rows' choices */
    HUB_REGISTRY_BACKWARD_TRANSITIVE,
    HUB_REGISTRY_BACKWARD,
    HUB_REGISTRY_FORWARD,
    HUB_REGISTRY_FORWARD_TRANSITIVE,
    HUB_REGISTRY_FULL,
    HUB_REGISTRY_FULL_TRANSITIVE,
    HUB_REGISTRY_NONE,
    HUB_REGISTRY_LEAVE, /* as the registry has it */
};
struct hub_kafka_config { /* bus.kafka */
    const char **brokers; /* host:port, NULL ended */
    size_t broker_count;
    const char *prefix; /* of topics, groups and transactional ids */
    bool insecure;      /* plaintext is meant */
    const char *instance; /* of this process in its consumer group; NULL = of the machine's name and data_dir */
    const char **trust;   /* public signing keys of other hubs (base64), NULL ended */
    size_t trust_count;
    struct hub_kafka_tls {
        bool enabled;
        const char *ca;         /* NULL = the system's authorities */
        const char *cert, *key; /* client certificate with its chain */
    } tls;
    struct hub_kafka_sasl {
        bool enabled;
        const char *mechanism;
        const char *username;
        struct hub_secret_ref password; /* or the client secret of oauth */
        const char *token_url, *client_id, *scope;
        const char *kerberos_service, *kerberos_principal, *kerberos_keytab;
    } sasl;
    struct hub_kafka_topics {
        bool create;
        uint32_t partitions; /* of events, identity and timeline; never changed afterwards */
        uint32_t replicas, min_insync;
        uint32_t retention_days; /* of events, dead letters, alerts; 0 = for ever */
    } topics;
    struct hub_kafka_timeline {
        uint32_t session_ms;    /* of the consumer group */
        uint32_t wait_ms;       /* for company before outputs go out */
        uint32_t facts_s;       /* an event waits for its identity facts */
        uint32_t tombstones_s;  /* a store that was away for longer is built anew */
    } timeline;
    struct hub_schema_registry {
        bool enabled;
        const char *url;
        bool insecure; /* plain http outside loopback is meant */
        struct hub_registry_tls {
            bool enabled;
            const char *ca; /* NULL = the system's authorities */
            const char *cert, *key;
        } tls;
        const char *username;
        struct hub_secret_ref password, token;
        bool create; /* `register`: puts schemas there that are not */
        enum hub_registry_compatibility compatibility;
        uint32_t timeout_ms;
    } registry;
    enum hub_kafka_compression compression;
    uint64_t buffer_bytes;   /* records that wait in memory for the brokers */
    const char **properties; /* settings of the client library, NULL ended */
    size_t property_count;
};

struct hub_key_options { /* when the epoch of a class key ends by itself */
    uint32_t days;        /* 365; 0: never */
    uint32_t fields;      /* ciphertexts under one key, 1000000000 */
    uint64_t bytes;       /* in them, 1 TiB */
    const char **on;      /* dates, 2027-01-01, UTC; NULL ended */
    size_t on_count;
};

struct hub_config {
    const char *path;   /* of hub.yaml */
    const char *folder; /* of hub.yaml */
    const char *name;
    const char *data_dir;
    const char *key_store; /* default <folder>/keys/store */
    struct hub_secret_ref root_key;
    struct hub_feed *feeds;
    size_t feed_count;
    struct hub_authority *authorities;
    size_t authority_count;
    const char **identity_ignore; /* patterns with * and ?, NULL ended; default placeholders when absent */
    size_t identity_ignore_count;
    const char *bus; /* "local", "kafka" */
    struct hub_kafka_config kafka;
    const char *policy_protect; /* file */
    const char *policy_access;  /* file */
    const char *policy_insights; /* folder; NULL = none */
    const char *schema_dir;     /* as configured; NULL after loading = the installation's, filled in by the command line */
    const char *api_listen;     /* NULL = no API */
    struct hub_tls_server api_tls;
    bool api_insecure;          /* plain outside loopback is meant */
    bool api_mtls;
    const char *api_oauth_issuer, *api_oauth_jwks;
    struct hub_log_keep log;
    struct hub_limits limits;
    struct hub_key_options keys;
    void *owner; /* arena */
};

/* Everything wrong goes to PROBLEMS; NULL when there was an error. Free with hub_config_free. */
struct hub_config *hub_config_load(const char *path, struct hub_problems *problems);
/* The same for TEXT; PATH is only its name and tells where relative paths start. */
struct hub_config *hub_config_parse(const char *path, struct hub_span text, struct hub_problems *problems);
void hub_config_free(struct hub_config *config);
/* For a reload: whatever only a restart changes (rows without `reload`) NEXT takes over from BASE; a warning in
 * PROBLEMS for each that differs. Feeds are matched by id and get BASE's order; a new one gives a warning, one that
 * is gone HUB_CONFIG with an error. NEXT's texts may be BASE's afterwards: BASE must outlive it. */
enum hub_result hub_config_keep(struct hub_config *next, const struct hub_config *base, struct hub_problems *problems) HUB_MUST_USE;
/* Defaults only, with one feed (name and id "map", mllp and hl7v2, no zone) and no authorities: what `map`
 * works with where there is no hub.yaml. SCHEMA_DIR is copied. NULL when memory is out. */
struct hub_config *hub_config_new(const char *schema_dir);
/* The bus is Kafka, not the event log itself. */
bool hub_config_uses_kafka(const struct hub_config *config);
/* Some source of the secret is named. */
bool hub_secret_given(const struct hub_secret_ref *ref);
/* The start of the day TEXT (YYYY-MM-DD) in UTC; false: not a date. */
bool hub_config_date(const char *text, int64_t *us);
/* The feed of that name, NULL when none. */
const struct hub_feed *hub_config_feed(const struct hub_config *config, const char *name);
/* Reads the secret: at most CAP bytes, one trailing newline cut. HUB_CONFIG with the reason. */
enum hub_result hub_secret_read(const struct hub_secret_ref *ref, uint8_t *out, size_t cap, size_t *len, struct hub_error *err) HUB_MUST_USE;
/* The root key: 64 hex digits (a trailing newline is fine; `openssl rand -hex 32` makes one). KEY: 32 bytes of the
 * caller, to be wiped by it. HUB_CONFIG with the reason. */
enum { HUB_ROOT_KEY_LEN = 32 };
enum hub_result hub_root_key_read(const struct hub_config *config, uint8_t key[HUB_ROOT_KEY_LEN], struct hub_error *err) HUB_MUST_USE;
