/*
 * While two threads allocate and free, main forks a child 20 times. Each child makes 10 malloc(100) and forks one of its
 * own, which makes 5 and executes this program again, as "leaf": 3. Four kinds of recordings: the parent's; 20 of 10
 * allocations, 20 of 5, 20 of 3. Exits with 0 when all did.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
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

static void allocate(int n)
{
    for (int i = 0; i < n; i++)
        kept = malloc(100);
}

static int wait_for(pid_t child)
{
    int status = 1;
    waitpid(child, &status, 0);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "leaf")) {
        allocate(3);
        return 0;
    }
    pthread_t threads[2];
    int bad = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, churn, NULL);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            allocate(10);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                allocate(5);
                execl(argv[0], argv[0], "leaf", (char *)NULL);
                _exit(1);
            }
            _exit(wait_for(grandchild) != 0);
        }
        bad += wait_for(child) != 0;
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return bad != 0;
}
