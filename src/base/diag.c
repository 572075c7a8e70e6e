#include "src/base/diag.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/clock.h"

static atomic_int most_verbose = HUB_DIAG_NOTICE;

struct hub_diag_value hub_diag_number(const char *name, int64_t number)
{
    struct hub_diag_value value = {.name = name};
    (void)snprintf(value.text, sizeof value.text, "%lld", (long long)number);
    return value;
}

struct hub_diag_value hub_diag_configured(const char *name, const char *configured)
{
    struct hub_diag_value value = {.name = name};
    (void)snprintf(value.text, sizeof value.text, "%s", configured != NULL ? configured : "");
    for (char *c = value.text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return value;
}

struct hub_diag_value hub_diag_token(const char *name, const char *token)
{
    struct hub_diag_value value = {.name = name};
    size_t len = token != NULL ? strlen(token) : 0;
    bool good = len > 0 && len <= 64;
    for (size_t i = 0; good && i < len; i++)
        good = (token[i] >= '0' && token[i] <= '9') || (token[i] >= 'a' && token[i] <= 'z');
    (void)snprintf(value.text, sizeof value.text, "%s", good ? token : "?");
    return value;
}

struct hub_diag_value hub_diag_error(const struct hub_error *err)
{
    struct hub_diag_value value = {.name = "reason"};
    (void)hub_error_print(err, value.text, sizeof value.text);
    return value;
}

static const char *level_text(enum hub_diag_level level)
{
    switch (level) {
    case HUB_DIAG_ERROR:
        return "error";
    case HUB_DIAG_WARNING:
        return "warning";
    case HUB_DIAG_NOTICE:
        return "notice";
    case HUB_DIAG_DEBUG:
        return "debug";
    }
    return "error";
}

void hub_diag_set_level(enum hub_diag_level level)
{
    atomic_store(&most_verbose, (int)level);
}

void hub_diag_write(enum hub_diag_level level, const char *component, const char *text,
                    const struct hub_diag_value *values, size_t count)
{
    if ((int)level > atomic_load_explicit(&most_verbose, memory_order_relaxed))
        return;
    char line[2048];
    char now[HUB_TIME_TEXT_LEN + 1];
    hub_time_format(hub_clock_wall_us(hub_clock_system()), now);
    int len = snprintf(line, sizeof line - 1, "%s %s %s: %s", now, level_text(level), component, text);
    for (size_t i = 0; i < count && len > 0 && (size_t)len < sizeof line - 1; i++) {
        if (values[i].name == NULL)
            continue;
        bool quote = strpbrk(values[i].text, " \"") != NULL;
        len += snprintf(line + len, sizeof line - 1 - (size_t)len, quote ? " %s=\"%s\"" : " %s=%s", values[i].name,
                        values[i].text);
    }
    if (len < 0)
        return;
    size_t end = (size_t)len < sizeof line - 1 ? (size_t)len : sizeof line - 2;
    line[end++] = '\n';
    /* one write, so that lines of threads do not mix; a lost log line must not stop the hub */
    if (write(STDERR_FILENO, line, end) < 0)
        return;
}

/* --- what is new --- */

static uint64_t number_of(const struct hub_error *err)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    const char *text = err->what != NULL && err->what[0] != '\0' ? err->what : hub_result_text(err->result);
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
    hash = (hash ^ (uint8_t)err->result) * UINT64_C(1099511628211);
    return hash != 0 ? hash : 1;
}

/* Takes a place among those that were said lately. */
static bool admit(struct hub_diag_news *news, uint64_t text, int64_t now_us)
{
    enum { MINUTE_US = 60000000 };
    size_t room = HUB_DIAG_NEWS_MAX;
    for (size_t i = 0; i < HUB_DIAG_NEWS_MAX; i++) {
        const bool over = news->last[i].text == 0 || now_us >= news->last[i].until_us;
        if (!over && news->last[i].text == text)
            return false;
        room = over ? i : room;
    }
    if (room == HUB_DIAG_NEWS_MAX)
        return false;
    news->last[room].text = text;
    news->last[room].until_us = now_us + MINUTE_US;
    return true;
}

bool hub_diag_is_news(struct hub_diag_news *news, const struct hub_error *err, int64_t now_us)
{
    const bool told = news->told;
    const uint64_t text = err != NULL ? number_of(err) : 0;
    if (err == NULL) {
        news->current = 0;
        news->said = news->told = false;
        return told;
    }
    if (news->current == text && news->said)
        return false;
    news->current = text;
    news->said = admit(news, text, now_us);
    news->told = news->told || news->said;
    return news->said;
}
