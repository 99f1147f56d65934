/*
 * Writes all of what malloc_usable_size says, of 1,000 blocks of 1 to 1,000 bytes that are kept, and checks them all
 * afterwards. 1,000 allocations, 500,500 bytes, 1,000 frees. Exits with 0, with 1 when a byte has changed. Prints the sum
 * of the usable sizes: as it is without anybody in between.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *blocks[1000];

int main(void)
{
    size_t sum = 0;
    int bad = 0;
    for (size_t i = 0; i < 1000; i++) {
        blocks[i] = malloc(i + 1);
        sum += malloc_usable_size(blocks[i]);
        memset(blocks[i], (int)i % 251, malloc_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < 1000; i++) {
        for (size_t j = 0; j < malloc_usable_size(blocks[i]); j++)
            bad |= blocks[i][j] != i % 251;
        free(blocks[i]);
    }
    printf("%zu\n", sum);
    return bad;
}
