/* A library for plugins.c, built twice with NAME first_plugin and second_plugin: one malloc(SIZE) a call. */
#include <stdlib.h>

void *volatile plugin_block;

__attribute__((noinline)) void NAME(void)
{
    plugin_block = malloc(SIZE);
    free(plugin_block);
}
