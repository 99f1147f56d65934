/*
 * Two builds of one program, to compare. Without MORE: 10 of 100 bytes by parse, 5 of 50 by render, which
 * frees them at once, 3 of 7 by gone. With MORE: 25 of 100 by parse, 5 of 50 by render, 2 of 1000 by extra.
 */
#include <stdlib.h>

#define KEEP __attribute__((noinline))
static void *volatile kept;

KEEP void parse(int n)
{
    for (int i = 0; i < n; i++)
        kept = malloc(100);
}

KEEP void render(int n)
{
    for (int i = 0; i < n; i++) {
        void *volatile block = malloc(50);
        free(block);
    }
}

#ifdef MORE
KEEP void extra(int n)
{
    for (int i = 0; i < n; i++)
        kept = malloc(1000);
}
#else
KEEP void gone(int n)
{
    for (int i = 0; i < n; i++)
        kept = malloc(7);
}
#endif

int main(void)
{
#ifdef MORE
    parse(25);
    render(5);
    extra(2);
#else
    parse(10);
    render(5);
    gone(3);
#endif
    return 0;
}
