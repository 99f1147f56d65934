/* Who makes the peak? load_words, by getline and strdup of the C library: 4,000 words of 90 letters. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char *words[4000];
static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
__attribute__((noinline)) static void load_words(void)
{
    char text[91];
    memset(text, 'w', 90);
    text[90] = 0;
    for (int i = 0; i < 4000; i++) text[i % 90]++, words[i] = strdup(text);
}
int main(void)
{
    load_words();
    qsort(words, 4000, sizeof *words, by_text);
    return words[3][2] == 'a';
}
