/* Allocates nothing; with an argument it ends by _exit. */
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        _exit(0);
    return 0;
}
