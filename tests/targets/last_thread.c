/*
 * last_thread HOW: 4 threads make 1,000 malloc(100) each, which nobody frees. `detached`: they are detached, and alive in
 * an endless sleep when main returns 0. `main`: main leaves by pthread_exit first, and the last thread's end ends the
 * process with 0. `other`: a thread calls exit(6) when all have done theirs, while main waits for ever. 4,000 allocations,
 * 400,000 bytes live each time.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *volatile kept;
static const char *how;
static int done;

static void *run(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++)
        kept = malloc(100);
    int last = __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST) == 4;
    if (!strcmp(how, "other") && last)
        exit(6);
    while (strcmp(how, "main"))
        pause();
    return NULL;
}

int main(int argc, char **argv)
{
    how = argc > 1 ? argv[1] : "detached";
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL))
            return 1;
        pthread_detach(thread);
    }
    if (!strcmp(how, "main"))
        pthread_exit(NULL);
    while (strcmp(how, "detached"))
        pause();
    while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < 4)
        usleep(100);
    return 0;
}
