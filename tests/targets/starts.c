/*
 * starts FIRST: 10 malloc(100); a fork's child with 5 more; a program (starts again, as "leaf": 3 malloc(100)) by
 * posix_spawn; then prints its environment variables that begin with LD_PRELOAD or HEAPTAP_, and what the end of its
 * environment leads to: the page size in the auxiliary vector. With FIRST = early the program is started before
 * anything is allocated. Exits with 0.
 */
#include <elf.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void *volatile kept;

static void allocate(int n)
{
    for (int i = 0; i < n; i++)
        kept = malloc(100);
}

static void start(char *self)
{
    char *arguments[] = { self, "leaf", NULL };
    pid_t child;
    int status;
    if (posix_spawn(&child, self, NULL, NULL, arguments, environ) != 0)
        _exit(1);
    waitpid(child, &status, 0);
}

static void say(const char *text)
{
    (void)!write(1, text, strlen(text));
    (void)!write(1, "\n", 1);
}

int main(int argc, char **argv, char **environment)
{
    if (argc > 1 && strcmp(argv[1], "leaf") == 0) {
        allocate(3);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "early") == 0)
        start(argv[0]);
    allocate(10);
    pid_t child = fork();
    if (child == 0) {
        allocate(5);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    if (argc > 1 && strcmp(argv[1], "early") != 0)
        start(argv[0]);
    char **v = environment;
    for (; *v; v++)
        if (strncmp(*v, "LD_PRELOAD=", 11) == 0 || strncmp(*v, "HEAPTAP_", 8) == 0)
            say(*v);
    for (Elf64_auxv_t *a = (Elf64_auxv_t *)(v + 1); a->a_type != AT_NULL; a++)
        if (a->a_type == AT_PAGESZ && a->a_un.a_val == (unsigned long)sysconf(_SC_PAGESIZE))
            say("auxiliary vector");
    return 0;
}
