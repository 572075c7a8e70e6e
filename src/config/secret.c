/* Secrets by reference. Bytes read here never pass through stdio buffers or the heap. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/mem.h"
#include "src/codec/encode.h"
#include "src/config/config.h"

/* Up to CAP bytes of FD; *len is CAP + 1 when there are more. False: a read failed. */
static bool read_all(int fd, uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    for (;;) {
        uint8_t more;
        ssize_t got = *len < cap ? read(fd, out + *len, cap - *len) : read(fd, &more, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        *len += (size_t)got;
        if (*len > cap)
            return true;
    }
}

static enum hub_result finish(uint8_t *out, size_t cap, size_t *len, const char *name, struct hub_error *err)
{
    if (*len > cap) {
        hub_mem_wipe(out, cap);
        (void)hub_fail(err, HUB_CONFIG, "the secret is longer than it may be",
                       "check that the reference names the right secret");
        return hub_error_in(err, name, 0);
    }
    if (*len > 0 && out[*len - 1] == '\n')
        (*len)--;
    if (*len > 0)
        return HUB_OK;
    (void)hub_fail(err, HUB_CONFIG, "the secret is empty", "write it there");
    return hub_error_in(err, name, 0);
}

static enum hub_result read_file(const char *path, bool private, uint8_t *out, size_t cap, size_t *len,
                                 struct hub_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        (void)hub_fail_errno(err, HUB_CONFIG, "the secret's file cannot be read", errno);
        return hub_error_in(err, path, 0);
    }
    struct stat st;
    bool exposed = private && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) != 0;
    bool ok = !exposed && read_all(fd, out, cap, len);
    (void)close(fd);
    if (ok)
        return finish(out, cap, len, path, err);
    if (exposed)
        (void)hub_fail(err, HUB_CONFIG, "others may read the secret's file", "chmod 600 it");
    else
        (void)hub_fail(err, HUB_CONFIG, "the secret's file cannot be read", NULL);
    return hub_error_in(err, path, 0);
}

static enum hub_result read_command(const char *command, uint8_t *out, size_t cap, size_t *len,
                                    struct hub_error *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return hub_fail_errno(err, HUB_CONFIG, "the secret's command cannot be started", errno);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(pipe_fds[1], STDOUT_FILENO);
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    (void)close(pipe_fds[1]);
    bool ok = pid > 0 && read_all(pipe_fds[0], out, cap, len);
    (void)close(pipe_fds[0]);
    int status = -1;
    if (pid > 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (ok && *len <= cap && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        ok = false;
    if (ok)
        return finish(out, cap, len, "root_key.command", err);
    hub_mem_wipe(out, cap);
    return hub_fail(err, HUB_CONFIG, "the secret's command failed", "run it by hand to see why");
}

static enum hub_result read_env(const char *name, uint8_t *out, size_t cap, size_t *len,
                                struct hub_error *err)
{
    const char *value = getenv(name);
    if (value == NULL) {
        (void)hub_fail(err, HUB_CONFIG, "the secret's environment variable is not set",
                       "set it, or name another source");
        return hub_error_in(err, name, 0);
    }
    *len = strlen(value);
    if (*len <= cap)
        memcpy(out, value, *len);
    return finish(out, cap, len, name, err);
}

bool hub_secret_given(const struct hub_secret_ref *ref)
{
    return ref->file != NULL || ref->env != NULL || ref->credential != NULL || ref->command != NULL;
}

enum hub_result hub_secret_read(const struct hub_secret_ref *ref, uint8_t *out, size_t cap, size_t *len,
                                struct hub_error *err)
{
    *len = 0;
    if (ref->file != NULL)
        return read_file(ref->file, true, out, cap, len, err);
    if (ref->env != NULL)
        return read_env(ref->env, out, cap, len, err);
    if (ref->command != NULL)
        return read_command(ref->command, out, cap, len, err);
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (ref->credential == NULL || folder == NULL)
        return hub_fail(err, HUB_CONFIG, "no source of the secret is there",
                        "for `credential`, run under systemd with LoadCredential=");
    char path[4096];
    int written = snprintf(path, sizeof path, "%s/%s", folder, ref->credential);
    HUB_ENSURE(written > 0 && (size_t)written < sizeof path,
               hub_fail(err, HUB_CONFIG, "the credential's path is too long", NULL));
    return read_file(path, false, out, cap, len, err);
}

enum hub_result hub_root_key_read(const struct hub_config *config, uint8_t key[HUB_ROOT_KEY_LEN],
                                  struct hub_error *err)
{
    uint8_t text[2 * HUB_ROOT_KEY_LEN + 1];
    size_t len = 0, key_len = 0;
    HUB_TRY(hub_secret_read(&config->root_key, text, sizeof text, &len, err));
    enum hub_result result = hub_decode(HUB_HEX, hub_span_of(text, len), key, HUB_ROOT_KEY_LEN, &key_len);
    hub_mem_wipe(text, sizeof text);
    if (result == HUB_OK && key_len == HUB_ROOT_KEY_LEN)
        return HUB_OK;
    hub_mem_wipe(key, HUB_ROOT_KEY_LEN);
    (void)hub_fail(err, HUB_CONFIG, "the root key is not 64 hex digits",
                   "restore it from where it was kept; a new one opens nothing that is stored");
    return hub_error_in(err, config->root_key.file, 0);
}
