/* The command line: one row per command, options parsed from the same rows that print its usage, and what all
 * commands share: configuration, messages to people, a hub to ask.
 *
 * A command is a function of its operands; its options were parsed into its own static variables before. It
 * returns the exit code: 0 done and fine, 1 done and something is wrong, 2 usage or configuration. Results go
 * to stdout, everything else to stderr; nothing extra goes into a pipe. One thread, once a process. */
#pragma once

#include <stdio.h>

#include "src/base/arena.h"
#include "src/base/buf.h"
#include "src/base/problem.h"
#include "src/base/result.h"
#include "src/codec/json.h"
#include "src/config/config.h"
#include "src/pipeline/hub.h"

enum { HUB_EXIT_OK = 0, HUB_EXIT_WRONG = 1, HUB_EXIT_USAGE = 2 };

enum hub_cli_option_kind {
    HUB_CLI_FLAG,     /* bool */
    HUB_CLI_TEXT,     /* const char * */
    HUB_CLI_OPTIONAL, /* const char *: "" when given without `=value` */
    HUB_CLI_NUMBER,   /* uint64_t: decimal */
    HUB_CLI_DURATION, /* uint64_t microseconds: 500ms, 10s */
};

struct hub_cli_option {
    const char *name; /* long, without dashes; NULL ends a table */
    char letter;      /* short form, 0 = none */
    enum hub_cli_option_kind kind;
    void *into;
    const char *value; /* name of the value in the usage text; NULL for a flag */
    const char *text;
};

struct hub_cli_command {
    const char *name;     /* "map", "audit verify" */
    const char *operands; /* "FILE..." */
    const char *summary;
    const struct hub_cli_option *options;
    int (*run)(int count, char **operands);
};

/* All commands in the order of `chartline --help`; ended by a NULL name. */
extern const struct hub_cli_command hub_cli_commands[];

/* Options that most commands share. */
struct hub_cli_globals {
    const char *config; /* -c, default hub.yaml */
    bool json;
    const char *role, *key, *purpose; /* who reads */
};
extern struct hub_cli_globals hub_cli;
extern const char hub_cli_default_config[]; /* what hub_cli.config points at when -c was not given */
#define HUB_CLI_OPTION_CONFIG                                                                                \
    {                                                                                                        \
        "config", 'c', HUB_CLI_TEXT, &hub_cli.config, "FILE", "configuration (default hub.yaml)"             \
    }
#define HUB_CLI_OPTION_JSON                                                                                  \
    {                                                                                                        \
        "json", 0, HUB_CLI_FLAG, &hub_cli.json, NULL, "print JSON"                                           \
    }
#define HUB_CLI_OPTIONS_READER                                                                               \
    {"role", 0, HUB_CLI_TEXT, &hub_cli.role, "NAME", "open what this role may open"},                        \
        {"key", 0, HUB_CLI_TEXT, &hub_cli.key, "FILE", "the role's private key (keys/roles/NAME.key)"},      \
    {                                                                                                        \
        "purpose", 0, HUB_CLI_TEXT, &hub_cli.purpose, "CODE",                                                \
            "purpose of use for the audit log (default TREAT)"                                               \
    }
#define HUB_CLI_OPTION_END                                                                                   \
    {                                                                                                        \
        NULL, 0, HUB_CLI_FLAG, NULL, NULL, NULL                                                              \
    }

/* --- messages to people (stderr) --- */

/* "chartline: ..." and the exit code that belongs to ERR's result. */
int hub_cli_fail(const struct hub_error *err);
/* A usage mistake of the command that runs: text, and how to get help. Returns 2. */
int hub_cli_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints errors (and with WARNINGS warnings and notes); returns 2 when there were errors, else 0. */
int hub_cli_problems(const struct hub_problems *problems, bool warnings);

/* --- configuration and installation --- */

/* The folder that holds schemas/ and policies/: $CHARTLINE_SHARE, the source tree it was built from, or
 * ../share/chartline beside the program. NULL when there is none (printed). Static storage. */
const char *hub_cli_share_dir(void);
/* Loads -c, with schema_dir filled in. NULL: printed, exit with 2. Free with hub_config_free. */
struct hub_config *hub_cli_config(void);
/* As hub_cli_config, but everything goes to PROBLEMS. */
struct hub_config *hub_cli_config_load(struct hub_problems *problems);
/* The formats and transports of this program (registry.c). */
const struct hub_registry *hub_cli_registry(void);

/* --- output --- */

/* Pretty on a terminal or for people, NODE whole, and a newline. */
void hub_cli_print_json(const struct hub_json *node);
/* One canonical line. */
void hub_cli_print_line(const struct hub_json *node);
/* TEXT with control characters replaced, so that data cannot drive a terminal. */
void hub_cli_print_text(struct hub_span text, FILE *out);

/* HUB_RUN_... of a list such as "ingest,forward"; NULL: all. 0: a name that is none. */
unsigned hub_cli_roles(const char *text);

/* Reads a whole file ("-" = stdin), at most BYTES_MAX. OUT is initialised here; deinit it in any case. */
enum hub_result hub_cli_read_file(const char *path, size_t bytes_max, struct hub_buf *out,
                                  struct hub_error *err) HUB_MUST_USE;
