/*
 * sessions: a cache that has been emptied, and a process that stays as large. It answers 200,000 requests, each with a page of 1,000 bytes that
 * is dropped at the end and every fiftieth with a note of a session that stays; then it waits.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUESTS 200000

static char *pages[REQUESTS];
static char *notes[REQUESTS / 50];

__attribute__((noinline)) static char *render_page(int request) { return memset(malloc(1000), request, 1000); }

__attribute__((noinline)) static char *remember_session(int request) { return memset(malloc(60), request, 60); }

int main(int argc, char **argv)
{
    for (int i = 0; i < REQUESTS; i++) {
        pages[i] = render_page(i);
        if (i % 50 == 0)
            notes[i / 50] = remember_session(i);
    }
    for (int i = 0; i < REQUESTS; i++)
        free(pages[i]);
    sleep(argc > 1 ? atoi(argv[1]) : 2);
    return 0;
}
