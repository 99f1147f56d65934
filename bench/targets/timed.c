/*
 * timed FILE COMMAND...: runs a command and writes to FILE how much processor time it took, with all that it started and waited for, in
 * seconds: other programs on the machine count less in it than in what a clock says. Ends as the command does.
 */
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
    pid_t pid;
    int status = 0;
    struct rusage used;
    if (argc < 3 || posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ) != 0 || wait4(pid, &status, 0, &used) != pid)
        return 127;
    FILE *out = fopen(argv[1], "w");
    if (!out)
        return 127;
    fprintf(out, "%.6f\n", (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec + ((double)used.ru_utime.tv_usec + (double)used.ru_stime.tv_usec) / 1e6);
    fclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
