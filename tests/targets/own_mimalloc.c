/*
 * What mimalloc calls its own.
 *   plain()    100 times: mi_malloc of 10 and mi_free, malloc of 10 and mi_free, mi_malloc of 10 and free, mi_zalloc of 24 and
 *              mi_free_size, mi_calloc of 3 times 7, mi_malloc_aligned and mi_zalloc_aligned_at of 100, mi_posix_memalign of
 *              40, mi_new of 16, mi_malloc_small of 8, each freed: 1,000 of 33,900 bytes.
 *   grown()    100 times mi_malloc of 8, mi_realloc to 100, mi_rezalloc to 300, mi_expand to 290 (which stays where it is),
 *              mi_reallocf to 50, mi_recalloc to 20 times 5, mi_realloc_aligned to 200: 100 and 600 reallocations of 45,000 bytes.
 *   texts()    100 times mi_strdup of 6, mi_strndup of 4, mi_heap_strdup of 6 bytes: 300 of 1,600.
 *   heaps()    10 heaps with 50 blocks each: 30 of 16 bytes by mi_heap_malloc, 10 of 100 by mi_heap_malloc_aligned, 10 of 5,000
 *              by mi_heap_calloc, which go with the heap (mi_heap_destroy); 10 heaps with 10 blocks of 40, which stay when the
 *              heap goes (mi_heap_delete) and are freed then. 600 of 518,800 bytes.
 *   refused()  3 impossible sizes.
 *
 * 2,600 allocations, 600 of them reallocations; 599,300 bytes; 2,000 frees. Exits with 0.
 */
#include <stdint.h>
#include <stdlib.h>

typedef struct heap heap;
void *mi_malloc(size_t);
void *mi_malloc_small(size_t);
void *mi_zalloc(size_t);
void *mi_calloc(size_t, size_t);
void *mi_realloc(void *, size_t);
void *mi_reallocf(void *, size_t);
void *mi_rezalloc(void *, size_t);
void *mi_recalloc(void *, size_t, size_t);
void *mi_expand(void *, size_t);
void *mi_malloc_aligned(size_t, size_t);
void *mi_zalloc_aligned_at(size_t, size_t, size_t);
void *mi_realloc_aligned(void *, size_t, size_t);
int mi_posix_memalign(void **, size_t, size_t);
void *mi_new(size_t);
void mi_free(void *);
void mi_free_size(void *, size_t);
char *mi_strdup(const char *);
char *mi_strndup(const char *, size_t);
heap *mi_heap_new(void);
heap *mi_heap_get_default(void);
char *mi_heap_strdup(heap *, const char *);
void *mi_heap_malloc(heap *, size_t);
void *mi_heap_calloc(heap *, size_t, size_t);
void *mi_heap_malloc_aligned(heap *, size_t, size_t);
void mi_heap_delete(heap *);
void mi_heap_destroy(heap *);

#define KEEP __attribute__((noinline))
static int bad;

KEEP static void plain(void)
{
    for (int i = 0; i < 100; i++) {
        void *p;
        mi_free(mi_malloc(10));
        mi_free(malloc(10));
        free(mi_malloc(10));
        mi_free_size(mi_zalloc(24), 24);
        mi_free(mi_calloc(3, 7));
        mi_free(mi_malloc_aligned(100, 64));
        mi_free(mi_zalloc_aligned_at(100, 64, 8));
        bad |= mi_posix_memalign(&p, 16, 40);
        mi_free(p);
        free(mi_new(16));
        mi_free(mi_malloc_small(8));
    }
}

KEEP static void grown(void)
{
    for (int i = 0; i < 100; i++) {
        void *p = mi_rezalloc(mi_realloc(mi_malloc(8), 100), 300);
        bad |= mi_expand(p, 290) != p;
        p = mi_recalloc(mi_reallocf(p, 50), 20, 5);
        mi_free(mi_realloc_aligned(p, 200, 64));
    }
}

KEEP static void texts(void)
{
    for (int i = 0; i < 100; i++) {
        mi_free(mi_strdup("abcde"));
        mi_free(mi_strndup("abcde", 3));
        mi_free(mi_heap_strdup(mi_heap_get_default(), "abcde"));
    }
}

KEEP static void heaps(void)
{
    for (int i = 0; i < 10; i++) {
        heap *goes = mi_heap_new(), *leaves = mi_heap_new();
        void *stay[10];
        for (int j = 0; j < 30; j++)
            bad |= !mi_heap_malloc(goes, 16);
        for (int j = 0; j < 10; j++) {
            bad |= !mi_heap_malloc_aligned(goes, 100, 256) || !mi_heap_calloc(goes, 5, 1000);
            stay[j] = mi_heap_malloc(leaves, 40);
        }
        mi_heap_destroy(goes);
        mi_heap_delete(leaves);
        for (int j = 0; j < 10; j++)
            mi_free(stay[j]);
    }
}

KEEP static void refused(void)
{
    bad |= mi_malloc(SIZE_MAX / 2) || mi_zalloc(SIZE_MAX / 2) || mi_calloc(SIZE_MAX / 2, 2);
}

#ifndef ENTRY
#define ENTRY main
#endif
int ENTRY(void)
{
    plain();
    grown();
    texts();
    heaps();
    refused();
    return bad;
}
