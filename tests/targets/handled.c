/*
 * Signal handlers that allocate: malloc(100) once in one that raise() called, and malloc(200) in one that runs after each
 * instruction of the calls of labs and lldiv through their PLT entries. Exits with 0.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>

static void *volatile kept;
static volatile long sink;

static void on_signal(int signal)
{
    (void)signal;
    kept = malloc(100);
}

static void on_step(int signal)
{
    (void)signal;
    kept = malloc(200);
}

void steps_begin(void), steps_end(void);
__asm__(".text\n"
        "steps_begin: .cfi_startproc\n pushfq\n .cfi_adjust_cfa_offset 8\n orq $0x100, (%rsp)\n popfq\n .cfi_adjust_cfa_offset -8\n ret\n .cfi_endproc\n"
        "steps_end: .cfi_startproc\n pushfq\n .cfi_adjust_cfa_offset 8\n andq $~0x100, (%rsp)\n popfq\n .cfi_adjust_cfa_offset -8\n ret\n .cfi_endproc\n");

__attribute__((noinline)) static void stepped(void)
{
    steps_begin();
    sink = labs(sink - 3);
    sink += lldiv(sink, 2).quot;
    steps_end();
}

int main(void)
{
    signal(SIGUSR1, on_signal);
    signal(SIGTRAP, on_step);
    raise(SIGUSR1);
    stepped();
    return 0;
}
