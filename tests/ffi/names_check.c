/*
 * names_check: what V8 tells of its code becomes lines of the perf map: with hexadecimal numbers of all lengths, without a name
 * where code has moved, nothing for bytecode; events of another form, whose text is no memory, harm nothing.
 */
#include "../../ffi/all.c"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    static struct ht_file_header header;
    char path[HT_CODE_MAP_PATH], read[1024];
    const char *name = "JS:*handler app.js:3:1";
    struct ht_code_event event = { .type = HT_CODE_ADDED, .kind = 1, .start = 0x7f1234567890, .length = 0x1f, .name = { (uint64_t)name, 22 } };
    /* Before anything is recorded nothing happens. */
    ht_code_event(&event);
    header.pid = (uint32_t)getpid();
    ht_p.header = &header;
    ht_code_map_path(path);
    /* The file is made by whoever wants names; without it nothing is written, and none is made. */
    unlink(path);
    ht_code_event(&event);
    if (access(path, F_OK) == 0)
        return 1;
    FILE *map = fopen(path, "w+");
    if (!map)
        return 2;
    ht_code_event(&event);
    ht_code_event(&(struct ht_code_event){ .kind = HT_CODE_BYTES, .start = 1, .length = 1, .name = { (uint64_t)name, 22 } });
    ht_code_event(&(struct ht_code_event){ .kind = 1, .start = 0, .length = ~0ull, .name = { (uint64_t)name, 2 } });
    ht_code_event(&(struct ht_code_event){ .type = HT_CODE_MOVED, .kind = 1, .start = 1, .length = 0x10, .new_start = 0xabc });
    ht_code_event(&(struct ht_code_event){ .type = 3, .kind = 1 });
    ht_code_event(&(struct ht_code_event){ .kind = 1, .start = 2, .length = 3, .name = { 8, 1ull << 40 } });
    size_t n = fread(read, 1, sizeof read - 1, map);
    read[n] = 0;
    unlink(path);
    const char *expected = "7f1234567890 1f JS:*handler app.js:3:1\n0 ffffffffffffffff JS\nabc 10 \n";
    /* What was no memory may leave the beginning of its line. */
    if (strncmp(read, expected, strlen(expected)) != 0 || strlen(read) > strlen(expected) + strlen("2 3 ")) {
        fprintf(stderr, "%s", read);
        return 3;
    }
    printf("%zu bytes of lines\n", n);
    return 0;
}
