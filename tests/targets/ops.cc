// With operators: 1,000 of 100 bytes, an array of 8,000, 10 of 64 that are aligned to 64, 5 of 1,000 that are kept;
// with malloc 20 of 50 bytes. 1,036 allocations, 114,640 bytes, 1,031 frees. Exits with 0. Its main may be a library's `run`.
#include <cstdlib>
#include <new>

struct alignas(64) Wide {
    char bytes[64];
};
static char *kept[5];

#ifndef ENTRY
#define ENTRY main
#else
extern "C"
#endif
int ENTRY()
{
    char **blocks = new char *[1000];
    for (int i = 0; i < 1000; i++)
        blocks[i] = new char[100];
    for (int i = 0; i < 1000; i++)
        delete[] blocks[i];
    delete[] blocks;
    int bad = 0;
    for (int i = 0; i < 10; i++) {
        Wide *volatile wide = new Wide;
        bad |= reinterpret_cast<unsigned long>(wide) % 64 != 0;
        delete wide;
    }
    for (int i = 0; i < 20; i++) {
        void *volatile block = std::malloc(50);
        std::free(block);
    }
    for (char *&block : kept)
        block = new char[1000];
    return bad;
}
