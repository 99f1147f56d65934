/*
 * 20,000 blocks of 1,000 bytes by load(), 500 ms; then 40,000 of 500 by work(), 500 ms; then load()'s are freed, 500 ms; then the
 * others. Right answer: after 0.3 s 20,000,000 bytes live by load() and none by work(); after 0.8 s both; between 0.3 and 1.3 s
 * work() grew by 20,000,000 and load() shrank by as much.
 */
#include <stdlib.h>
#include <unistd.h>

#define APART __attribute__((noinline, noclone))
static void *volatile loaded[20000], *volatile worked[40000];
APART static void *load(void) { return malloc(1000); }
APART static void *work(void) { return malloc(500); }

int main(void)
{
    for (int i = 0; i < 20000; i++)
        loaded[i] = load();
    usleep(500000);
    for (int i = 0; i < 40000; i++)
        worked[i] = work();
    usleep(500000);
    for (int i = 0; i < 20000; i++)
        free((void *)loaded[i]);
    usleep(500000);
    for (int i = 0; i < 40000; i++)
        free((void *)worked[i]);
    usleep(100000);
    return 0;
}
