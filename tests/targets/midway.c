/*
 * midway MODE: a thread stands in a signal handler that has interrupted its allocator (functions of jemalloc's names, behind `own_`) between the first bytes of
 * own_malloc, which a jump would take. It prints a dot, waits for a character on stdin, returns there, and ends with 0 when what it got is a block.
 *
 * Modes: plain; other (the handler is on a stack of its own); restorer (it returns by the program's own code, not the C library's); deep (it has
 * 100,000 bytes on the stack); nested (it is interrupted itself, by a handler on a stack of its own); free (nobody stands there).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
static char room[1 << 20];
static size_t used;

APART void *own_malloc(size_t size)
{
    size_t at = __atomic_fetch_add(&used, (size + 31) / 16 * 16, __ATOMIC_RELAXED);
    if (at + size > sizeof room)
        return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return room + at;
}
APART void own_free(void *block) { __atomic_fetch_or(&used, (size_t)block & 0, __ATOMIC_RELAXED); }
APART void *own_mallocx(size_t size, int flags)
{
    char *block = own_malloc(size + (size_t)(flags & 1));
    return memset(block, 0, size);
}
APART void own_dallocx(void *block, int flags)
{
    if (flags != 77)
        own_free(block);
}

static const char *mode;
static void wait_for_word(void)
{
    char byte;
    while (write(1, ".", 1) == 1 && read(0, &byte, 1) < 0)
        ;
}
static void on_other(int number) { (void)number; wait_for_word(); }
static APART void wait_deep(void)
{
    volatile char much[100000];
    memset((char *)much, 1, sizeof much);
    wait_for_word();
    much[5] = much[6];
}

static void on_step(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t from = (uint64_t)own_malloc + (memcmp(own_malloc, "\xf3\x0f\x1e\xfa", 4) == 0 ? 4 : 0), pc = (uint64_t)registers[REG_RIP];
    if (pc <= from || pc >= from + 5)
        return;
    registers[REG_EFL] &= ~0x100;
    if (!strcmp(mode, "deep"))
        wait_deep();
    else if (!strcmp(mode, "nested"))
        raise(SIGUSR1);
    else
        wait_for_word();
}

__asm__(".text\nown_return: mov $15, %eax\nsyscall\n");
void own_return(void);

static void *steps(void *argument)
{
    static uint64_t words[8192];
    stack_t other = { .ss_sp = words, .ss_size = sizeof words };
    void *block = argument;
    sigaltstack(&other, NULL);
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; call own_malloc; pushfq; andl $~0x100, (%%rsp); popfq"
                     : "=a"(block)
                     : "D"(40ul)
                     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
    return block;
}

int main(int count, char **arguments)
{
    mode = count > 1 ? arguments[1] : "free";
    struct {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } own = { on_step, SA_SIGINFO | 0x04000000, own_return, 0 };
    struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO | (strcmp(mode, "other") ? 0 : SA_ONSTACK) };
    struct sigaction inner = { .sa_handler = on_other, .sa_flags = SA_ONSTACK };
    if (!strcmp(mode, "restorer"))
        syscall(SYS_rt_sigaction, SIGTRAP, &own, NULL, 8);
    else
        sigaction(SIGTRAP, &action, NULL);
    sigaction(SIGUSR1, &inner, NULL);
    own_dallocx(own_mallocx(10, 0), 0);
    if (!strcmp(mode, "free"))
        wait_for_word();
    pthread_t thread;
    void *block = NULL;
    if (strcmp(mode, "free") && pthread_create(&thread, NULL, steps, NULL) == 0)
        pthread_join(thread, &block);
    else
        block = own_malloc(40);
    memset(block, 3, 40);
    return *(char *)block != 3;
}
