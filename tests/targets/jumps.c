/*
 * jumps ROUNDS: a timer's handler leaves by siglongjmp whatever it interrupts: 100 malloc(100) and frees of them, at 3 depths
 * of recursion, in a loop that has so many rounds cut short. Then the timer stops, and `afterwards` makes 1,000 malloc(300)
 * that are kept: whatever was left, those are counted. Behind it lies an allocator that may be left (bump.c). Exits with 0.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile sig_atomic_t may_jump;
void *volatile kept;

static void handle(int signal)
{
    (void)signal;
    if (may_jump)
        siglongjmp(back, 1);
}

__attribute__((noinline)) static void work(int depth)
{
    void *volatile blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = malloc(100);
        if (i % 10 == 0)
            blocks[i] = realloc(blocks[i], 50);
    }
    if (depth > 0)
        work(depth - 1);
    for (int i = 0; i < 100; i++)
        free(blocks[i]);
}

__attribute__((noinline)) static void afterwards(void)
{
    for (int i = 0; i < 1000; i++)
        kept = malloc(300);
}

int main(int argc, char **argv)
{
    volatile int rounds = argc > 1 ? atoi(argv[1]) : 1000, depth = 0;
    struct sigaction action = { .sa_handler = handle };
    struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    if (sigsetjmp(back, 1))
        rounds--;
    while (rounds > 0) {
        may_jump = 1;
        work(depth = (depth + 1) % 3);
        may_jump = 0;
    }
    may_jump = 0;
    setitimer(ITIMER_REAL, &never, NULL);
    afterwards();
    return 0;
}
