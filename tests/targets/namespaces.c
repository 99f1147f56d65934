/*
 * namespaces PLUGIN HOW: goes past what was preloaded, 100 times, for a block of 1000 bytes that is freed. With `deep` by a
 * library (plugin.c, as first_plugin) that is loaded with RTLD_DEEPBIND and finds the C library's functions first; with `own`
 * by the same library in a name space of its own (dlmopen), where there is another C library: that is not seen; with
 * `handle` by functions that it looks up in the C library itself. Then main makes 10 malloc(100) and frees them.
 * Exits with 0.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void *(*found_malloc)(size_t);
static void (*found_free)(void *);

static void by_handle(void)
{
    void *volatile block = found_malloc(1000);
    found_free(block);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    void *library;
    void (*function)(void);
    if (strcmp(argv[2], "handle") == 0) {
        library = dlopen("libc.so.6", RTLD_NOW);
        found_malloc = (void *(*)(size_t))dlsym(library, "malloc");
        found_free = (void (*)(void *))dlsym(library, "free");
        function = by_handle;
    } else {
        library = strcmp(argv[2], "own") ? dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND) : dlmopen(LM_ID_NEWLM, argv[1], RTLD_NOW);
        function = library ? (void (*)(void))dlsym(library, "first_plugin") : NULL;
    }
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
