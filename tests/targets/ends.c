/*
 * ends HOW: 1,000 malloc(100), none freed, then the end: exit, _exit, _Exit, quick_exit, abort, kill,
 * segv, or wait (prints a line and sleeps, for a look at a live recording). Nothing is written
 * otherwise. The recording holds 1,000 allocations and 100,000 live bytes in each case, and for
 * "wait" one more by stdio.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *volatile kept;

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "exit";
    for (int i = 0; i < 1000; i++)
        kept = malloc(100);
    if (!strcmp(how, "_exit"))
        _exit(3);
    if (!strcmp(how, "_Exit"))
        _Exit(4);
    if (!strcmp(how, "quick_exit"))
        quick_exit(5);
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "kill"))
        raise(SIGKILL);
    if (!strcmp(how, "segv"))
        raise(SIGSEGV);
    if (!strcmp(how, "wait")) {
        puts("waiting");
        fflush(stdout);
        sleep(60);
    }
    exit(2);
}
