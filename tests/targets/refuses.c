/*
 * 2,000 times malloc(5000) and a realloc of it that is refused, then the block is freed: 10,000,000 bytes in 2,000 blocks, 2,000 frees,
 * 2,000 refused requests, nothing live.
 */
#include <stdint.h>
#include <stdlib.h>

int main(void)
{
    for (int i = 0; i < 2000; i++) {
        void *block = malloc(5000);
        void *volatile larger = realloc(block, PTRDIFF_MAX);
        if (larger)
            return 1;
        free(block);
    }
    return 0;
}
