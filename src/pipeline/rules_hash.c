/* Which rules mapped a message: a hash over the tables that a feed's format reads and over what of the configuration decides
 * what a message means. The same words and files give the same hash on any machine. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/disk.h"
#include "src/codec/encode.h"
#include "src/crypto/crypto.h"
#include "src/pipeline/rules.h"

enum { PATH_CAP = 4096, READ_CAP = 64 * 1024, DEPTH_MAX = 4 };

static void add_text(struct hub_sha256 *state, const char *text)
{
    hub_sha256_update(state, hub_span_str(text != NULL ? text : ""));
    hub_sha256_update(state, hub_span_of("", 1)); /* texts end, so that two do not read as one */
}

static void add_flag(struct hub_sha256 *state, const char *name, bool value)
{
    add_text(state, name);
    add_text(state, value ? "true" : "false");
}

/* What cannot be read was a problem for the format already, or will be: its name counts alone. */
static void add_file(struct hub_sha256 *state, const char *path)
{
    struct hub_disk *disk = hub_disk_system();
    uint8_t bytes[READ_CAP];
    uint64_t at = 0;
    size_t got = 0;
    int fd = -1;
    if (disk->ops->open(disk, path, HUB_DISK_READ, &fd, NULL) != HUB_OK)
        return;
    while (disk->ops->read(disk, fd, at, bytes, sizeof(bytes), &got, NULL) == HUB_OK && got != 0) {
        hub_sha256_update(state, hub_span_of(bytes, got));
        at += got;
    }
    disk->ops->close(disk, fd);
    add_text(state, "");
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void add_folder(struct hub_sha256 *state, const char *folder, unsigned depth)
{
    struct dirent **names = NULL;
    int count = depth < DEPTH_MAX ? scandir(folder, &names, visible, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        char path[PATH_CAP];
        struct stat st;
        int len = snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
        if (len > 0 && (size_t)len < sizeof(path) && stat(path, &st) == 0) {
            add_text(state, names[i]->d_name);
            if (S_ISDIR(st.st_mode))
                add_folder(state, path, depth + 1);
            else
                add_file(state, path);
        }
        free(names[i]); /* libc's memory */
    }
    free((void *)names); /* libc's memory */
}

static void add_list(struct hub_sha256 *state, const char *name, const char *const *items, size_t count)
{
    add_text(state, name);
    for (size_t i = 0; i < count; i++)
        add_text(state, items[i]);
}

static void add_options(struct hub_sha256 *state, const struct hub_config *config, const struct hub_feed *feed)
{
    add_list(state, "format", (const char *const[]){feed->format, feed->charset, feed->timezone}, 3);
    add_list(state, "processing", feed->processing, feed->processing_count);
    add_list(state, "identity", (const char *const[]){feed->default_authority}, 1);
    add_list(state, "trust_links", feed->trust_links, feed->trust_link_count);
    add_list(state, "ignore", config->identity_ignore, config->identity_ignore_count);
    add_flag(state, "charset_override", feed->charset_override);
    add_flag(state, "known_authorities_only", feed->known_authorities_only);
    add_flag(state, "visit_from_pid18", feed->visit_from_pid18);
    for (size_t i = 0; i < config->authority_count; i++) {
        const struct hub_authority *authority = &config->authorities[i];
        add_list(state, "authority", (const char *const[]){authority->name, authority->system}, 2);
        add_list(state, "aliases", authority->aliases, authority->alias_count);
        add_flag(state, "primary", authority->primary);
    }
}

void hub_rules_tables_hash(const struct hub_config *config, const char *format, uint8_t out[HUB_HASH_LEN])
{
    struct hub_sha256 state;
    char folder[PATH_CAP];
    hub_sha256_init(&state);
    int len = snprintf(folder, sizeof(folder), "%s/%s", config->schema_dir != NULL ? config->schema_dir : "", format);
    if (len > 0 && (size_t)len < sizeof(folder))
        add_folder(&state, folder, 0);
    hub_sha256_final(&state, out);
}

void hub_rules_feed_hash(const struct hub_config *config, const struct hub_feed *feed, const uint8_t tables[HUB_HASH_LEN],
                         char out[HUB_RULES_HASH_CAP])
{
    struct hub_sha256 state;
    uint8_t hash[HUB_HASH_LEN];
    char hex[2 * HUB_HASH_LEN + 1];
    hub_sha256_init(&state);
    hub_sha256_update(&state, hub_span_of(tables, HUB_HASH_LEN));
    for (size_t i = 0; i < feed->mapping_count; i++) {
        add_text(&state, "overlay");
        add_file(&state, feed->mapping[i]);
    }
    add_options(&state, config, feed);
    hub_sha256_final(&state, hash);
    (void)hub_encode(HUB_HEX, hub_span_of(hash, sizeof(hash)), hex, sizeof(hex));
    (void)snprintf(out, HUB_RULES_HASH_CAP, "%.20s@%.16s", feed->format, hex);
}
