/*
 * A process to attach to: `attached FILE KIND`. It maps FILE, where struct shared says how many allocations its threads have made, and lets them
 * be held: each stands still between two rounds while `hold` is set, and counts in `held`. A round of a thread is 4 mallocs of 24, 56, 200 and
 * 1000 bytes, a realloc of the first to 48 and 4 frees: 5 allocations, nothing is left. `longest` is the longest time that a round took, or a thread
 * was away between two, in nanoseconds, while `measure` is set; `stopped` is the longest of these less the time in which the thread could have run, and waited
 * for a processor, as the kernel counts it.
 *
 * Kinds: one (thread), churn (3 threads), many (64), storm (3, and a timer's signal every 50 microseconds, whose handler counts), sleep (main sleeps for long, none
 * allocates but for each second's end), waits (threads that wait in ways that a stop is seen in: epoll_wait, recv with a time limit, nanosleep, and
 * sigsuspend, for signals that another sends one after the other; what comes out otherwise than without a stop is a failure), forks (main forks and waits all the time, 1 thread churns), loads (main opens a library, FILE2, uses its crc32 and closes it),
 * users (main sets its group in all threads, by a signal that the C library waits for, 1 thread churns), cancels (main cancels a thread that waits in read, and another
 * one, 1 thread churns); both count in `signals`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct shared {
    _Atomic uint64_t allocations, hold, held, threads, measure, longest, failures, signals, ready, stopped;
    _Atomic uint64_t by_thread[64];
} *shared;

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(int good)
{
    if (!good)
        shared->failures++;
}

static void round_of(uint64_t n)
{
    static const size_t sizes[4] = { 24, 56, 200, 1000 };
    char *block[4];
    errno = 77;
    for (int i = 0; i < 4; i++) {
        block[i] = malloc(sizes[i]);
        memset(block[i], (int)n, sizes[i]);
    }
    block[0] = realloc(block[0], 48);
    double x = (double)n / 3; /* what is in vector registers stays */
    for (int i = 0; i < 4; i++) {
        check(block[i][20] == (char)n);
        free(block[i]);
    }
    check(x == (double)n / 3 && errno == 77);
}

static void wait_if_held(void)
{
    if (!shared->hold)
        return;
    shared->held++;
    while (shared->hold)
        usleep(200);
    shared->held--;
}

/* Nanoseconds for which the thread has waited for a processor. */
static uint64_t waited(int schedstat)
{
    char text[64] = "";
    unsigned long long ran, waited = 0;
    if (pread(schedstat, text, sizeof text - 1, 0) < 0 || sscanf(text, "%llu %llu", &ran, &waited) != 2)
        abort();
    return waited;
}

#define SHORT 100000   /* nanoseconds that no stop is looked for in */
#define OFTEN 1000000  /* so that waits which are shorter do not add up */

static void *churn(void *number)
{
    uint64_t last = now(), i = (uint64_t)number, asked = 0, waits = 0;
    char name[16];
    int schedstat = open("/proc/thread-self/schedstat", O_RDONLY);
    snprintf(name, sizeof name, "churn-%u", (unsigned)i);
    pthread_setname_np(pthread_self(), name);
    shared->threads++;
    for (uint64_t n = 0;; n++) {
        round_of(n);
        shared->by_thread[i] += 5;
        shared->allocations += 5;
        uint64_t t = now();
        if (shared->measure && t - last > shared->longest)
            shared->longest = t - last;
        if (shared->measure && (t - last > SHORT || t - asked > OFTEN)) {
            uint64_t before = waits, away = t - last;
            waits = waited(schedstat);
            if (asked && away > waits - before && away - (waits - before) > shared->stopped)
                shared->stopped = away - (waits - before);
            asked = t = now();
        } else if (!shared->measure)
            asked = 0;
        if (shared->hold) {
            wait_if_held();
            t = now();
        }
        last = t;
    }
    return NULL;
}

static void start(uint64_t count)
{
    pthread_t thread;
    for (uint64_t i = 0; i < count; i++)
        if (pthread_create(&thread, NULL, churn, (void *)i) != 0)
            abort();
}

static int pair[2];
static _Atomic int got;
static pthread_t suspended;
static void on_user(int signal) { got = signal; }

static void *waits_for_events(void *unused)
{
    int events = epoll_create1(0);
    struct epoll_event event;
    for (;;)
        check(epoll_wait(events, &event, 1, 15) == 0);
    return unused;
}
static void *waits_for_data(void *unused)
{
    char byte;
    struct timeval limit = { 0, 15000 };
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    for (;;)
        check(recv(pair[0], &byte, 1, 0) == -1 && errno == EAGAIN);
    return unused;
}
static void *sleeps(void *unused)
{
    struct timespec time = { 0, 15000000 };
    for (;;)
        check(nanosleep(&time, NULL) == 0);
    return unused;
}
static void *suspends(void *unused)
{
    sigset_t none;
    sigemptyset(&none);
    for (;;) {
        while (!got)
            sigsuspend(&none);
        got = 0;
        shared->signals++;
    }
    return unused;
}
static void *sends(void *unused)
{
    for (;;) {
        uint64_t before = shared->signals, begun = now();
        pthread_kill(suspended, SIGUSR1);
        while (shared->signals == before && now() - begun < 3000000000u)
            usleep(100);
        check(shared->signals != before);
    }
    return unused;
}
static void start_waits(void)
{
    sigset_t user;
    pthread_t thread;
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    sigprocmask(SIG_BLOCK, &user, NULL);
    struct sigaction action = { .sa_handler = on_user };
    sigaction(SIGUSR1, &action, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        abort();
    pthread_create(&suspended, NULL, suspends, NULL);
    void *(*const all[])(void *) = { waits_for_events, waits_for_data, sleeps, sends };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        pthread_create(&thread, NULL, all[i], NULL);
}

static void on_alarm(int signal) { shared->signals += (uint64_t)(signal == SIGALRM); }

static void *reads(void *end)
{
    char byte;
    return read(*(int *)end, &byte, 1) < 0 ? end : NULL;
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    int file = open(arguments[1], O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, 4096) != 0)
        return 2;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    const char *kind = arguments[2];
    int is_storm = !strcmp(kind, "storm");
    if (is_storm) {
        struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
        sigaction(SIGALRM, &action, NULL);
        struct itimerval often = { { 0, 50 }, { 0, 50 } };
        setitimer(ITIMER_REAL, &often, NULL);
    }
    if (!strcmp(kind, "one"))
        start(1);
    else if (!strcmp(kind, "churn") || is_storm)
        start(3);
    else if (!strcmp(kind, "many"))
        start(64);
    else if (!strcmp(kind, "forks") || !strcmp(kind, "users") || !strcmp(kind, "cancels"))
        start(1);
    else if (!strcmp(kind, "waits"))
        start_waits();
    shared->ready = 1;
    if (!strcmp(kind, "forks"))
        for (;;) {
            pid_t child = fork();
            if (child == 0) {
                free(malloc(100));
                _exit(7);
            }
            int status = 0;
            pid_t got;
            while ((got = waitpid(child, &status, 0)) < 0 && errno == EINTR)
                ;
            check(got == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
            wait_if_held();
        }
    for (; !strcmp(kind, "users"); shared->signals++, wait_if_held())
        check(setegid(getegid()) == 0);
    for (int ends[2], is = !strcmp(kind, "cancels") && pipe(ends) == 0; is; shared->signals++, wait_if_held()) {
        pthread_t waits;
        void *result = NULL;
        check(pthread_create(&waits, NULL, reads, &ends[0]) == 0 && usleep(500) == 0 && pthread_cancel(waits) == 0);
        check(pthread_join(waits, &result) == 0 && result == PTHREAD_CANCELED);
    }
    if (!strcmp(kind, "loads"))
        for (;;) {
            void *library = dlopen(arguments[3], RTLD_NOW);
            unsigned long (*crc)(unsigned long, const void *, unsigned) = library ? dlsym(library, "crc32") : NULL;
            check(crc != NULL);
            for (int i = 0; crc && i < 20; i++)
                check(crc(0, arguments[1], 4) != 1);
            dlclose(library);
            wait_if_held();
        }
    for (uint64_t begun = now(); !strcmp(kind, "sleep");) {
        struct timespec second = { 1, 0 }, left = { 0, 0 };
        int result = nanosleep(&second, &left);
        uint64_t took = now() - begun;
        check(result == 0 && took >= 1000000000u && took < 1300000000u);
        round_of(1);
        shared->allocations += 5;
        begun = now();
    }
    for (;;)
        pause();
}
