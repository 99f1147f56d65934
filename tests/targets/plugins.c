/*
 * plugins FIRST SECOND: 100 times, one after the other, loads a library, calls its function and unloads
 * it again, so that both use the same addresses in turn. first_plugin makes 100 malloc(1000),
 * second_plugin 100 malloc(2000): two call paths, whatever addresses they had. Exits with 3 when
 * the second library never came to lie where the first one was, so that nothing was tested.
 */
#include <dlfcn.h>
#include <stdlib.h>

static void *once(const char *path, const char *name)
{
    void *library = dlopen(path, RTLD_NOW);
    void (*function)(void) = library ? (void (*)(void))dlsym(library, name) : NULL;
    if (!function)
        exit(1);
    function();
    dlclose(library);
    return (void *)function;
}

int main(int argc, char **argv)
{
    int same = 0;
    if (argc < 3)
        return 2;
    for (int i = 0; i < 100; i++)
        same += once(argv[1], "first_plugin") == once(argv[2], "second_plugin");
    return same ? 0 : 3;
}
