/*
 * 400,000 blocks of 48 bytes (64 with glibc's header), every Nth by keep(), the others by drop() and freed; N is the argument. Beside
 * them a thread that takes and gives back a hundred blocks of 400 bytes by traffic(), for ever, with nothing kept.
 * Right answer with glibc, pages of 4 KiB: N=64: 6,250 blocks by keep() hold 6,250 pages alone (25,600,000 bytes), nothing of them is
 * empty; malloc_trim gives nothing back. N=256: 1,563 blocks on as many pages, three of four pages are empty, about
 * 19,200,000 bytes, and malloc_trim gives them back. traffic() has no old blocks.
 * Prints `ready FREE`, FREE what mallinfo2 says is free less the top, and waits for a byte; then calls malloc_trim(0), prints
 * `trimmed BEFORE AFTER`, the resident set in bytes, and waits for another.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "resident.h"

#define COUNT 400000
#define APART __attribute__((noinline, noclone))

APART static void *keep(void) { return memset(malloc(48), 1, 48); }
APART static void *drop(void) { return memset(malloc(48), 2, 48); }
APART static void *traffic(void) { return memset(malloc(400), 3, 400); }
static void *volatile blocks[COUNT];

static void *run(void *unused)
{
    for (;;) {
        void *some[100];
        for (int i = 0; i < 100; i++)
            some[i] = traffic();
        for (int i = 0; i < 100; i++)
            free(some[i]);
        usleep(1000);
    }
    return unused;
}

int main(int count, char **arguments)
{
    int every = count > 1 ? atoi(arguments[1]) : 64;
    pthread_t thread;
    setvbuf(stdout, NULL, _IONBF, 0);
    resident();
    for (int i = 0; i < COUNT; i++)
        blocks[i] = i % every == 0 ? keep() : drop();
    for (int i = 0; i < COUNT; i++)
        if (i % every)
            free((void *)blocks[i]);
    pthread_create(&thread, NULL, run, NULL);
    usleep(50000);
    struct mallinfo2 info = mallinfo2();
    printf("ready %zu\n", info.fordblks - info.keepcost);
    if (read(0, &(char){ 0 }, 1) < 0)
        return 1;
    long before = resident();
    malloc_trim(0);
    printf("trimmed %ld %ld\n", before, resident());
    if (read(0, &(char){ 0 }, 1) < 0)
        return 1;
    _exit(0);
}
