/*
 * Blocks as close as the allocator puts them: 20,000 of 0 to 40 bytes at a time, by all functions, 10 rounds in which every
 * second is freed, reallocated or kept. Each holds its own number, which is looked at before it goes. Prints the sum of the
 * usable sizes. Exits with 0, with 1 when a block has changed. All are freed.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 20000

static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS], sum;
static int bad;

static void check(int i)
{
    for (size_t j = 0; j < sizes[i]; j++)
        bad |= blocks[i][j] != (unsigned char)i;
}

static void fill(int i, void *block, size_t size)
{
    blocks[i] = block;
    sizes[i] = size;
    sum += malloc_usable_size(block);
    memset(block, i, size);
}

int main(void)
{
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < BLOCKS; i++) {
            size_t size = (size_t)(i * 7 + round * 3) % 41;
            void *block = NULL;
            if (!blocks[i]) {
                if (i % 5 == 0)
                    block = calloc(1, size);
                else if (i % 5 == 1 && posix_memalign(&block, 8, size))
                    return 2;
                else if (i % 5 > 1)
                    block = malloc(size);
                fill(i, block, size);
            } else if (i % 3 == round % 3) {
                check(i);
                fill(i, realloc(blocks[i], size + 1), 0);
            } else if (i % 2) {
                check(i);
                free(blocks[i]);
                blocks[i] = NULL;
            }
        }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i])
            check(i);
        free(blocks[i]);
    }
    printf("%zu\n", sum);
    return bad;
}
