/*
 * mappings.c: memory that the program maps itself, by call path.
 *
 * The wrapped mmap, munmap, mremap, mprotect, madvise, brk and sbrk note what they did. What the C library maps for itself
 * does not go through them; what an allocator maps is left out by who calls, or by being called inside a hook of this thread; of one
 * that is linked into the program a reader tells by the blocks that lie there.
 *
 * `mapped.ranges` has the address ranges that are mapped, in order and without overlaps, each with its record in the file: who
 * mapped it, and as what. A range is taken out before the kernel is asked to end it and put in after the kernel has made it: an
 * address can be another's only in between. Memory that may not be touched is reserved; it counts as mapped from the mprotect, or the mmap
 * above it, that makes it usable.
 *
 * All of that, and every record, is written under mapping_lock. Somebody outside reads the ranges where they are: `change` is odd
 * while they change, and another number afterwards. What each record had at the peak is kept as path records keep it (peak.c).
 */
#include "heaptap.h"

#define HT_PROT_NONE 0
#define HT_PAGES(size) (((uint64_t)(size) + HT_PAGE - 1) / HT_PAGE * HT_PAGE)

/* A range and its record in the file, which says of what kind it is. */
struct ht_mapped_range {
    uint64_t start, end;
    uint64_t record;
};

static void ht_mapped_keep(struct ht_file_mapped *r)
{
    uint32_t number = ht_p.header->mapped_peak_number;
    if (r->peak_seen == number)
        return;
    ht_own_set(&r->peak_bytes, r->live_bytes);
    ht_own_set(&r->peak_seen, number);
}

/* A change of what a record has mapped. The peak is that of memory. */
static void ht_mapped_add(struct ht_file_mapped *r, int64_t bytes)
{
    struct ht_file_header *h = ht_p.header;
    ht_mapped_keep(r);
    ht_own_add(&r->live_bytes, bytes);
    if (r->kind != HT_MAPPED_MEMORY)
        return;
    ht_own_add(&h->mapped_current, bytes);
    if (h->mapped_current > h->mapped_peak) {
        ht_own_set(&h->mapped_peak, h->mapped_current);
        ht_own_add(&h->mapped_peak_number, 1u);
    }
}

/* The record of a call path and a kind, the first one when there is no room for another; NULL when there is none at all. */
static struct ht_file_mapped *ht_mapped_record(uint32_t bucket, uint32_t kind)
{
    struct ht_file_header *h = ht_p.header;
    uint32_t used = h->mapped_used;
    for (uint32_t i = 0; i < used; i++)
        if (ht_p.mapped_records[i].bucket == bucket && ht_p.mapped_records[i].kind == kind)
            return &ht_p.mapped_records[i];
    if (used < ht_p.capacity[HT_SECTION_MAPPED] && ht_file_reserve(HT_SECTION_MAPPED, (used + 1ull) * sizeof *ht_p.mapped_records)) {
        struct ht_file_mapped *r = &ht_p.mapped_records[used];
        r->bucket = bucket;
        r->kind = kind;
        ht_shared_set(&h->mapped_used, used + 1);
        return r;
    }
    /* Paths beyond those that fit are one without a stack: a place is kept back for each kind. */
    return bucket == HT_PATH_NONE ? NULL : ht_mapped_record(HT_PATH_NONE, kind);
}

static struct ht_mapped_range *ht_ranges(void) { return ht_p.mapped.ranges; }

/* The first range that ends above an address. */
static uint32_t ht_range_above(uint64_t address)
{
    uint32_t low = 0, high = ht_p.mapped.used;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (ht_ranges()[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int ht_ranges_room(void)
{
    uint32_t used = ht_p.mapped.used, capacity = ht_p.mapped.capacity;
    if (used + 2 <= capacity)
        return 1;
    uint32_t fits = capacity ? capacity * 2 : 2 * HT_PAGE / (uint32_t)sizeof(struct ht_mapped_range);
    struct ht_mapped_range *fresh = ht_sys_map(fits * sizeof *fresh), *old = ht_ranges();
    if (!fresh)
        return 0;
    ht_sys_not_inherited(fresh, fits * sizeof *fresh);
    memcpy(fresh, old, used * sizeof *fresh);
    ht_p.mapped.ranges = fresh;
    ht_p.mapped.capacity = fits; /* `change` is odd: nobody reads from the old ones any more */
    if (old)
        ht_sys_unmap(old, capacity * sizeof *old);
    return 1;
}

/* Makes room for one range at a place, or takes one away. */
static void ht_ranges_move(uint32_t at, int by)
{
    struct ht_mapped_range *r = ht_ranges();
    uint32_t used = ht_p.mapped.used;
    if (by > 0)
        for (uint32_t i = used; i > at; i--)
            r[i] = r[i - 1];
    else
        for (uint32_t i = at + 1; i < used; i++)
            r[i - 1] = r[i];
    ht_p.mapped.used = used + (uint32_t)by;
}

/* Takes [low, high) out of the ranges. */
static void ht_ranges_cut(uint64_t low, uint64_t high)
{
    for (uint32_t i = ht_range_above(low); i < ht_p.mapped.used && ht_ranges()[i].start < high;) {
        struct ht_mapped_range *r = &ht_ranges()[i];
        uint64_t from = ht_max(r->start, low), to = ht_min(r->end, high);
        ht_mapped_add(&ht_p.mapped_records[r->record], -(int64_t)(to - from));
        if (r->start < from && r->end > to) {
            if (!ht_ranges_room()) {
                r->end = from; /* what lies behind is not known any more */
                return;
            }
            ht_ranges_move(i, 1);
            ht_ranges()[i].end = from;
            ht_ranges()[i + 1].start = to;
            return;
        }
        if (r->start < from)
            r->end = from, i++;
        else if (r->end > to)
            r->start = to, i++;
        else
            ht_ranges_move(i, -1);
    }
}

/* Puts [low, high) in, where nothing is. One that goes on where another of the same record ends is one with that. */
static void ht_ranges_put(uint64_t low, uint64_t high, struct ht_file_mapped *record)
{
    if (!record || low >= high || !ht_ranges_room())
        return;
    uint32_t at = ht_range_above(low);
    uint64_t number = (uint64_t)(record - ht_p.mapped_records);
    if (at > 0 && ht_ranges()[at - 1].end == low && ht_ranges()[at - 1].record == number) {
        ht_ranges()[at - 1].end = high;
    } else {
        ht_ranges_move(at, 1);
        ht_ranges()[at] = (struct ht_mapped_range){ low, high, number };
    }
    ht_mapped_add(record, (int64_t)(high - low));
}

static void ht_mapped_begin(void)
{
    ht_lock(&ht_p.mapping_lock);
    ht_shared_add(&ht_p.mapped.change, 1u);
}

static void ht_mapped_end(void)
{
    ht_shared_add(&ht_p.mapped.change, 1u);
    ht_unlock(&ht_p.mapping_lock);
}

/* A thread that is about to note what its caller has mapped; NULL when that is not the program's own, or not to be counted. */
static struct ht_thread *ht_mapping_begin(struct ht_regs at, uint32_t *idle, uint32_t *bucket)
{
    if (ht_is_in_heap((const void *)at.pc) || ht_inside)
        return NULL;
    struct ht_thread *t = ht_begin(idle);
    if (!t)
        return NULL;
    if (!ht_is_counted(*idle)) {
        ht_end(t, *idle);
        return NULL;
    }
    uint32_t latest = t->latest;
    *bucket = ht_bucket_here(t, at);
    t->latest = latest;
    return t;
}

static int ht_follows_mappings(void) { return ht_shared_get(&ht_p.state) == HT_STATE_ON && ht_p.header->mappings && !ht_unwanted; }

/* What a mapping is of. */
static uint32_t ht_mapping_kind(int protection, int flags, int fd)
{
    enum { TMPFS = 0x01021994 };
    if (flags & HT_MAP_ANONYMOUS)
        return (flags & HT_MAP_PRIVATE) == 0 ? HT_MAPPED_SHARED : protection == HT_PROT_NONE ? HT_MAPPED_RESERVED : HT_MAPPED_MEMORY;
    uint64_t statfs[15] = { 0 };
    if ((flags & HT_MAP_PRIVATE) == 0 && !HT_FAILED(ht_syscall(HT_SYS_FSTATFS, fd, (long)statfs, 0, 0, 0, 0)) && statfs[0] == TMPFS)
        return HT_MAPPED_SHARED;
    return HT_MAPPED_FILE;
}

/* The kernel has mapped [at, at + size) for the caller. */
HT_NOINLINE void ht_mapped_note(uint64_t at, uint64_t size, uint32_t kind, struct ht_regs caller)
{
    uint32_t idle, bucket;
    struct ht_thread *t = ht_mapping_begin(caller, &idle, &bucket);
    if (t && ht_follows_mappings()) {
        ht_mapped_begin();
        struct ht_file_mapped *r = ht_mapped_record(bucket, kind);
        ht_ranges_cut(at, at + HT_PAGES(size)); /* what lay there, when the program chose the place */
        if (r) {
            ht_own_add(&r->count, 1ull);
            ht_own_add(&r->bytes, HT_PAGES(size));
        }
        ht_ranges_put(at, at + HT_PAGES(size), r);
        ht_mapped_end();
    }
    if (t)
        ht_end(t, idle);
}

/* The kernel is about to end [at, at + size). */
static void ht_mapped_gone(uint64_t at, uint64_t size)
{
    if (!ht_follows_mappings() || ht_p.mapped.used == 0 || ht_inside || at % HT_PAGE)
        return;
    ht_mapped_begin();
    ht_ranges_cut(at, at + HT_PAGES(size));
    ht_mapped_end();
}

/* Memory of [at, at + size) may be touched from now on, or not any more. */
HT_NOINLINE void ht_mapped_protect(uint64_t at, uint64_t size, int protection, struct ht_regs caller)
{
    uint32_t from = protection == HT_PROT_NONE ? HT_MAPPED_MEMORY : HT_MAPPED_RESERVED;
    uint32_t to = protection == HT_PROT_NONE ? HT_MAPPED_RESERVED : HT_MAPPED_MEMORY;
    uint64_t end = at + HT_PAGES(size);
    /* Most calls change nothing of that. */
    ht_lock(&ht_p.mapping_lock);
    uint32_t i = ht_range_above(at);
    int changes = 0;
    for (; i < ht_p.mapped.used && ht_ranges()[i].start < end && !changes; i++)
        changes = ht_p.mapped_records[ht_ranges()[i].record].kind == from;
    ht_unlock(&ht_p.mapping_lock);
    if (!changes)
        return;
    uint32_t idle, bucket;
    struct ht_thread *t = ht_mapping_begin(caller, &idle, &bucket);
    if (!t)
        return;
    ht_mapped_begin();
    for (uint64_t next = at; next < end;) {
        uint32_t place = ht_range_above(next);
        if (place >= ht_p.mapped.used || ht_ranges()[place].start >= end)
            break;
        struct ht_mapped_range r = ht_ranges()[place];
        uint64_t low = ht_max(r.start, next), high = ht_min(r.end, end);
        next = high;
        const struct ht_file_mapped *had = &ht_p.mapped_records[r.record];
        if (had->kind != from)
            continue;
        /* What is put away stays whose it was; what comes into use is whoever's asks for it. */
        struct ht_file_mapped *record = ht_mapped_record(to == HT_MAPPED_MEMORY ? bucket : had->bucket, to);
        ht_ranges_cut(low, high);
        if (record) {
            ht_own_add(&record->count, 1ull);
            ht_own_add(&record->bytes, high - low);
        }
        ht_ranges_put(low, high, record);
    }
    ht_mapped_end();
    ht_end(t, idle);
}

/* The program has no use for what stands in [at, at + size), which stays mapped. */
static void ht_mapped_given_back(uint64_t at, uint64_t size)
{
    uint64_t end = at + HT_PAGES(size);
    ht_lock(&ht_p.mapping_lock);
    for (uint32_t i = ht_range_above(at); i < ht_p.mapped.used && ht_ranges()[i].start < end; i++) {
        const struct ht_mapped_range *r = &ht_ranges()[i];
        ht_own_add(&ht_p.mapped_records[r->record].given_back, ht_min(r->end, end) - ht_max(r->start, at));
    }
    ht_unlock(&ht_p.mapping_lock);
}

#define HT_MAPPING_HOOK(name)                                                                      \
    HT_INTERPOSE void *HT_HOOK(name)(void *at, size_t size, int protection, int flags, int fd, long offset) \
    {                                                                                              \
        void *mapped = ht_real.name(at, size, protection, flags, fd, offset);                      \
        if (HT_LIKELY(!HT_FAILED(mapped)))                                                         \
            ht_mapped_note((uint64_t)mapped, size, ht_mapping_kind(protection, flags, fd), HT_CALLER()); \
        return mapped;                                                                             \
    }
HT_MAPPING_HOOK(mmap)
HT_MAPPING_HOOK(mmap64)

HT_INTERPOSE int HT_HOOK(munmap)(void *at, size_t size)
{
    ht_mapped_gone((uint64_t)at, size);
    return ht_real.munmap(at, size);
}

HT_INTERPOSE void *HT_HOOK(mremap)(void *old, size_t old_size, size_t size, int flags, void *to)
{
    enum { DONT_UNMAP = 4 };
    uint32_t kind = HT_MAPPED_KINDS;
    if (ht_follows_mappings() && !ht_inside) {
        ht_lock(&ht_p.mapping_lock);
        uint32_t i = ht_range_above((uint64_t)old);
        if (i < ht_p.mapped.used && ht_ranges()[i].start <= (uint64_t)old)
            kind = ht_p.mapped_records[ht_ranges()[i].record].kind;
        ht_unlock(&ht_p.mapping_lock);
    }
    /* Nobody else may get the old place while it is mapped, and when it is not any more nobody may still have it here. */
    if (kind < HT_MAPPED_KINDS && !(flags & DONT_UNMAP))
        ht_mapped_gone((uint64_t)old, old_size);
    void *mapped = ht_real.mremap(old, old_size, size, flags, to);
    if (kind < HT_MAPPED_KINDS && !HT_FAILED(mapped))
        ht_mapped_note((uint64_t)mapped, size, kind, HT_CALLER());
    else if (kind < HT_MAPPED_KINDS && !(flags & DONT_UNMAP))
        ht_mapped_note((uint64_t)old, old_size, kind, HT_CALLER()); /* it is there still */
    return mapped;
}

HT_INTERPOSE int HT_HOOK(mprotect)(void *at, size_t size, int protection)
{
    int result = ht_real.mprotect(at, size, protection);
    if (result == 0 && ht_follows_mappings() && ht_p.mapped.used && !ht_inside)
        ht_mapped_protect((uint64_t)at, size, protection, HT_CALLER());
    return result;
}

HT_INTERPOSE int HT_HOOK(madvise)(void *at, size_t size, int advice)
{
    enum { DONTNEED = 4, FREE = 8, REMOVE = 9 };
    int result = ht_real.madvise(at, size, advice);
    if (result == 0 && (advice == DONTNEED || advice == FREE || advice == REMOVE) && ht_follows_mappings() && ht_p.mapped.used && !ht_inside)
        ht_mapped_given_back((uint64_t)at, size);
    return result;
}

/* The program has moved the break. */
static void ht_broken(uint64_t before, uint64_t after, struct ht_regs caller)
{
    uint64_t low = HT_PAGES(before), high = HT_PAGES(after);
    if (high > low)
        ht_mapped_note(low, high - low, HT_MAPPED_MEMORY, caller);
    else if (high < low)
        ht_mapped_gone(high, low - high);
}

HT_INTERPOSE void *HT_HOOK(sbrk)(intptr_t by)
{
    void *before = ht_real.sbrk(by);
    if (by && !HT_FAILED(before))
        ht_broken((uint64_t)before, (uint64_t)before + (uint64_t)by, HT_CALLER());
    return before;
}

HT_INTERPOSE int HT_HOOK(brk)(void *to)
{
    long before = ht_follows_mappings() ? ht_syscall(HT_SYS_BRK, 0, 0, 0, 0, 0, 0) : 0;
    int result = ht_real.brk(to);
    if (result == 0 && before > 0)
        ht_broken((uint64_t)before, (uint64_t)to, HT_CALLER());
    return result;
}
