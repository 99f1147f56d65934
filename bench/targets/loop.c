/*
 * loop.c [threads [pairs]]: malloc and free of 64 bytes in a loop, 18 frames below the thread's start,
 * in each thread. Prints nanoseconds per pair and thread. `pairs` is per thread.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long pairs = 20000000;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double loop(void)
{
    double start = now();
    for (long i = 0; i < pairs; i++) {
        void *volatile block = malloc(64);
        free(block);
    }
    return (now() - start) / (double)pairs;
}

/* Frames with work behind the call, so that none is a tail call. */
__attribute__((noinline)) static double deeper(int depth)
{
    volatile double result = depth ? deeper(depth - 1) : loop();
    return result;
}

static void *thread(void *out)
{
    *(double *)out = deeper(14);
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    if (argc > 2)
        pairs = atol(argv[2]);
    double each[64] = { 0 }, sum = 0;
    pthread_t ids[64];
    if (threads < 1 || threads > 64)
        return 2;
    if (threads == 1)
        thread(&each[0]);
    else
        for (int i = 0; i < threads; i++)
            pthread_create(&ids[i], NULL, thread, &each[i]);
    for (int i = 0; i < threads && threads > 1; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < threads; i++)
        sum += each[i];
    printf("%.2f\n", sum / threads);
    return 0;
}
