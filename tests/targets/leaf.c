/*
 * An allocator so small that the compiler sees all of it: with -O2 its callers keep values in registers that a function may
 * change, since this one does not, and may call it with a stack that is not aligned. 100 times a block of 8 bytes that ends, whose
 * caller adds up numbers that it was given, whole and broken ones. Prints the sum.
 *
 * 100 allocations, 800 bytes, 100 frees.
 */
#include <stddef.h>
#include <unistd.h>

static char pool[1 << 16];
static size_t used;

__attribute__((noinline)) void *malloc(size_t size)
{
    size_t at = used;
    used = (at + size + 15) / 16 * 16;
    return pool + at;
}
__attribute__((noinline)) void free(void *block) { *(volatile char *)block; }

__attribute__((noinline)) static long sum(long a, long b, long c, long d, long e, double f, double g, double h)
{
    long *p = malloc(8);
    *p = a;
    long all = *p + b * 10 + c * 100 + d * 1000 + e * 10000;
    free(p);
    return all + a + b + c + d + e + (long)(f * 2 + g * 4 + h * 8);
}

int main(void)
{
    long all = 0;
    for (int i = 0; i < 100; i++)
        all += sum(i, 2, 3, 4, 5, i * 0.5, 1.5, 2.5);
    char text[24];
    int at = sizeof text;
    text[--at] = '\n';
    for (; all; all /= 10)
        text[--at] = (char)('0' + all % 10);
    return write(1, text + at, sizeof text - (size_t)at) < 0;
}
