/*
 * An allocator with mimalloc's names that nobody else can ask for, linked into a program or, with -DENTRY=run, a library. Its
 * functions call each other. A constructor makes three blocks of 10 bytes and keeps them. Then: 100 blocks of 100, 5 of
 * them kept; 50 of 2 by 30; 40 of 100 that grow to 300; 20 aligned ones of 200; all others end. Nothing is freed ten times.
 *
 * 253 allocations, 40 of them reallocations; 29,030 bytes; 205 frees; of those the constructor's are 3 and 30 bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define HIDDEN __attribute__((visibility("hidden"), noinline))

static char *room;

HIDDEN void *_mi_take(size_t size, size_t alignment)
{
    if (!room)
        room = mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *block = (char *)(((uintptr_t)room + sizeof(size_t) + alignment - 1) / alignment * alignment);
    ((size_t *)block)[-1] = size;
    room = block + (size + 7) / 8 * 8;
    return block;
}

HIDDEN __attribute__((used)) int mi_version(void) { return 1; }
HIDDEN void *mi_malloc(size_t size) { return _mi_take(size, 8); }
HIDDEN void mi_free(void *block)
{
    if (block)
        memset(block, 0xdd, ((size_t *)block)[-1]);
}
HIDDEN void *mi_malloc_aligned(size_t size, size_t alignment) { return _mi_take(size, alignment); }
HIDDEN void *mi_calloc(size_t count, size_t size)
{
    void *block = mi_malloc(count * size);
    memset(block, 0, count * size);
    return block;
}
HIDDEN void *_mi_grow(void *block, size_t size)
{
    void *larger = mi_malloc(size);
    memcpy(larger, block, ((size_t *)block)[-1]);
    mi_free(block);
    return larger;
}
HIDDEN void *mi_realloc(void *block, size_t size) { return block ? _mi_grow(block, size) : mi_malloc(size); }

static void *volatile kept[3];
__attribute__((constructor)) static void start(void)
{
    for (int i = 0; i < 3; i++)
        kept[i] = mi_malloc(10);
}

#ifndef ENTRY
#define ENTRY main
#endif
int ENTRY(void)
{
    int bad = 0;
    for (int i = 0; i < 100; i++) {
        char *p = memset(mi_malloc(100), i, 100);
        bad |= p[99] != (char)i;
        if (i >= 5)
            mi_free(p);
    }
    for (int i = 0; i < 50; i++) {
        char *p = mi_calloc(2, 30);
        bad |= p[59];
        mi_free(p);
    }
    for (int i = 0; i < 40; i++) {
        char *p = memset(mi_malloc(100), 7, 100);
        p = mi_realloc(p, 300);
        bad |= p[99] != 7;
        mi_free(p);
    }
    for (int i = 0; i < 20; i++) {
        void *p = mi_malloc_aligned(200, 64);
        bad |= (uintptr_t)p % 64 != 0;
        mi_free(p);
    }
    for (int i = 0; i < 10; i++)
        mi_free(NULL);
    return bad;
}
