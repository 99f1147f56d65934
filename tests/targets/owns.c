/*
 * Handles SIGUSR1 and SIGUSR2 by itself, 100 of each, and tunes its allocator: mallopt, malloc_trim, mallinfo2. In between
 * 1,000 malloc(1000) and frees. 1,000 allocations, 1,000,000 bytes, 1,000 frees. Prints how many signals came. Exits with 0.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t came[2];

static void handle(int signal) { came[signal == SIGUSR2]++; }

int main(void)
{
    struct sigaction action = { .sa_handler = handle };
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    mallopt(M_MMAP_THRESHOLD, 65536);
    mallopt(M_ARENA_MAX, 1);
    for (int i = 0; i < 1000; i++) {
        void *volatile block = malloc(1000);
        if (i % 10 == 0) {
            raise(SIGUSR1);
            raise(SIGUSR2);
            malloc_trim(0);
        }
        free(block);
    }
    struct mallinfo2 info = mallinfo2();
    printf("%d %d %d\n", came[0], came[1], info.arena > 0);
    return 0;
}
