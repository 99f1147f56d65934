/*
 * 10 malloc(100); then programs by vfork, by posix_spawn and by system, each this one as "leaf": 3 malloc(100); then a child
 * by clone(CLONE_VM) in this memory, which makes 7 malloc(100) while the parent waits. 17 allocations in the parent and
 * three recordings of 3. Exits with 0.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
void *volatile kept;

static int allocate(void *count)
{
    for (long i = 0; i < (long)count; i++)
        kept = malloc(100);
    return 0;
}

static int wait_for(pid_t child)
{
    int status = 1;
    waitpid(child, &status, __WALL);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "leaf"))
        return allocate((void *)3L);
    static char command[4096], stack[65536] __attribute__((aligned(16)));
    char *arguments[] = { argv[0], "leaf", NULL };
    int bad = 0;
    allocate((void *)10L);
    pid_t child = vfork();
    if (child == 0) {
        execv(argv[0], arguments);
        _exit(1);
    }
    bad += wait_for(child) != 0;
    bad += posix_spawn(&child, argv[0], NULL, NULL, arguments, environ) != 0 || wait_for(child) != 0;
    snprintf(command, sizeof command, "exec %s leaf", argv[0]);
    bad += system(command) != 0;
    child = clone(allocate, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)7L);
    bad += wait_for(child) != 0;
    return bad;
}
