/*
 * Holds 10,000,000 bytes for 30 ms, nothing for 400 ms, 5,000,000 bytes for 300 ms; then 20,000 times 1,000,000 bytes
 * more for a moment, once 30,000,000; ends with the 5,000,000 live, after 100 ms more.
 * Right answer: 20,003 allocations; the peak is 35,000,000, and stands between the last two steps of the timeline;
 * no sample between 0.05 and 0.4 s is above 0.
 */
#include <stdlib.h>
#include <unistd.h>

static void *volatile kept;
static void *volatile more;

int main(void)
{
    kept = malloc(10000000);
    usleep(30000);
    free(kept);
    usleep(400000);
    kept = malloc(5000000);
    usleep(300000);
    for (int i = 0; i < 20000; i++) {
        more = malloc(1000000);
        free(more);
    }
    more = malloc(30000000);
    free(more);
    usleep(100000);
    return 0;
}
