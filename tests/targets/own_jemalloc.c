/*
 * What jemalloc calls its own: 200 blocks by mallocx, aligned ones and zeroed ones among them, 100 of 1,000 and 100 of 24
 * bytes; 100 of them become 2,000 bytes by rallocx and, where they lie, 2,040 by xallocx; they end by dallocx, sdallocx and
 * free by turns. 50 of 500 by malloc end by dallocx and sdallocx. 10 of 8 bytes are kept. Impossible sizes are refused
 * three times. Prints the requests that jemalloc has counted, in blocks.
 *
 * 460 allocations, 200 of them reallocations; 231,480 bytes; 250 frees. Exits with 0.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void *mallocx(size_t, int);
void *rallocx(void *, size_t, int);
size_t xallocx(void *, size_t, size_t, int);
void dallocx(void *, int);
void sdallocx(void *, size_t, int);
int mallctl(const char *, void *, size_t *, void *, size_t);

#define ALIGN64 6 /* MALLOCX_ALIGN(64) is its logarithm */
#define ZERO 0x40

static uint64_t requests(void)
{
    uint64_t epoch = 1, small = 0, large = 0;
    size_t size = sizeof small;
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    if (mallctl("stats.arenas.4096.small.nrequests", &small, &size, NULL, 0) || mallctl("stats.arenas.4096.large.nrequests", &large, &size, NULL, 0))
        return 0;
    return small + large;
}

#ifndef ENTRY
#define ENTRY main
#endif
int ENTRY(void)
{
    uint64_t before = requests();
    int bad = 0;
    for (int i = 0; i < 100; i++) {
        char *p = mallocx(1000, i % 2 ? ALIGN64 : 0), *q = mallocx(24, i % 2 ? ZERO : 0);
        bad |= (uintptr_t)p % (i % 2 ? 64 : 1) || (i % 2 && q[23]);
        p = rallocx(p, 2000, 0);
        bad |= xallocx(p, 2040, 0, 0) < 2040;
        if (i % 3 == 0)
            free(p), sdallocx(q, 24, 0);
        else if (i % 3 == 1)
            dallocx(p, 0), free(q);
        else
            sdallocx(p, 2040, 0), dallocx(q, 0);
    }
    for (int i = 0; i < 50; i++) {
        void *p = malloc(500);
        if (i % 2)
            sdallocx(p, 500, 0);
        else
            dallocx(p, 0);
    }
    for (int i = 0; i < 10; i++)
        bad |= !mallocx(8, 0);
    bad |= mallocx(SIZE_MAX / 2, 0) || mallocx(SIZE_MAX / 2, 0) || mallocx(SIZE_MAX / 2, ZERO);
    uint64_t after = requests();
    char text[32];
    fwrite(text, 1, (size_t)snprintf(text, sizeof text, "%lu\n", after - before), stderr);
    return bad;
}
