/*
 * heaptap.h: what a C or C++ program tells heaptap of itself: blocks of its own pools, named moments, what is not to
 * be counted. There is nothing to link. Where no heaptap listens each macro is one load and a branch.
 *
 *   HEAPTAP_ALLOC(p, n)         a pool has handed out a block of n bytes at p: an allocation by who stands here
 *   HEAPTAP_FREE(p)             it has taken that block back; not known, or NULL, it is nothing
 *   HEAPTAP_REALLOC(q, p, n)    the block at q is now at p, and of n bytes
 *   HEAPTAP_FREE_ALL(p, n)      all blocks that begin in the n bytes from p are back: the pool starts anew
 *   HEAPTAP_SLAB(p)             the block at p, malloc's, holds blocks that are told as above: it counts no more by itself
 *   HEAPTAP_POOL(name)          what this thread tells from here on is that pool's: a text, NULL for none. Reports name it
 *   HEAPTAP_MARK(name)          keeps this moment: `heaptap report --since name` leaves out what came before. Letters, digits, "-", "_", "."
 *   HEAPTAP_PAUSE()             nothing that is allocated is counted from here on, in all threads. Blocks that are known end as ever
 *   HEAPTAP_RESUME()            it is again
 *
 *   void *pool_take(struct pool *pool, size_t n)
 *   {
 *       void *p = take(pool, n);
 *       HEAPTAP_ALLOC(p, n);
 *       return p;
 *   }
 *
 * HEAPTAP_DISABLE, defined before this is included, makes all of them nothing. So it is on other systems than Linux on x86-64.
 */
#ifndef HEAPTAP_H
#define HEAPTAP_H

#include <stddef.h>

#if defined(__linux__) && defined(__x86_64__) && defined(__GNUC__) && !defined(HEAPTAP_DISABLE)

#ifdef __cplusplus
extern "C" {
#endif

/* One in each program and library that has this header. heaptap finds it by a note, and puts its functions in; members are only
 * added, behind the others. */
struct heaptap_requests {
    size_t size; /* of this structure, as the header knew it */
    void (*allocate)(const void *block, size_t size);
    void (*release)(const void *block);
    void (*move)(const void *old_block, const void *block, size_t size);
    void (*release_all)(const void *start, size_t size);
    void (*slab)(const void *block);
    void (*pool)(const char *name);
    void (*mark)(const char *name);
    void (*pause)(int paused);
};

__attribute__((weak, used, visibility("hidden"))) struct heaptap_requests heaptap_requests_
    = { sizeof(struct heaptap_requests), 0, 0, 0, 0, 0, 0, 0, 0 };

#ifdef __cplusplus
}
#endif

/* The note: how far the structure is from here. */
__asm__(".pushsection .note.heaptap, \"a\", @note\n\t.balign 4\n\t.long 8, 8, 1\n\t.asciz \"heaptap\"\n\t.quad heaptap_requests_ - .\n\t.popsection");

#define HEAPTAP_REQUEST_(what, arguments)                                                          \
    do {                                                                                           \
        if (__builtin_expect(heaptap_requests_.what != 0, 0))                                      \
            heaptap_requests_.what arguments;                                                      \
    } while (0)

#else
#define HEAPTAP_REQUEST_(what, arguments)                                                          \
    do {                                                                                           \
    } while (0)
#endif

#define HEAPTAP_ALLOC(p, n) HEAPTAP_REQUEST_(allocate, ((p), (n)))
#define HEAPTAP_FREE(p) HEAPTAP_REQUEST_(release, ((p)))
#define HEAPTAP_REALLOC(q, p, n) HEAPTAP_REQUEST_(move, ((q), (p), (n)))
#define HEAPTAP_FREE_ALL(p, n) HEAPTAP_REQUEST_(release_all, ((p), (n)))
#define HEAPTAP_SLAB(p) HEAPTAP_REQUEST_(slab, ((p)))
#define HEAPTAP_POOL(name) HEAPTAP_REQUEST_(pool, ((name)))
#define HEAPTAP_MARK(name) HEAPTAP_REQUEST_(mark, ((name)))
#define HEAPTAP_PAUSE() HEAPTAP_REQUEST_(pause, (1))
#define HEAPTAP_RESUME() HEAPTAP_REQUEST_(pause, (0))

#endif
