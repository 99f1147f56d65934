/* Leaks malloc(100) in leak_known() and malloc(10) in main; says in LeakSanitizer's way that the first is known. */
#include <stdlib.h>

static void *volatile kept;

const char *__lsan_default_suppressions(void)
{
    return "# ours\nleak:^leak_kn*\n";
}

__attribute__((noinline)) static void leak_known(void)
{
    kept = malloc(100);
    kept = NULL;
}

int main(void)
{
    leak_known();
    kept = malloc(10);
    return 0;
}
