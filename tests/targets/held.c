/*
 * held SIGNAL [refused]: a timer sends SIGNAL every 200 microseconds, also one that only a faulting instruction raises by
 * itself, into 60,000 places that make a malloc(40) each, which keeps the recorder busy with new call paths; its handler asks
 * for more than there is. With `refused` the kernel first refuses rt_sigprocmask, so that nothing keeps signals away. Ends
 * with 0: 1,200,000 malloc(40) and as many frees, but for what the handlers' requests are counted as.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

void places(void);
__asm__(".globl places\n.type places, @function\nplaces:\n.cfi_startproc\npush %rbx\n.cfi_adjust_cfa_offset 8\n"
        ".rept 60000\nmov $40, %edi\ncall malloc@plt\nmov %rax, %rdi\ncall free@plt\n.endr\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n.size places, . - places\n");

static void handle(int signal)
{
    int error = errno;
    volatile size_t too_much = (size_t)0 - 16;
    void *volatile none = malloc(too_much);
    (void)signal;
    (void)none;
    errno = error;
}

int main(int argc, char **argv)
{
    int signal = argc > 1 ? atoi(argv[1]) : SIGTRAP;
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal };
    struct itimerspec often = { { 0, 200000 }, { 0, 200000 } };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    timer_t timer;
    if (sigaction(signal, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &often, NULL))
        return 1;
    if (argc > 2 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)))
        return 2;
    for (int i = 0; i < 20; i++)
        places();
    return 0;
}
