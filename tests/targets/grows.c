/*
 * Allocates by steps that are asked for, a character each on stdin, and answers each with a dot; the number of a seed may follow its name.
 * First it holds 50,000 bytes in a block, by hold. l: 10 blocks of 100 bytes that stay, by leak. c: 50 of 64 bytes, freed at once, by churn. r: 1,000
 * steps at random, of which each allocates, reallocates or frees in one of 64 places, by one of three functions. m: 100,000 bytes that it maps, by map.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEEP __attribute__((noinline))
static void *volatile kept;
static void *places[64];
static unsigned state;

static unsigned next(unsigned n)
{
    state = state * 1664525u + 1013904223u;
    return (unsigned)((unsigned long long)state * n >> 32);
}

KEEP void hold(void)
{
    kept = malloc(50000);
    __asm__ volatile("" ::: "memory");
}

KEEP void leak(void)
{
    for (int i = 0; i < 10; i++)
        kept = malloc(100);
    __asm__ volatile("" ::: "memory");
}

KEEP void churn(void)
{
    for (int i = 0; i < 50; i++) {
        kept = malloc(64);
        free(kept);
    }
    __asm__ volatile("" ::: "memory");
}

KEEP void map(void)
{
    kept = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    __asm__ volatile("" ::: "memory");
}

KEEP void first(unsigned at)
{
    free(places[at]);
    places[at] = malloc(1 + next(5000));
}

KEEP void second(unsigned at)
{
    places[at] = realloc(places[at], 1 + next(5000));
    __asm__ volatile("" ::: "memory");
}

KEEP void third(unsigned at)
{
    free(places[at]);
    places[at] = NULL;
    __asm__ volatile("" ::: "memory");
}

int main(int count, char **arguments)
{
    char step;
    state = count > 1 ? (unsigned)atoi(arguments[1]) : 1;
    hold();
    while (write(1, ".", 1) == 1 && read(0, &step, 1) == 1) {
        if (step == 'l')
            leak();
        if (step == 'c')
            churn();
        if (step == 'm')
            map();
        for (int i = 0; step == 'r' && i < 1000; i++)
            (next(3) == 0 ? first : next(2) == 0 ? second : third)(next(64));
    }
    return 3;
}
