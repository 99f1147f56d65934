/*
 * The C library's functions by the names that it alone has: 100 times __libc_malloc of 10 and __libc_free, __libc_calloc
 * of 3 times 10 and free, __libc_memalign of 64 and __libc_free, malloc of 8, __libc_realloc of it to 100, and free.
 * 500 allocations, 100 of them reallocations; 20,400 bytes; 400 frees. Exits with 0.
 */
#include <stddef.h>
#include <stdlib.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

int main(void)
{
    int bad = 0;
    for (int i = 0; i < 100; i++) {
        void *a = __libc_malloc(10), *b = __libc_calloc(3, 10), *c = __libc_memalign(64, 64), *d = __libc_realloc(malloc(8), 100);
        bad |= !a || !b || !c || !d;
        __libc_free(a);
        free(b);
        __libc_free(c);
        free(d);
    }
    return bad;
}
