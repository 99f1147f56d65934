/*
 * code_check: reads what objdump -d --insn-width=16 prints, and compares how long each instruction is with what
 * ffi/arch/x86_64_code.h says. Left out: what objdump itself calls bad, prefixes that it prints alone, fwait with the instruction
 * behind it, and the begin of a transaction, which is refused. Ends with 1 when one differs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ffi/arch/x86_64_code.h"

int main(void)
{
    static char line[65536];
    unsigned long count = 0, different = 0;
    while (fgets(line, sizeof line, stdin)) {
        uint8_t code[64];
        unsigned length = 0, byte;
        char *at = strchr(line, ':'), *text;
        if (!at || at[1] != '\t' || !(text = strchr(at + 2, '\t')))
            continue;
        for (at += 2; at + 2 < text && *at != ' ' && sscanf(at, "%2x", &byte) == 1; at += 3)
            code[length++] = (uint8_t)byte;
        memset(code + length, 0x90, sizeof code - length);
        struct ht_code c;
        if (strstr(text, "(bad)") || strstr(text, "rex") || code[0] == 0x9b || strstr(text, "xbegin"))
            continue;
        count++;
        if (ht_arch_code(code, &c) && c.length == length)
            continue;
        different++;
        printf("%u bytes, not %u: %s", c.length, length, line);
    }
    printf("%lu instructions, %lu differ\n", count, different);
    return different > 0;
}
