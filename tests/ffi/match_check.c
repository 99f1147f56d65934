/*
 * match_check: reads lines of an expression, a tab and a text; says for each `1` when a part of the text
 * matches, `0` when none does, `?` when the expression is none.
 */
#include "../../ffi/all.c"

#include <stdio.h>

int main(void)
{
    static char line[8192];
    static struct ht_match match;
    while (fgets(line, sizeof line, stdin)) {
        char *text = strchr(line, '\t');
        if (!text)
            return 1;
        *text++ = 0;
        text[strcspn(text, "\n")] = 0;
        putchar(!ht_match_compile(&match, line) ? '?' : ht_match_run(&match, text) ? '1' : '0');
    }
    putchar('\n');
    return 0;
}
