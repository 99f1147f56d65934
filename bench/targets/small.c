/* small [n]: n blocks of 24 bytes that stay, each written to; prints its resident set in KB at the end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 4000000;
    for (long i = 0; i < n; i++)
        memset(malloc(24), 1, 24);
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long rss = 0;
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmRSS: %ld", &rss) == 1)
            break;
    printf("%ld\n", rss);
    return 0;
}
