/*
 * sizes: 64 requests of known sizes, in two functions.
 *   small()  10 of 0, 10 of 8, 10 of 9 and 10 of 16 bytes
 *   large()  10 of 1000 bytes, 10 of 1 MiB + 1, and one block of 24 bytes that is reallocated to 5000, then to 100
 *            bytes, and one of 300 bytes by calloc
 * By classes: 0-8 B 20, 9-16 B 20, 17-32 B 1, 65-128 B 1, 257-512 B 1, 513-1024 B 10, 4-8 KiB 1, 1-2 MiB 10.
 * Slack is what malloc_usable_size says less the request, over all of them; it is printed.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define KEEP __attribute__((noinline))
static size_t slack;

static void *seen(void *block, size_t size)
{
    slack += malloc_usable_size(block) - size;
    return block;
}

KEEP static void small(void)
{
    for (int i = 0; i < 10; i++) {
        seen(malloc(0), 0);
        seen(malloc(8), 8);
        seen(malloc(9), 9);
        seen(malloc(16), 16);
    }
}

KEEP static void large(void)
{
    for (int i = 0; i < 10; i++) {
        seen(malloc(1000), 1000);
        free(seen(malloc((1 << 20) + 1), (1 << 20) + 1));
    }
    void *block = seen(malloc(24), 24);
    block = seen(realloc(block, 5000), 5000);
    block = seen(realloc(block, 100), 100);
    free(block);
    seen(calloc(3, 100), 300);
}

int main(void)
{
    small();
    large();
    char text[32];
    int length = snprintf(text, sizeof text, "%zu\n", slack);
    fwrite(text, 1, (size_t)length, stderr); /* which has no buffer to allocate */
    return 0;
}
