#include "src/base/mem.h"
#include "src/pipeline/forward_internal.h"

enum { CAP_FIRST = 64 };

#define HELD_BACK (UINT64_C(1) << 63) /* behind all records: not told until its record is let go */

void hub_forward_waits_init(struct hub_forward_waits *waits, uint64_t delivered)
{
    *waits = (struct hub_forward_waits){.delivered = delivered};
    (void)pthread_mutex_init(&waits->lock, NULL);
}

void hub_forward_waits_deinit(struct hub_forward_waits *waits)
{
    hub_mem_free(waits->heap);
    hub_mem_free(waits->held);
    (void)pthread_mutex_destroy(&waits->lock);
}

static bool grow(struct hub_forward_waits *w)
{
    if (w->count < w->cap)
        return true;
    size_t cap = w->cap != 0 ? w->cap * 2 : CAP_FIRST;
    struct hub_forward_wait **heap = hub_mem_resize(w->heap, cap * sizeof(struct hub_forward_wait *));
    if (heap == NULL)
        return false;
    w->heap = heap;
    w->cap = cap;
    return true;
}

static void push(struct hub_forward_waits *w, struct hub_forward_wait *wait)
{
    size_t at = w->count++;
    for (; at > 0 && w->heap[(at - 1) / 2]->record > wait->record; at = (at - 1) / 2)
        w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = wait;
}

static struct hub_forward_wait *pop(struct hub_forward_waits *w)
{
    struct hub_forward_wait *first = w->heap[0];
    struct hub_forward_wait *last = w->heap[--w->count];
    size_t at = 0;
    for (size_t child = 1; child < w->count; child = 2 * at + 1) {
        if (child + 1 < w->count && w->heap[child + 1]->record < w->heap[child]->record)
            child++;
        if (w->heap[child]->record >= last->record)
            break;
        w->heap[at] = w->heap[child];
        at = child;
    }
    w->heap[at] = last;
    return first;
}

static bool is_held(const struct hub_forward_waits *w, uint64_t record)
{
    for (size_t i = 0; i < w->held_count; i++)
        if (w->held[i] == record)
            return true;
    return false;
}

enum hub_result hub_forward_waits_add(struct hub_forward_waits *w, struct hub_forward_wait *wait)
{
    (void)pthread_mutex_lock(&w->lock);
    bool held = is_held(w, wait->record);
    bool there = wait->record <= w->delivered && !held;
    bool room = there || grow(w);
    if (held)
        wait->record |= HELD_BACK;
    if (room && !there)
        push(w, wait);
    (void)pthread_mutex_unlock(&w->lock);
    if (there)
        wait->delivered(wait);
    return room ? HUB_OK : HUB_NO_MEMORY;
}

/* Under the lock. */
static void release(struct hub_forward_waits *w)
{
    while (w->count != 0 && w->heap[0]->record <= w->delivered) {
        struct hub_forward_wait *wait = pop(w);
        if (!is_held(w, wait->record)) {
            wait->delivered(wait);
            continue;
        }
        wait->record |= HELD_BACK;
        push(w, wait); /* there is room: it came from there */
    }
}

void hub_forward_waits_release(struct hub_forward_waits *w, uint64_t delivered)
{
    (void)pthread_mutex_lock(&w->lock);
    w->delivered = delivered;
    release(w);
    (void)pthread_mutex_unlock(&w->lock);
}

void hub_forward_waits_hold_back(struct hub_forward_waits *w, uint64_t record)
{
    (void)pthread_mutex_lock(&w->lock);
    if (!is_held(w, record))
        w->held[w->held_count++] = record;
    (void)pthread_mutex_unlock(&w->lock);
}

void hub_forward_waits_let_go(struct hub_forward_waits *w, uint64_t record)
{
    (void)pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->held_count; i++)
        if (w->held[i] == record)
            w->held[i] = w->held[--w->held_count];
    size_t count = w->count;
    w->count = 0;
    for (size_t i = 0; i < count; i++) { /* the heap anew: places change */
        struct hub_forward_wait *wait = w->heap[i];
        if (wait->record == (record | HELD_BACK))
            wait->record = record;
        push(w, wait);
    }
    release(w);
    (void)pthread_mutex_unlock(&w->lock);
}

uint64_t hub_forward_waits_delivered(struct hub_forward_waits *w)
{
    (void)pthread_mutex_lock(&w->lock);
    uint64_t delivered = w->delivered;
    (void)pthread_mutex_unlock(&w->lock);
    return delivered;
}

size_t hub_forward_waits_count(struct hub_forward_waits *w)
{
    (void)pthread_mutex_lock(&w->lock);
    size_t count = w->count;
    (void)pthread_mutex_unlock(&w->lock);
    return count;
}
