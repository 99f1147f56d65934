/*
 * An allocator whose blocks lie as close as 8 bytes, whatever their sizes are: no size classes, nothing in front of a
 * block. Freed places are taken again at once, by blocks of other sizes. What is larger than a few pages is glibc's.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_UNITS (1u << 20) /* of 8 bytes */
#define CLOSE_MOST 120000u

static uint64_t close_memory[CLOSE_UNITS] __attribute__((aligned(4096)));
static uint32_t close_length[CLOSE_UNITS]; /* units of the block that begins or lies there, 0 where it is free */
static uint32_t close_rover;
static pthread_mutex_t close_lock = PTHREAD_MUTEX_INITIALIZER;

static int close_has(const void *block) { return (uint64_t *)block >= close_memory && (uint64_t *)block < close_memory + CLOSE_UNITS; }
static uint32_t close_unit(const void *block) { return (uint32_t)((uint64_t *)block - close_memory); }

static void *close_take(size_t alignment, size_t size)
{
    if (size > CLOSE_MOST)
        return alignment > 16 ? memalign(alignment, size) : malloc(size);
    uint32_t units = size ? (uint32_t)((size + 7) / 8) : 1, step = alignment > 8 ? (uint32_t)(alignment / 8) : 1, run = 0;
    void *block = NULL;
    pthread_mutex_lock(&close_lock);
    for (uint32_t looked = 0, at = close_rover; looked < 2 * CLOSE_UNITS && !block; looked++) {
        if (at == CLOSE_UNITS)
            at = run = 0;
        run = (run > 0 || at % step == 0) && close_length[at] == 0 ? run + 1 : 0;
        at++;
        if (run == units) {
            for (uint32_t i = at - units; i < at; i++)
                close_length[i] = units;
            block = &close_memory[at - units];
            close_rover = close_rover % 3 ? at : (at * 7u) % 4096; /* often back to where there are holes */
        }
    }
    pthread_mutex_unlock(&close_lock);
    if (block)
        memset(block, 0xa5, size);
    return block;
}

static size_t close_usable(void *block) { return close_has(block) ? 8ul * close_length[close_unit(block)] : malloc_usable_size(block); }

static void close_free(void *block)
{
    if (!close_has(block))
        return free(block);
    pthread_mutex_lock(&close_lock);
    for (uint32_t at = close_unit(block), end = at + close_length[at]; at < end; at++)
        close_length[at] = 0;
    pthread_mutex_unlock(&close_lock);
}

static void *close_malloc(size_t size) { return close_take(8, size); }
static void *close_memalign(size_t alignment, size_t size) { return close_take(alignment, size); }
static void *close_valloc(size_t size) { return close_take(4096, size); }
static void *close_calloc(size_t count, size_t size)
{
    size_t bytes;
    void *block = __builtin_mul_overflow(count, size, &bytes) ? NULL : close_take(8, bytes);
    return block ? memset(block, 0, bytes) : NULL;
}

static int close_posix_memalign(void **to, size_t alignment, size_t size)
{
    *to = close_take(alignment, size);
    return *to ? 0 : 12;
}

static void *close_realloc(void *old, size_t size)
{
    void *block = old && size == 0 ? NULL : close_take(8, size);
    if (old && block)
        memcpy(block, old, close_usable(old) < size ? close_usable(old) : size);
    if (old && (block || size == 0))
        close_free(old);
    return block;
}
