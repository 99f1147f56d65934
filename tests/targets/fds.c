/*
 * Closes every descriptor from 0 up after 10 malloc(100), makes 20 more, then forks: the child makes
 * 5 malloc(100) and ends, the parent waits and exits with 30 when the child ended well. 30 and 5
 * allocations, errno untouched by malloc and free throughout.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void *volatile kept;

static int make(int n)
{
    for (int i = 0; i < n; i++) {
        errno = 1234;
        kept = malloc(100);
        if (errno != 1234)
            return 0;
    }
    return 1;
}

int main(void)
{
    if (!make(10))
        return 1;
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    if (!make(20))
        return 2;
    pid_t child = fork();
    if (child == 0)
        _exit(make(5) ? 0 : 1);
    int status = 1;
    waitpid(child, &status, 0);
    return status == 0 ? 30 : 3;
}
