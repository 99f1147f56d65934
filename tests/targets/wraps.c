/* A library that stands before the allocator and calls the next one's functions: malloc, calloc, realloc, free, posix_memalign. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

static char early[4096]; /* for what dlsym allocates */
static size_t used;
static int looking;

static void *next(const char *name)
{
    looking++;
    void *function = dlsym(RTLD_NEXT, name);
    looking--;
    return function;
}
#define NEXT(result, name, parameters)                                                             \
    static result(*real) parameters;                                                               \
    if (!real)                                                                                     \
        real = (result(*) parameters)next(#name);

void *malloc(size_t size)
{
    NEXT(void *, malloc, (size_t))
    return real(size);
}

void *calloc(size_t count, size_t size)
{
    if (looking)
        return early + (used += 64) - 64;
    NEXT(void *, calloc, (size_t, size_t))
    return real(count, size);
}

void *realloc(void *old, size_t size)
{
    NEXT(void *, realloc, (void *, size_t))
    return real(old, size);
}

void free(void *block)
{
    NEXT(void, free, (void *))
    if ((char *)block < early || (char *)block >= early + sizeof early)
        real(block);
}

int posix_memalign(void **to, size_t alignment, size_t size)
{
    NEXT(int, posix_memalign, (void **, size_t, size_t))
    return real(to, alignment, size);
}
