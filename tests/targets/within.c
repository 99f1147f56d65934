/*
 * within: blocks that are made behind functions of the C library, which are between them and main, each of another size, by `make`:
 *   101 by `compare`, 3 or more times, below qsort, below `sorts`     102 by `worker`, a thread's function
 *   103 by `once`, below pthread_once, below main                     104 by `handle`, a signal's handler, below raise, below `signals`
 *   105 by `visit`, 2 times or more, below twalk, below `walks`       106 by `find`, once, below bsearch, below `looks`
 *   107 by `leave`, below exit, after main has returned               108 by `quits`, which is called at exit before that, and is
 *                                                                         followed by a strdup of 108 characters, below the same
 * and what the C library itself allocates, below `copies`: a strdup of 200 characters, and an asprintf.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APART __attribute__((noinline))
static void *kept[64];
static int count;

APART void *make(size_t size) { return kept[count++ % 64] = malloc(size); }

APART int compare(const void *a, const void *b)
{
    make(101);
    return *(const int *)a - *(const int *)b;
}

APART void sorts(void)
{
    int values[] = { 3, 1, 2 };
    qsort(values, 3, sizeof *values, compare);
    kept[63] = kept[0];
}

APART void *worker(void *argument)
{
    make(102);
    return argument;
}

APART void once(void) { make(103); }
APART void handle(int number)
{
    (void)number;
    make(104);
}

APART void signals(void)
{
    signal(SIGUSR1, handle);
    raise(SIGUSR1);
    kept[62] = kept[0];
}

APART int order(const void *a, const void *b) { return (a > b) - (a < b); }
APART void visit(const void *node, VISIT which, int depth)
{
    (void)node, (void)which, (void)depth;
    make(105);
}

APART void walks(void)
{
    void *root = NULL;
    tsearch("a", &root, order);
    twalk(root, visit);
    kept[61] = root;
}

APART int find(const void *key, const void *value)
{
    make(106);
    return *(const int *)key - *(const int *)value;
}

APART void looks(void)
{
    int value = 5;
    kept[60] = bsearch(&value, &value, 1, sizeof value, find);
}

APART void copies(void)
{
    char text[201];
    memset(text, 'x', 200);
    text[200] = 0;
    kept[59] = strdup(text);
    char *made;
    if (asprintf(&made, "%s%100s", text, "y") == 300)
        kept[58] = made;
}

APART void leave(void) { make(107); }
APART void quits(void)
{
    char text[108];
    memset(text, 'x', 107);
    text[107] = 0;
    make(108);
    kept[57] = strdup(text);
}

int main(void)
{
    static pthread_once_t first = PTHREAD_ONCE_INIT;
    pthread_t thread;
    atexit(leave);
    atexit(quits);
    sorts();
    if (pthread_create(&thread, NULL, worker, NULL) == 0)
        pthread_join(thread, NULL);
    pthread_once(&first, once);
    signals();
    walks();
    looks();
    copies();
    return 0;
}
