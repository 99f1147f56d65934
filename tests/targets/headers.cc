// A library that replaces operator new and delete: a header of 16 bytes before each block of malloc.
#include <cstdlib>
#include <new>

void *operator new(std::size_t size)
{
    char *block = static_cast<char *>(std::malloc(size + 16));
    if (!block)
        throw std::bad_alloc();
    return block + 16;
}
void operator delete(void *block) noexcept
{
    if (block)
        std::free(static_cast<char *>(block) - 16);
}
void operator delete(void *block, std::size_t) noexcept { operator delete(block); }
