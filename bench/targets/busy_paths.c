/* busy_paths N SECONDS: N call paths, each with a block, of which a fiftieth grows or shrinks by one every 10 ms, in no order. */
#include <stdlib.h>
#include <time.h>

#define APART __attribute__((noinline, noclone))
static void *volatile made;

static void descend(unsigned depth, unsigned path, size_t size);
#define STEP(n) APART static void step##n(unsigned d, unsigned p, size_t s) { descend(d, p, s); __asm__ volatile("" ::: "memory"); }
STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)
static void (*const steps[8])(unsigned, unsigned, size_t) = { step0, step1, step2, step3, step4, step5, step6, step7 };

APART static void descend(unsigned depth, unsigned path, size_t size)
{
    if (depth == 0)
        made = malloc(size);
    else
        steps[path % 8](depth - 1, path / 8, size);
    __asm__ volatile("" ::: "memory");
}

int main(int count, char **arguments)
{
    unsigned paths = count > 1 ? (unsigned)atoi(arguments[1]) : 70000, turns = 100u * (count > 2 ? (unsigned)atoi(arguments[2]) : 10);
    void **held = calloc(paths, sizeof *held);
    for (unsigned i = 0; i < paths; i++) {
        descend(6, i, 16 + i % 500);
        held[i] = made;
    }
    for (unsigned turn = 0, at = 1; turn < turns; turn++) {
        for (unsigned k = 0; k < paths / 50; k++) {
            at = at * 1664525u + 1013904223u;
            unsigned i = (at >> 8) % paths;
            if (held[i]) {
                free(held[i]);
                held[i] = NULL;
            } else {
                descend(6, i, 16 + i % 500);
                held[i] = made;
            }
        }
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    return 0;
}
