/* heap EVERY: 1 GiB of heap in blocks of 48 bytes, 64 with glibc's header, all but every EVERYth freed. Prints `ready` and waits for a byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    int blocks = 1 << 24, every = count > 1 ? atoi(arguments[1]) : 1;
    void **all = malloc(sizeof *all * (size_t)blocks);
    for (int i = 0; i < blocks; i++)
        all[i] = memset(malloc(48), 1, 48);
    for (int i = 0; i < blocks; i++)
        if (i % every)
            free(all[i]);
    puts("ready");
    fflush(stdout);
    return read(0, &(char){ 0 }, 1) < 0;
}
