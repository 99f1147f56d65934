/* A program's own wrapper in a library beside it, as many have: pool_alloc_bytes, which everything goes through. */
#include <stdlib.h>
#include <string.h>
void *pool_alloc_bytes(size_t n) { void *p = malloc(n + 16); if (!p) abort(); memset(p, 0, 16); return (char *)p + 16; }
