// 100 times each: new char[100] and delete[], over-aligned new and delete, nothrow new and delete, sized delete, and an
// exception of 16 bytes thrown through a function that holds a block of 100. 500 blocks of 100, 256, 100, 100 and 100
// bytes, and 100 exceptions, which the C++ library allocates for the program: 600 allocations and 600 frees. Exits with 0.
#include <cstdlib>
#include <new>

struct alignas(64) Wide {
    char bytes[256];
};
struct Thrown {
    long a, b;
};

__attribute__((noinline)) static void thrower(int i)
{
    struct Holder {
        char *block = static_cast<char *>(std::malloc(100));
        ~Holder() { std::free(block); }
    } holder;
    if (i >= 0)
        throw Thrown{ i, i };
}

int main()
{
    int caught = 0;
    for (int i = 0; i < 100; i++) {
        char *volatile plain = new char[100];
        delete[] plain;
        Wide *volatile wide = new Wide;
        if (reinterpret_cast<unsigned long>(wide) % 64)
            return 1;
        delete wide;
        char *volatile careful = new (std::nothrow) char[100];
        operator delete[](careful, std::nothrow);
        void *volatile sized = operator new(100);
        operator delete(sized, std::size_t(100));
        try {
            thrower(i);
        } catch (const Thrown &thrown) {
            caught += thrown.a == i;
        }
    }
    return caught != 100;
}
