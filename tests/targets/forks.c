/*
 * forks COUNT: three threads allocate and free all the time while the main thread forks so many children (300), each of which
 * makes 10 malloc(100) and ends with 0. Exits with 0 when all did; hangs for ever when a child
 * inherited a lock.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int stop;
void *volatile kept;

static void *churn(void *unused)
{
    (void)unused;
    while (!stop) {
        void *volatile block = malloc(64);
        free(block);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 300;
    pthread_t threads[3];
    int bad = 0;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, churn, NULL);
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (int j = 0; j < 10; j++)
                kept = malloc(100);
            _exit(0);
        }
        int status = 1;
        waitpid(child, &status, 0);
        bad += status != 0;
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return bad != 0;
}
