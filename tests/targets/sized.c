/*
 * C23's free_sized and free_aligned_sized, where there are any, else free: 100 blocks each of 100 bytes. 200 allocations,
 * 20,000 bytes, 200 frees. Exits with 0.
 */
#include <stdlib.h>

extern void free_sized(void *, size_t) __attribute__((weak));
extern void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));

int main(void)
{
    for (int i = 0; i < 100; i++) {
        void *volatile plain = malloc(100), *volatile aligned = aligned_alloc(64, 100);
        if (free_sized)
            free_sized(plain, 100);
        else
            free(plain);
        if (free_aligned_sized)
            free_aligned_sized(aligned, 64, 100);
        else
            free(aligned);
    }
    return 0;
}
