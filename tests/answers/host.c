/* Who makes the peak? import_rows, of a plugin that is loaded while the program runs (rows.c). */
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    void *plugin = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW);
    if (!plugin) return fprintf(stderr, "%s\n", dlerror()), 1;
    void (*import_rows)(int) = (void (*)(int))dlsym(plugin, "import_rows");
    import_rows(1000);
    return 0;
}
