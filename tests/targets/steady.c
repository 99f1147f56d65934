/* Allocates and frees, ten thousand times a second, and writes a dot now and then, until nobody reads them. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        for (int i = 0; i < 100; i++) {
            void *p = malloc(100);
            __asm__ volatile("" : : "r"(p) : "memory");
            free(p);
        }
        if (write(1, ".", 1) != 1)
            return 0;
        usleep(10000);
    }
}
