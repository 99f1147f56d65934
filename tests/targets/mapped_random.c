/*
 * THREADS threads (first argument) map, unmap parts, protect, move and map over what they have, ROUNDS times each (second argument), in no order (the
 * third is the seed), each within 64 slots of 64 KiB of its own; refused calls are among it. Prints `live N`: the bytes of memory, in whole pages,
 * that may be touched at the end, as a map of one byte a page says. Right answer: what heaptap has mapped, live.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 1024, MOST = 16, NONE = 0, RESERVED = 1, USABLE = 2 };
static int rounds;
static unsigned seed;
static long total;

static void *run(void *number)
{
    unsigned char model[PAGES] = { 0 };
    unsigned at = seed + (unsigned)(size_t)number * 7919u;
    /* A place that nobody else gets: shared memory, which does not count, mapped over. */
    char *base = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < rounds; i++) {
        at = at * 1664525u + 1013904223u;
        unsigned what = at >> 29, from = (at >> 10) % PAGES, count = 1 + (at >> 20) % 40;
        if (from + count > PAGES)
            count = PAGES - from;
        char *place = base + (size_t)from * PAGE;
        size_t size = (size_t)count * PAGE;
        if (what < 2) {
            int usable = what == 0;
            mmap(place, size, usable ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            memset(model + from, usable ? USABLE : RESERVED, count);
        } else if (what == 2) {
            munmap(place, size);
            mmap(place, size, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            memset(model + from, NONE, count);
        } else if (what < 5) {
            int usable = what == 3;
            if (mprotect(place, size, usable ? PROT_READ | PROT_WRITE : PROT_NONE) == 0)
                for (unsigned k = from; k < from + count; k++)
                    if (model[k] != NONE)
                        model[k] = usable ? USABLE : RESERVED;
        } else if (what == 5) {
            munmap(place + 1, size); /* refused */
            munmap(place, ~(size_t)0 - PAGE);
        } else if (what == 6) {
            /* Grown in place where something is behind: refused. */
            if (from + count < PAGES && mremap(place, PAGE, 2 * PAGE, 0) != MAP_FAILED)
                abort();
        } else if (model[from] == USABLE) {
            char *moved = mremap(place, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, base + (size_t)((from + 512) % PAGES) * PAGE);
            if (moved == MAP_FAILED)
                continue;
            mmap(place, PAGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            model[(from + 512) % PAGES] = USABLE;
            model[from] = NONE;
        }
    }
    long usable = 0;
    for (int k = 0; k < PAGES; k++)
        usable += model[k] == USABLE;
    __atomic_fetch_add(&total, usable * PAGE, __ATOMIC_RELAXED);
    return NULL;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    pthread_t all[MOST];
    rounds = count > 2 ? atoi(arguments[2]) : 1000;
    seed = count > 3 ? (unsigned)atoi(arguments[3]) : 1;
    for (int i = 0; i < threads && i < MOST; i++)
        pthread_create(&all[i], NULL, run, (void *)(size_t)i);
    for (int i = 0; i < threads && i < MOST; i++)
        pthread_join(all[i], NULL);
    printf("live %ld\n", total);
    return 0;
}
