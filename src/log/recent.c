#include "src/log/recent.h"

#include "src/base/mem.h"

enum { GROUP_BYTES_MAX = 1024 * 1024 }; /* of memory; a larger group is read from its file */

static struct hub_log_group *nth(const struct hub_log_recent *recent, size_t n)
{
    return recent->groups[(recent->head + n) % HUB_LOG_RECENT_MAX];
}

/* Under the lock. Gives the group back to the caller when nobody uses it any more. */
static struct hub_log_group *drop(struct hub_log_group *group)
{
    return --group->users == 0 ? group : NULL;
}

static void free_group(struct hub_log_group *group)
{
    if (group == NULL)
        return;
    hub_buf_deinit(&group->bytes);
    hub_mem_free(group);
}

/* Under the lock: the oldest leaves the list. */
static struct hub_log_group *unlink_oldest(struct hub_log_recent *recent)
{
    struct hub_log_group *group = nth(recent, 0);
    recent->head = (recent->head + 1) % HUB_LOG_RECENT_MAX;
    recent->count--;
    recent->bytes -= group->bytes.cap;
    return drop(group);
}

/* Makes room for a group of BYTES. One of those that went and that nobody reads is left over, to be used again. */
static struct hub_log_group *make_room(struct hub_log *log, size_t bytes)
{
    struct hub_log_recent *recent = &log->recent;
    struct hub_log_group *spare = NULL;
    for (;;) {
        struct hub_log_group *gone = NULL;
        (void)pthread_mutex_lock(&log->lock);
        const bool full = recent->count != 0 && (recent->count == HUB_LOG_RECENT_MAX ||
                                                 recent->bytes + bytes > log->options.recent_bytes);
        if (full)
            gone = unlink_oldest(recent);
        (void)pthread_mutex_unlock(&log->lock);
        if (!full)
            return spare;
        if (gone != NULL) {
            free_group(spare);
            spare = gone;
        }
    }
}

void hub_log_recent_add(struct hub_log *log, uint64_t first, uint64_t last, uint64_t offset)
{
    struct hub_log_recent *recent = &log->recent;
    const size_t bytes = log->buf.cap;
    if (bytes > GROUP_BYTES_MAX || bytes > log->options.recent_bytes)
        return;
    struct hub_log_group *spare = make_room(log, bytes);
    struct hub_log_group *group = spare != NULL ? spare : hub_mem_alloc(sizeof *group);
    if (group == NULL)
        return;
    struct hub_buf empty = group->bytes;
    if (spare == NULL)
        hub_buf_init(&empty, log->buf.bytes_max, false);
    *group = (struct hub_log_group){
        .first = first, .last = last, .offset = offset, .bytes = log->buf, .users = 1};
    log->buf = empty;
    hub_buf_reset(&log->buf);
    (void)pthread_mutex_lock(&log->lock);
    group->segment = log->segments[log->segment_count - 1].first;
    recent->groups[(recent->head + recent->count++) % HUB_LOG_RECENT_MAX] = group;
    recent->bytes += bytes;
    (void)pthread_mutex_unlock(&log->lock);
}

struct hub_log_group *hub_log_recent_take(struct hub_log *log, uint64_t number)
{
    struct hub_log_recent *recent = &log->recent;
    struct hub_log_group *found = NULL;
    (void)pthread_mutex_lock(&log->lock);
    size_t low = 0;
    size_t high = recent->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (nth(recent, middle)->first <= number)
            low = middle;
        else
            high = middle;
    }
    if (recent->count != 0 && nth(recent, low)->first <= number && number <= nth(recent, low)->last) {
        found = nth(recent, low);
        found->users++;
    }
    (void)pthread_mutex_unlock(&log->lock);
    return found;
}

void hub_log_recent_give(struct hub_log *log, struct hub_log_group *group)
{
    if (group == NULL)
        return;
    (void)pthread_mutex_lock(&log->lock);
    struct hub_log_group *gone = drop(group);
    (void)pthread_mutex_unlock(&log->lock);
    free_group(gone);
}

void hub_log_recent_free(struct hub_log *log)
{
    while (log->recent.count != 0)
        free_group(unlink_oldest(&log->recent));
}
