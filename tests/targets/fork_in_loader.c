/*
 * fork_in_loader: forks while another thread is inside dl_iterate_phdr, whose lock nobody gives back in the child. The child
 * allocates 3 blocks of 100 bytes and ends with 7; the parent ends with what the child ended with.
 */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int inside[2], outside[2];
static void *volatile kept;

static int look(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)info, (void)size, (void)context;
    char c = 0;
    return write(inside[1], &c, 1) == 1 && read(outside[0], &c, 1) == 1;
}

static void *looks(void *context)
{
    dl_iterate_phdr(look, context);
    return NULL;
}

int main(void)
{
    pthread_t thread;
    char c;
    int status = 0;
    if (pipe(inside) || pipe(outside) || pthread_create(&thread, NULL, looks, NULL) || read(inside[0], &c, 1) != 1)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        for (int i = 0; i < 3; i++)
            kept = malloc(100);
        _exit(7);
    }
    waitpid(child, &status, 0);
    if (write(outside[1], &c, 1) != 1 || pthread_join(thread, NULL))
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
