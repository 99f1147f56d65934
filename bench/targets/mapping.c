/* mapping: nanoseconds of mmap and munmap of a page that is touched, and of malloc and free of a million bytes up and down, which moves what is
 * live by more than a hundredth each time; the median of 15 rounds. With N, N pages are mapped beside, none next to another. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int order(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void *map(size_t size) { return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static void *volatile block;

int main(int count, char **arguments)
{
    enum { ROUNDS = 15, TURNS = 20000 };
    double maps[ROUNDS], saw[ROUNDS];
    for (int i = count > 1 ? atoi(arguments[1]) : 0; i > 0; i--) {
        char *at = map(2 * 4096);
        munmap(at, 4096);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double begun = now();
        for (int i = 0; i < TURNS; i++) {
            volatile char *at = map(4096);
            *at = 1;
            munmap((void *)at, 4096);
        }
        maps[round] = (now() - begun) / TURNS;
        begun = now();
        for (int i = 0; i < TURNS; i++) {
            block = malloc(1000000);
            free(block);
        }
        saw[round] = (now() - begun) / TURNS;
    }
    qsort(maps, ROUNDS, sizeof *maps, order);
    qsort(saw, ROUNDS, sizeof *saw, order);
    printf("%.0f %.0f\n", maps[ROUNDS / 2], saw[ROUNDS / 2]);
    return 0;
}
