/* A library for plugins.c, built twice with NAME first_plugin and second_plugin: one malloc(SIZE) a call, in any thread. */
#include <stdlib.h>

__attribute__((noinline)) void NAME(void)
{
    void *volatile block = malloc(SIZE);
    free(block);
}
