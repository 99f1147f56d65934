/*
 * A malloc that asks the next one for 16 bytes more, keeps the size there and hands out what is behind. 1,000 blocks of 100, of which
 * 500 grow to 200; 900 end.
 *
 * 1,500 allocations, 500 of them reallocations; 116,000 bytes, and 50,000 by which they grow; 900 frees.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

static void *(*next_malloc)(size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static char early[4096];
static size_t early_used;

void *malloc(size_t size)
{
    static int asks;
    if (!next_malloc) {
        if (asks)
            return early + (early_used += (size + 15) / 16 * 16) - (size + 15) / 16 * 16;
        asks = 1;
        *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
        *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
        *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    }
    size_t *block = next_malloc(size + 16);
    if (block)
        *block = size;
    return block ? block + 2 : NULL;
}
void free(void *block)
{
    if (block && !((char *)block >= early && (char *)block < early + sizeof early))
        next_free((size_t *)block - 2);
}
void *realloc(void *old, size_t size)
{
    if (!old)
        return malloc(size);
    size_t *block = next_realloc((size_t *)old - 2, size + 16);
    return block ? block + 2 : NULL;
}
void *calloc(size_t count, size_t size)
{
    void *block = malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}

int main(void)
{
    static void *blocks[1000];
    for (int i = 0; i < 1000; i++)
        blocks[i] = malloc(100);
    for (int i = 0; i < 500; i++)
        blocks[i] = realloc(blocks[i], 200);
    for (int i = 0; i < 900; i++)
        free(blocks[i]);
    return 0;
}
