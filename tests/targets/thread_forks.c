/*
 * thread_forks HOW: two threads allocate, each with a timer of its own whose handler forks (_Fork; the system calls `fork` or
 * `clone`), while a third forks in the ordinary way a hundred times; for a second and a half. Each child goes on where it is,
 * 100 times, and ends with 0. Behind it lies an allocator that may be forked in (bump.c). Exits with 0 when all children did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile int stop;
static int bad;
static __thread volatile int is_child;
static const char *how;

static pid_t fork_now(void)
{
    if (!strcmp(how, "fork"))
        return (pid_t)syscall(SYS_fork);
    if (!strcmp(how, "clone"))
        return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    return _Fork();
}

static void expect_good(pid_t child)
{
    int status = 1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) { }
    if (child < 0 || status != 0)
        __atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
}

static void handle(int signal)
{
    (void)signal;
    if (is_child || stop)
        return;
    int error = errno;
    pid_t child = fork_now();
    if (child == 0)
        is_child = 1;
    else
        expect_good(child);
    errno = error;
}

static void *allocate(void *unused)
{
    (void)unused;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
    struct itimerspec often = { { 0, 4000000 }, { 0, 4000000 } };
    timer_t timer;
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &often, NULL))
        exit(1);
    void *blocks[64] = { NULL };
    for (unsigned i = 0; !stop && !is_child; i++) {
        free(blocks[i % 64]);
        blocks[i % 64] = malloc(24 + i % 7 * 16);
    }
    if (is_child) {
        alarm(10);
        for (int i = 0; i < 100; i++)
            free(realloc(malloc(40), 80));
        _exit(0);
    }
    timer_delete(timer);
    return NULL;
}

static void *fork_in_turn(void *unused)
{
    (void)unused;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (int n = 0; n < 50; n++)
                free(malloc(77));
            _exit(0);
        }
        expect_good(child);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    how = argc > 1 ? argv[1] : "_Fork";
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, NULL);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, i == 2 ? fork_in_turn : allocate, NULL);
    struct timespec wait = { 1, 500000000 };
    while (nanosleep(&wait, &wait)) { }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return bad != 0;
}
