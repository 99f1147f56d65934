/*
 * 5,000 blocks of 1,000 bytes, the mark "half", 5,000 more: 10,000,000 bytes live at the end, of which 5,000,000 came since the mark.
 */
#include <stdlib.h>

#include "heaptap.h"

static void *kept[10000];

int main(void)
{
    for (int i = 0; i < 5000; i++)
        kept[i] = malloc(1000);
    HEAPTAP_MARK("half");
    for (int i = 5000; i < 10000; i++)
        kept[i] = malloc(1000);
    return kept[9999] == NULL;
}
