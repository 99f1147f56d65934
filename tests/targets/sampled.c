/*
 * sampled.c: known figures for sampling. In all, by function:
 *   kept      40,000 blocks of 100 bytes, 4,000,000 bytes, of which every second is freed: 2,000,000 live in 20,000
 *   large         40 of 300,000, 12,000,000 bytes, all live
 *   passing   30,000 of 1,000, 30,000,000 bytes, each freed at once: temporary
 *   empty      1,000 of 0, live
 *   zeroed     2,000 of 500 by calloc, 1,000,000 bytes, live
 *   handed    20,000 of 200, 4,000,000 bytes, by a second thread, all freed by the first
 * The peak is when the first thread begins to free what the second has made. With an argument all that is live is freed in the end.
 */
#include <pthread.h>
#include <stdlib.h>

static void *kept_blocks[40000], *large_blocks[40], *empty_blocks[1000], *zeroed_blocks[2000], *handed_blocks[20000];

__attribute__((noinline)) static void kept(int i) { kept_blocks[i] = malloc(100); }
__attribute__((noinline)) static void large(int i) { large_blocks[i] = malloc(300000); }
__attribute__((noinline)) static void empty(int i) { empty_blocks[i] = malloc(0); }
__attribute__((noinline)) static void zeroed(int i) { zeroed_blocks[i] = calloc(5, 100); }
__attribute__((noinline)) static void handed(int i) { handed_blocks[i] = malloc(200); }
__attribute__((noinline)) static void passing(void)
{
    void *volatile block = malloc(1000);
    free(block);
}

static void *second(void *nothing)
{
    for (int i = 0; i < 20000; i++)
        handed(i);
    return nothing;
}

static void drop(void **blocks, int count)
{
    for (int i = 0; i < count; i++)
        free(blocks[i]);
}

int main(int argc, char **argv)
{
    (void)argv;
    for (int i = 0; i < 40000; i++)
        kept(i);
    for (int i = 0; i < 40; i++)
        large(i);
    for (int i = 0; i < 1000; i++)
        empty(i);
    for (int i = 0; i < 2000; i++)
        zeroed(i);
    for (int i = 0; i < 30000; i++)
        passing();
    pthread_t thread;
    pthread_create(&thread, NULL, second, NULL);
    pthread_join(thread, NULL);
    drop(handed_blocks, 20000);
    for (int i = 0; i < 40000; i += 2)
        free(kept_blocks[i]);
    if (argc > 1) {
        for (int i = 1; i < 40000; i += 2)
            free(kept_blocks[i]);
        drop(large_blocks, 40);
        drop(empty_blocks, 1000);
        drop(zeroed_blocks, 2000);
    }
    return 0;
}
