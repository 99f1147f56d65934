/*
 * handler_forks CHILDREN: a timer's handler forks so many children, at whatever place it interrupts in a loop of malloc(100),
 * realloc and free. Each child goes on in the loop 100 times, then ends with 0. Behind it lies an allocator that may be
 * forked in (bump.c). Exits with 0 when all children did.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t wanted, rounds_left = -1, bad;

/* The next signal, after 1 to 64 microseconds. */
static void arm(void)
{
    static unsigned state = 1;
    struct itimerval once = { .it_value = { 0, 1 + (long)((state = state * 1103515245 + 12345) >> 16) % 64 } };
    setitimer(ITIMER_REAL, &once, NULL);
}

static void handle(int signal)
{
    (void)signal;
    if (wanted <= 0 || rounds_left >= 0)
        return;
    wanted--;
    pid_t child = fork();
    if (child == 0) {
        rounds_left = 100;
        return;
    }
    int status = 1;
    waitpid(child, &status, 0);
    bad |= status != 0;
    arm();
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    wanted = argc > 1 ? atoi(argv[1]) : 100;
    sigaction(SIGALRM, &action, NULL);
    arm();
    while (wanted > 0 || rounds_left >= 0) {
        void *volatile block = malloc(100);
        block = realloc(block, 200);
        free(block);
        if (rounds_left >= 0 && rounds_left-- == 0)
            _exit(0);
    }
    return bad;
}
