/*
 * mixed WHAT [PAIRS] [THREADS]: allocations as mixed as programs' are, in each thread. Prints nanoseconds per malloc and free.
 *
 *   w1      8 sites in no order, 12 to 18 frames deep, 16 to 512 bytes, a ring of 64 live blocks
 *   w1one   one site, in a loop whose variable the compiler keeps in rbp
 *   w2      blocks and strings that are kept, then freed
 *   w4      recursive descent: 5 to 60 frames deep, 200 sites, 256 inputs of 100 blocks again and again, as a parser meets
 *   w4full  the same where no input comes twice, until the table is full
 *   w5      blocks that another thread frees
 *
 * Numbers are a fixed sequence: each run does the same.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long pairs = 2000000;
static const char *what = "w1";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static __thread uint64_t state;
static inline uint32_t pick(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

#define KEEP(p) __asm__ volatile("" : : "r"(p) : "memory")

/* w1: sites with work behind the call, so that none is a tail call. */
#define SITE(n)                                                                                    \
    __attribute__((noinline)) static void *site##n(size_t size)                                    \
    {                                                                                              \
        char *block = malloc(size + n);                                                            \
        block[0] = n;                                                                              \
        return block;                                                                              \
    }
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7)
static void *(*const sites[8])(size_t) = { site0, site1, site2, site3, site4, site5, site6, site7 };

__attribute__((noinline)) static void *descend(int depth, int site, size_t size)
{
    void *volatile block = depth ? descend(depth - 1, site, size) : sites[site](size);
    return block;
}

static void w1(void)
{
    void *ring[64] = { NULL };
    for (long i = 0; i < pairs; i++) {
        free(ring[i % 64]);
        ring[i % 64] = descend(9 + (int)pick(7), (int)pick(8), 16 + pick(496));
    }
    for (int i = 0; i < 64; i++)
        free(ring[i]);
}

static void w1one(void)
{
    for (register long i __asm__("rbp") = 0; i < pairs; i++) {
        __asm__ volatile("" : "+r"(i));
        void *block = site0(64); /* which leaves rbp as it is */
        KEEP(block);
        free(block);
        __asm__ volatile("" : "+r"(i));
    }
}

static void w2(void)
{
    void **all = malloc((size_t)pairs * sizeof *all);
    for (long i = 0; i < pairs; i++)
        all[i] = i % 2 ? strdup("a string of some length, as strings are") : descend(3, (int)pick(8), 16 + pick(200));
    for (long i = 0; i < pairs; i++)
        free(all[i]);
    free(all);
}

/* w4: each of 200 rules allocates and goes on with rules that the numbers choose. */
static __thread long left;
__attribute__((noinline)) static void *rule(int n, int depth);
#define RULE(n)                                                                                    \
    __attribute__((noinline)) static void *rule##n(int depth)                                      \
    {                                                                                              \
        void **node = malloc(24 + n % 40);                                                         \
        node[0] = depth > 0 && left-- > 0 ? rule((int)pick(200), depth - 1) : NULL;                \
        node[1] = depth > 0 && left > 0 && pick(3) == 0 ? rule((int)pick(200), depth - 1) : NULL;  \
        return node;                                                                               \
    }
#define TEN(d) RULE(d##0) RULE(d##1) RULE(d##2) RULE(d##3) RULE(d##4) RULE(d##5) RULE(d##6) RULE(d##7) RULE(d##8) RULE(d##9)
RULE(0) RULE(1) RULE(2) RULE(3) RULE(4) RULE(5) RULE(6) RULE(7) RULE(8) RULE(9)
TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11) TEN(12) TEN(13) TEN(14) TEN(15) TEN(16) TEN(17) TEN(18) TEN(19)
#define NAME(n) rule##n,
#define TEN_NAMES(d) NAME(d##0) NAME(d##1) NAME(d##2) NAME(d##3) NAME(d##4) NAME(d##5) NAME(d##6) NAME(d##7) NAME(d##8) NAME(d##9)
static void *(*const rules[200])(int) = {
    NAME(0) NAME(1) NAME(2) NAME(3) NAME(4) NAME(5) NAME(6) NAME(7) NAME(8) NAME(9) TEN_NAMES(1) TEN_NAMES(2) TEN_NAMES(3) TEN_NAMES(4)
    TEN_NAMES(5) TEN_NAMES(6) TEN_NAMES(7) TEN_NAMES(8) TEN_NAMES(9) TEN_NAMES(10) TEN_NAMES(11) TEN_NAMES(12) TEN_NAMES(13) TEN_NAMES(14)
    TEN_NAMES(15) TEN_NAMES(16) TEN_NAMES(17) TEN_NAMES(18) TEN_NAMES(19)
};
static void *rule(int n, int depth) { return rules[n](depth); }

static void drop(void **node)
{
    if (!node)
        return;
    drop(node[0]);
    drop(node[1]);
    free(node);
}

static void descents(uint64_t inputs)
{
    uint64_t order = 77;
    for (long made = 0; made < pairs;) {
        order = order * 6364136223846793005u + 1442695040888963407u;
        state = (order >> 33) % inputs * 0x9e3779b97f4a7c15u + 1;
        for (left = 100; left > 0;) {
            long before = left;
            drop(rule((int)pick(200), 5 + (int)pick(55)));
            left -= left == before;
            made += before - left;
        }
    }
}
static void w4(void) { descents(256); }
static void w4full(void) { descents((uint64_t)1 << 30); }

/* w5: a ring that one thread fills and another empties. */
#define RING 4096
static void *volatile handed[RING];
static void *empties(void *nothing)
{
    for (long i = 0; i < pairs; i++) {
        void *block;
        while (!(block = __atomic_exchange_n(&handed[i % RING], NULL, __ATOMIC_ACQ_REL))) {}
        free(block);
    }
    return nothing;
}
static void w5(void)
{
    pthread_t other;
    pthread_create(&other, NULL, empties, NULL);
    for (long i = 0; i < pairs; i++) {
        void *block = descend(9 + (int)pick(7), (int)pick(8), 16 + pick(496));
        while (__atomic_load_n(&handed[i % RING], __ATOMIC_ACQUIRE)) {}
        __atomic_store_n(&handed[i % RING], block, __ATOMIC_RELEASE);
    }
    pthread_join(other, NULL);
}

static void *work(void *seed)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = { { "w1", w1 }, { "w1one", w1one }, { "w2", w2 }, { "w4", w4 }, { "w4full", w4full }, { "w5", w5 } };
    state = (uint64_t)seed + 1;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(what, all[i].name) == 0)
            all[i].run();
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    what = argc > 1 ? argv[1] : what;
    pairs = argc > 2 ? atol(argv[2]) : pairs;
    double start = now();
    pthread_t all[64];
    for (int i = 1; i < threads && i < 64; i++)
        pthread_create(&all[i], NULL, work, (void *)(intptr_t)i);
    work(NULL);
    for (int i = 1; i < threads && i < 64; i++)
        pthread_join(all[i], NULL);
    printf("%.2f\n", (now() - start) / (double)pairs);
    return 0;
}
