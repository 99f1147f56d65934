/*
 * placed SEED: 20,000 blocks of all sizes by five call sites, and those of 0 bytes by a sixth, a third of them freed again, and two of 70,000,000 and 140,000,000 bytes, all
 * written to. Prints each that is live, `SITE ADDRESS SIZE`, and `ready`, and waits for a byte. Nothing else is allocated, so that what each
 * call site holds of each page follows from what is printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 20000
#define SITE(n) \
    static __attribute__((noinline, noclone)) void *site_##n(size_t size) { return memset(malloc(size), 1, size); }
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5)

/* One call of them all: a call path each. */
static __attribute__((noinline, noclone)) void *make(unsigned site, size_t size)
{
    static void *(*const volatile sites[])(size_t) = { site_0, site_1, site_2, site_3, site_4, site_5 };
    return sites[site](size);
}

static struct { void *at; size_t size; unsigned site; } blocks[COUNT + 2];
static unsigned long random_state;
static char text[65536];
static size_t used;

static unsigned draw(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

static __attribute__((noinline, noclone)) size_t size_of(int i)
{
    if (i >= COUNT)
        return i == COUNT ? 70000000 : 140000000;
    unsigned kind = draw(100);
    return kind < 2 ? 0 : kind < 60 ? draw(65) : kind < 90 ? draw(5000) : kind < 99 ? draw(50000) : draw(400000);
}

static void flush(void)
{
    for (size_t done = 0; done < used;) {
        ssize_t n = write(1, text + done, used - done);
        if (n <= 0)
            _exit(1);
        done += (size_t)n;
    }
    used = 0;
}

static void put(const char *word) { while (*word) text[used++] = *word++; }

static void number(uint64_t n, char end)
{
    char digits[20];
    int i = 20;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    while (i < 20)
        text[used++] = digits[i++];
    text[used++] = end;
    if (used > sizeof text - 100)
        flush();
}

int main(int count, char **arguments)
{
    for (const char *c = count > 1 ? arguments[1] : "1"; *c; c++)
        random_state = random_state * 10 + (unsigned long)(*c - '0');
    for (int i = 0; i < COUNT + 2; i++) {
        blocks[i].size = size_of(i);
        blocks[i].site = blocks[i].size == 0 ? 5 : draw(5);
        blocks[i].at = make(blocks[i].site, blocks[i].size);
        unsigned other = draw(COUNT);
        if (i < COUNT && i % 2 && other < (unsigned)i && draw(3) && blocks[other].at) {
            free(blocks[other].at);
            blocks[other].at = NULL;
        }
    }
    for (int i = 0; i < COUNT + 2; i++) {
        if (!blocks[i].at)
            continue;
        number(blocks[i].site, ' ');
        number((uint64_t)blocks[i].at, ' ');
        number(blocks[i].size, '\n');
    }
    put("ready\n");
    flush();
    return read(0, text, 1) < 0;
}
