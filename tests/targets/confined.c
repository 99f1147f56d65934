/*
 * confined HOW: makes 1,000 malloc(100), then forbids itself all system calls but those that it needs (`filter`: write, brk,
 * mmap, munmap, exit_group, sigreturn, by prctl; `call`: by prctl as a system call; `syscall`: the same by seccomp; `strict`: write and exit alone), makes 1,000
 * malloc(200), frees half of them, prints a line and ends with 0. Any other system call would end it with SIGSYS or SIGKILL.
 * 2,000 allocations, 300,000 bytes, 500 frees.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <malloc.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (n), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void *blocks[1000];

__attribute__((noinline)) static void allocate(size_t size)
{
    for (int i = 0; i < 1000; i++)
        blocks[i] = malloc(size);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "filter";
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_write), ALLOW(SYS_brk), ALLOW(SYS_mmap), ALLOW(SYS_munmap), ALLOW(SYS_exit_group), ALLOW(SYS_rt_sigreturn),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    mallopt(M_TOP_PAD, 4 << 20); /* the heap is large enough for what comes under `strict` */
    allocate(100);
    int result;
    if (!strcmp(how, "strict")) {
        result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    } else {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        result = !strcmp(how, "syscall") ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
            : !strcmp(how, "call")       ? (int)syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
                                         : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    }
    if (result)
        return 9;
    allocate(200);
    for (int i = 0; i < 500; i++)
        free(blocks[i]);
    if (write(1, "confined\n", 9) != 9)
        return 8;
    if (!strcmp(how, "strict"))
        syscall(SYS_exit, 0);
    _exit(0);
}
