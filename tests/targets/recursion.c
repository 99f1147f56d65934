/*
 * A recursion of 50,000 calls, each of which makes a malloc(10), kept until its return. 50,000 allocations, 500,000 bytes,
 * 50,000 frees, and all of it live at the peak. Exits with 0.
 */
#include <stdlib.h>

__attribute__((noinline)) static void recurse(int depth)
{
    void *volatile block = malloc(10);
    if (depth > 1)
        recurse(depth - 1);
    free(block);
}

int main(void)
{
    recurse(50000);
    return 0;
}
