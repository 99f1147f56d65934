/* Who makes the peak? grow_table, by reallocations up to 1 MB. Who allocates most often? next_token, freed at once. */
#include <stdlib.h>
#include <string.h>
static char *table;
static void *volatile token;
__attribute__((noinline)) static void grow_table(void)
{
    for (size_t size = 1000; size <= 1000 * 1000; size += 1000) table = realloc(table, size);
}
__attribute__((noinline)) static void next_token(void)
{
    token = strdup("a token of thirty-one characters");
    free(token);
}
int main(void)
{
    grow_table();
    for (int i = 0; i < 20000; i++) next_token();
    free(table);
    return 0;
}
