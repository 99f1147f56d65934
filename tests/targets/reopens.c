/* reopens LIBRARY N: opens a library, calls its `run` and closes it, N times. Exits with what `run` returned. */
#include <dlfcn.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int bad = argc < 3;
    for (int i = bad ? 0 : atoi(argv[2]); i > 0; i--) {
        void *library = dlopen(argv[1], RTLD_NOW);
        int (*run)(void) = library ? (int (*)(void))dlsym(library, "run") : NULL;
        bad |= run ? run() : 1;
        if (library)
            dlclose(library);
    }
    return bad;
}
