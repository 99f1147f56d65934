// allocators (malloc|small|new) [pairs]: pairs of malloc(64) and free, malloc(8) and free, or new and delete of 64 bytes in a
// loop, 18 frames below the thread's start. Prints nanoseconds per pair.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

static long pairs = 5000000;
static const char *what;

static double now()
{
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); // other programs may run beside it
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double loop()
{
    double start = now();
    if (!std::strcmp(what, "new"))
        for (long i = 0; i < pairs; i++) {
            void *volatile block = operator new(64);
            operator delete(block);
        }
    else
        for (long i = 0, size = std::strcmp(what, "small") ? 64 : 8; i < pairs; i++) {
            void *volatile block = std::malloc((std::size_t)size);
            std::free(block);
        }
    return (now() - start) / (double)pairs;
}

__attribute__((noinline)) static double deeper(int depth)
{
    volatile double result = depth ? deeper(depth - 1) : loop();
    return result;
}

int main(int argc, char **argv)
{
    what = argc > 1 ? argv[1] : "malloc";
    if (argc > 2)
        pairs = std::atol(argv[2]);
    std::printf("%.2f\n", deeper(14));
    return 0;
}
