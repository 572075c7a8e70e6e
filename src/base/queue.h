/* A bounded queue of pointers: many producers, one consumer. Producers never wait: a full queue says so and
 * the caller applies backpressure. The consumer may block. What is in the queue belongs to the queue. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hub_queue;

/* CAPACITY is rounded up to a power of two. NULL when memory is out. */
struct hub_queue *hub_queue_new(size_t capacity);
/* The queue must be empty; NULL is fine. */
void hub_queue_free(struct hub_queue *queue);
/* Any thread. False: full, ITEM stays the caller's. */
bool hub_queue_push(struct hub_queue *queue, void *item);
/* Consumer only. NULL: empty. */
void *hub_queue_pop(struct hub_queue *queue);
/* Consumer only: waits until something is there, hub_queue_wake is called or TIMEOUT_MS passed (-1: no limit). */
void hub_queue_wait(struct hub_queue *queue, int timeout_ms);
/* Any thread. */
void hub_queue_wake(struct hub_queue *queue);
/* Any thread, a snapshot. */
size_t hub_queue_count(const struct hub_queue *queue);
