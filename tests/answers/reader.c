/*
 * Who makes the peak? read_lines: 2,000 lines of 512 bytes. Everything is allocated through pool_alloc_bytes of libpool.so, by five
 * functions.
 */
#include <stddef.h>
void *pool_alloc_bytes(size_t);
static void *volatile kept;
#define NOINLINE __attribute__((noinline))
NOINLINE static void read_header(void) { kept = pool_alloc_bytes(100); }
NOINLINE static void read_lines(void) { for (int i = 0; i < 2000; i++) kept = pool_alloc_bytes(512); }
NOINLINE static void read_index(void) { for (int i = 0; i < 100; i++) kept = pool_alloc_bytes(64); }
NOINLINE static void read_names(void) { for (int i = 0; i < 50; i++) kept = pool_alloc_bytes(32); }
NOINLINE static void read_footer(void) { kept = pool_alloc_bytes(200); }
int main(void)
{
    read_header();
    read_lines();
    read_index();
    read_names();
    read_footer();
    return 0;
}
