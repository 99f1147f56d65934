/*
 * lifetimes: blocks of known lifetimes, counted in allocations. Each line is a call path of its own; allocations are numbered from 1.
 *   young()    1000 blocks, each freed before the next allocation: 0 allocations each. 1 to 1000
 *   ring()     1000 blocks, each freed when 8 others have been made after it: 8 each, but for the last eight, which live
 *              7, 6 ... 0. 1001 to 2000
 *   grown()    1 block, 2001, reallocated 4 times, 2002 to 2005, then one of aside(), 2006, which is kept; freed at its end: 5.
 *              It ends on the path of its last reallocation.
 *   shrunk()   1 block of 1000 bytes, 2007, reallocated to 10, 2008, then freed: 1.
 *   slow()     1 block, 2009, freed after 20 ms: 0.
 *   kept()     40 blocks, 2010 to 2049, which are never freed.
 *   aligned()  aligned_alloc, posix_memalign and calloc, 2050 to 2052, freed in that order: 2, 1 and 0.
 *   other()    10 blocks, freed by another thread when all are made: 9, 8 ... 0. (A thread's start allocates too: that one
 *              is there before, and tells nothing of itself.)
 *   forked()   1 block of a parent, which a fork's child frees, and then makes and frees one of its own; the parent keeps it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEEP __attribute__((noinline))
static void *volatile held;

KEEP static void young(void)
{
    for (int i = 0; i < 1000; i++) {
        held = malloc(16);
        free(held);
    }
}

KEEP static void ring(void)
{
    void *blocks[9] = { 0 };
    for (int i = 0; i < 1000; i++) {
        blocks[i % 9] = malloc(40);
        free(blocks[(i + 1) % 9]);
        blocks[(i + 1) % 9] = NULL;
    }
    for (int i = 1000; i < 1009; i++)
        free(blocks[i % 9]);
}

KEEP static void aside(void) { held = malloc(5000); }

KEEP static void grown(void)
{
    void *block = malloc(100);
    for (size_t i = 1; i <= 4; i++)
        block = realloc(block, 100 + 100 * i);
    aside();
    free(block);
}

KEEP static void shrunk(void)
{
    void *block = malloc(1000);
    block = realloc(block, 10);
    free(block);
}

KEEP static void slow(void)
{
    held = malloc(24);
    nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    free(held);
}

KEEP static void kept(void)
{
    for (int i = 0; i < 40; i++)
        held = malloc(32);
}

KEEP static void aligned(void)
{
    void *a = aligned_alloc(64, 128), *b = NULL;
    (void)!posix_memalign(&b, 256, 100);
    void *c = calloc(3, 7);
    free(a);
    free(b);
    free(c);
}

static void *blocks[10];
static pthread_barrier_t made;

static void *freeing(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&made);
    for (int i = 0; i < 10; i++)
        free(blocks[i]);
    return NULL;
}

KEEP static void other(void)
{
    pthread_t thread;
    pthread_barrier_init(&made, NULL, 2);
    pthread_create(&thread, NULL, freeing, NULL);
    for (int i = 0; i < 10; i++)
        blocks[i] = malloc(48);
    pthread_barrier_wait(&made);
    pthread_join(thread, NULL);
}

KEEP static void forked(void)
{
    void *block = held = malloc(56);
    pid_t child = fork();
    if (child == 0) {
        free(block);
        held = malloc(64);
        free(held);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

int main(void)
{
    young();
    ring();
    grown();
    shrunk();
    slow();
    kept();
    aligned();
    other();
    forked();
    return 0;
}
