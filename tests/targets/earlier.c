/*
 * earlier SEED THREADS [fork|busy|blocked|parted]: the main thread and THREADS others make 60,000 blocks each, of random sizes below 300 bytes, one in 16 below 5,000, one in
 * 4,000 of 300,000 bytes and more, fill them, and free two of three at random; then all stand still. Prints `ready OWN`: the bytes that the remaining ones
 * take, usable ones and a header of 8, whole pages of those that glibc maps by themselves. On each byte from standard input main goes on: it makes
 * 5,000 blocks of 1,000 bytes (fresh()) and prints `fresh`; frees half of its own old blocks and prints `freed OWN`; calls malloc_trim(0) and
 * prints `trimmed BEFORE AFTER`, the resident set in bytes. With `fork` a child does that. With `busy` the other threads do not stand still but
 * free and make blocks for ever, and main prints `now OWN` on each byte. With `blocked` something lies above the break, so that glibc goes on in memory
 * that it maps. With `parted` the kernel is advised of a page of the break's heap, and of one in each block that is mapped by itself, which parts what
 * /proc shows of them; fresh() is followed by 200 blocks of 100,000 bytes that are mapped by themselves.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "resident.h"

#define COUNT 60000
static char *volatile blocks[8][COUNT];
static _Atomic unsigned long own;
static pthread_barrier_t barrier;
static unsigned seed;

static unsigned next(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

static unsigned long taken(void *block)
{
    size_t usable = malloc_usable_size(block);
    /* Mapped by itself: such a chunk has two words before the block and ends with its page. */
    return ((uintptr_t)block & 4095) == 16 && (usable + 16) % 4096 == 0 ? usable + 16 : usable + 8;
}

static void drop(char *volatile *block)
{
    own -= taken(*block);
    free(*block);
    *block = NULL;
}

static void make(char *volatile *block, unsigned *state)
{
    size_t size = next(state) % 300;
    if (next(state) % 16 == 0)
        size = next(state) % 5000;
    if (next(state) % 4000 == 0)
        size = 300000 + next(state) % 100000;
    *block = malloc(size);
    memset(*block, 1, malloc_usable_size(*block));
    own += taken(*block);
}

static unsigned work(unsigned number)
{
    unsigned state = seed * 31 + number;
    for (unsigned i = 0; i < COUNT; i++)
        make(&blocks[number][i], &state);
    for (unsigned i = 0; i < COUNT; i++)
        if (next(&state) % 3)
            drop(&blocks[number][i]);
    return state;
}

static int busy, parted;

static void part(void)
{
    madvise((void *)(((uintptr_t)blocks[0][0] & ~(uintptr_t)4095) + 8192), 4096, MADV_DONTDUMP);
    for (unsigned number = 0; number < 8; number++)
        for (unsigned i = 0; i < COUNT; i++)
            if (blocks[number][i] && malloc_usable_size(blocks[number][i]) > 280000)
                madvise((void *)(((uintptr_t)blocks[number][i] & ~(uintptr_t)4095) + 4096), 4096, MADV_DONTDUMP);
    mallopt(M_MMAP_THRESHOLD, 65536);
}

static void *run(void *argument)
{
    unsigned number = (unsigned)(uintptr_t)argument, state = work(number);
    pthread_barrier_wait(&barrier);
    while (!busy)
        pause();
    for (;;) {
        char *volatile *block = &blocks[number][next(&state) % COUNT];
        if (*block)
            drop(block);
        else if (next(&state) % 2)
            make(block, &state);
    }
    return NULL;
}

__attribute__((noinline, noclone)) static void *fresh(void) { return memset(malloc(1000), 2, 1000); }

static void say(const char *what)
{
    printf("%s %lu\n", what, (unsigned long)own);
    fflush(stdout);
    if (getchar() == EOF)
        exit(0);
}

static void stages(void)
{
    static void *volatile kept[5000];
    say("ready");
    for (int i = 0; i < 5000; i++)
        kept[i] = fresh();
    static void *volatile large[200];
    for (int i = 0; i < 200 && parted; i++)
        large[i] = memset(malloc(100000), 3, 100000);
    say("fresh");
    for (int i = 0; i < COUNT; i += 2)
        if (blocks[0][i])
            drop(&blocks[0][i]);
    say("freed");
    long before = resident();
    malloc_trim(0);
    printf("trimmed %ld %ld\n", before, resident());
    fflush(stdout);
    getchar();
}

int main(int count, char **arguments)
{
    static char output[4096];
    setvbuf(stdout, output, _IOFBF, sizeof output);
    seed = (unsigned)atoi(arguments[1]);
    parted = count > 3 && strcmp(arguments[3], "parted") == 0;
    busy = count > 3 && strcmp(arguments[3], "busy") == 0;
    unsigned threads = (unsigned)atoi(arguments[2]);
    if (count > 3 && strcmp(arguments[3], "blocked") == 0) {
        free(malloc(1));
        mmap(sbrk(0), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }
    pthread_barrier_init(&barrier, NULL, threads + 1);
    for (unsigned i = 1; i <= threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, (void *)(uintptr_t)i) != 0)
            abort();
    }
    work(0);
    pthread_barrier_wait(&barrier);
    if (parted)
        part();
    while (busy)
        say("now");
    if (count > 3 && strcmp(arguments[3], "fork") == 0) {
        if (fork() == 0) {
            stages();
            _exit(0);
        }
        wait(NULL);
    } else
        stages();
    return 0;
}
