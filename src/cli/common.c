#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "src/cli/cli.h"

const char hub_cli_default_config[] = "hub.yaml";
struct hub_cli_globals hub_cli = {.config = hub_cli_default_config, .purpose = "TREAT"};

int hub_cli_fail(const struct hub_error *err)
{
    char text[640];
    (void)hub_error_print(err, text, sizeof text);
    (void)fprintf(stderr, "chartline: %s\n", text);
    return err->result == HUB_USAGE || err->result == HUB_CONFIG ? HUB_EXIT_USAGE : HUB_EXIT_WRONG;
}

int hub_cli_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "chartline: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "; see --help\n");
    va_end(args);
    return HUB_EXIT_USAGE;
}

int hub_cli_problems(const struct hub_problems *problems, bool warnings)
{
    if (problems->errors > 0 || (warnings && problems->count > 0))
        (void)hub_problems_print(problems, stderr);
    return problems->errors > 0 ? HUB_EXIT_USAGE : HUB_EXIT_OK;
}

static bool holds_schemas(const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/schemas", folder);
    return access(path, R_OK | X_OK) == 0;
}

/* <folder of the program>/../share/chartline */
static bool beside_program(char *out, size_t cap)
{
    ssize_t len = readlink("/proc/self/exe", out, cap - 1);
    if (len <= 0)
        return false;
    out[len] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(out, '/');
        if (slash == NULL)
            return false;
        *slash = '\0';
    }
    size_t used = strlen(out);
    int written = snprintf(out + used, cap - used, "/share/chartline");
    return written > 0 && (size_t)written < cap - used;
}

const char *hub_cli_share_dir(void)
{
    static char folder[4096];
    const char *named = getenv("CHARTLINE_SHARE");
    if (named != NULL && named[0] != '\0') {
        if (holds_schemas(named))
            return named;
        (void)fprintf(stderr, "chartline: CHARTLINE_SHARE names a folder without schemas/; point it at an "
                              "installation's share/chartline\n");
        return NULL;
    }
    if (holds_schemas(CHARTLINE_DATA_DIR))
        return CHARTLINE_DATA_DIR;
    if (beside_program(folder, sizeof folder) && holds_schemas(folder))
        return folder;
    (void)fprintf(stderr, "chartline: schemas/ and policies/ of the installation are not found; set "
                          "CHARTLINE_SHARE to the folder that holds them\n");
    return NULL;
}

struct hub_config *hub_cli_config_load(struct hub_problems *problems)
{
    struct hub_config *config = hub_config_load(hub_cli.config, problems);
    if (config == NULL || config->schema_dir != NULL)
        return config;
    const char *share = hub_cli_share_dir();
    config->schema_dir = share != NULL ? hub_arena_printf(config->owner, "%s/schemas", share) : NULL;
    if (config->schema_dir != NULL)
        return config;
    hub_problems_add(problems, HUB_SEVERITY_ERROR, config->path, 0, "hub.schema_dir",
                     "the mapping tables are not found", "set CHARTLINE_SHARE or hub.schema_dir", NULL);
    hub_config_free(config);
    return NULL;
}

struct hub_config *hub_cli_config(void)
{
    struct hub_problems problems;
    hub_problems_init(&problems);
    struct hub_config *config = hub_cli_config_load(&problems);
    (void)hub_cli_problems(&problems, false);
    if (config == NULL && access(hub_cli.config, F_OK) != 0)
        (void)fprintf(stderr,
                      "chartline: name the configuration with -c, or make one with `chartline init DIR`\n");
    hub_problems_deinit(&problems);
    return config;
}

void hub_cli_print_json(const struct hub_json *node)
{
    struct hub_buf text;
    hub_buf_init(&text, SIZE_MAX / 2, true);
    hub_json_write_pretty(&text, node);
    (void)fwrite(text.ptr, 1, text.len, stdout);
    (void)fputc('\n', stdout);
    hub_buf_deinit(&text);
}

void hub_cli_print_line(const struct hub_json *node)
{
    struct hub_buf text;
    hub_buf_init(&text, SIZE_MAX / 2, true);
    hub_json_write(&text, node);
    hub_buf_append_byte(&text, '\n');
    (void)fwrite(text.ptr, 1, text.len, stdout);
    hub_buf_deinit(&text);
}

void hub_cli_print_text(struct hub_span text, FILE *out)
{
    for (size_t i = 0; i < text.len; i++) {
        /* C0, DEL, and C1 as UTF-8 (C2 80..9F). */
        bool control = text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ||
                       (text.ptr[i] == 0xc2 && i + 1 < text.len && text.ptr[i + 1] < 0xa0);
        if (control && text.ptr[i] == 0xc2)
            i++;
        (void)fputc(control ? (i < text.len && text.ptr[i] == '\n' ? ' ' : '?') : text.ptr[i], out);
    }
}

enum hub_result hub_cli_read_file(const char *path, size_t bytes_max, struct hub_buf *out,
                                  struct hub_error *err)
{
    hub_buf_init(out, bytes_max, true);
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)hub_fail_errno(err, HUB_NOT_FOUND, "the file cannot be read", errno);
        return hub_error_in(err, path, 0);
    }
    enum hub_result result = HUB_OK;
    for (;;) {
        uint8_t block[65536];
        ssize_t got = read(fd, block, sizeof block);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = hub_fail_errno(err, HUB_IO, "the file cannot be read", errno);
        if (got <= 0)
            break;
        hub_buf_append(out, block, (size_t)got);
        result = hub_buf_result(out);
        if (result != HUB_OK) {
            result = hub_fail(err, result, "the file is too large", NULL);
            break;
        }
    }
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return result == HUB_OK ? HUB_OK : hub_error_in(err, path, 0);
}

unsigned hub_cli_roles(const char *text)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"ingest", HUB_RUN_INGEST},
                 {"forward", HUB_RUN_FORWARD},
                 {"timeline", HUB_RUN_TIMELINE},
                 {"api", HUB_RUN_API}};
    unsigned roles = 0;
    if (text == NULL)
        return HUB_RUN_ALL;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        unsigned found = 0;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (strlen(names[i].name) == len && strncmp(names[i].name, text, len) == 0)
                found = names[i].bit;
        if (found == 0)
            return 0;
        roles |= found;
        text += len + (text[len] == ',');
    }
    return roles;
}
