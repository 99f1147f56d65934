/*
 * 20 threads, one after the other, each of which allocates 10 blocks of 100 bytes and, as it ends, in the destructor of a
 * key (twice, because it sets the key anew) and in one of thread-local storage, 5 more each time; all are freed there. 20 *
 * (10 + 10 + 5) = 500 allocations, 50,000 bytes, 500 frees. Exits with 0.
 */
#include <pthread.h>
#include <stdlib.h>

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

struct blocks {
    void *block[10];
    int rounds;
};

static pthread_key_t key;

static void allocate_and_free(void)
{
    void *volatile some[5];
    for (int i = 0; i < 5; i++)
        some[i] = malloc(100);
    for (int i = 0; i < 5; i++)
        free(some[i]);
}

static void end_of_key(void *value)
{
    struct blocks *blocks = value;
    allocate_and_free();
    if (++blocks->rounds == 1)
        pthread_setspecific(key, blocks);
    else
        for (int i = 0; i < 10; i++)
            free(blocks->block[i]);
}

static void end_of_local(void *unused)
{
    (void)unused;
    allocate_and_free();
}

static void *run(void *argument)
{
    struct blocks *blocks = argument;
    __cxa_thread_atexit_impl(end_of_local, NULL, &__dso_handle);
    for (int i = 0; i < 10; i++)
        blocks->block[i] = malloc(100);
    pthread_setspecific(key, blocks);
    return NULL;
}

int main(void)
{
    pthread_key_create(&key, end_of_key);
    for (int i = 0; i < 20; i++) {
        struct blocks blocks = { .rounds = 0 };
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, &blocks))
            return 1;
        pthread_join(thread, NULL);
    }
    return 0;
}
