/*
 * Requests that no allocator can serve, 10 times each: malloc, calloc whose product overflows, realloc of a block,
 * reallocarray that overflows, aligned_alloc, memalign with an impossible alignment, posix_memalign with a wrong one and
 * with a huge size. Prints what errno and the results were. 1 allocation of 100 bytes, freed at the end, and 80 failed
 * requests. Exits with 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static volatile size_t huge = PTRDIFF_MAX - 4096, half = SIZE_MAX / 2;

static void say(const char *what, const void *result)
{
    printf("%s %s %d\n", what, result ? "block" : "NULL", errno);
    errno = 0;
}

int main(void)
{
    void *volatile block = malloc(100);
    for (int i = 0; i < 10; i++) {
        void *to = NULL;
        errno = 0;
        say("malloc", malloc(huge));
        say("calloc", calloc(half, 3));
        say("realloc", realloc(block, huge));
        say("reallocarray", reallocarray(block, half, 3));
        say("aligned_alloc", aligned_alloc(64, huge));
        say("memalign", memalign(half, 100));
        printf("posix_memalign %d\n", posix_memalign(&to, 24, 100));
        printf("posix_memalign %d\n", posix_memalign(&to, 64, huge));
        say("after", to);
    }
    free(block);
    return 0;
}
