/*
 * A library whose malloc is picked when it is bound (an IFUNC), by a function that calls the C library, and that makes 30 blocks of
 * 50 bytes by it; with -DTEXT, one whose code is completed when it is bound. `run` returns 0.
 */
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

static char room[1 << 16];
static size_t used;

#ifdef TEXT
/* The first instruction has an address in it that the dynamic linker stores there. */
__asm__(".text\n.globl mi_malloc\n.hidden mi_malloc\n.type mi_malloc,@function\nmi_malloc: movabs $spare, %rax\njmp take\n.size mi_malloc,.-mi_malloc\n"
        ".globl mi_free\n.hidden mi_free\n.type mi_free,@function\nmi_free: movabs $spare, %rax\nret\n.size mi_free,.-mi_free\n");
char spare[8];
void *mi_malloc(size_t);
void mi_free(void *);
__attribute__((used, visibility("hidden"))) int mi_version(void) { return 1; }
#define TAKE mi_malloc
#else
static void *take(size_t size);
static void *(*pick(void))(size_t) { return getenv("HEAPTAP_NOWHERE") ? NULL : take; }
void *malloc(size_t) __attribute__((ifunc("pick")));
void free(void *block) { (void)block; }
#define TAKE malloc
#endif
__attribute__((used, noinline)) static void *take(size_t size)
{
    used += (size + 15) / 16 * 16;
    return room + used;
}

int run(void)
{
    int bad = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
    for (int i = 0; i < 30; i++)
        bad |= TAKE(50) == NULL;
    return bad;
}
