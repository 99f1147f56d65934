/* Opens libraries, each after the one before is done, and calls their `run`. Exits with the sum of what those return. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int sum = 0;
    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW);
        int (*run)(void) = library ? (int (*)(void))dlsym(library, "run") : NULL;
        if (!run) {
            fprintf(stderr, "%s\n", dlerror());
            return 99;
        }
        sum += run();
    }
    return sum;
}
