/*
 * Signal handlers that allocate: malloc(100) once in one that raise() called, malloc(200) in one that runs after each
 * instruction of the calls of labs and lldiv through their PLT entries, malloc(400) and malloc(500) in two that return by
 * trampolines of the program's own without unwind tables, as static C libraries and Go have. Exits with 0.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static void on_wide(int signal)
{
    (void)signal;
    kept = malloc(400);
}

static void on_narrow(int signal)
{
    (void)signal;
    kept = malloc(500);
}

void return_wide(void), return_narrow(void);
__asm__(".text\n"
        "return_wide: mov $15, %rax\n syscall\n"
        "return_narrow: mov $15, %eax\n syscall\n");

/* As the C library's sigaction, but for where the handler returns to. */
static void handle(int signal, void (*handler)(int), void (*restorer)(void))
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } action = { handler, 0x04000000 /* SA_RESTORER */, restorer, 0 };
    syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof action.mask);
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
    handle(SIGUSR1, on_wide, return_wide);
    handle(SIGUSR2, on_narrow, return_narrow);
    raise(SIGUSR1);
    raise(SIGUSR2);
    return 0;
}
