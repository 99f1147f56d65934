/*
 * Allocates before anything else of the program runs: 100 malloc(100) in .preinit_array, 100 malloc(200) in a
 * constructor, and in both 50 look-ups of symbols that are not there, whose messages the C library allocates. main frees
 * the 200 blocks. 200 allocations, 30,000 bytes, 200 frees, none live; exits with 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

static void *blocks[200];

static void search(void)
{
    for (int i = 0; i < 50; i++)
        if (dlsym(RTLD_DEFAULT, "there_is_no_symbol_of_this_name_in_any_object_that_is_loaded"))
            exit(1);
}

static void before_constructors(void)
{
    search();
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc(100);
}
__attribute__((section(".preinit_array"), used)) static void (*first)(void) = before_constructors;

__attribute__((constructor(101))) static void construct(void)
{
    search();
    for (int i = 100; i < 200; i++)
        blocks[i] = malloc(200);
}

int main(void)
{
    for (int i = 0; i < 200; i++)
        free(blocks[i]);
    return 0;
}
