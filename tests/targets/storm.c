/*
 * storm SECONDS: main and a thread with the smallest stack there is allocate and free as fast as they can while a timer
 * sends SIGPROF 10,000 times a second, whose handler, on an alternate stack in main, makes a malloc(50) and frees it.
 * Behind it lies an allocator that may be interrupted (bump.c). Prints how many calls there were: allocations plus frees plus
 * those that a report calls not counted are just as many. Exits with 0.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static unsigned long calls;
static volatile int stop;

static void handle(int signal)
{
    (void)signal;
    void *volatile block = malloc(50);
    free(block);
    __atomic_add_fetch(&calls, 2, __ATOMIC_RELAXED);
}

static void allocate(int n)
{
    unsigned long made = 0;
    while (!stop && (n == 0 || made < (unsigned long)n)) {
        void *volatile block = malloc(100);
        block = realloc(block, 200);
        free(block);
        made += 3;
    }
    __atomic_add_fetch(&calls, made, __ATOMIC_RELAXED);
}

static void *run(void *unused)
{
    (void)unused;
    allocate(0);
    return NULL;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    static char alternate[65536];
    stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK | SA_RESTART };
    struct itimerval often = { { 0, 100 }, { 0, 100 } }, never = { { 0, 0 }, { 0, 0 } };
    struct timespec begun, now;
    pthread_attr_t smallest;
    pthread_t thread;
    sigaltstack(&stack, NULL);
    pthread_attr_init(&smallest);
    pthread_attr_setstacksize(&smallest, PTHREAD_STACK_MIN);
    if (pthread_create(&thread, &smallest, run, NULL))
        return 1;
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_PROF, &often, NULL);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do {
        allocate(30000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begun.tv_sec) + (double)(now.tv_nsec - begun.tv_nsec) / 1e9 < seconds);
    setitimer(ITIMER_PROF, &never, NULL);
    stop = 1;
    pthread_join(thread, NULL);
    printf("%lu calls\n", calls);
    return 0;
}
