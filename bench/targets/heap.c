/*
 * heap EVERY: 1 GiB of heap in blocks of 41 to 56 bytes, 64 with glibc's header, from eight call sites in no order; all but every EVERYth
 * freed. Prints `ready` and waits for a byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE(n) \
    static __attribute__((noinline)) void *site_##n(size_t size) { void *block = malloc(size); return memset(block, n + 1, size); }
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7)

int main(int count, char **arguments)
{
    void *(*const sites[8])(size_t) = { site_0, site_1, site_2, site_3, site_4, site_5, site_6, site_7 };
    int blocks = 1 << 24, every = count > 1 ? atoi(arguments[1]) : 1;
    void **all = malloc(sizeof *all * (size_t)blocks);
    unsigned random = 1;
    for (int i = 0; i < blocks; i++) {
        random = random * 1664525 + 1013904223;
        all[i] = sites[random >> 29](41 + (random >> 24 & 15));
    }
    for (int i = 0; i < blocks; i++)
        if (i % every)
            free(all[i]);
    puts("ready");
    fflush(stdout);
    return read(0, &(char){ 0 }, 1) < 0;
}
