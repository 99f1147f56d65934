/* fork_operators: a fork's child whose first allocation is by operator new: 5 blocks of 40 bytes. Ends with the child's status, 7. */
#include <new>
#include <sys/wait.h>
#include <unistd.h>

static void *volatile kept;

int main()
{
    int status = 0;
    kept = ::operator new(40);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) kept = ::operator new(40);
        _exit(7);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
