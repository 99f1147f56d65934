/*
 * tables.c: which unwind table covers a place in the code. In this order:
 *
 *   1. the object's own, by the sorted index of .eh_frame_hdr; without a sorted one entry by entry;
 *   2. in an object without .eh_frame_hdr its .eh_frame, which is searched for once: no header in
 *      memory says where it lies, but a chain of entries that all name code of the object, from the
 *      first to the terminator, is nothing else;
 *   3. what the program has registered (__register_frame and its kin: code that compilers made at
 *      run time, and objects whose start files do that);
 *   4. of code in no object, what compilers tell debuggers (jit.c).
 *
 * .debug_frame is in no segment: it could only be had from the file, and this library opens none.
 *
 * What is registered stands in chunks that only come, outside ht_p: a fork's child has it still. An
 * entry is free while `begin` is 0, which is stored first when it goes and last when it comes. So
 * readers need no lock, and a child that was forked in the middle of a change finds it whole; writers
 * hold tables_lock. The table itself is the program's memory: the kernel is asked before it is read.
 */
#include "heaptap.h"

static int ht_row_debugged(uint64_t pc, struct ht_row *row);

/* Where the code at a place is, and what its object has. */
struct ht_place {
    uint64_t low, high;     /* the object */
    uint64_t hdr, eh_frame; /* addresses, 0 for what it has not */
};

struct ht_registered {
    uint64_t begin;     /* with the bits below */
    uint64_t low, high; /* the code that it is about */
};
#define HT_REGISTERED_TABLE 1u  /* a list of tables */
#define HT_REGISTERED_ALONE 2u  /* nobody else knows of it */
#define HT_REGISTERED_BITS 3u

static struct ht_chunk {
    struct ht_chunk *next;
    struct ht_registered entries[680];
} *ht_chunks;

/* Goes through a table entry by entry, with the kernel asked before each new page. */
struct ht_entries {
    uint64_t at, low, high;
    uint64_t asked; /* readable up to here */
    int ask;
};

static int ht_entries_can_read(struct ht_entries *e, uint64_t end)
{
    if (!e->ask)
        return 1;
    for (; e->asked < end; e->asked = (e->asked | (HT_PAGE - 1)) + 1)
        if (!ht_sys_readable(e->asked & ~7ull))
            return 0;
    return 1;
}

/* The next entry; 0 behind the last, and where something is no entry. */
static uint64_t ht_entries_next(struct ht_entries *e)
{
    uint64_t at = e->at;
    if (at > e->high - 4 || !ht_entries_can_read(e, at + 4) || *(const uint32_t *)at == 0)
        return 0;
    if (*(const uint32_t *)at == 0xffffffff && !ht_entries_can_read(e, at + 12))
        return 0;
    struct ht_cursor c = ht_entry(at, e->low, e->high);
    if (c.bad || c.end - c.at < 4 || !ht_entries_can_read(e, (uint64_t)c.end))
        return 0;
    e->at = (uint64_t)c.end;
    return at;
}

static struct ht_entries ht_entries(uint64_t at, uint64_t low, uint64_t high, int ask)
{
    return (struct ht_entries){ at, low, high, at, ask };
}

static int ht_row_linear(struct ht_entries e, uint64_t pc, struct ht_row *row)
{
    /* libgcc takes tables, LLVM's library single entries. */
    uint64_t entry = ht_entries_next(&e);
    struct ht_cursor c = ht_entry(entry, e.low, e.high);
    int alone = entry && ht_take_number(&c, 4) != 0;
    for (; entry; entry = alone ? 0 : ht_entries_next(&e))
        if (ht_row_of(entry, e.low, e.high, pc, row))
            return 1;
    return 0;
}

/* The code that an entry is about; 0 when it is none of code. */
static int ht_entry_span(uint64_t entry, uint64_t low, uint64_t high, uint64_t *start, uint64_t *size)
{
    struct ht_cursor c = ht_entry(entry, low, high);
    uint64_t here = (uint64_t)c.at, back = ht_take_number(&c, 4);
    struct ht_cie cie;
    if (c.bad || back == 0 || !ht_read_cie(here - back, low, high, &cie))
        return 0;
    *start = ht_take_encoded(&c, cie.pointer_encoding, 0);
    *size = ht_take_encoded(&c, cie.pointer_encoding & 15, 0);
    return !c.bad;
}

/* Whether a table begins at `at`, in a segment that ends at `end`, of the object in [low, high). */
static int ht_is_eh_frame(uint64_t at, uint64_t end, uint64_t low, uint64_t high)
{
    struct ht_entries e = ht_entries(at, at, end, 0);
    uint64_t entry, start, size, found = 0;
    struct ht_cie cie;
    while ((entry = ht_entries_next(&e)) != 0) {
        struct ht_cursor c = ht_entry(entry, at, end);
        if (ht_take_number(&c, 4) == 0) {
            if (!ht_read_cie(entry, at, end, &cie) || cie.ra_register != HT_DWARF_PC || cie.code_align != 1 || cie.data_align != -8)
                return 0;
        } else {
            if (!ht_entry_span(entry, at, end, &start, &size) || start < low || start > high || size > high - start)
                return 0;
            found++;
        }
    }
    return found > 0 && (e.at > end - 4 || *(const uint32_t *)e.at == 0);
}

/* Under module_lock. */
static uint64_t ht_search_eh_frame(const struct ht_object *object)
{
    static struct ht_glimpse glimpse;
    ht_glimpse_begin(&glimpse);
    uint64_t found = 0;
    for (uint32_t i = 0; i < object->header_count && !found; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        /* What is written to holds no tables, and may have pages that nobody can read. */
        if (h->p_type != PT_LOAD || !(h->p_flags & PF_R) || h->p_flags & PF_W)
            continue;
        uint64_t end = object->base + h->p_vaddr + h->p_filesz;
        for (uint64_t at = (object->base + h->p_vaddr + 3) & ~3ull; !found && at + 24 <= end;) {
            for (uint64_t stop = ht_glimpse_part(&glimpse, at, end); !found && at + 24 <= stop; at += 4) {
                const uint32_t *word = (const uint32_t *)at;
                const uint8_t *bytes = (const uint8_t *)at;
                if (word[1] == 0 && word[0] >= 8 && word[0] < HT_PAGE && (bytes[8] == 1 || bytes[8] == 3)
                    && (bytes[9] == 'z' || bytes[9] == 0) && ht_is_eh_frame(at, end, object->low, object->high))
                    found = at;
            }
            ht_glimpse_forget(&glimpse);
        }
    }
    ht_glimpse_end(&glimpse);
    return found;
}

static void ht_registered_span(struct ht_registered *r, uint64_t table)
{
    struct ht_entries e = ht_entries(table, 0, ~0ull, 1);
    uint64_t entry, start, size;
    while ((entry = ht_entries_next(&e)) != 0)
        if (ht_entry_span(entry, 0, ~0ull, &start, &size)) {
            r->low = ht_min(r->low, start);
            r->high = ht_max(r->high, start + size);
        }
}

/* The i-th table of what is registered; 0 behind the last. */
static uint64_t ht_registered_table(uint64_t begin, uint32_t i)
{
    uint64_t at = begin & ~(uint64_t)HT_REGISTERED_BITS;
    if (!(begin & HT_REGISTERED_TABLE))
        return i == 0 ? at : 0;
    return ht_sys_readable(at + 8 * i) ? ((const uint64_t *)at)[i] : 0;
}

static void ht_frames_register(const void *begin, uint32_t bits)
{
    struct ht_registered fresh = { (uint64_t)begin | bits, ~0ull, 0 };
    uint64_t table;
    /* Without an entry it is nothing, for libgcc too: so are the tables of objects that have none. */
    if (!begin || (uint64_t)begin & HT_REGISTERED_BITS || (!(bits & HT_REGISTERED_TABLE) && *(const uint32_t *)begin == 0))
        return;
    for (uint32_t i = 0; (table = ht_registered_table(fresh.begin, i)) != 0; i++)
        ht_registered_span(&fresh, table);
    if (fresh.low >= fresh.high) { /* it will be filled later */
        fresh.low = 0;
        fresh.high = ~0ull;
    }
    ht_lock(&ht_p.tables_lock);
    struct ht_registered *place = NULL;
    for (struct ht_chunk *c = ht_chunks; c && !place; c = c->next)
        for (uint32_t i = 0; i < HT_COUNT(c->entries) && !place; i++)
            if (c->entries[i].begin == 0)
                place = &c->entries[i];
    if (!place) {
        struct ht_chunk *c = ht_sys_map(sizeof *c);
        if (c) {
            c->next = ht_chunks;
            place = &c->entries[0];
            ht_shared_set(&ht_chunks, c);
        }
    }
    if (place) {
        ht_own_set(&place->low, fresh.low);
        ht_own_set(&place->high, fresh.high);
        ht_shared_set(&place->begin, fresh.begin);
    }
    ht_unlock(&ht_p.tables_lock);
}

/* Returns whether nobody else was told of it. */
static int ht_frames_deregister(const void *begin)
{
    uint64_t was = 0;
    ht_lock(&ht_p.tables_lock);
    for (struct ht_chunk *c = ht_chunks; begin && c && !was; c = c->next)
        for (uint32_t i = 0; i < HT_COUNT(c->entries) && !was; i++)
            if ((c->entries[i].begin & ~(uint64_t)HT_REGISTERED_BITS) == (uint64_t)begin) {
                was = c->entries[i].begin;
                ht_shared_set(&c->entries[i].begin, 0ull);
            }
    ht_unlock(&ht_p.tables_lock);
    if (was)
        ht_modules_changed();
    return (was & HT_REGISTERED_ALONE) != 0;
}

static int ht_row_registered(uint64_t pc, struct ht_row *row)
{
    for (struct ht_chunk *c = ht_shared_get(&ht_chunks); c; c = c->next)
        for (uint32_t i = 0; i < HT_COUNT(c->entries); i++) {
            struct ht_registered *r = &c->entries[i];
            uint64_t begin = ht_shared_get(&r->begin), table;
            if (!begin || pc < ht_peek(&r->low) || pc >= ht_peek(&r->high))
                continue;
            for (uint32_t n = 0; (table = ht_registered_table(begin, n)) != 0; n++)
                if (ht_row_linear(ht_entries(table, 0, ~0ull, 1), pc, row))
                    return 1;
        }
    return 0;
}

/* What the tables say of a place. 0 when none covers it. */
static int ht_row_at(const struct ht_place *place, uint64_t pc, struct ht_row *row)
{
    if (place->high) {
        uint64_t section = place->eh_frame, fde = 0;
        if (place->hdr)
            fde = ht_find_sorted(place->hdr, place->low, place->high, pc, &section);
        if (fde && ht_row_of(fde, place->low, place->high, pc, row))
            return 1;
        if (section >= place->low && section < place->high
            && ht_row_linear(ht_entries(section, place->low, place->high, 0), pc, row))
            return 1;
    }
    return ht_row_registered(pc, row) || (!place->high && ht_row_debugged(pc, row));
}
