/*
 * 64,000,000 bytes; 500,000; 8,000,000; then the 500,000 are freed, which is too little for a step of the timeline, and the first are touched bit by
 * bit for 400 ms: the resident set is read many times. Right answer: 3 allocations, 1 free, 72,000,000 bytes live; after a mark at any moment
 * from the free on nothing is above what was live then.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *volatile kept, *volatile small, *volatile large;

int main(void)
{
    kept = malloc(64000000);
    usleep(50000);
    small = malloc(500000);
    usleep(50000);
    large = malloc(8000000);
    usleep(50000);
    free(small);
    for (int i = 0; i < 40; i++) {
        memset(kept + 1000000 * i, 1, 1000000);
        usleep(10000);
    }
    return 0;
}
