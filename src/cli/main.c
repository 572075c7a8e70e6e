/* Dispatch: finds the command's row, parses its options, runs it. */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/base/crash.h"
#include "src/base/mem.h"
#include "src/cli/cli.h"
#include "src/config/value.h"
#include "src/crypto/crypto.h"

enum { OPTIONS_MAX = 32 };

static void print_usage(void)
{
    (void)printf(
        "chartline %s: joins the feeds of a hospital into one encrypted, provable patient timeline\n\n"
        "Usage: chartline COMMAND [OPTIONS] [OPERANDS]\n\nCommands:\n",
        CHARTLINE_VERSION);
    for (const struct hub_cli_command *c = hub_cli_commands; c->name != NULL; c++)
        (void)printf("  %-20s %s\n", c->name, c->summary);
    (void)printf("\n`chartline COMMAND --help` lists a command's options.\n"
                 "Exit code: 0 fine, 1 something is wrong, 2 usage or configuration.\n");
}

static void print_command_usage(const struct hub_cli_command *command)
{
    (void)printf("Usage: chartline %s%s%s [OPTIONS]\n\n%s.\n\nOptions:\n", command->name,
                 command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
    for (const struct hub_cli_option *o = command->options; o->name != NULL; o++) {
        char left[64];
        const char *open = o->value == NULL ? "" : o->kind == HUB_CLI_OPTIONAL ? "[=" : " ";
        (void)snprintf(left, sizeof left, "%c%c%s--%s%s%s%s", o->letter != 0 ? '-' : ' ',
                       o->letter != 0 ? o->letter : ' ', o->letter != 0 ? ", " : "  ", o->name, open,
                       o->value != NULL ? o->value : "", o->kind == HUB_CLI_OPTIONAL ? "]" : "");
        (void)printf("  %-28s %s\n", left, o->text);
    }
    (void)printf("  %-28s %s\n", "    --help", "this text");
}

/* A row whose name is the first word of ARGV, or its first two ("audit verify"). */
static const struct hub_cli_command *find(int argc, char **argv, int *words)
{
    for (const struct hub_cli_command *c = hub_cli_commands; c->name != NULL; c++) {
        const char *space = strchr(c->name, ' ');
        size_t first = space != NULL ? (size_t)(space - c->name) : strlen(c->name);
        if (strlen(argv[1]) != first || strncmp(argv[1], c->name, first) != 0)
            continue;
        if (space != NULL && (argc < 3 || strcmp(argv[2], space + 1) != 0))
            continue;
        *words = space != NULL ? 2 : 1;
        return c;
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    size_t len = strlen(name);
    bool group = false;
    for (const struct hub_cli_command *c = hub_cli_commands; c->name != NULL; c++)
        if (strncmp(c->name, name, len) == 0 && c->name[len] == ' ') {
            if (!group)
                (void)fprintf(stderr, "chartline: `%s` needs one of these:\n", name);
            group = true;
            (void)fprintf(stderr, "  chartline %s %s\n", c->name, c->operands);
        }
    if (!group)
        (void)fprintf(stderr, "chartline: no such command; `chartline --help` lists them\n");
    return HUB_EXIT_USAGE;
}

static bool store(const struct hub_cli_option *option, const char *value)
{
    int64_t number = 0;
    switch (option->kind) {
    case HUB_CLI_FLAG:
        *(bool *)option->into = true;
        return true;
    case HUB_CLI_TEXT:
    case HUB_CLI_OPTIONAL:
        *(const char **)option->into = value != NULL ? value : "";
        return true;
    case HUB_CLI_NUMBER:
        if (!hub_value_count(value, &number))
            return false;
        *(uint64_t *)option->into = (uint64_t)number;
        return true;
    case HUB_CLI_DURATION:
        if (!hub_value_duration(value, &number))
            return false;
        *(uint64_t *)option->into = (uint64_t)number;
        return true;
    }
    return false;
}

/* 0 go on, 1 help was printed, 2 usage. Operands are moved behind the options by getopt. */
static int parse(const struct hub_cli_command *command, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 2];
    char shorts[2 * OPTIONS_MAX + 2] = ":";
    memset(longs, 0, sizeof longs);
    size_t count = 0;
    for (const struct hub_cli_option *o = command->options; o->name != NULL; o++, count++) {
        HUB_ASSERT(count < OPTIONS_MAX);
        int has = o->kind == HUB_CLI_FLAG       ? no_argument
                  : o->kind == HUB_CLI_OPTIONAL ? optional_argument
                                                : required_argument;
        longs[count] = (struct option){o->name, has, NULL, 256 + (int)count};
        size_t used = strlen(shorts);
        if (o->letter != 0)
            (void)snprintf(shorts + used, sizeof shorts - used, "%c%s", o->letter,
                           has == required_argument ? ":" : "");
    }
    longs[count] = (struct option){"help", no_argument, NULL, 255};
    opterr = 0;
    for (;;) {
        int got = getopt_long(argc, argv, shorts, longs, NULL);
        if (got == -1)
            return 0;
        if (got == 255) {
            print_command_usage(command);
            return 1;
        }
        const struct hub_cli_option *option = got >= 256 ? &command->options[got - 256] : NULL;
        for (size_t i = 0; option == NULL && got != '?' && got != ':' && i < count; i++)
            if (command->options[i].letter == got)
                option = &command->options[i];
        if (option == NULL)
            return hub_cli_usage("%s: %s", argv[optind - 1],
                                 got == ':' ? "the option needs a value" : "no such option");
        if (!store(option, optarg))
            return hub_cli_usage("--%s: not a %s", option->name,
                                 option->kind == HUB_CLI_DURATION ? "duration such as 500ms or 10s"
                                                                  : "number");
    }
}

static int run(const struct hub_cli_command *command, int argc, char **argv)
{
    int parsed = parse(command, argc, argv);
    if (parsed != 0)
        return parsed == 1 ? HUB_EXIT_OK : HUB_EXIT_USAGE;
    hub_mem_init();
    if (hub_crypto_init() != HUB_OK) {
        (void)fprintf(stderr, "chartline: the crypto library does not start\n");
        return HUB_EXIT_WRONG;
    }
    return command->run(argc - optind, argv + optind);
}

/* `| head` has seen enough: nothing to tell. */
static bool reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0;
}

int main(int argc, char **argv)
{
    /* A reader of our output that went away shows as a failed write. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_usage();
        return HUB_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage();
        return HUB_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        (void)printf("chartline %s\n", CHARTLINE_VERSION);
        if (hub_crash_list_asked())
            hub_crash_list(stdout);
        return HUB_EXIT_OK;
    }
    int words = 0;
    const struct hub_cli_command *command = find(argc, argv, &words);
    if (command == NULL)
        return unknown_command(argv[1]);
    if (strcmp(command->name, "run") == 0)
        hub_mem_large_pages(argv);
    int code = run(command, argc - words, argv + words);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (!reader_left())
            (void)fprintf(stderr, "chartline: the output could not be written\n");
        return code == HUB_EXIT_OK ? HUB_EXIT_WRONG : code;
    }
    return code;
}
