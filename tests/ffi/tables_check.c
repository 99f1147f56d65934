/*
 * Tables of unwind entries in every form: for each loaded object the table that is found without .eh_frame_hdr is the one
 * that the header names; an index of each encoding, made here of the program's own entries, leads to the
 * same row at every address as the linker's, and so does going through them one by one.
 */
#include "../../ffi/all.c"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t section_of(const struct ht_object *object)
{
    const uint8_t *h = object->eh_frame_hdr;
    struct ht_cursor c = { h + 4, h + 12, 0 };
    return ht_take_encoded(&c, h[1], (uint64_t)h);
}

static uint32_t objects;
static struct ht_object own;

static int visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    struct ht_object object = ht_object_from(info);
    uint64_t here = (uint64_t)(void *)visit;
    if (here >= object.low && here < object.high)
        own = object;
    if (!object.eh_frame_hdr)
        return 0;
    uint64_t found = ht_search_eh_frame(&object);
    CHECK(found == section_of(&object), "%s: .eh_frame found at %lx, not %lx", object.name, (unsigned long)(found - object.base),
          (unsigned long)(section_of(&object) - object.base));
    objects++;
    return 0;
}

struct pair {
    uint64_t start, entry;
};

static int by_start(const void *a, const void *b)
{
    uint64_t x = ((const struct pair *)a)->start, y = ((const struct pair *)b)->start;
    return x < y ? -1 : x > y;
}

int main(void)
{
    ht_iterate(visit, NULL);
    CHECK(objects >= 2 && own.eh_frame_hdr, "%u objects", objects);
    uint64_t section = section_of(&own), entry, start, size;
    static struct pair pairs[100000];
    uint32_t count = 0;
    struct ht_entries e = ht_entries(section, own.low, own.high, 0);
    while ((entry = ht_entries_next(&e)) != 0)
        if (ht_entry_span(entry, own.low, own.high, &start, &size) && size > 0 && count < HT_COUNT(pairs))
            pairs[count++] = (struct pair){ start, entry };
    CHECK(count > 50, "%u entries", count);
    qsort(pairs, count, sizeof *pairs, by_start);

    /* absolute, and relative to the index, 4 and 8 bytes, with and without sign; without an index */
    static const uint8_t encodings[] = { 0x3b, 0x3c, 0x34, 0x00, 0x04, 0x0c, HT_PE_OMIT };
    static uint8_t index[16 + sizeof pairs] __attribute__((aligned(8)));
    long rows = 0;
    for (uint32_t k = 0; k < HT_COUNT(encodings); k++) {
        uint8_t encoding = encodings[k], *at = index + 16;
        uint64_t base = encoding & 0x30 ? (uint64_t)index : 0;
        uint32_t bytes = ht_encoded_size(encoding);
        memcpy(index, (uint8_t[]){ 1, 0x00, 0x03, encoding }, 4);
        memcpy(index + 4, &section, 8);
        memcpy(index + 12, &count, 4);
        for (uint32_t i = 0; i < count && bytes; i++, at += 2 * bytes) {
            uint64_t start = pairs[i].start - base, entry = pairs[i].entry - base;
            memcpy(at, &start, bytes);
            memcpy(at + bytes, &entry, bytes);
        }
        /* The index lies in the program's data: the object's bounds hold for it. */
        CHECK((uint64_t)index >= own.low && (uint64_t)index + sizeof index <= own.high, "the index is elsewhere");
        struct ht_place linked = { own.low, own.high, (uint64_t)own.eh_frame_hdr, 0 }, made = { own.low, own.high, (uint64_t)index, 0 };
        for (uint64_t pc = pairs[0].start - 3; pc < pairs[count - 1].start + 40; pc += bytes ? 5 : 97) {
            struct ht_row expected = { 0 }, row = { 0 };
            int found = ht_row_at(&linked, pc, &expected);
            CHECK(ht_row_at(&made, pc, &row) == found, "encoding %x, %lx: found or not", encoding, (unsigned long)(pc - own.base));
            CHECK(!found || ht_same_bytes(&row, &expected, sizeof row), "encoding %x, %lx: another row", encoding, (unsigned long)(pc - own.base));
            rows += found;
        }
    }
    printf("%u objects, %u entries, %ld rows\n", objects, count, rows);
    return 0;
}
