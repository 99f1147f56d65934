/*
 * A library with known behaviour, for scripts that open it through FFI. Of every function the number
 * of allocations (reallocations included), the bytes asked for, the frees and the rise of what is in
 * use stand beside it. It allocates nothing else; what the C library allocates for threads is asked
 * for by the dynamic linker, whose own pointers are not among the slots.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MOST 100000
#define THREADS 64

static __thread void *held[MOST];
static void *kept[MOST];
static uint32_t kept_count;

/* n, n * m, n frees, rise n * m: all at once, then none. */
void blocks(uint32_t n, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++)
        held[i] = malloc(m);
    for (uint32_t i = 0; i < n; i++)
        free(held[i]);
}

/* n, n * m, n frees, rise m: one after the other. */
void pairs(uint32_t n, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++) {
        void *volatile block = malloc(m);
        free(block);
    }
}

/* n, n * m, no frees, rise n * m. Another call adds to it. */
void keep(uint32_t n, uint32_t m)
{
    for (uint32_t i = 0; i < n && kept_count < MOST; i++)
        kept[kept_count++] = malloc(m);
}

/* Without arguments, for which Deno allocates until it has compiled the caller. */
void keep_one(void) { keep(1, 1000); }
void blocks_hundred(void) { blocks(100, 1000); }
void pairs_seven(void) { pairs(7, 10); }

/* As many frees as blocks were kept; no allocations. */
uint32_t release(void)
{
    uint32_t n = kept_count;
    while (kept_count > 0)
        free(kept[--kept_count]);
    return n;
}

/* n, n * m, n frees, rise m: calloc, of m bytes in all. */
void zeroed(uint32_t n, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++) {
        void *volatile block = calloc(1, m);
        free(block);
    }
}

/* 4 * n, 4 * n * m, 4 * n frees, rise m: the four aligned ways. */
void aligned(uint32_t n, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++) {
        void *block = NULL;
        if (posix_memalign(&block, 64, m) == 0)
            free(block);
        free(aligned_alloc(64, m));
        free(memalign(64, m));
        free(valloc(m));
    }
}

/* 2 * n, n * max(m, to), n frees; n reallocations. */
void resized(uint32_t n, uint32_t m, uint32_t to)
{
    for (uint32_t i = 0; i < n; i++)
        free(realloc(malloc(m), to));
}

struct work {
    uint32_t n, m;
    void **out;
};

static void *work_blocks(void *at)
{
    struct work *work = at;
    blocks(work->n, work->m);
    return NULL;
}

static void *work_keep(void *at)
{
    struct work *work = at;
    for (uint32_t i = 0; i < work->n; i++)
        work->out[i] = malloc(work->m);
    return NULL;
}

/* k * n, k * n * m, k * n frees: in k threads at a time that have ended when it returns. */
void threaded(uint32_t k, uint32_t n, uint32_t m)
{
    pthread_t threads[THREADS];
    struct work work = { n, m, NULL };
    for (uint32_t i = 0; i < k && i < THREADS; i++)
        pthread_create(&threads[i], NULL, work_blocks, &work);
    for (uint32_t i = 0; i < k && i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

void threaded_eight(void) { threaded(8, 10, 100); }

/* n, n * m, n frees, rise n * m: allocated by another thread, freed by the calling one. */
void handed(uint32_t n, uint32_t m)
{
    struct work work = { n, m, held };
    pthread_t thread;
    pthread_create(&thread, NULL, work_keep, &work);
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < n; i++)
        free(held[i]);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static uint32_t waiting, open_to;

static void *work_wait(void *at)
{
    uint32_t name = (uint32_t)(uintptr_t)at;
    char text[16] = "waits-";
    text[6] = (char)('a' + name % 26);
    pthread_setname_np(pthread_self(), text);
    free(malloc(10));
    pthread_mutex_lock(&gate);
    waiting++;
    pthread_cond_broadcast(&moved);
    while (!open_to)
        pthread_cond_wait(&moved, &gate);
    waiting--;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&gate);
    return NULL;
}

/* k, k * 10, k frees: k threads, named waits-a and on, that run until `end_threads`. */
void start_threads(uint32_t k)
{
    pthread_t thread;
    pthread_mutex_lock(&gate);
    open_to = 0;
    for (uint32_t i = 0; i < k; i++) {
        pthread_create(&thread, NULL, work_wait, (void *)(uintptr_t)i);
        pthread_detach(thread);
    }
    while (waiting < k)
        pthread_cond_wait(&moved, &gate);
    pthread_mutex_unlock(&gate);
}

/* Nothing. The threads may still be on their way out when it returns. */
void end_threads(void)
{
    pthread_mutex_lock(&gate);
    open_to = 1;
    pthread_cond_broadcast(&moved);
    while (waiting > 0)
        pthread_cond_wait(&moved, &gate);
    pthread_mutex_unlock(&gate);
}

/* A pointer that was copied before anyone could change it: not seen. */
static void *(*volatile copied)(size_t);
__attribute__((constructor)) static void copy(void) { copied = malloc; }

/* 0 when the library was opened before `install`, n after it: malloc through the copied pointer; n frees. */
void through_copy(uint32_t n, uint32_t m)
{
    for (uint32_t i = 0; i < n; i++) {
        void *volatile block = copied(m);
        free(block);
    }
}
