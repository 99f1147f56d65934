/*
 * 100 times each: memalign(64, 100), pvalloc(100), valloc(100), aligned_alloc(64, 100), whose size is no multiple of the
 * alignment, posix_memalign(128, 100). All are aligned, written and freed: 500 allocations, 50,000 bytes, 500 frees. Exits
 * with 0, with 1 when one is not aligned.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int use(void *block, uintptr_t alignment)
{
    int good = block && (uintptr_t)block % alignment == 0;
    memset(block, 1, 100);
    free(block);
    return good;
}

int main(void)
{
    int good = 1;
    for (int i = 0; i < 100; i++) {
        void *block = NULL;
        good &= use(memalign(64, 100), 64);
        good &= use(pvalloc(100), 4096);
        good &= use(valloc(100), 4096);
        good &= use(aligned_alloc(64, 100), 64);
        good &= posix_memalign(&block, 128, 100) == 0 && use(block, 128);
    }
    return !good;
}
