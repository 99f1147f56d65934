/*
 * churn SECONDS FIRST SECOND: threads come and go, four at a time, each of which makes and frees some 20,000 blocks of up
 * to 2,000 bytes, hands some to the others, and now and then loads one of two libraries (plugin.c), calls it and unloads
 * it. Prints a line a second: how many allocations and frees its own code has made, and in how many nanoseconds of the
 * processor's time each. Nothing is live but what is in the 4,096 places of exchange. Exits with 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, PLACES = 4096, ROUNDS = 10000 };

static void *places[PLACES];
static unsigned long calls;
static volatile int stop;
static char **libraries;

static unsigned pick(unsigned *state, unsigned n) { return (*state = *state * 1664525 + 1013904223) / 65536 % n; }

__attribute__((noinline)) static void *small(unsigned size) { return malloc(size); }
__attribute__((noinline)) static void *zeroed(unsigned size) { return calloc(1, size); }
__attribute__((noinline)) static void *grown(unsigned size) { return realloc(malloc(size / 2), size); }

static void load(unsigned which)
{
    void *library = dlopen(libraries[which], RTLD_NOW);
    void (*function)(void) = library ? (void (*)(void))dlsym(library, which ? "second_plugin" : "first_plugin") : NULL;
    if (!function)
        exit(1);
    function();
    dlclose(library);
}

static void *run(void *number)
{
    unsigned state = (unsigned)(unsigned long)number;
    unsigned long made = 0;
    for (int i = 0; i < ROUNDS; i++) {
        unsigned size = 1 + pick(&state, 2000);
        void *block = i % 3 == 0 ? small(size) : i % 3 == 1 ? zeroed(size) : grown(size);
        void *other = __atomic_exchange_n(&places[pick(&state, PLACES)], block, __ATOMIC_ACQ_REL);
        free(other);
        made += 2 + (i % 3 == 2) + (other != NULL) - 1;
        if (i % 2000 == 0)
            load(pick(&state, 2));
    }
    __atomic_add_fetch(&calls, made, __ATOMIC_RELAXED);
    return NULL;
}

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    libraries = argv + 2;
    pthread_t threads[THREADS];
    double begun = now(CLOCK_MONOTONIC), said = begun, spent = now(CLOCK_PROCESS_CPUTIME_ID);
    unsigned long before = 0, started = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, (void *)++started);
    for (int i = 0; now(CLOCK_MONOTONIC) - begun < atof(argv[1]) * 1e9; i = (i + 1) % THREADS) {
        pthread_join(threads[i], NULL);
        pthread_create(&threads[i], NULL, run, (void *)++started);
        if (now(CLOCK_MONOTONIC) - said > 1e9) {
            double time = now(CLOCK_PROCESS_CPUTIME_ID);
            unsigned long made = __atomic_load_n(&calls, __ATOMIC_RELAXED);
            printf("%lu %.1f\n", made, (time - spent) / (double)(made - before));
            said = now(CLOCK_MONOTONIC), spent = time, before = made;
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PLACES; i++)
        free(places[i]);
    return 0;
}
