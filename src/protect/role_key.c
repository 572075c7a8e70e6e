/* Role key files: a header line and a line of base64. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/disk.h"
#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/protect/keys_internal.h"

#define PUBLIC_HEADER "chartline-role-public-1 "
#define SECRET_HEADER "chartline-role-secret-1 "

enum { FILE_CAP = 512, ENCODED_LEN = 44, FOLDER_CAP = 4096 };

static enum hub_result at_path(enum hub_result result, struct hub_error *err, const char *path)
{
    if (err != NULL)
        (void)hub_error_in(err, path, 0);
    return result;
}

/* A key that a crash takes away again leaves its role with what was sealed to it, and nothing to open it. */
static enum hub_result sync_folder(struct hub_disk *disk, const char *path, struct hub_error *err)
{
    char folder[FOLDER_CAP];
    const char *slash = strrchr(path, '/');
    const int len = slash == NULL ? snprintf(folder, sizeof folder, ".") : snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (len < 0 || (size_t)len >= sizeof folder)
        return at_path(hub_fail(err, HUB_CONFIG, "the path is too long", NULL), err, path);
    return disk->ops->sync_dir(disk, len == 0 ? "/" : folder, err);
}

static enum hub_result file_create(const char *path, mode_t mode, const char *header, const char *role,
                                   const uint8_t key[HUB_KEY_LEN], struct hub_error *err)
{
    char text[FILE_CAP], encoded[ENCODED_LEN + 1];
    (void)hub_encode(HUB_BASE64, hub_span_of(key, HUB_KEY_LEN), encoded, sizeof encoded);
    const int len = snprintf(text, sizeof text, "%s%s\n%s\n", header, role, encoded);
    hub_mem_wipe(encoded, sizeof encoded);
    if (len < 0 || (size_t)len >= sizeof text)
        return hub_fail(err, HUB_CONFIG, "the role's name is too long", NULL);
    struct hub_disk *disk = hub_disk_system();
    int fd = -1;
    enum hub_result result = disk->ops->open(disk, path, HUB_DISK_CREATE, &fd, err);
    if (result == HUB_OK)
        result = disk->ops->write(disk, fd, 0, hub_span_of(text, (size_t)len), err);
    if (result == HUB_OK)
        result = disk->ops->sync(disk, fd, err);
    if (fd >= 0)
        disk->ops->close(disk, fd);
    hub_mem_wipe(text, sizeof text);
    if (result == HUB_OK && chmod(path, mode) != 0)
        result = at_path(hub_fail_errno(err, HUB_IO, "the key file's mode could not be set", errno), err, path);
    return result == HUB_OK ? sync_folder(disk, path, err) : result;
}

enum hub_result hub_role_key_create(const char *pub_path, const char *key_path, const char *role,
                                    struct hub_error *err)
{
    struct hub_role_key *key = hub_secret_alloc(sizeof *key);
    if (key == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    hub_box_keypair(key->public_key, key->secret_key);
    enum hub_result result = file_create(key_path, 0600, SECRET_HEADER, role, key->secret_key, err);
    if (result == HUB_OK)
        result = file_create(pub_path, 0644, PUBLIC_HEADER, role, key->public_key, err);
    hub_secret_free(key);
    return result;
}

static bool parse(struct hub_span text, struct hub_span header, uint8_t key[HUB_KEY_LEN])
{
    const uint8_t *line_end = text.len != 0 ? memchr(text.ptr, '\n', text.len) : NULL;
    if (line_end == NULL || text.len < header.len || memcmp(text.ptr, header.ptr, header.len) != 0)
        return false;
    struct hub_span body = hub_span_of(line_end + 1, text.len - (size_t)(line_end + 1 - text.ptr));
    while (body.len != 0 && (body.ptr[body.len - 1] == '\n' || body.ptr[body.len - 1] == '\r'))
        body.len--;
    size_t len = 0;
    return hub_decode(HUB_BASE64, body, key, HUB_KEY_LEN, &len) == HUB_OK && len == HUB_KEY_LEN;
}

static enum hub_result file_load(const char *path, struct hub_span header, const char *what,
                                 uint8_t key[HUB_KEY_LEN], struct hub_error *err)
{
    char text[FILE_CAP];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return at_path(hub_fail_errno(err, errno == ENOENT ? HUB_NOT_FOUND : HUB_IO,
                                      "the key file could not be read", errno),
                       err, path);
    const ssize_t got = read(fd, text, sizeof text);
    (void)close(fd);
    const bool good =
        got > 0 && (size_t)got < sizeof text && parse(hub_span_of(text, (size_t)got), header, key);
    hub_mem_wipe(text, sizeof text);
    return good ? HUB_OK
                : at_path(hub_fail(err, HUB_CONFIG, what, "give the file that `init` made for the role"), err,
                          path);
}

enum hub_result hub_role_public_load(const char *pub_path, uint8_t public_key[HUB_BOX_PUBLIC_LEN],
                                     struct hub_error *err)
{
    return file_load(pub_path, HUB_SPAN(PUBLIC_HEADER), "not a role's public key", public_key, err);
}

enum hub_result hub_role_key_load(const char *key_path, struct hub_role_key **out, struct hub_error *err)
{
    *out = NULL;
    struct hub_role_key *key = hub_secret_alloc(sizeof *key);
    if (key == NULL)
        return hub_fail(err, HUB_NO_MEMORY, NULL, NULL);
    enum hub_result result =
        file_load(key_path, HUB_SPAN(SECRET_HEADER), "not a role's secret key", key->secret_key, err);
    if (result != HUB_OK) {
        hub_secret_free(key);
        return result;
    }
    hub_box_public(key->secret_key, key->public_key);
    *out = key;
    return HUB_OK;
}
