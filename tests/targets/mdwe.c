/* Runs a program that may not make memory executable that was not. Exits with 99 when the kernel does not know that. */
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argc;
    if (prctl(65 /* PR_SET_MDWE */, 1 /* PR_MDWE_REFUSE_EXEC_GAIN */, 0, 0, 0) != 0)
        return 99;
    execv(argv[1], argv + 1);
    return 98;
}
