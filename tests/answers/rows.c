/* The plugin of host.c: 1,000 rows of 700 bytes, never freed. */
#include <stdlib.h>
static void *volatile row;
void import_rows(int n) { for (int i = 0; i < n; i++) row = malloc(700); }
