/*
 * Functions that have names of mimalloc's and tcmalloc's and mean something else: items of a menu, tickets. They take other
 * parameters. 100 items, each of 40 bytes by malloc. Exits with 0.
 *
 * 100 allocations, 4,000 bytes, 100 frees.
 */
#include <stdlib.h>
#include <string.h>

struct item {
    const char *text;
    long position, kind;
    double width;
    struct item *next;
};

__attribute__((noinline)) static struct item *mi_new(const char *text, int position)
{
    struct item *item = malloc(sizeof *item);
    *item = (struct item){ text, position, 1, 0.5 * position, NULL };
    return item;
}
__attribute__((noinline)) static struct item *mi_malloc(const char *text, int position, double width)
{
    struct item *item = mi_new(text, position);
    item->width = width;
    return item;
}
__attribute__((noinline)) static double mi_free(struct item *item, int position)
{
    double width = item->position == position ? item->width : -1;
    free(item);
    return width;
}
__attribute__((noinline)) static long tc_malloc(void) { return (long)strlen("ticket"); }
__attribute__((noinline)) static long tc_free(int a, int b, int c, int d, int e, int f, long g) { return a + b + c + d + e + f + g; }

int main(void)
{
    double all = 0;
    for (int i = 0; i < 100; i++)
        all += mi_free(mi_malloc("open", i, 2.5), i);
    return all != 250 || tc_malloc() != 6 || tc_free(1, 2, 3, 4, 5, 6, 7) != 28;
}
