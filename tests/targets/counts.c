/*
 * Known figures, in one thread:
 *   allocations 1111 = 1000 malloc(100) + 100 calloc(10, 20) + 1 malloc(50) + 10 realloc of it
 *   bytes 100000 + 20000 + 50 + 950 (grown to 1000, 100 at a time after the first 50 to 100) = 121000
 *   reallocations 10; carried 50 + 100 + 200 + ... + 900 = 4550
 *   frees 1000 + 90; live 10 calloc of 200 and the block of 1000: 11 blocks, 3000 bytes
 *   peak 100000 (the mallocs are freed before the callocs begin)
 *   temporary 91: the callocs that are freed are freed at once, and the last of the mallocs is freed
 *   before anything else is allocated
 * No output, so that stdio allocates nothing.
 */
#include <stdlib.h>

void *volatile kept[1000];

__attribute__((noinline)) static void keep_then_free(void)
{
    for (int i = 0; i < 1000; i++)
        kept[i] = malloc(100);
    for (int i = 0; i < 1000; i++)
        free(kept[i]);
}

__attribute__((noinline)) static void leak_every_tenth(void)
{
    for (int i = 0; i < 100; i++) {
        kept[i] = calloc(10, 20);
        if (i % 10)
            free(kept[i]);
    }
}

__attribute__((noinline)) static void grow(void)
{
    kept[999] = malloc(50);
    for (int i = 1; i <= 10; i++)
        kept[999] = realloc(kept[999], (size_t)i * 100);
}

int main(void)
{
    keep_then_free();
    leak_every_tenth();
    grow();
    return 7;
}
