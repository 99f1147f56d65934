/*
 * narrow: its first allocation is in a handler on an alternate stack of 8,192 bytes (a SIGSTKSZ of old) with nothing below
 * it; then, on a stack of 4,096 bytes (makecontext), a library's first; then 100 more with the time stamp counter forbidden
 * (PR_SET_TSC). 102 malloc(100) of its own, all freed. Exits with 0.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>

static ucontext_t here, there;

__attribute__((noinline)) static void once(void)
{
    void *volatile block = malloc(100);
    free(block);
}

static void handle(int signal)
{
    (void)signal;
    once();
}

/* A stack of so many bytes above a page that nobody may touch. */
static char *narrow(size_t size)
{
    char *at = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(at, 4096, PROT_NONE);
    return at + 4096;
}

int main(void)
{
    stack_t stack = { .ss_sp = narrow(8192), .ss_size = 8192 };
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };
    if (sigaltstack(&stack, NULL) || sigaction(SIGUSR1, &action, NULL) || raise(SIGUSR1))
        return 1;
    getcontext(&there);
    there.uc_stack = (stack_t){ .ss_sp = narrow(4096), .ss_size = 4096 };
    there.uc_link = &here;
    makecontext(&there, once, 0);
    if (swapcontext(&here, &there) || prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0))
        return 2;
    for (int i = 0; i < 100; i++)
        once();
    return 0;
}
