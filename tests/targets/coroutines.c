/*
 * 100 coroutines on stacks of 16 KiB of the program's own take turns 10 times: each turn makes a malloc(100) a call deeper
 * than the one before. 1,000 allocations, 100,000 bytes, 1,000 frees by main. Exits with 0.
 */
#include <stdlib.h>
#include <ucontext.h>

enum { COROUTINES = 100, TURNS = 10, STACK = 16384 };

static ucontext_t main_context, contexts[COROUTINES];
static char stacks[COROUTINES][STACK] __attribute__((aligned(16)));
static void *blocks[COROUTINES][TURNS];

__attribute__((noinline)) static void turn(int coroutine, int depth)
{
    if (depth == TURNS)
        return;
    blocks[coroutine][depth] = malloc(100);
    swapcontext(&contexts[coroutine], &main_context);
    turn(coroutine, depth + 1);
}

static void run(int coroutine) { turn(coroutine, 0); }

int main(void)
{
    for (int i = 0; i < COROUTINES; i++) {
        getcontext(&contexts[i]);
        contexts[i].uc_stack.ss_sp = stacks[i];
        contexts[i].uc_stack.ss_size = STACK;
        contexts[i].uc_link = &main_context;
        makecontext(&contexts[i], (void (*)(void))run, 1, i);
    }
    for (int t = 0; t <= TURNS; t++)
        for (int i = 0; i < COROUTINES; i++)
            swapcontext(&main_context, &contexts[i]);
    for (int i = 0; i < COROUTINES; i++)
        for (int t = 0; t < TURNS; t++)
            free(blocks[i][t]);
    return 0;
}
