/* resident(): the resident set of the program itself, bytes. It allocates and frees a file's buffer, by the C library. */
static long resident(void)
{
    static char text[256];
    long pages = 0, all;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || !fgets(text, sizeof text, f) || sscanf(text, "%ld %ld", &all, &pages) != 2)
        exit(3);
    fclose(f);
    return pages * 4096;
}
