/*
 * Every form of operator new and delete, of the process's allocator, and what they do when there is no memory.
 *
 *   forms()     100 rounds of the eight forms of new, of 100 bytes, aligned to 64 where they say so, each ended by one of
 *               the twelve forms of delete: 800 of 80,000 bytes, all freed; and `delete` of nothing.
 *   refused()   10 requests that nothrow new refuses, 10 that throw; 10 that throw into a function which holds a block
 *               of 40 bytes: 10 of 400 bytes, freed. 30 refused.
 *   handler()   10 requests that come with a new-handler, which frees a block of 1,000 bytes and then gives up: by an
 *               exception of its own, and by longjmp. 20 of 1,000 bytes, freed.
 *   small()     1,000 blocks of 1 to 16 bytes, 8,468 bytes in all, freed in another order.
 *   kept()      3 blocks of 7 bytes, kept.
 *
 * In all 1,833 allocations, 108,889 bytes and 1,830 frees, and the C++ library's for exceptions: 132 bytes each of the ten that
 * `give` throws, 136 of the twenty that are thrown for it. Exits with 0.
 */
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <new>

#define KEEP __attribute__((noinline))
static const std::size_t HUGE_SIZE = PTRDIFF_MAX - 4096;
static const std::align_val_t WIDE = std::align_val_t(64);
static int bad;

KEEP static void *seen(void *block, std::size_t alignment)
{
    bad |= !block || reinterpret_cast<std::uintptr_t>(block) % alignment;
    __asm__ volatile("" : "+r"(block)::"memory");
    return block;
}

KEEP static void forms()
{
    for (int i = 0; i < 100; i++) {
        void *a = seen(operator new(100), 8), *b = seen(operator new[](100), 8);
        void *c = seen(operator new(100, std::nothrow), 8), *d = seen(operator new[](100, std::nothrow), 8);
        void *e = seen(operator new(100, WIDE), 64), *f = seen(operator new[](100, WIDE), 64);
        void *g = seen(operator new(100, WIDE, std::nothrow), 64), *h = seen(operator new[](100, WIDE, std::nothrow), 64);
        switch (i % 3) {
        case 0:
            operator delete(a), operator delete[](b), operator delete(c), operator delete[](d);
            operator delete(e, WIDE), operator delete[](f, WIDE), operator delete(g, WIDE), operator delete[](h, WIDE);
            break;
        case 1:
            operator delete(a, std::size_t(100)), operator delete[](b, std::size_t(100));
            operator delete(c, std::size_t(100)), operator delete[](d, std::size_t(100));
            operator delete(e, std::size_t(100), WIDE), operator delete[](f, std::size_t(100), WIDE);
            operator delete(g, std::size_t(100), WIDE), operator delete[](h, std::size_t(100), WIDE);
            break;
        default:
            operator delete(a, std::nothrow), operator delete[](b, std::nothrow);
            operator delete(c, std::nothrow), operator delete[](d, std::nothrow);
            operator delete(e, WIDE, std::nothrow), operator delete[](f, WIDE, std::nothrow);
            operator delete(g, WIDE, std::nothrow), operator delete[](h, WIDE, std::nothrow);
        }
        operator delete(nullptr), operator delete[](nullptr), operator delete(nullptr, WIDE);
    }
}

KEEP static void holds()
{
    struct Holder {
        void *block = std::malloc(40);
        ~Holder() { std::free(block); }
    } holder;
    seen(operator new(HUGE_SIZE), 1);
}

KEEP static void refused()
{
    int thrown = 0;
    for (int i = 0; i < 10; i++) {
        bad |= operator new(HUGE_SIZE, std::nothrow) != nullptr;
        try {
            seen(operator new[](HUGE_SIZE), 1);
        } catch (const std::bad_alloc &) {
            thrown++;
        }
        try {
            holds();
        } catch (const std::bad_alloc &) {
            thrown++;
        }
    }
    bad |= thrown != 20;
}

static void *reserve;
static std::jmp_buf out;
static int jumps;

KEEP static void give()
{
    std::free(reserve);
    reserve = nullptr;
    if (jumps)
        std::longjmp(out, 1);
    throw 7;
}

KEEP static void handler()
{
    std::set_new_handler(give);
    for (volatile int i = 0; i < 20; i = i + 1) {
        jumps = i % 2;
        reserve = std::malloc(1000);
        if (setjmp(out))
            continue;
        try {
            seen(operator new(HUGE_SIZE), 1);
            bad = 1;
        } catch (int seven) {
            bad |= seven != 7;
        }
    }
    bad |= reserve != nullptr;
    std::set_new_handler(nullptr);
}

KEEP static void small()
{
    static void *blocks[1000];
    for (int i = 0; i < 1000; i++)
        blocks[i] = seen(operator new(std::size_t(1 + i % 16)), 1);
    for (int i = 0; i < 1000; i++)
        operator delete(blocks[i * 7 % 1000]);
}

KEEP static void kept()
{
    static void *blocks[3];
    for (void *&block : blocks)
        block = seen(new char[7], 1);
}

int main()
{
    forms();
    refused();
    handler();
    small();
    kept();
    return bad;
}
