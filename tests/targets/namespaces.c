/*
 * namespaces PLUGIN HOW: loads a library (plugin.c, as first_plugin) with RTLD_DEEPBIND (`deep`) or into a name space of its
 * own (`own`), where it finds the C library's malloc before any that was preloaded, and calls its function 100 times. Main
 * makes 10 malloc(100) and frees them. What the library allocates is not seen; the 10 are. Exits with 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    void *library = strcmp(argv[2], "own") ? dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND) : dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW);
    void (*function)(void) = library ? (void (*)(void))dlsym(library, "first_plugin") : NULL;
    if (!function)
        return 1;
    for (int i = 0; i < 100; i++)
        function();
    for (int i = 0; i < 10; i++) {
        void *volatile block = malloc(100);
        free(block);
    }
    return dlclose(library);
}
