/*
 * 100 blocks of 1,000 bytes through an inlined function and operator new: a symboliser that knows
 * inlining names fill_inlined below make_blocks (line numbers are looked up in this file by the
 * test). Compiled with -O2 -g.
 */
#include <cstdlib>

static char *volatile kept;

static inline __attribute__((always_inline)) void fill_inlined(int i)
{
    kept = new char[1000]; // the line
    kept[0] = static_cast<char>(i);
}

__attribute__((noinline)) void make_blocks(int n)
{
    for (int i = 0; i < n; i++)
        fill_inlined(i);
}

int main()
{
    make_blocks(100);
    return 0;
}
