/*
 * Random walks through C++ code of many shapes, with a stack check at every step: plain calls,
 * recursion past the depth limit, virtual calls, variable-length arrays, over-aligned locals (the
 * stack is realigned), large frames, exceptions, std::sort and qsort callbacks, signal handlers on
 * the normal and on an alternate stack, makecontext coroutines, several threads.
 *
 * unwind_walk SEED STEPS. The seed is printed when a check fails (by unwind_check.c's exit) and at
 * the end.
 */
#include <algorithm>
#include <alloca.h>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <pthread.h>
#include <random>
#include <stdexcept>
#include <ucontext.h>
#include <vector>

extern "C" {
void unwind_check_here(void);
unsigned unwind_buckets(void);
unsigned unwind_depth(void);
extern long unwind_checks, unwind_frames;
}

static thread_local std::mt19937 rng;
static unsigned pick(unsigned n) { return rng() % n; }
static volatile int sink;

static void step(int depth);

struct Shape {
    virtual ~Shape() = default;
    virtual void go(int depth) = 0;
};
struct Plain : Shape {
    __attribute__((noinline)) void go(int depth) override { step(depth - 1); sink = depth; }
};
struct Twice : Shape {
    __attribute__((noinline)) void go(int depth) override { step(depth / 2); unwind_check_here(); step(depth / 3); sink = depth; }
};

__attribute__((noinline)) static void variable_array(int depth)
{
    volatile char *room = static_cast<volatile char *>(alloca(16 + pick(2000)));
    room[0] = 1;
    step(depth - 1);
    sink = room[0];
}

__attribute__((noinline)) static void aligned_local(int depth)
{
    alignas(64) volatile char room[128];
    room[0] = static_cast<char>(depth);
    unwind_check_here();
    step(depth - 1);
    sink = room[0] + static_cast<int>(reinterpret_cast<uintptr_t>(room) % 64);
}

__attribute__((noinline)) static void aligned_variable(int depth)
{
    alignas(32) volatile char room[64];
    volatile char *more = static_cast<volatile char *>(alloca(1 + pick(100)));
    room[0] = more[0] = 1;
    step(depth - 1);
    sink = room[0] + more[0];
}

__attribute__((noinline)) static void large_frame(int depth)
{
    volatile char room[20000];
    room[0] = room[19999] = 1;
    step(depth - 1);
    sink = room[0];
}

__attribute__((noinline)) static void thrower(int depth)
{
    step(depth - 1);
    if (pick(2))
        throw std::runtime_error("on the way");
    unwind_check_here();
}

__attribute__((noinline)) static void catcher(int depth)
{
    try {
        thrower(depth);
    } catch (const std::exception &) {
        unwind_check_here();
        step(depth / 2);
    }
    sink = depth;
}

__attribute__((noinline)) static void sorter(int depth)
{
    std::vector<int> v(5);
    for (auto &x : v)
        x = static_cast<int>(pick(100));
    std::sort(v.begin(), v.end(), [&](int a, int b) { unwind_check_here(); sink = depth; return a < b; });
    step(depth - 2);
}

static int compare(const void *a, const void *b)
{
    unwind_check_here();
    return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

__attribute__((noinline)) static void c_sorter(int depth)
{
    int v[4] = { 3, 1, 2, 0 };
    qsort(v, 4, sizeof v[0], compare);
    step(depth - 2);
    sink = v[0];
}

__attribute__((noinline)) static void closure(int depth)
{
    std::function<void(int)> f = [&](int d) { if (d > 0) f(d - 1); else step(depth - 3); sink = d; };
    f(static_cast<int>(pick(4)));
}

/* Every argument register is busy, so that callee-saved ones are used and saved. */
__attribute__((noinline)) static long many(long a, long b, long c, long d, long e, long f, long g, int depth)
{
    long before = a * 3 + b * 5 + c;
    step(depth - 1);
    long after = d * 7 + e * 11 + f * 13 + g;
    unwind_check_here();
    return before + after + a + b + c + d + e + f + g;
}

static void on_signal(int)
{
    unwind_check_here();
    unwind_check_here();
}

__attribute__((noinline)) static void signalled(int depth)
{
    raise(pick(2) ? SIGUSR1 : SIGUSR2);
    step(depth - 1);
    sink = depth;
}

static int every = 1;
__attribute__((noinline)) static void recurse(int n)
{
    if (n % every == 0)
        unwind_check_here();
    if (n > 0)
        recurse(n - 1);
    if (n % (16 * every) == 0)
        unwind_check_here();
    sink = n;
}

static void step(int depth)
{
    unwind_check_here();
    if (depth <= 0)
        return;
    Plain plain;
    Twice twice;
    Shape *shapes[] = { &plain, &twice };
    switch (pick(12)) {
    case 0: case 1: shapes[pick(2)]->go(depth); break;
    case 2: variable_array(depth); break;
    case 3: aligned_local(depth); break;
    case 4: aligned_variable(depth); break;
    case 5: large_frame(depth); break;
    case 6: catcher(depth); break;
    case 7: sorter(depth); break;
    case 8: c_sorter(depth); break;
    case 9: closure(depth); break;
    case 10: sink = static_cast<int>(many(1, 2, 3, 4, 5, 6, 7, depth)); break;
    case 11: signalled(depth); break;
    }
    sink = depth;
}

static ucontext_t caller, coroutine;
static void coroutine_main(void)
{
    for (;;) {
        step(6);
        swapcontext(&coroutine, &caller);
        unwind_check_here();
    }
}

struct Job { unsigned seed; long steps; };

static void *thread_main(void *argument)
{
    Job *job = static_cast<Job *>(argument);
    rng.seed(job->seed);
    std::vector<char> alternate(65536);
    stack_t stack = {};
    stack.ss_sp = alternate.data();
    stack.ss_size = alternate.size();
    sigaltstack(&stack, nullptr);
    for (long i = 0; i < job->steps; i++)
        step(static_cast<int>(pick(14)));
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, nullptr);
    return nullptr;
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 1 ? static_cast<unsigned>(atol(argv[1])) : std::random_device()();
    long steps = argc > 2 ? atol(argv[2]) : 200;
    printf("seed %u\n", seed);
    fflush(stdout);
    struct sigaction action = {};
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, nullptr);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, nullptr);

    Job own = { seed, steps };
    thread_main(&own);

    std::vector<char> room(262144);
    getcontext(&coroutine);
    coroutine.uc_stack.ss_sp = room.data();
    coroutine.uc_stack.ss_size = room.size();
    coroutine.uc_link = nullptr;
    makecontext(&coroutine, coroutine_main, 0);
    for (int i = 0; i < 20; i++) {
        swapcontext(&caller, &coroutine);
        step(5);
    }

    pthread_t threads[3];
    Job jobs[3];
    for (unsigned i = 0; i < 3; i++) {
        jobs[i] = { seed + i + 1, steps };
        pthread_create(&threads[i], nullptr, thread_main, &jobs[i]);
    }
    for (auto &t : threads)
        pthread_join(t, nullptr);

    /* The same recursion again must find the same, bounded set of call paths. */
    int deep = static_cast<int>(unwind_depth()) * 4, rounds = 5;
    if (unwind_depth() > 1024) { /* libgcc takes all of them each time */
        deep = static_cast<int>(unwind_depth()) * 5 / 4;
        rounds = 2;
        every = 64;
    }
    unsigned before = unwind_buckets(), once = 0;
    for (volatile int i = 0; i < rounds; i = i + 1) {
        recurse(deep);
        if (i == 0)
            once = unwind_buckets();
    }
    /* Two places in recurse() check, each below at most depth stacks that are whole and depth that are cut. */
    if (unwind_buckets() != once || once - before > 4 * unwind_depth() + 4) {
        fprintf(stderr, "the cut is not stable: %u call paths, %u, then %u\n", before, once, unwind_buckets());
        return 1;
    }
    printf("%ld stacks, %ld frames\n", unwind_checks, unwind_frames);
    return 0;
}
