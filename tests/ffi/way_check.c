/*
 * way_check: the way out of a frame that its code tells (way_out.c) against what the compiler's tables say, at each call of each function of
 * the C library and of its mathematics. Those behind calls of the library's own functions that never return may be wrong: no
 * walk comes there but from those. Says how many were told, and ends with 1 when one of 200 is wrong, or one of five is not told.
 */
#include "../../ffi/all.c"

#include <stdio.h>
#include <stdlib.h>

static struct ht_ways ways;
static unsigned long told, untold, wrong;

static void check(const struct ht_object *object, uint64_t pc, const struct ht_row *row)
{
    uint64_t by_table = ht_row_rule(row), by_code = ht_ways_follow(&ways, object, pc, 0);
    if (ht_rule_kind(by_table) != HT_RULE_SP && ht_rule_kind(by_table) != HT_RULE_FP)
        return;
    if (!by_code) {
        untold++;
    } else {
        /* The same CFA may be had from either register; where rbp was saved is the same then. */
        int same_base = ht_rule_kind(by_table) == ht_rule_kind(by_code);
        if ((same_base && ht_rule_offset(by_table) != ht_rule_offset(by_code)) || ht_rule_fp_slot(by_table) != ht_rule_fp_slot(by_code)) {
            wrong++;
            printf("%s+%lx: %d %ld %ld, by the table %d %ld %ld\n", object->name, (unsigned long)(pc - object->base), (int)ht_rule_kind(by_code), (long)ht_rule_offset(by_code),
                   (long)ht_rule_fp_slot(by_code), (int)ht_rule_kind(by_table), (long)ht_rule_offset(by_table), (long)ht_rule_fp_slot(by_table));
        } else {
            told++;
        }
    }
}

static int visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    struct ht_object object = ht_object_from(info);
    const char *name = ht_base_name(object.name);
    if (!ht_begins_with(name, "libc.") && !ht_begins_with(name, "libm."))
        return 0;
    struct ht_sorted s = ht_sorted((uint64_t)object.eh_frame_hdr, object.low, object.high);
    for (uint64_t i = 0; i < s.count; i++) {
        struct ht_cursor at = { s.rows.at + i * 2 * s.size, s.rows.end, 0 };
        ht_take_encoded(&at, s.encoding, (uint64_t)object.eh_frame_hdr);
        uint64_t entry = ht_take_encoded(&at, s.encoding, (uint64_t)object.eh_frame_hdr), start, length;
        if (!ht_entry_span(entry, object.low, object.high, &start, &length))
            continue;
        struct ht_code c;
        struct ht_row row;
        for (uint64_t pc = start; pc < start + length && ht_arch_code((const uint8_t *)pc, &c); pc += c.length)
            if (ht_arch_is_behind_call((const uint8_t *)pc + c.length) && (c.kind == HT_CODE_CALL || c.kind == HT_CODE_BOUND) && pc + c.length < start + length
                && ht_row_of(entry, object.low, object.high, pc, &row) && !row.is_signal)
                check(&object, pc + c.length, &row);
    }
    return 0;
}

int main(void)
{
    ht_iterate_find();
    dl_iterate_phdr(visit, NULL);
    printf("%lu of %lu told, %lu wrong\n", told, told + untold + wrong, wrong);
    return told == 0 || wrong * 200 > told || untold * 4 > told;
}
