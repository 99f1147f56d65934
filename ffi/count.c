/*
 * count.c: one allocation, one free, one reallocation, in the records.
 *
 * Each comes twice. The inline forms are the hot path: they look at everything that could be out of
 * the ordinary before they change anything, and leave it to the general forms (`_slow`), which know
 * all cases: a stack that has changed, shared records, large blocks, another thread's block, an
 * address that was never seen or never seen freed. Both keep the sums over call paths equal to the
 * totals. The general forms are tail calls, so that the hot path has no registers to save.
 *
 * A thread is marked busy while it counts, so that a signal handler's allocations pass through.
 *
 * What is allocated while the process is paused, or by heaptap's own part of a script, is not
 * counted, and neither is its end. Known blocks that end meanwhile are counted as ever.
 */
#include "heaptap.h"

#define HT_HOT_SAMPLED 2
/* What `idle` must be for the hot path of an allocation, by mode; HT_IDLE_NEVER while the process is paused
 * and when sizes are kept, which the general forms alone do. Not in
 * ht_p: in a fork's child that would be 0, and so is `idle`. */
static uint32_t ht_hot[3] = { [HT_MODE_COUNTERS] = HT_IDLE_COUNTERS, [HT_MODE_PATHS] = HT_IDLE_PATHS, [HT_HOT_SAMPLED] = HT_IDLE_SAMPLED };
static uint32_t ht_paused;
/* Nobody wants a recording of this process: hooks return at once. For good, in its children too; so it is
 * not in ht_p either. */
static uint32_t ht_unwanted;

static void ht_pause(int pause)
{
    if (ht_p.header) {
        ht_shared_add(&ht_p.header->pauses, (uint32_t)(pause && !ht_peek(&ht_paused)));
        ht_shared_set(&ht_p.header->paused, (uint32_t)pause);
    }
    ht_own_set(&ht_paused, (uint32_t)pause);
    int never = pause || ht_p.sizes_kept;
    ht_own_set(&ht_hot[HT_MODE_COUNTERS], never ? HT_IDLE_NEVER : HT_IDLE_COUNTERS);
    ht_own_set(&ht_hot[HT_MODE_PATHS], never ? HT_IDLE_NEVER : HT_IDLE_PATHS);
    ht_own_set(&ht_hot[HT_HOT_SAMPLED], never ? HT_IDLE_NEVER : HT_IDLE_SAMPLED);
}

/* What the header says may have been written from outside: looked at now and then, and while paused by each call. */
static void ht_pause_look(void)
{
    uint32_t wanted = ht_peek(&ht_p.header->paused);
    if (HT_UNLIKELY(wanted != ht_peek(&ht_paused)))
        ht_pause(wanted != 0);
}

static int ht_is_counted(uint32_t idle)
{
    if (HT_UNLIKELY(ht_peek(&ht_paused)))
        ht_pause_look();
    return idle != HT_IDLE_OWN && !ht_peek(&ht_paused);
}

HT_INLINE uint32_t ht_busy(struct ht_thread *t)
{
    uint32_t idle = t->idle;
    t->idle = HT_BUSY;
    ht_signal_fence();
    return idle;
}

HT_INLINE void ht_idle(struct ht_thread *t, uint32_t idle)
{
    ht_signal_fence();
    ht_shared_set(&t->idle, idle);
}

/* The same path with what the thread names the block by (requests.c) for its innermost frame; the path when there is no room. */
HT_NOINLINE uint32_t ht_bucket_labelled(struct ht_thread *t, uint32_t bucket)
{
    uint32_t node = ht_kept(t) && t->top->node ? ht_node_intern(t, t->top->node, (uint64_t)t->label << HT_KEY_OFFSET_BITS, HT_USE_ONE) : 0;
    uint32_t labelled = node ? ht_node_bucket(t, node, HT_USE_ONE) : 0;
    return labelled ? labelled : bucket;
}

static uint32_t ht_bucket_here(struct ht_thread *t, struct ht_regs at)
{
    if (ht_p.mode != HT_MODE_PATHS)
        return HT_PATH_NONE;
    if (HT_UNLIKELY(t->label))
        return t->latest = ht_bucket_labelled(t, (ht_stack_is_kept(t, at) ? &t->path : ht_walk(t, at.pc, at.sp, at.fp))->bucket);
    if (!ht_stack_is_kept(t, at))
        return t->latest = ht_path_of(t, at.pc, at.sp, at.fp)->bucket;
    ht_path_compare(t, &t->path, at);
    if (HT_UNLIKELY(!t->path.record))
        t->path.record = ht_record_known(t, t->path.bucket);
    return t->latest = t->path.bucket;
}

/* The thread frees or takes over a block of another's. */
static void ht_freed_of_other(struct ht_thread *t, uint32_t slot, struct ht_weight w)
{
    uint64_t blocks = ht_is_sampling() ? (w.count + HT_WEIGHT_ONE / 2) / HT_WEIGHT_ONE : 1;
    if (slot >= ht_p.capacity[HT_SECTION_THREADS])
        return; /* a large block's second word went with an end that we did not see */
    ht_own_add(&t->counters->freed_of_others, blocks);
    ht_own_add(&t->counters->freed_of_others_bytes, w.bytes);
    ht_shared_add(&ht_p.threads[slot].freed_by_others, blocks);
    ht_shared_add(&ht_p.threads[slot].freed_by_others_bytes, w.bytes);
}

/* Before the first change to a shared thread's counters, and after its walk: the walk may wait for
 * the dynamic linker's lock, which a thread in one of our hooks may hold. */
static void ht_hold_if_shared(struct ht_thread *t)
{
    if (t->ready == HT_IDLE_SHARED)
        ht_shared_hold(t);
}

static void ht_count_free(struct ht_thread *t, struct ht_block block, int temporary)
{
    struct ht_file_threads *c = t->counters;
    struct ht_weight w = ht_weight(block.size);
    ht_hold_if_shared(t);
    ht_peak_fall(t, w.bytes);
    if (ht_p.mode == HT_MODE_PATHS) {
        struct ht_file_paths *r = ht_record(t, &block.bucket);
        ht_peak_keep(r);
        ht_own_add(&r->frees, w.count);
        ht_own_add(&r->live_bytes, -(int64_t)w.bytes);
        ht_own_add(&r->temporary, temporary ? w.count : 0);
        ht_lifetime_end(r, block.born);
    }
    ht_own_add(&c->current, -(int64_t)w.bytes);
    if (!ht_is_sampling()) { /* else every free is counted, where it comes in */
        ht_own_add(&c->frees, 1);
        ht_own_add(&c->temporary, (uint64_t)temporary);
    }
    if (block.slot != t->slot)
        ht_freed_of_other(t, block.slot, w);
}

/* The class of a request's size: 0 up to 8 bytes, 1 up to 16, 2 up to 32 ... */
static uint32_t ht_size_class(size_t size)
{
    uint32_t bits = size > 8 ? 64 - (uint32_t)__builtin_clzl(size - 1) - 3 : 0;
    return bits < HT_SIZE_CLASSES ? bits : HT_SIZE_CLASSES - 1;
}

HT_KEEPING(size_t, ht_usable_keeping, (const struct ht_heap *heap, void *block), heap->usable(block))

/* How many bytes a block has; `block` is where the shadow has it. */
static size_t ht_usable(const struct ht_heap *heap, const void *block)
{
    void *at = ht_turned(heap, block);
    return HT_UNLIKELY(ht_peek(&ht_keeps)) ? ht_usable_keeping(heap, at) : heap->usable(at);
}

/* Keeps a request's size and slack beside the path record that counts it, whose writer it has. */
static void ht_sizes_keep(const struct ht_file_paths *record, const struct ht_heap *heap, void *block, size_t size)
{
    if (!ht_p.sizes_kept)
        return;
    struct ht_file_sizes *s = &ht_p.sizes[record - ht_p.paths];
    ht_own_add(&s->requests[ht_size_class(size)], 1);
    size_t usable = heap->usable ? ht_usable(heap, block) : 0;
    /* One that the allocator does not know: some leave a function out, and the C library's gives its own. */
    if (usable > size)
        ht_own_add(&s->slack, usable - size);
}

/* The allocator has given out memory of blocks that never ended as far as we saw: they were freed in
 * a way that passes by the hooks. They end here. */
static void ht_count_lost(struct ht_thread *t, const struct ht_heap *heap, const void *block, size_t size)
{
    for (struct ht_block b; (b = ht_shadow_evict(block, size, heap->close)).kind != HT_BLOCK_UNKNOWN;) {
        if (b.kind == HT_BLOCK_UNCOUNTED)
            continue;
        ht_count_free(t, b, 0);
        ht_own_add(&t->counters->lost_frees, 1);
    }
}

static void ht_count_failure(struct ht_thread *t)
{
    ht_hold_if_shared(t);
    ht_own_add(&t->counters->failed, 1);
}

/* A block of so many bytes is given out: whether it is recorded, when not all are. *tick: something is due that comes by bytes. */
static int ht_draw(struct ht_thread *t, size_t size, int *tick)
{
    t->until -= (int64_t)size + 1;
    *tick = t->until < 0;
    if (!*tick)
        return 0;
    int64_t more = (int64_t)ht_min((uint64_t)t->beyond, ht_max((uint64_t)-t->until, HT_TICK_BYTES));
    t->until += more;
    t->beyond -= more;
    if (t->until >= 0)
        return 0;
    ht_until_set(t);
    return 1;
}

/*
 * An allocation, or a reallocation that grew by `grown`, when not all blocks are recorded. `bucket` is its call path when it is
 * (found before anything is held: see ht_hold_if_shared).
 */
static void ht_count_sampled(struct ht_thread *t, void *block, size_t size, uint64_t grown, int is_sample, uint32_t bucket, int again, int tick)
{
    struct ht_file_threads *c = t->counters;
    ht_hold_if_shared(t);
    ht_own_add(&c->allocations, 1);
    ht_own_add(&c->bytes, grown);
    ht_own_add(&c->reallocations, (uint64_t)again);
    t->last = block;
    t->last_end = (const char *)block + size;
    int put = 0;
    if (is_sample) {
        struct ht_file_paths *r = ht_record(t, &bucket);
        struct ht_block lost = ht_sampled_put(block, bucket, t->slot, size, &put);
        if (lost.kind == HT_BLOCK_COUNTED) {
            ht_count_free(t, lost, 0);
            ht_own_add(&c->lost_frees, 1);
        }
        if (put) {
            struct ht_weight w = ht_weight(size);
            uint64_t bytes = ht_part(w.bytes, grown, size);
            ht_peak_keep(r);
            ht_own_add(&r->allocations, w.count);
            ht_own_add(&r->reallocations, again ? w.count : 0);
            ht_own_add(&r->bytes, bytes);
            ht_own_add(&r->moved_bytes, (int64_t)(bytes - w.bytes));
            ht_own_add(&r->live_bytes, (int64_t)w.bytes);
            ht_own_set(&r->carried, ht_variance_add(r->carried, w.count));
            ht_own_add(&c->current, (int64_t)w.bytes);
            ht_peak_rise(t);
        } else {
            ht_untracked();
        }
    }
    if (tick)
        ht_tick_if_due(t);
}

static void ht_count_allocation(struct ht_thread *t, const struct ht_heap *heap, void *block, size_t size, struct ht_regs at)
{
    struct ht_file_threads *c = t->counters;
    if (!block) {
        ht_count_failure(t);
        return;
    }
    if (ht_is_sampling()) {
        int tick, is_sample = ht_draw(t, size, &tick);
        ht_count_sampled(t, block, size, size, is_sample, is_sample ? ht_bucket_here(t, at) : HT_PATH_NONE, 0, tick);
        return;
    }
    if (!ht_shadow_room(block, size, heap->close)) {
        ht_untracked();
        return;
    }
    uint32_t bucket = ht_bucket_here(t, at);
    ht_hold_if_shared(t);
    ht_count_lost(t, heap, block, size);
    struct ht_birth born = ht_birth_now();
    if (ht_p.mode == HT_MODE_PATHS) {
        struct ht_file_paths *r = ht_record(t, &bucket);
        ht_peak_keep(r);
        ht_own_add(&r->allocations, 1);
        ht_own_add(&r->bytes, size);
        ht_own_add(&r->live_bytes, (int64_t)size);
        ht_sizes_keep(r, heap, block, size);
        ht_lifetime_live(r, born, 1);
    }
    ht_own_add(&c->allocations, 1);
    ht_own_add(&c->bytes, size);
    ht_own_add(&c->current, (int64_t)size);
    ht_peak_rise(t);
    ht_shadow_put(block, bucket, t->tag, size, heap->close, born);
    t->last = block;
    ht_tick_if_due(t);
}

/* A block that is not to be counted. */
static void ht_count_nothing(struct ht_thread *t, const struct ht_heap *heap, void *block, size_t size)
{
    if (!block || ht_is_sampling() || !ht_shadow_room(block, size, heap->close))
        return;
    ht_count_lost(t, heap, block, size);
    ht_shadow_put(block, 0, 0, size, heap->close, (struct ht_birth){ 0, 0 });
}

/* A known block became `block`: its path gives it up, the reallocating path takes it whole. */
static void ht_count_reallocation(struct ht_thread *t, const struct ht_heap *heap, struct ht_block old, void *block, size_t size, struct ht_regs at)
{
    if (!ht_shadow_room(block, size, heap->close)) {
        ht_untracked();
        ht_count_free(t, old, 0);
        return;
    }
    uint32_t bucket = ht_bucket_here(t, at);
    ht_hold_if_shared(t);
    ht_count_lost(t, heap, block, size);
    if (ht_p.lifetimes_kept)
        ht_birth_number();
    uint64_t grown = size > old.size ? size - old.size : 0;
    uint64_t shrunk = size < old.size ? old.size - size : 0;
    uint64_t carried = old.size - shrunk;
    struct ht_file_threads *c = t->counters;
    if (!grown)
        ht_peak_fall(t, shrunk);
    if (ht_p.mode == HT_MODE_PATHS) {
        struct ht_file_paths *from = ht_record(t, &old.bucket);
        struct ht_file_paths *to = ht_record(t, &bucket);
        ht_peak_keep(from);
        ht_own_add(&from->live_bytes, -(int64_t)old.size);
        ht_own_add(&from->moved, 1);
        ht_own_add(&from->moved_bytes, carried);
        ht_lifetime_live(from, old.born, -1);
        ht_peak_keep(to);
        ht_own_add(&to->reallocations, 1);
        ht_own_add(&to->allocations, 1);
        ht_own_add(&to->bytes, grown);
        ht_own_add(&to->carried, carried);
        ht_own_add(&to->live_bytes, (int64_t)size);
        ht_sizes_keep(to, heap, block, size);
        ht_lifetime_live(to, old.born, 1);
    }
    ht_own_add(&c->allocations, 1);
    ht_own_add(&c->reallocations, 1);
    ht_own_add(&c->bytes, grown);
    ht_own_add(&c->current, (int64_t)(grown - shrunk));
    ht_own_add(&c->carried, carried);
    if (old.slot != t->slot)
        ht_freed_of_other(t, old.slot, ht_weight(old.size));
    ht_peak_rise(t);
    ht_shadow_put(block, bucket, t->tag, size, heap->close, old.born);
    t->last = block;
    ht_tick_if_due(t);
}

/*
 * The same when not all blocks are recorded. What most old blocks were asked for with is not known; so a block grows by what the allocator
 * calls usable, before (`had`) and after: over all reallocations of a block that is off by its slack, at most.
 */
static void ht_count_reallocation_sampled(struct ht_thread *t, const struct ht_heap *heap, struct ht_block old, size_t had, void *block, size_t size,
    struct ht_regs at)
{
    size_t has = heap->usable ? ht_usable(heap, block) : size;
    int tick, is_sample = ht_draw(t, size, &tick);
    uint32_t bucket = is_sample ? ht_bucket_here(t, at) : HT_PATH_NONE;
    if (old.kind == HT_BLOCK_COUNTED) {
        struct ht_weight w = ht_weight(old.size);
        if (!heap->usable)
            had = old.size;
        ht_hold_if_shared(t);
        ht_peak_fall(t, w.bytes);
        struct ht_file_paths *from = ht_record(t, &old.bucket);
        ht_peak_keep(from);
        ht_own_add(&from->live_bytes, -(int64_t)w.bytes);
        ht_own_add(&from->moved, w.count);
        ht_own_add(&from->moved_bytes, (int64_t)w.bytes);
        ht_own_add(&t->counters->current, -(int64_t)w.bytes);
        if (old.slot != t->slot)
            ht_freed_of_other(t, old.slot, w);
    }
    ht_count_sampled(t, block, size, has > had ? has - had : 0, is_sample, bucket, 1, tick);
}

/* Takes a block that ends out of the shadow. */
static struct ht_block ht_take_block(struct ht_thread *t, const void *block)
{
    struct ht_block b = ht_shadow_block(block, 1);
    if (b.kind == HT_BLOCK_UNKNOWN && block == t->handed.block) {
        b = (struct ht_block){ t->handed.size, t->handed.bucket, t->handed.slot, t->handed.kind, t->handed_born };
        t->handed.block = NULL;
    }
    return b;
}

static void ht_count_end(struct ht_thread *t, struct ht_block b, const void *block)
{
    if (ht_is_sampling() && b.kind != HT_BLOCK_UNCOUNTED) {
        if ((t->own_depth > 0 || ht_peek(&ht_paused)) && b.kind == HT_BLOCK_UNKNOWN)
            return; /* its allocation was not counted either, most likely */
        ht_hold_if_shared(t);
        ht_own_add(&t->counters->frees, 1);
        ht_own_add(&t->counters->temporary, (uint64_t)(block == t->last));
    }
    if (b.kind == HT_BLOCK_COUNTED) {
        ht_count_free(t, b, block == t->last && b.slot == t->slot);
    } else if (ht_is_sampling()) {
        return;
    } else if (b.kind == HT_BLOCK_UNKNOWN) {
        ht_hold_if_shared(t);
        ht_own_add(&t->counters->unknown_frees, 1);
    }
}

/* Marks the thread for a general form; NULL when the call passes through uncounted. */
static struct ht_thread *ht_begin(uint32_t *idle)
{
    struct ht_thread *t = ht_self;
    if (HT_UNLIKELY(ht_unwanted))
        return NULL;
    if (HT_UNLIKELY(t->idle == HT_BUSY)) {
        t = ht_enter_slow();
        if (!t)
            return NULL;
    }
    *idle = ht_busy(t);
    return t;
}

static void ht_end(struct ht_thread *t, uint32_t idle)
{
    if (t->tid == 0)
        return; /* a fork's child (ht_forked_away) */
    ht_shared_release(t);
    ht_idle(t, idle);
}

HT_NOINLINE void *ht_note_general(void *block, size_t size, uint64_t pc, uint64_t sp, uint64_t fp, const struct ht_heap *heap)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (t) {
        if (ht_is_counted(idle))
            ht_count_allocation(t, heap, block, size, (struct ht_regs){ pc, sp, fp });
        else
            ht_count_nothing(t, heap, block, size);
        ht_end(t, idle);
    }
    HT_OPAQUE(block); /* a hook that knew what is returned would have no reason to end with this call */
    return block;
}

/* The rest of an allocation that rose above what peak.c wants to know, or at which a tick is due. */
HT_NOINLINE void *ht_note_rise(struct ht_thread *t, void *block, uint32_t idle)
{
    ht_peak_rise(t);
    ht_tick_if_due(t);
    ht_idle(t, idle);
    HT_OPAQUE(block);
    return block;
}

HT_INLINE void ht_path_add(struct ht_file_paths *r, size_t size)
{
    ht_peak_keep(r);
    ht_own_add(&r->allocations, 1);
    ht_own_add(&r->bytes, size);
    ht_own_add(&r->live_bytes, (int64_t)size);
}

/* The thread's part of an allocation whose path and block have it. */
HT_INLINE void *ht_note_counted(enum ht_idle mode, struct ht_thread *t, void *block, size_t size)
{
    struct ht_file_threads *c = t->counters;
    t->last = block;
    uint64_t allocations = c->allocations + 1;
    ht_own_set(&c->allocations, allocations);
    ht_own_add(&c->bytes, size);
    int64_t current = c->current + (int64_t)size;
    ht_own_set(&c->current, current);
    if (HT_UNLIKELY((allocations & t->tick_mask) == 0 || current > t->high))
        return ht_note_rise(t, block, mode);
    ht_idle(t, mode);
    return block;
}

HT_INLINE struct ht_empty ht_empty_at(const struct ht_thread *t, const void *block, size_t size, uint32_t close)
{
    uint64_t *word = ht_shadow_find(block);
    if (HT_UNLIKELY(!word || size >= HT_SIZE_LARGE))
        return (struct ht_empty){ NULL, NULL };
    if (ht_has_own_word(block, size, close))
        return (struct ht_empty){ HT_LIKELY(!ht_peek(word)) ? word : NULL, NULL };
    uint32_t *half = HT_LIKELY(t->half_tag) ? ht_half_free(word, block, size) : NULL;
    return (struct ht_empty){ half ? word : NULL, half };
}

HT_INLINE void ht_empty_put(struct ht_empty at, const struct ht_thread *t, const void *block, uint32_t owner, size_t size)
{
    if (at.half)
        ht_half_put(at.word, at.half, block, t->half_tag | (owner & 0xfffff) << HT_SIZE_BITS, size);
    else
        ht_own_set(at.word, (uint64_t)owner << 32 | size);
}

HT_NOINLINE void *ht_note_allocation_walk(struct ht_thread *t, void *block, size_t size, uint64_t pc, uint64_t sp, uint64_t fp)
{
    const struct ht_heap *heap = t->heap;
    const struct ht_path *path = ht_path_of(t, pc, sp, fp);
    struct ht_file_paths *r = path->record;
    if (HT_UNLIKELY(!r)) {
        ht_idle(t, HT_IDLE_PATHS);
        return ht_note_general(block, size, pc, sp, fp, heap);
    }
    ht_path_add(r, size);
    ht_empty_put(t->to, t, block, path->owner, size);
    return ht_note_counted(HT_IDLE_PATHS, t, block, size);
}

/* The rest of an allocation whose stack is not the kept one: finds its path, and counts as the hot form does. The thread
 * is marked, and nothing has changed yet. */
HT_NOINLINE void *ht_note_allocation_tail(struct ht_thread *t, void *block, size_t size, uint64_t pc, uint64_t sp, uint64_t fp)
{
    const struct ht_path *path = ht_tail_first(t, pc, sp, fp);
    struct ht_file_paths *r = HT_LIKELY(path) ? path->record : NULL;
    if (HT_UNLIKELY(!r))
        return ht_note_allocation_walk(t, block, size, pc, sp, fp);
#ifdef HT_COMPARE
    return ht_note_allocation_walk(t, block, size, pc, sp, fp); /* which compares */
#endif
    ht_path_add(r, size);
    ht_empty_put(t->to, t, block, path->owner, size);
    return ht_note_counted(HT_IDLE_PATHS, t, block, size);
}

/* The rest of an allocation in one mode, so that `mode` is a constant: storing what was loaded
 * from t->idle would chain each hook to the one before. */
HT_INLINE void *ht_note_allocation_as(enum ht_idle mode, struct ht_thread *t, struct ht_empty to, void *block, size_t size, struct ht_regs at,
    const struct ht_heap *heap)
{
    t->idle = HT_BUSY;
    ht_signal_fence();
    uint32_t owner;
    if (mode == HT_IDLE_PATHS) {
        if (HT_UNLIKELY(!ht_stack_is_kept(t, at))) {
            t->heap = heap;
            t->to = to;
            return ht_note_allocation_tail(t, block, size, at.pc, at.sp, at.fp);
        }
        ht_path_compare(t, &t->path, at);
        struct ht_file_paths *r = t->path.record;
        if (HT_UNLIKELY(!r)) {
            ht_idle(t, mode);
            return ht_note_general(block, size, at.pc, at.sp, at.fp, heap);
        }
        ht_path_add(r, size);
        owner = t->path.owner;
    } else {
        owner = ht_shadow_owner(HT_PATH_NONE, t->tag);
    }
    ht_empty_put(to, t, block, owner, size);
    return ht_note_counted(mode, t, block, size);
}

/* An allocation when not all blocks are recorded. Each store is one instruction, so that a signal handler may come between. */
HT_INLINE void *ht_note_sampled(struct ht_thread *t, void *block, size_t size, struct ht_regs at, const struct ht_heap *heap)
{
    if (HT_UNLIKELY(!block || t->until <= (int64_t)size))
        return ht_note_general(block, size, at.pc, at.sp, at.fp, heap);
    struct ht_file_threads *c = t->counters;
    t->until -= (int64_t)size + 1;
    ht_own_add(&c->allocations, 1);
    ht_own_add(&c->bytes, size);
    t->last = block;
    t->last_end = (const char *)block + size;
    return block;
}

/* After an allocator that may put blocks close has returned `block`; returns it. */
HT_NOINLINE void *ht_note_close(void *block, size_t size, uint64_t pc, uint64_t sp, uint64_t fp, const struct ht_heap *heap)
{
    struct ht_thread *t = ht_self;
    struct ht_regs at = { pc, sp, fp };
    uint32_t paths = t->idle == ht_peek(&ht_hot[HT_MODE_PATHS]);
    if (HT_LIKELY(paths || t->idle == ht_peek(&ht_hot[HT_MODE_COUNTERS]))) {
        struct ht_empty to = ht_empty_at(t, block, size, heap->close);
        if (HT_LIKELY(to.word)) {
            if (paths)
                return ht_note_allocation_as(HT_IDLE_PATHS, t, to, block, size, at, heap);
            return ht_note_allocation_as(HT_IDLE_COUNTERS, t, to, block, size, at, heap);
        }
    } else if (t->idle == ht_peek(&ht_hot[HT_HOT_SAMPLED])) {
        return ht_note_sampled(t, block, size, at, heap);
    }
    return ht_note_general(block, size, pc, sp, fp, heap);
}

HT_NOINLINE void *ht_note_allocation_slow(void *block, size_t size, uint64_t pc, uint64_t sp, uint64_t fp)
{
    if (HT_LIKELY(ht_unwanted))
        return block;
    return ht_note_general(block, size, pc, sp, fp, &ht_heap);
}

/* After the allocator underneath has returned a block that shares its granule, whose word this is, or is a large one. */
HT_NOINLINE void *ht_note_half(void *block, size_t size, uint64_t pc, uint64_t sp, uint64_t fp, uint64_t *word)
{
    struct ht_thread *t = ht_self;
    struct ht_regs at = { pc, sp, fp };
    uint32_t *half = HT_LIKELY(t->half_tag && ht_heap.close && size < HT_BEYOND) ? ht_half_free(word, block, size) : NULL;
    if (HT_UNLIKELY(!half))
        return ht_note_general(block, size, pc, sp, fp, &ht_heap);
    if (t->idle == HT_IDLE_PATHS)
        return ht_note_allocation_as(HT_IDLE_PATHS, t, (struct ht_empty){ word, half }, block, size, at, &ht_heap);
    return ht_note_allocation_as(HT_IDLE_COUNTERS, t, (struct ht_empty){ word, half }, block, size, at, &ht_heap);
}

/* The same, of a block that has its word to itself. */
HT_INLINE void *ht_note_allocation_in(enum ht_idle mode, struct ht_thread *t, void *block, size_t size, struct ht_regs at)
{
    uint64_t *word = ht_shadow_find(block);
    if (HT_UNLIKELY(!word))
        return ht_note_general(block, size, at.pc, at.sp, at.fp, &ht_heap);
    if (HT_UNLIKELY((uint64_t)block & ht_heap.close) || HT_UNLIKELY((size - ht_heap.least) >> 31))
        return ht_note_half(block, size, at.pc, at.sp, at.fp, word);
    if (HT_UNLIKELY(ht_peek(word)))
        return ht_note_general(block, size, at.pc, at.sp, at.fp, &ht_heap);
    return ht_note_allocation_as(mode, t, (struct ht_empty){ word, NULL }, block, size, at, &ht_heap);
}

/* After the real function has returned `block`; returns it. */
HT_INLINE void *ht_note_allocation(void *block, size_t size, struct ht_regs at)
{
    struct ht_thread *t = ht_self;
    if (HT_LIKELY(t->idle == ht_peek(&ht_hot[HT_MODE_PATHS])))
        return ht_note_allocation_in(HT_IDLE_PATHS, t, block, size, at);
    if (HT_LIKELY(t->idle == ht_peek(&ht_hot[HT_HOT_SAMPLED])))
        return ht_note_sampled(t, block, size, at, &ht_heap);
    if (HT_LIKELY(t->idle == ht_peek(&ht_hot[HT_MODE_COUNTERS])))
        return ht_note_allocation_in(HT_IDLE_COUNTERS, t, block, size, at);
    return ht_note_allocation_slow(block, size, at.pc, at.sp, at.fp);
}

/* What came of an attempt to count the end of a block. */
enum ht_end_hot {
    HT_END_GENERAL, /* nothing: it is the general form's to do */
    HT_END_DONE,
    HT_END_SHARED,  /* nothing: its granule is a shared one */
};

/* Counts the end of a block of this thread's. Its word is cleared, or its half word, and that behind it which holds its size. */
HT_INLINE enum ht_end_hot ht_end_of(enum ht_idle mode, struct ht_thread *t, const void *block, uint32_t bucket, uint64_t size, uint64_t *word,
    uint32_t *half, uint32_t *next)
{
    t->idle = HT_BUSY;
    ht_signal_fence();
    struct ht_file_threads *c = t->counters;
    int64_t current = c->current - (int64_t)size;
    if (HT_UNLIKELY(current <= t->low) && !ht_peak_left(t, current))
        goto general;
    uint64_t temporary = block == t->last;
    if (mode == HT_IDLE_PATHS) {
        struct ht_file_paths *page = t->pages[bucket / HT_PAGE_RECORDS];
        struct ht_file_paths *r = page + bucket % HT_PAGE_RECORDS;
        HT_OPAQUE(r);
        if (HT_UNLIKELY(!page))
            goto general;
        ht_peak_keep(r);
        ht_own_add(&r->frees, 1);
        ht_own_add(&r->live_bytes, -(int64_t)size);
        ht_own_add(&r->temporary, temporary);
    }
    if (half)
        ht_half_set(half, block, 0);
    else
        ht_own_set(word, 0);
    if (next)
        ht_own_set(next, HT_HALF_SHARED);
    ht_own_add(&c->frees, 1);
    ht_own_set(&c->current, current);
    ht_own_add(&c->temporary, temporary);
    ht_idle(t, mode);
    return HT_END_DONE;
general:
    ht_idle(t, mode);
    return HT_END_GENERAL;
}

/* The same of a block in a shared granule. */
HT_INLINE enum ht_end_hot ht_end_half(enum ht_idle mode, struct ht_thread *t, uint64_t *word, const void *block)
{
    uint32_t *half = ht_half_in(word, block), *next = NULL;
    if (HT_UNLIKELY(!half))
        return HT_END_GENERAL;
    uint32_t said = ht_half_get(half);
    uint64_t size = ht_half_size(said);
    /* The tag of an unknown block is 0, which is nobody's. */
    if (HT_UNLIKELY(said - t->half_tag >= (uint32_t)ht_p.buckets << HT_SIZE_BITS || !t->half_tag))
        return HT_END_GENERAL;
    if (size == HT_LONG) {
        next = (uint32_t *)ht_shadow_find((const char *)block + HT_GRANULE) + 1;
        size = ht_half_get(next);
        if (HT_UNLIKELY(size == HT_BEYOND))
            return HT_END_GENERAL;
    }
    return ht_end_of(mode, t, block, ht_half_bucket(said), size, NULL, half, next);
}

/* The same of one that has its word to itself; *word is where that is, when there is one. */
HT_INLINE enum ht_end_hot ht_end_word(enum ht_idle mode, struct ht_thread *t, uint64_t **word, const void *block)
{
    *word = ht_shadow_find(block);
    if (HT_UNLIKELY(!*word))
        return HT_END_GENERAL;
    /* By halves: a processor has to wait for a whole word when half of it was just stored. */
    const uint32_t *halves = (const uint32_t *)*word;
    uint32_t said = ht_peek(&halves[1]);
    uint64_t size = ht_peek(&halves[0]);
    /* The tag of a shared granule is nobody's either. */
    if (HT_UNLIKELY(said >> 20 != t->tag))
        return said & HT_HALF_SHARED ? HT_END_SHARED : HT_END_GENERAL;
    return ht_end_of(mode, t, block, said & 0xfffff, size, *word, NULL, NULL);
}

/* The end of a block when not all are recorded, and this one is not. Of one that is handed somebody else counts the end. */
HT_INLINE enum ht_end_hot ht_end_sampled(struct ht_thread *t, const void *block)
{
    if (ht_is_sampled(block))
        return HT_END_GENERAL;
    if (HT_UNLIKELY(block == t->handed.block))
        return t->handed.kind == HT_BLOCK_UNCOUNTED ? HT_END_DONE : HT_END_GENERAL;
    struct ht_file_threads *c = t->counters;
    ht_own_add(&c->frees, 1);
    ht_own_add(&c->temporary, (uint64_t)(block == t->last));
    return HT_END_DONE;
}

/* The same in the mode that the thread is in. */
HT_INLINE enum ht_end_hot ht_end_hot(const void *block, uint64_t **word)
{
    struct ht_thread *t = ht_self;
    if (HT_LIKELY(t->idle == HT_IDLE_PATHS))
        return ht_end_word(HT_IDLE_PATHS, t, word, block);
    /* While paused most blocks that end were not counted either: the general form ends those that are recorded. */
    if (HT_LIKELY(t->idle == ht_peek(&ht_hot[HT_HOT_SAMPLED])))
        return ht_end_sampled(t, block);
    return HT_LIKELY(t->idle == HT_IDLE_COUNTERS) ? ht_end_word(HT_IDLE_COUNTERS, t, word, block) : HT_END_GENERAL;
}

/* When that said that the granule is a shared one, in `word`; whether the end is counted now. */
HT_INLINE int ht_end_shared(const void *block, uint64_t *word)
{
    struct ht_thread *t = ht_self;
    return (t->idle == HT_IDLE_PATHS ? ht_end_half(HT_IDLE_PATHS, t, word, block) : ht_end_half(HT_IDLE_COUNTERS, t, word, block)) == HT_END_DONE;
}

/* Both, for hooks of allocators whose blocks may lie close. */
HT_INLINE int ht_end_close(const void *block)
{
    uint64_t *word;
    enum ht_end_hot end = ht_end_hot(block, &word);
    return HT_LIKELY(end == HT_END_DONE) || (end == HT_END_SHARED && ht_end_shared(block, word));
}

HT_NOINLINE void ht_free_general(void *block)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (t) {
        ht_count_end(t, ht_take_block(t, block), block);
        ht_end(t, idle);
    }
    ht_real.free(block);
}

HT_NOINLINE void ht_free_shared(void *block, uint64_t *word)
{
    if (HT_LIKELY(ht_end_shared(block, word)))
        return ht_real.free(block);
    ht_free_general(block);
}

HT_NOINLINE void ht_free_slow(void *block)
{
    if (HT_LIKELY(ht_unwanted))
        return ht_real.free(block);
    ht_free_general(block);
}

/* Counts the end of a block, then frees it. */
HT_INLINE void ht_free(void *block)
{
    uint64_t *word;
    enum ht_end_hot end = ht_end_hot(block, &word);
    if (HT_LIKELY(end == HT_END_DONE))
        return ht_real.free(block);
    if (end == HT_END_SHARED)
        return ht_free_shared(block, word);
    ht_free_slow(block);
}
