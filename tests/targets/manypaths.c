/*
 * manypaths DEPTH: 2^DEPTH call paths, one for each way through two functions that call each other in all
 * orders; each makes one block of 32 bytes, and every second one is kept.
 */
#include <stdlib.h>

#define KEEP __attribute__((noinline))
static void *volatile kept;
static int count;

KEEP static void zero(int depth);
KEEP static void one(int depth);

KEEP static void end(void)
{
    void *block = malloc(32);
    if (count++ % 2)
        kept = block;
    else
        free(block);
}

KEEP static void next(int depth)
{
    if (depth == 0) {
        end();
        return;
    }
    zero(depth - 1);
    one(depth - 1);
}

KEEP static void zero(int depth)
{
    next(depth);
    __asm__ volatile("");
}

KEEP static void one(int depth)
{
    next(depth);
    __asm__ volatile("" ::: "memory");
}

/* For scripts, which have it as a library. */
void grow(unsigned depth) { next((int)depth); }

int main(int argc, char **argv)
{
    next(argc > 1 ? atoi(argv[1]) : 4);
    return 0;
}
