/*
 * Four threads, each 5,000 malloc(64), whose blocks the main thread frees after they ended.
 * In all 20,000 allocations and 1,280,000 bytes in threads named "maker", 20,000 frees in the main
 * thread, all of blocks of other threads. The main thread's own allocations (thread stacks and the
 * like, by the C library) are few and come on top.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>

static void *volatile blocks[4][5000];

static void *maker(void *number)
{
    long n = (long)number;
    pthread_setname_np(pthread_self(), "maker");
    for (int i = 0; i < 5000; i++)
        blocks[n][i] = malloc(64);
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, maker, (void *)i);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 5000; j++)
            free(blocks[i][j]);
    return 0;
}
