/*
 * One source whose stacks differ with what a compiler inlines: keep makes 40 blocks of 1,000 bytes through a helper and a
 * vector; split makes 7 of 64. With MORE keep makes 50.
 */
#include <cstdlib>
#include <vector>

static std::vector<char *> kept;

namespace {
char *helper(std::size_t size)
{
    return new char[size];
}
} // namespace

__attribute__((noinline)) void keep(int n)
{
    kept.reserve(100);
    for (int i = 0; i < n; i++)
        kept.push_back(helper(1000));
}

__attribute__((noinline)) void split(int n)
{
    for (int i = 0; i < n; i++)
        kept.push_back(static_cast<char *>(std::malloc(64)));
}

int main()
{
#ifdef MORE
    keep(50);
#else
    keep(40);
#endif
    split(7);
    return kept.size() == 0;
}
