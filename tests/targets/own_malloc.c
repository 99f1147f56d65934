/*
 * A program with a malloc of its own, from a static array: 50 of 20 bytes, 10 of 2 by 15, 5 of 20 that grow to 60, 7 by a
 * pointer to malloc of 9; 30 end. Nothing is printed.
 *
 * 72 allocations, 5 of them reallocations; 1,563 bytes; 30 frees. With -DSHORT its free is one instruction, which no jump fits in.
 */
#include <stddef.h>
#include <string.h>

static char room[1 << 16];
static size_t used;

__attribute__((noinline)) void *malloc(size_t size)
{
    char *block = room + used;
    used += (size + 15) / 16 * 16;
    return block;
}
#ifdef SHORT
__asm__(".globl free\n.type free,@function\nfree: ret\n.size free,1\n.globl next_to_it\nnext_to_it: .byte 0x31, 0xc0, 0xc3");
void free(void *);
#else
__attribute__((noinline)) void free(void *block) { __asm__ volatile("nop; nop; nop; nop; nop" : : "r"(block) : "memory"); }
#endif
__attribute__((noinline)) void *calloc(size_t count, size_t size) { return memset(malloc(count * size), 0, count * size); }
__attribute__((noinline)) void *realloc(void *old, size_t size)
{
    void *block = malloc(size);
    if (old) {
        memcpy(block, old, size);
        free(old);
    }
    return block;
}

int main(void)
{
    void *kept[50];
    for (int i = 0; i < 50; i++)
        kept[i] = malloc(20);
    for (int i = 0; i < 10; i++)
        __asm__ volatile("" : : "r"(calloc(2, 15)));
    for (int i = 0; i < 5; i++)
        kept[i] = realloc(kept[i], 60);
    void *(*volatile by)(size_t) = malloc;
    for (int i = 0; i < 7; i++)
        by(9);
    for (int i = 0; i < 30; i++)
        free(kept[i]);
    return 0;
}
