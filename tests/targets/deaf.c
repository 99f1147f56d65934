/*
 * deaf: threads come and go, each with a malloc(50) and a free, while others ask the kernel for filters: 3,000 times for one
 * that cannot be read, which is refused, then for one that refuses rt_sigprocmask in that thread alone; and a vfork child
 * confines itself. Exits with 0 when no thread was left with its signals blocked, after 100 malloc(1000) in an unconfined
 * thread: 100 of its own, freed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int stop;
static int deaf;

static struct sock_filter code[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static struct sock_fprog program = { sizeof code / sizeof code[0], code };

static void *listen_once(void *unused)
{
    sigset_t blocked;
    void *volatile block = malloc(50);
    free(block);
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (sigismember(&blocked, SIGUSR1) || sigismember(&blocked, SIGTERM))
        __atomic_add_fetch(&deaf, 1, __ATOMIC_RELAXED);
    return unused;
}

static void *come_and_go(void *unused)
{
    pthread_t thread;
    while (!stop && pthread_create(&thread, NULL, listen_once, NULL) == 0)
        pthread_join(thread, NULL);
    return unused;
}

static void *confine(void *unused)
{
    for (int i = 0; i < 3000; i++)
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (void *)8);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    return unused;
}

int main(void)
{
    if (vfork() == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        _exit(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0);
    }
    wait(NULL);
    for (int i = 0; i < 100; i++) {
        void *volatile block = malloc(1000);
        free(block);
    }
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, come_and_go, NULL);
    usleep(20000);
    pthread_create(&threads[1], NULL, confine, NULL);
    pthread_join(threads[1], NULL);
    usleep(20000);
    stop = 1;
    pthread_join(threads[0], NULL);
    return deaf != 0;
}
