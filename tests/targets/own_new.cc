/*
 * A program whose operators take from memory of their own, by mmap: 100 ints, 40 arrays of 30 bytes, 20 of 1,000 bytes; 120 end.
 *
 * 160 allocations, 21,600 bytes, 120 frees by operators.
 */
#include <cstddef>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

static char *room;

void *operator new(std::size_t size)
{
    if (!room)
        room = static_cast<char *>(mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    void *block = room;
    room += (size + 15) / 16 * 16;
    return block;
}
void operator delete(void *block) noexcept { __asm__ volatile("nop; nop; nop; nop; nop" : : "r"(block) : "memory"); }
void operator delete(void *block, std::size_t) noexcept { operator delete(block); }

int main()
{
    int *ints[100];
    char *arrays[40];
    for (auto &p : ints)
        p = new int(1);
    for (auto &p : arrays)
        p = new char[30];
    for (int i = 0; i < 20; i++)
        __asm__ volatile("" : : "r"(new char[1000]));
    for (auto p : ints)
        delete p;
    for (int i = 0; i < 20; i++)
        delete[] arrays[i];
}
