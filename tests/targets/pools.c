/*
 * A pool in malloc's blocks, told by heaptap.h. Two blocks of 4,096 bytes by malloc, which are told to hold others: in the
 * first 50 of 40 bytes for the pool "names", 30 of which go back, and one of which moves and grows to 60; in the second 20 of 100
 * without a name, which go back all at once. 10 blocks of 8 by malloc. While paused 5 of 1,000 by malloc, which end when that is over.
 *
 * With the header: 50 + 1 + 20 + 2 + 10 allocations (1 a reallocation), of 50 * 40 + 20 + 2,000 + 8,192 + 80 bytes; 30 + 20 + 2 frees,
 * 20 live blocks of the pool with 820 bytes and 10 of malloc's. Built with -DHEAPTAP_DISABLE: 17 allocations of 13,272 bytes, the five
 * too, and 6 frees. Exits with 0.
 */
#include "../../ffi/include/heaptap.h"
#include <stdlib.h>

#define KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")

static char *names_at;
__attribute__((noinline)) static void *name_take(size_t n)
{
    char *p = names_at;
    names_at += (n + 15) / 16 * 16;
    HEAPTAP_POOL("names");
    HEAPTAP_ALLOC(p, n);
    HEAPTAP_POOL(NULL);
    return p;
}

__attribute__((noinline)) static void names(void)
{
    void *all[50];
    for (int i = 0; i < 50; i++)
        all[i] = name_take(40);
    for (int i = 0; i < 30; i++)
        HEAPTAP_FREE(all[i]);
    HEAPTAP_FREE(all[0]);
    HEAPTAP_FREE(NULL);
    HEAPTAP_POOL("names");
    HEAPTAP_REALLOC(all[30], names_at, 60);
    HEAPTAP_POOL(NULL);
}

__attribute__((noinline)) static void *arena(void)
{
    char *all = malloc(4096);
    HEAPTAP_SLAB(all);
    for (int i = 0; i < 20; i++)
        HEAPTAP_ALLOC(all + i * 104, 100);
    HEAPTAP_MARK("full");
    HEAPTAP_FREE_ALL(all, 4096);
    return all;
}

int main(void)
{
    char *slab = malloc(4096);
    names_at = slab;
    HEAPTAP_SLAB(slab);
    names();
    free(arena());
    for (int i = 0; i < 10; i++)
        KEEP(malloc(8));
    void *quiet[5];
    HEAPTAP_PAUSE();
    for (int i = 0; i < 5; i++)
        quiet[i] = malloc(1000);
    HEAPTAP_RESUME();
    for (int i = 0; i < 5; i++)
        free(quiet[i]);
    return 0;
}
