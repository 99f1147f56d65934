/*
 * 100 times each: realloc(NULL, 100) and realloc to 0 of it, which frees; malloc(100), realloc to 300 and free;
 * reallocarray(NULL, 10, 10) and free. 400 allocations, of them 100 reallocations; 10,000 + 10,000 + 20,000 (growth) +
 * 10,000 bytes; 300 frees; none live. Exits with 0.
 */
#define _GNU_SOURCE
#include <stdlib.h>

void *volatile block;

int main(void)
{
    for (int i = 0; i < 100; i++) {
        block = realloc(NULL, 100);
        if (realloc(block, 0))
            return 1;
        block = malloc(100);
        block = realloc(block, 300);
        free(block);
        block = reallocarray(NULL, 10, 10);
        free(block);
    }
    return 0;
}
