/*
 * bundles [FILE]: goes on as a copy of itself: in memory alone, or as FILE, which it then removes. The copy makes 9
 * malloc(64) in `outer`; then it forks, and the child frees 5 of them and makes one malloc(10). Exits with 0.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept[9];

__attribute__((noinline)) static void outer(void)
{
    for (int i = 0; i < 9; i++)
        kept[i] = malloc(64);
}

static int child(void)
{
    for (int i = 0; i < 5; i++)
        free(kept[i]);
    kept[0] = malloc(10);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "copy")) {
        int status = 0;
        if (argc > 2)
            unlink(argv[2]);
        outer();
        pid_t pid = fork();
        if (pid == 0)
            _exit(child());
        waitpid(pid, &status, 0);
        return status;
    }
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int to = argc > 1 ? open(argv[1], O_CREAT | O_WRONLY | O_TRUNC, 0755) : memfd_create("bundle", MFD_CLOEXEC);
    if (sendfile(to, from, NULL, 1 << 24) <= 0)
        return 1;
    char *arguments[] = { "bundle", "copy", argc > 1 ? argv[1] : NULL, NULL }, *none[] = { NULL };
    if (argc > 1) {
        close(to);
        execve(argv[1], arguments, none);
    } else {
        fexecve(to, arguments, none);
    }
    return 2;
}
