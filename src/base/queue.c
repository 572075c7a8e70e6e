/* A ring with a sequence number per cell (D. Vyukov's bounded queue) and a futex for the sleeping consumer. */
#include "src/base/queue.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "src/base/mem.h"

struct cell {
    atomic_size_t turn;
    void *item;
};

struct hub_queue {
    _Alignas(64) atomic_size_t head; /* next to push */
    _Alignas(64) atomic_size_t tail; /* next to pop */
    _Alignas(64) atomic_uint signal; /* bumped by pushes while the consumer sleeps, and by wakes */
    atomic_int sleeping;
    size_t mask;
    struct cell *cells;
    void *base;
};

struct hub_queue *hub_queue_new(size_t capacity)
{
    size_t size = 2;
    while (size < capacity && size <= SIZE_MAX / 4)
        size *= 2;
    void *base = hub_mem_alloc(sizeof(struct hub_queue) + 64);
    struct cell *cells = hub_mem_array(size, sizeof *cells);
    if (base == NULL || cells == NULL) {
        hub_mem_free(base);
        hub_mem_free(cells);
        return NULL;
    }
    struct hub_queue *queue = (struct hub_queue *)(((uintptr_t)base + 63) & ~(uintptr_t)63);
    queue->base = base;
    queue->cells = cells;
    queue->mask = size - 1;
    for (size_t i = 0; i < size; i++)
        atomic_init(&cells[i].turn, i);
    return queue;
}

void hub_queue_free(struct hub_queue *queue)
{
    if (queue == NULL)
        return;
    hub_mem_free(queue->cells);
    hub_mem_free(queue->base);
}

static void futex_wake(struct hub_queue *queue)
{
    atomic_fetch_add(&queue->signal, 1);
    (void)syscall(SYS_futex, &queue->signal, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool hub_queue_push(struct hub_queue *queue, void *item)
{
    size_t at = atomic_load_explicit(&queue->head, memory_order_relaxed);
    struct cell *cell;
    for (;;) {
        cell = &queue->cells[at & queue->mask];
        size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        if (turn == at) {
            if (atomic_compare_exchange_weak(&queue->head, &at, at + 1))
                break;
        } else if ((intptr_t)(turn - at) < 0) {
            return false;
        } else {
            at = atomic_load_explicit(&queue->head, memory_order_relaxed);
        }
    }
    cell->item = item;
    atomic_store(&cell->turn, at + 1);
    if (atomic_load(&queue->sleeping) != 0)
        futex_wake(queue);
    return true;
}

void *hub_queue_pop(struct hub_queue *queue)
{
    size_t at = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    struct cell *cell = &queue->cells[at & queue->mask];
    if (atomic_load(&cell->turn) != at + 1)
        return NULL;
    void *item = cell->item;
    atomic_store_explicit(&cell->turn, at + queue->mask + 1, memory_order_release);
    atomic_store_explicit(&queue->tail, at + 1, memory_order_relaxed);
    return item;
}

void hub_queue_wait(struct hub_queue *queue, int timeout_ms)
{
    unsigned seen = atomic_load(&queue->signal);
    atomic_store(&queue->sleeping, 1);
    size_t at = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    if (atomic_load(&queue->cells[at & queue->mask].turn) != at + 1) {
        struct timespec limit = {.tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
        (void)syscall(SYS_futex, &queue->signal, FUTEX_WAIT_PRIVATE, seen, timeout_ms < 0 ? NULL : &limit, NULL, 0);
    }
    atomic_store(&queue->sleeping, 0);
}

void hub_queue_wake(struct hub_queue *queue)
{
    futex_wake(queue);
}

size_t hub_queue_count(const struct hub_queue *queue)
{
    size_t head = atomic_load(&queue->head);
    size_t tail = atomic_load(&queue->tail);
    return head >= tail ? head - tail : 0;
}
