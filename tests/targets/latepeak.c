/*
 * The peak comes after a second thread has come: the main thread has 100 MB and frees them; a thread
 * allocates 50 MB and waits; the main thread has another 90 MB, frees them, and ends the other. The
 * peak is 140,000,000 bytes (and what the C library needs for the thread), not the first 100.
 */
#include <pthread.h>
#include <stdlib.h>

static pthread_barrier_t barrier;
void *volatile block;

static void *other(void *unused)
{
    (void)unused;
    void *volatile mine = malloc(50000000);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    free(mine);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    block = malloc(100000000);
    free(block);
    pthread_create(&thread, NULL, other, NULL);
    pthread_barrier_wait(&barrier);
    block = malloc(90000000);
    free(block);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    return 0;
}
