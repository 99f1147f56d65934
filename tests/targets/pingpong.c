/*
 * Blocks of 64 bytes go at full speed from a thread that allocates them to one that frees them, 200,000 of them; a block of
 * 100 bytes grows to 200 and shrinks back 10,000 times; 1,000 threads live one after the other, of 10 malloc(32) and frees
 * each; 256 live at once, of one malloc(48) and free each. 200,000 + 1 + 20,000 + 10,000 + 256 allocations; 12,800,000 + 100
 * + 1,000,000 (growth) + 320,000 + 12,288 bytes; 210,257 frees. Exits with 0.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { RING = 1024, BLOCKS = 200000 };
static void *ring[RING];
static pthread_barrier_t barrier;

static void *consume(void *unused)
{
    (void)unused;
    for (int i = 0; i < BLOCKS; i++) {
        void *block;
        while (!(block = __atomic_exchange_n(&ring[i % RING], NULL, __ATOMIC_ACQ_REL)))
            sched_yield();
        free(block);
    }
    return NULL;
}

static void *live_shortly(void *unused)
{
    (void)unused;
    for (int i = 0; i < 10; i++) {
        void *volatile block = malloc(32);
        free(block);
    }
    return NULL;
}

static void *live_together(void *unused)
{
    (void)unused;
    void *volatile block = malloc(48);
    pthread_barrier_wait(&barrier);
    free(block);
    return NULL;
}

static void start(pthread_t *thread, void *(*function)(void *))
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    if (pthread_create(thread, &small, function, NULL))
        exit(1);
}

int main(void)
{
    pthread_t thread, threads[256];
    start(&thread, consume);
    for (int i = 0; i < BLOCKS; i++) {
        while (__atomic_load_n(&ring[i % RING], __ATOMIC_ACQUIRE))
            sched_yield();
        __atomic_store_n(&ring[i % RING], malloc(64), __ATOMIC_RELEASE);
    }
    pthread_join(thread, NULL);
    void *volatile block = malloc(100);
    for (int i = 0; i < 10000; i++) {
        block = realloc(block, 200);
        block = realloc(block, 100);
    }
    free(block);
    for (int i = 0; i < 1000; i++) {
        start(&thread, live_shortly);
        pthread_join(thread, NULL);
    }
    pthread_barrier_init(&barrier, NULL, 256);
    for (int i = 0; i < 256; i++)
        start(&threads[i], live_together);
    for (int i = 0; i < 256; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
