/*
 * in_use.c: what the allocator underneath says that it has handed out, where it has a function that adds up counters which it keeps anyhow. It is asked
 * once, when recording begins in a process that runs already: what is in blocks from before nobody else can tell. glibc's mallinfo2 would go through
 * all free chunks with an arena's lock held; its heaps are walked through from outside (src/memory/chunks.ts). mimalloc and others have no such function.
 */
#include "heaptap.h"

/* jemalloc's counters are those of the last epoch: another one is begun. */
static uint64_t ht_in_use_by_mallctl(int (*mallctl)(const char *, void *, size_t *, void *, size_t))
{
    uint64_t epoch = 1;
    size_t bytes = 0, size = sizeof bytes;
    if (mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0 || mallctl("stats.allocated", &bytes, &size, NULL, 0) != 0)
        return 0;
    return bytes;
}

/* tcmalloc's, by the interface that it has for C. */
static uint64_t ht_in_use_by_extension(int (*property)(const char *, size_t *))
{
    size_t bytes = 0;
    return property("generic.current_allocated_bytes", &bytes) ? bytes : 0;
}

/* Bytes in blocks of the object that malloc is from; 0 where it does not tell. */
static uint64_t ht_in_use(void)
{
    int (*mallctl)(const char *, void *, size_t *, void *, size_t);
    *(void **)&mallctl = ht_object_symbol(&ht_real_object, "mallctl");
    if (mallctl)
        return ht_in_use_by_mallctl(mallctl);
    int (*property)(const char *, size_t *);
    *(void **)&property = ht_object_symbol(&ht_real_object, "MallocExtension_GetNumericProperty");
    return property ? ht_in_use_by_extension(property) : 0;
}
