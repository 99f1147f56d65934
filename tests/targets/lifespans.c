/*
 * lifespans: eight call paths with blocks of eight lifetimes, and the same work after each allocation: a lifetime in instructions
 * is one in allocations.
 *   site_K()  4,000 blocks, of which 2^K are live at a time: 8 * 2^K - 1 allocations come between a block's own and its end, and each
 *             of 3 reallocations for those that are live then. The last 2^K of them are never freed, 255 in all.
 *   kept()    one block, made first, which is reallocated after each 8,000 others, 3 times, and freed when all are made: 32,003.
 */
#include <stdlib.h>

#define SITE(n) __attribute__((noinline)) static void *site_##n(size_t size) { void *volatile block = malloc(size); return block; }
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7)
static void *(*const sites[8])(size_t) = { site_0, site_1, site_2, site_3, site_4, site_5, site_6, site_7 };

__attribute__((noinline)) static void *kept(void *block, size_t size)
{
    void *volatile more = realloc(block, size);
    return more;
}

static void *live[8][128];

int main(void)
{
    char *all = kept(NULL, 100);
    for (size_t i = 0; i < 32000; i++) {
        size_t site = i % 8, place = i / 8 % (1u << site);
        free(live[site][place]);
        live[site][place] = sites[site](24 + site);
        for (volatile int work = 0; work < 500; work++)
            ;
        if (i && i % 8000 == 0)
            all = kept(all, 100 + i);
    }
    free(all);
    return 0;
}
