/*
 * mappings.c: memory that the program maps itself, by call path.
 *
 * The wrapped mmap, munmap, mremap, mprotect, madvise, brk and sbrk note what they did. What the C library maps for itself
 * does not go through them; what an allocator maps is left out by who calls, or by being called inside a hook of this thread.
 *
 * `mapped.ranges` has the address ranges that are mapped, in order and without overlaps, each with its record in the file: who
 * mapped it, and as what; neighbours of one record are one. A range is taken out before the kernel is asked to end it, and put back when
 * it refuses; it is put in after the kernel has made it: an address can be another's only in between. Memory that may not be touched is reserved; it counts as mapped from the mprotect, or the mmap
 * above it, that makes it usable.
 *
 * All of that, and every record, is written under mapping_lock. Somebody outside reads the ranges where they are: `change` is odd
 * while they change, and another number afterwards. What each record had at the peak is kept as path records keep it (peak.c).
 */
#include "heaptap.h"

#define HT_PROT_NONE 0
#define HT_PAGES(size) ht_round_up((size), HT_PAGE)

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

/* The record of a call path and a kind; that of none when there is no room for another; NULL when the file system gives none. */
static struct ht_file_mapped *ht_mapped_record(uint32_t bucket, uint32_t kind)
{
    struct ht_file_header *h = ht_p.header;
    uint32_t used = h->mapped_used, kept_back = bucket == HT_PATH_NONE ? 0 : HT_MAPPED_KINDS;
    for (uint32_t i = 0; i < used; i++)
        if (ht_p.mapped_records[i].bucket == bucket && ht_p.mapped_records[i].kind == kind)
            return &ht_p.mapped_records[i];
    if (used + kept_back < ht_p.capacity[HT_SECTION_MAPPED]
        && ht_file_reserve(HT_SECTION_MAPPED, (used + 1ull) * sizeof *ht_p.mapped_records)) {
        struct ht_file_mapped *r = &ht_p.mapped_records[used];
        r->bucket = bucket;
        r->kind = kind;
        ht_shared_set(&h->mapped_used, used + 1);
        return r;
    }
    return bucket == HT_PATH_NONE ? NULL : ht_mapped_record(HT_PATH_NONE, kind);
}

/* Gives the ranges back (process.c). */
static void ht_mappings_release(void)
{
    if (ht_p.mapped.base)
        ht_sys_unmap(ht_p.mapped.base, ht_p.mapped.capacity * sizeof *ht_p.mapped.base);
}

static struct ht_mapped_range *ht_ranges(void) { return ht_p.mapped.ranges; }
static struct ht_file_mapped *ht_range_record(const struct ht_mapped_range *r) { return &ht_p.mapped_records[r->record]; }

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

/* Whether there is memory for another range, before the others and behind them. They lie in the middle of what there is. */
static int ht_spans_room(void)
{
    uint32_t used = ht_p.mapped.used, capacity = ht_p.mapped.capacity, before = (uint32_t)(ht_ranges() - ht_p.mapped.base);
    if (before > 0 && before + used < capacity)
        return 1;
    uint32_t least = 2 * HT_PAGE / (uint32_t)sizeof(struct ht_mapped_range), fits = used * 2 < capacity ? capacity : capacity * 2;
    if (fits < least)
        fits = least;
    struct ht_mapped_range *fresh = ht_sys_map(fits * sizeof *fresh), *old = ht_p.mapped.base;
    if (!fresh)
        return 0;
    ht_sys_not_inherited(fresh, fits * sizeof *fresh);
    memcpy(fresh + (fits - used) / 2, ht_ranges(), used * sizeof *fresh);
    ht_p.mapped.base = fresh;
    ht_p.mapped.ranges = fresh + (fits - used) / 2;
    ht_p.mapped.capacity = fits;
    if (old)
        ht_sys_unmap(old, capacity * sizeof *old);
    return 1;
}

/* Makes room for a range at a place, for which there is memory. Those before it move, or those behind it, whichever are fewer: the kernel maps
 * downwards, and so most come in at the front. */
static void ht_spans_open(uint32_t at)
{
    struct ht_mapped_range *r = ht_ranges();
    uint32_t used = ht_p.mapped.used;
    if (at < used / 2 || used == 0) {
        for (uint32_t i = 0; i < at; i++)
            r[(int64_t)i - 1] = r[i];
        ht_p.mapped.ranges = r - 1;
    } else {
        for (uint32_t i = used; i > at; i--)
            r[i] = r[i - 1];
    }
    ht_p.mapped.used = used + 1;
}

/* Takes some away. */
static void ht_spans_close(uint32_t at, uint32_t count)
{
    struct ht_mapped_range *r = ht_ranges();
    uint32_t used = ht_p.mapped.used - count;
    if (at < used / 2) {
        for (uint32_t i = at; i-- > 0;)
            r[i + count] = r[i];
        ht_p.mapped.ranges = r + count;
    } else {
        for (uint32_t i = at; i < used; i++)
            r[i] = r[i + count];
    }
    ht_p.mapped.used = used;
}

/* Has a range end where an address is, when one is across it; its number or the next one's. Without memory for that what lies above the address
 * is not known any more. */
static uint32_t ht_spans_split(uint64_t address)
{
    uint32_t i = ht_range_above(address);
    if (i == ht_p.mapped.used || ht_ranges()[i].start >= address)
        return i;
    struct ht_mapped_range whole = ht_ranges()[i];
    if (ht_spans_room()) {
        ht_spans_open(i);
        ht_ranges()[i + 1] = (struct ht_mapped_range){ address, whole.end, whole.record };
    } else {
        ht_mapped_add(ht_range_record(&whole), -(int64_t)(whole.end - address));
    }
    ht_ranges()[i] = (struct ht_mapped_range){ whole.start, address, whole.record };
    return i + 1;
}

/* Neighbours of one record, from one number up to another, become one. */
static void ht_spans_join(uint32_t from, uint32_t to)
{
    struct ht_mapped_range *r = ht_ranges();
    uint32_t kept = from;
    to = (uint32_t)ht_min(to, ht_p.mapped.used);
    for (uint32_t i = from + 1; i < to; i++) {
        if (r[kept].end == r[i].start && r[kept].record == r[i].record)
            r[kept].end = r[i].end;
        else
            r[++kept] = r[i];
    }
    if (kept + 1 < to)
        ht_spans_close(kept + 1, to - kept - 1);
}

/* What was taken out before the kernel was asked, and is put back when it refuses. */
#define HT_PIECES 8u
struct ht_pieces {
    uint32_t recording; /* of which recording they are */
    uint32_t count; /* more than HT_PIECES when not all are here */
    uint32_t kind;  /* of the first one; HT_MAPPED_KINDS for none */
    struct ht_mapped_range all[HT_PIECES];
};

/* Takes [low, high) out of the ranges. */
static void ht_spans_cut(uint64_t low, uint64_t high, struct ht_pieces *pieces)
{
    uint32_t first = ht_spans_split(low), end = ht_spans_split(high);
    /* Without memory there may be fewer than were counted. */
    end = (uint32_t)ht_min(end, ht_p.mapped.used);
    if (pieces && end > first)
        pieces->kind = ht_range_record(&ht_ranges()[first])->kind;
    for (uint32_t i = first; i < end; i++) {
        const struct ht_mapped_range *r = &ht_ranges()[i];
        if (pieces && pieces->count++ < HT_PIECES)
            pieces->all[pieces->count - 1] = *r;
        ht_mapped_add(ht_range_record(r), -(int64_t)(r->end - r->start));
    }
    if (end > first)
        ht_spans_close(first, end - first);
}

/* Puts [low, high) in, where nothing is. */
static void ht_spans_put(uint64_t low, uint64_t high, struct ht_file_mapped *record)
{
    if (!ht_spans_room())
        return;
    uint32_t at = ht_range_above(low);
    ht_spans_open(at);
    ht_ranges()[at] = (struct ht_mapped_range){ low, high, (uint64_t)(record - ht_p.mapped_records) };
    ht_spans_join(at > 0 ? at - 1 : 0, at + 2);
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

static int ht_follows_mappings(void) { return ht_shared_get(&ht_p.state) == HT_STATE_ON && ht_p.header->mappings && !ht_unwanted; }

/* Whether pages of [at, at + size) can be mapped: what the kernel refuses must not change anything. */
#define HT_ADDRESSES (1ull << HT_ADDRESS_BITS)
static int ht_is_span(uint64_t at, uint64_t size) { return size > 0 && at % HT_PAGE == 0 && at < HT_ADDRESSES && size <= HT_ADDRESSES - at; }

/* Whether code is an allocator's: what it maps is not the program's. */
static int ht_is_allocators(uint64_t pc)
{
    for (uint32_t i = 0; i < HT_ALLOCATORS; i++) {
        const struct ht_allocator *a = &ht_allocators[i];
        if (a->object && ((pc >= a->low && pc < a->high) || (a->linked && a->code && ht_is_linked_inside(a, (const void *)pc))))
            return 1;
    }
    return ht_is_in_heap((const void *)pc);
}

/* A thread that is about to note what its caller has mapped; NULL when that is not the program's own, or not to be counted. A call inside a
 * hook is an allocator's. A vfork's child that would be the first must not be it: its number is not the process's. */
static struct ht_thread *ht_mapping_begin(struct ht_regs at, uint32_t *idle, uint32_t *bucket)
{
    if (ht_inside || (ht_self != &ht_nobody && ht_self->idle == HT_BUSY) || ht_is_allocators(at.pc))
        return NULL;
    if (ht_shared_get(&ht_p.state) == HT_STATE_NEW && ht_own_pid && ht_sys_pid() != ht_own_pid)
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

/* What a mapping is of. */
static uint32_t ht_mapping_kind(int protection, int flags, int fd)
{
    enum { TYPE = 15, TMPFS = 0x01021994 };
    int is_private = (flags & TYPE) == HT_MAP_PRIVATE;
    if (flags & HT_MAP_ANONYMOUS)
        return !is_private ? HT_MAPPED_SHARED : protection == HT_PROT_NONE ? HT_MAPPED_RESERVED : HT_MAPPED_MEMORY;
    uint64_t statfs[15] = { 0 };
    if (!is_private && !HT_FAILED(ht_syscall(HT_SYS_FSTATFS, fd, (long)statfs, 0, 0, 0, 0)) && statfs[0] == TMPFS)
        return HT_MAPPED_SHARED;
    return HT_MAPPED_FILE;
}

/* Takes what is known of [at, at + size) out, before the kernel ends it or after it has put something else there. */
static void ht_mapped_gone(uint64_t at, uint64_t size, struct ht_pieces *pieces)
{
    if (!ht_follows_mappings() || ht_p.mapped.used == 0 || ht_inside || !ht_is_span(at, size))
        return;
    ht_mapped_begin();
    if (pieces)
        pieces->recording = ht_peek(&ht_recordings);
    ht_spans_cut(at, at + HT_PAGES(size), pieces);
    ht_mapped_end();
}

/* The kernel has refused: it is all there still. */
static void ht_mapped_back(const struct ht_pieces *pieces)
{
    if (pieces->count == 0 || pieces->count > HT_PIECES || pieces->recording != ht_peek(&ht_recordings) || !ht_follows_mappings())
        return; /* or of a recording that has been given back meanwhile (attached.c) */
    ht_mapped_begin();
    for (uint32_t i = 0; i < pieces->count; i++)
        ht_spans_put(pieces->all[i].start, pieces->all[i].end, ht_range_record(&pieces->all[i]));
    ht_mapped_end();
}

/* The kernel has mapped [at, at + size) for the caller. */
HT_NOINLINE void ht_mapped_note(uint64_t at, uint64_t size, uint32_t kind, struct ht_regs caller)
{
    uint32_t idle, bucket;
    struct ht_thread *t = ht_mapping_begin(caller, &idle, &bucket);
    if ((t || ht_p.mapped.used) && ht_follows_mappings() && !ht_inside && ht_is_span(at, size)) {
        uint64_t pages = HT_PAGES(size);
        ht_mapped_begin();
        ht_spans_cut(at, at + pages, NULL); /* what lay there, when the program chose the place: also when this is not counted */
        struct ht_file_mapped *r = t ? ht_mapped_record(bucket, kind) : NULL;
        if (r) {
            ht_own_add(&r->count, 1ull);
            ht_own_add(&r->bytes, pages);
            ht_spans_put(at, at + pages, r);
        }
        ht_mapped_end();
    }
    if (t)
        ht_end(t, idle);
}

/* Whether a change of protection comes to anything: most do not. */
static int ht_protect_changes(uint64_t at, uint64_t end, uint32_t from)
{
    int changes = 0;
    ht_lock(&ht_p.mapping_lock);
    for (uint32_t i = ht_range_above(at); i < ht_p.mapped.used && ht_ranges()[i].start < end && !changes; i++)
        changes = ht_range_record(&ht_ranges()[i])->kind == from;
    ht_unlock(&ht_p.mapping_lock);
    return changes;
}

/* Memory of [at, end) may be touched from now on, or not any more. What is put away stays whose it was; what comes into use is whoever's
 * asked for it, `bucket`. */
static void ht_spans_protect(uint64_t at, uint64_t end, uint32_t from, uint32_t to, uint32_t bucket)
{
    uint32_t first = ht_spans_split(at), last = (uint32_t)ht_min(ht_spans_split(end), ht_p.mapped.used);
    for (uint32_t i = first; i < last; i++) {
        struct ht_mapped_range *r = &ht_ranges()[i];
        struct ht_file_mapped *had = ht_range_record(r);
        struct ht_file_mapped *now = had->kind == from ? ht_mapped_record(to == HT_MAPPED_MEMORY ? bucket : had->bucket, to) : NULL;
        if (!now)
            continue;
        uint64_t size = r->end - r->start;
        ht_mapped_add(had, -(int64_t)size);
        ht_own_add(&now->count, 1ull);
        ht_own_add(&now->bytes, size);
        r->record = (uint64_t)(now - ht_p.mapped_records);
        ht_mapped_add(now, (int64_t)size);
    }
    ht_spans_join(first > 0 ? first - 1 : 0, last + 1);
}

HT_NOINLINE void ht_mapped_protect(uint64_t at, uint64_t size, int protection, struct ht_regs caller)
{
    uint32_t idle, bucket = HT_PATH_NONE;
    uint32_t from = protection == HT_PROT_NONE ? HT_MAPPED_MEMORY : HT_MAPPED_RESERVED;
    uint32_t to = protection == HT_PROT_NONE ? HT_MAPPED_RESERVED : HT_MAPPED_MEMORY;
    uint64_t end = at + HT_PAGES(size);
    if (!ht_is_span(at, size) || !ht_protect_changes(at, end, from))
        return;
    struct ht_thread *t = ht_mapping_begin(caller, &idle, &bucket);
    if (!t && to == HT_MAPPED_MEMORY)
        return;
    ht_mapped_begin();
    ht_spans_protect(at, end, from, to, bucket);
    ht_mapped_end();
    if (t)
        ht_end(t, idle);
}

/* The program has no use for what stands in [at, at + size), which stays mapped. */
static void ht_mapped_given_back(uint64_t at, uint64_t size)
{
    uint64_t end = at + HT_PAGES(size);
    if (!ht_is_span(at, size))
        return;
    ht_lock(&ht_p.mapping_lock);
    for (uint32_t i = ht_range_above(at); i < ht_p.mapped.used && ht_ranges()[i].start < end; i++) {
        const struct ht_mapped_range *r = &ht_ranges()[i];
        ht_own_add(&ht_range_record(r)->given_back, ht_min(r->end, end) - ht_max(r->start, at));
    }
    ht_unlock(&ht_p.mapping_lock);
}

#define HT_MAPPING_HOOK(name)                                                                      \
    HT_INTERPOSE void *HT_HOOK(name)(void *at, size_t size, int protection, int flags, int fd, long offset) \
    {                                                                                              \
        void *mapped = ht_real.name(at, size, protection, flags, fd, offset);                      \
        if (HT_LIKELY(!HT_FAILED(mapped) && !ht_unwanted))                                         \
            ht_mapped_note((uint64_t)mapped, size, ht_mapping_kind(protection, flags, fd), HT_CALLER()); \
        return mapped;                                                                             \
    }
HT_MAPPING_HOOK(mmap)
HT_MAPPING_HOOK(mmap64)

HT_INTERPOSE int HT_HOOK(munmap)(void *at, size_t size)
{
    struct ht_pieces pieces = { .count = 0 };
    ht_mapped_gone((uint64_t)at, size, &pieces);
    int result = ht_real.munmap(at, size);
    if (HT_UNLIKELY(result != 0))
        ht_mapped_back(&pieces);
    return result;
}

HT_INTERPOSE void *HT_HOOK(mremap)(void *old, size_t old_size, size_t size, int flags, void *to)
{
    enum { DONT_UNMAP = 4 };
    struct ht_pieces pieces = { .count = 0, .kind = HT_MAPPED_KINDS };
    ht_mapped_gone((uint64_t)old, old_size, &pieces);
    void *mapped = ht_real.mremap(old, old_size, size, flags, to);
    /* What it was is empty then, and mapped. */
    if (HT_FAILED(mapped) || (flags & DONT_UNMAP))
        ht_mapped_back(&pieces);
    if (HT_FAILED(mapped))
        return mapped;
    if (pieces.kind < HT_MAPPED_KINDS)
        ht_mapped_note((uint64_t)mapped, size, pieces.kind, HT_CALLER());
    else
        ht_mapped_gone((uint64_t)mapped, size, NULL);
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
        ht_mapped_gone(high, low - high, NULL);
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
