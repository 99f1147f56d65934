/*
 * What tcmalloc calls its own, 100 times each: tc_malloc of 10 and tc_free, tc_calloc of 3 times 10 and tc_cfree,
 * tc_memalign of 64 and tc_free_sized, tc_posix_memalign of 48 and free, tc_valloc of 20 and tc_free, tc_new of 8 and
 * tc_delete, tc_newarray_nothrow of 8 and tc_deletearray_sized, malloc of 7 and tc_free, tc_malloc of 8 that becomes 100 by
 * tc_realloc and is freed; and once tc_malloc of 5 and realloc of it to nothing.
 *
 * 1,001 allocations, 100 of them reallocations; 29,505 bytes; 901 frees. Exits with 0.
 */
#include <stdlib.h>

void *tc_malloc(size_t);
void *tc_calloc(size_t, size_t);
void *tc_realloc(void *, size_t);
void *tc_memalign(size_t, size_t);
int tc_posix_memalign(void **, size_t, size_t);
void *tc_valloc(size_t);
void *tc_new(size_t);
void *tc_newarray_nothrow(size_t, const void *);
void tc_free(void *);
void tc_cfree(void *);
void tc_free_sized(void *, size_t);
void tc_delete(void *);
void tc_deletearray_sized(void *, size_t);

#ifndef ENTRY
#define ENTRY main
#endif
int ENTRY(void)
{
    for (int i = 0; i < 100; i++) {
        void *p;
        tc_free(tc_malloc(10));
        tc_cfree(tc_calloc(3, 10));
        tc_free_sized(tc_memalign(64, 64), 64);
        if (tc_posix_memalign(&p, 16, 48))
            return 1;
        free(p);
        tc_free(tc_valloc(20));
        tc_delete(tc_new(8));
        tc_deletearray_sized(tc_newarray_nothrow(8, ""), 8);
        tc_free(malloc(7));
        tc_free(tc_realloc(tc_malloc(8), 100));
    }
    return tc_realloc(tc_malloc(5), 0) != NULL;
}
