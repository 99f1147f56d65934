/*
 * shop [rounds]: a program whose answer is known. Each of 100 rounds (unless told otherwise):
 *   fill_basket   a Basket of 24 bytes and, by way of std::vector, 1,000 bytes; both kept until the end of main
 *   forget_note   500 bytes that nobody frees, every fifth round
 *   print_bill    16 blocks of 50 bytes, each freed before the next
 */
#include <cstdlib>
#include <vector>

struct Basket {
    std::vector<int> items;
};

static std::vector<Basket *> baskets;
static char *volatile last;

__attribute__((noinline)) void fill_basket(int n)
{
    Basket *basket = new Basket;
    basket->items.reserve(250);
    basket->items.push_back(n);
    baskets.push_back(basket);
}

__attribute__((noinline)) void forget_note()
{
    last = static_cast<char *>(std::malloc(500));
    last[0] = 1;
}

__attribute__((noinline)) void print_bill()
{
    for (int i = 0; i < 16; i++) {
        last = static_cast<char *>(std::malloc(50));
        std::free(last);
    }
}

__attribute__((noinline)) void serve(int n)
{
    fill_basket(n);
    if (n % 5 == 0)
        forget_note();
    print_bill();
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? std::atoi(argv[1]) : 100;
    baskets.reserve(rounds);
    for (int i = 0; i < rounds; i++)
        serve(i);
    for (Basket *basket : baskets)
        delete basket;
    return 0;
}
