/*
 * thread.c: a thread's records, from its first call to after its end.
 *
 * Every thread has a record in the file (counters) and pages of path records, all with one writer,
 * the thread: plain loads and stores. A block freed by another thread than its allocator's changes
 * the freeing thread's records; one atomic add on the allocator's record notes it.
 *
 * Records outlive their thread. The first HT_SLOTS_FRESH threads each get their own; after that a
 * new thread takes over those of one of its name that the kernel says is gone, from HT_SLOTS_BY_NAME
 * on those of any, and the counters go on as sums: a program that starts threads for ever does not
 * make the recording grow. Only then come further records, up to the section's capacity.
 *
 * A thread that finds no record, and a path that finds no page, use the shared ones: record
 * HT_THREAD_SHARED and one page per HT_PAGE_RECORDS paths, kept back for that, under shared_lock,
 * which is held from the first such access to the end of the count (t->locked).
 */
#include "heaptap.h"

#define HT_SLOTS_FRESH 64u
#define HT_SLOTS_BY_NAME 128u
#define HT_NAMES_COMPARED 64u
#define HT_PROBES 16u
#define HT_TICK_MASK 1023u
#define HT_TID_UNKNOWN (~0u) /* the program has forbidden to ask (seccomp.c) */

/* Nobody is busy, so that a hook need not ask whether its thread has a state yet. */
static struct ht_file_threads ht_no_counters;
static struct ht_thread ht_nobody = { .idle = HT_BUSY, .counters = &ht_no_counters };
static HT_THREAD_LOCAL struct ht_thread *ht_self = &ht_nobody;

static uint32_t ht_bucket_pages(void) { return ht_p.buckets / HT_PAGE_RECORDS; }

/* Takes a page of path records from the pool, under thread_lock. As many as shared pages may still
 * be wanted stay in it. */
static struct ht_file_paths *ht_page_take(uint32_t slot, uint32_t number)
{
    struct ht_file_header *h = ht_p.header;
    static const uint64_t size = sizeof(struct ht_file_paths) * HT_PAGE_RECORDS;
    uint32_t used = h->pages_used, kept_back = slot == HT_THREAD_SHARED ? 0 : ht_bucket_pages();
    if (used + kept_back >= ht_p.page_capacity || !ht_file_reserve(HT_SECTION_OWNERS, (used + 1ull) * sizeof *ht_p.owners)
        || !ht_file_reserve(HT_SECTION_PATHS, (used + 1ull) * size)
        || (ht_p.sizes_kept && !ht_file_reserve(HT_SECTION_SIZES, (used + 1ull) * sizeof *ht_p.sizes * HT_PAGE_RECORDS))
        || (ht_p.lifetimes_kept && !ht_file_reserve(HT_SECTION_LIFETIMES, (used + 1ull) * sizeof *ht_p.lifetimes * HT_PAGE_RECORDS)))
        return NULL;
    ht_own_set(&ht_p.owners[used].first, number * HT_PAGE_RECORDS);
    ht_shared_set(&ht_p.owners[used].thread, slot + 1);
    ht_shared_set(&h->pages_used, used + 1);
    return ht_p.paths + (uint64_t)used * HT_PAGE_RECORDS;
}

static void ht_shared_hold(struct ht_thread *t)
{
    if (t->locked)
        return;
    ht_lock(&ht_p.shared_lock);
    t->locked = 1;
}

static void ht_shared_release(struct ht_thread *t)
{
    if (!t->locked)
        return;
    t->locked = 0;
    ht_unlock(&ht_p.shared_lock);
}

HT_NOINLINE struct ht_file_paths *ht_record_slow(struct ht_thread *t, uint32_t *bucket)
{
    uint32_t number = *bucket / HT_PAGE_RECORDS;
    struct ht_file_paths *page = NULL;
    if (t->ready != HT_IDLE_SHARED) {
        ht_lock(&ht_p.thread_lock);
        page = ht_page_take(t->slot, number);
        ht_unlock(&ht_p.thread_lock);
        t->pages[number] = page;
    }
    if (!page) {
        ht_shared_hold(t);
        page = ht_p.shared_pages[number];
        if (!page) {
            ht_lock(&ht_p.thread_lock);
            page = ht_p.shared_pages[number] = ht_page_take(HT_THREAD_SHARED, number);
            ht_unlock(&ht_p.thread_lock);
        }
    }
    if (!page) {
        /* The file system has no room. The page of path 0 was taken at the start. */
        *bucket = HT_PATH_NONE;
        page = ht_p.shared_pages[0];
    }
    return page + *bucket % HT_PAGE_RECORDS;
}

/* The calling thread's record of a call path. */
HT_INLINE struct ht_file_paths *ht_record(struct ht_thread *t, uint32_t *bucket)
{
    struct ht_file_paths *r = ht_record_known(t, *bucket);
    return HT_LIKELY(r) ? r : ht_record_slow(t, bucket);
}

static struct ht_thread *ht_thread_in_order(uint32_t i) { return ht_p.by_slot[ht_p.order[i]]; }

static size_t ht_round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/*
 * States of threads that live on when their recording is given back (attached.c): ht_self leads to them still. They are zeroed, as a fork's
 * child finds its own, and each is its thread's again at the next recording. Changed by who gives one back, and under thread_lock.
 */
static struct ht_thread *ht_kept_states;

static void ht_kept_drop(struct ht_thread *t)
{
    for (struct ht_thread **at = &ht_kept_states; *at && (*at)->kept; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            return;
        }
}

/* Gives back the states of all threads. */
static void ht_threads_release(void)
{
    struct ht_thread *all = NULL, *next;
    for (struct ht_thread *t = ht_p.shared_threads; t; t = next) {
        next = t->next;
        t->kept = t->tid;
        t->next = all;
        all = t;
    }
    for (uint32_t i = 0; i < ht_p.thread_count; i++) {
        struct ht_thread *t = ht_thread_in_order(i);
        t->kept = t->tid;
        t->next = all;
        all = t;
    }
    /* A fork's child has nothing where its parent's were. */
    for (struct ht_thread *t = ht_kept_states; t && t->kept; t = next) {
        next = t->next;
        t->next = all;
        all = t;
    }
    ht_kept_states = NULL;
    for (struct ht_thread *t = all; t; t = next) {
        uint64_t size = t->size;
        uint32_t tid = t->kept;
        next = t->next;
        if (ht_sys_thread_gone(tid)) {
            ht_sys_unmap(t, size);
            continue;
        }
        ht_sys_discard(t, size);
        t->size = size;
        t->kept = tid;
        t->next = ht_kept_states;
        ht_kept_states = t;
    }
}

/* The private memory of the calling thread: its state and the arrays behind it, in one mapping. */
static struct ht_thread *ht_thread_map(void)
{
    uint32_t depth = ht_p.depth;
    size_t pages = ht_round_up(sizeof(struct ht_thread), 64);
    size_t frames = pages + ht_bucket_pages() * sizeof(struct ht_file_paths *);
    size_t words = frames + ht_round_up((depth + 2) * sizeof(struct ht_frame), 16);
    size_t steps = words + (HT_STEP_WORDS * (depth + 1) + 1) * sizeof(struct ht_word);
    size_t memo = ht_round_up(steps + depth * sizeof(struct ht_step), 64);
    size_t tails = ht_round_up(memo + HT_MEMO_ENTRIES * sizeof(struct ht_node_memo), 64);
    size_t size = ht_round_up(tails + HT_TAILS * sizeof(struct ht_tail), HT_PAGE);
    struct ht_thread *own = ht_self;
    int is_kept = own->kept == ht_sys_tid(), fits = is_kept && own->size >= size;
    if (is_kept)
        ht_kept_drop(own);
    if (is_kept && !fits)
        ht_sys_unmap(own, own->size);
    char *at = fits ? (char *)own : ht_sys_map(size);
    if (!at)
        return NULL;
    if (fits) {
        size = own->size;
        own->kept = 0;
        own->next = NULL;
    } else if (!ht_sys_wiped(at, size)) {
        ht_sys_unmap(at, size);
        return NULL;
    }
    struct ht_thread *t = (struct ht_thread *)at;
    t->size = size;
    t->pages = (struct ht_file_paths **)(at + pages);
    t->frames = (struct ht_frame *)(at + frames);
    t->words = (struct ht_word *)(at + words);
    t->steps = (struct ht_step *)(at + steps);
    t->memo = (struct ht_node_memo *)(at + memo);
    t->tails = (struct ht_tail *)(at + tails);
    return t;
}

/* Written out, so that sums over many threads stay in registers. */
HT_INLINE void ht_totals_add(struct ht_totals *to, const struct ht_file_threads *c, int64_t sign)
{
#define HT_ADD(field) to->field += (uint64_t)sign * (uint64_t)ht_peek(&c->field)
    HT_ADD(allocations);
    HT_ADD(bytes);
    HT_ADD(frees);
    HT_ADD(current);
    HT_ADD(reallocations);
    HT_ADD(carried);
    HT_ADD(temporary);
    HT_ADD(failed);
#undef HT_ADD
}

static void ht_order_swap(uint32_t i, uint32_t j)
{
    uint16_t slot = ht_p.order[i];
    ht_p.order[i] = ht_p.order[j];
    ht_p.order[j] = slot;
}

static void ht_window_release(struct ht_thread *t)
{
    if (t->holds_window)
        ht_shared_and(&ht_p.windows_open, ~(1ull << t->window_slot));
    t->holds_window = 0;
}

/* What a thread's own path records say; *moved, how many blocks they say were reallocated away. */
static struct ht_totals ht_totals_of_paths(const struct ht_thread *t, uint64_t *moved)
{
    struct ht_totals s = { .failed = t->counters->failed };
    *moved = 0;
    for (uint32_t page = 0; page < ht_bucket_pages(); page++)
        for (uint32_t i = 0; t->pages[page] && i < HT_PAGE_RECORDS; i++) {
            const struct ht_file_paths *r = &t->pages[page][i];
            s.allocations += r->allocations;
            s.bytes += r->bytes;
            s.frees += r->frees;
            s.current += (uint64_t)r->live_bytes;
            s.reallocations += r->reallocations;
            s.carried += r->carried;
            s.temporary += r->temporary;
            *moved += r->moved;
        }
    return s;
}

/*
 * Puts right what a hook has left half done that will not go on: a signal handler left it by longjmp, or
 * ended the thread. Nothing is kept of the stack and the nodes. Path records come first in every count, so
 * the totals are made what those say; unless a part of them stands in shared ones, when the two differ by
 * more than one call can make of it. A reallocation that has left its old path, and has not come to the new
 * one, the last that was walked, comes there now. Also by the thread that finds it ended, under thread_lock.
 */
static void ht_thread_mend(struct ht_thread *t)
{
    struct ht_file_threads *c = t->counters;
    ht_shared_add(&ht_p.header->abandoned, 1ull);
    uint32_t bucket = t->latest;
    t->top = t->frames;
    t->other = NULL;
    t->label = 0;
    t->path = (struct ht_path){ NULL, HT_PATH_NONE, 0 };
    t->spare_node = t->spare_bucket = 0;
    memset(t->memo, 0, HT_MEMO_ENTRIES * sizeof *t->memo);
    memset(t->tails, 0, HT_TAILS * sizeof *t->tails);
    if (t->ready != HT_IDLE_PATHS && t->ready != HT_IDLE_GENERAL)
        return;
    uint64_t moved;
    struct ht_totals s = ht_totals_of_paths(t, &moved);
    if (s.allocations - c->allocations > 1 || s.frees - c->frees > 1)
        return;
    struct ht_file_paths *page = t->pages[bucket / HT_PAGE_RECORDS];
    if (moved == s.reallocations + 1 && page) {
        struct ht_file_paths *r = page + bucket % HT_PAGE_RECORDS;
        ht_peak_keep(r);
        ht_own_add(&r->reallocations, 1);
        ht_own_add(&r->allocations, 1);
        s.reallocations++;
        s.allocations++;
    }
    ht_own_set(&c->allocations, s.allocations);
    ht_own_set(&c->bytes, s.bytes);
    ht_own_set(&c->frees, s.frees);
    ht_own_set(&c->current, (int64_t)s.current);
    ht_own_set(&c->reallocations, s.reallocations);
    ht_own_set(&c->carried, s.carried);
    ht_own_set(&c->temporary, s.temporary);
}

/* Moves the i-th of the live threads to the ended ones: nobody writes its record any more. Each hook's
 * last store was to `idle` (ht_idle): who finds the thread gone and reads that sees all that it wrote. */
static void ht_thread_retire(uint32_t i)
{
    struct ht_thread *t = ht_thread_in_order(i);
    if (ht_shared_get(&t->idle) == HT_BUSY)
        ht_thread_mend(t);
    ht_order_swap(i, --ht_p.live_count);
    ht_totals_add(&ht_p.ended, t->counters, 1);
    t->ended = 1;
    ht_own_set(&t->counters->ended, 1u);
    ht_window_release(t);
    /* What it has not told would be missing from levels for ever. */
    if (ht_peek(&ht_p.header->multi)) {
        int64_t net = t->counters->current;
        ht_shared_set(&t->joined, 1u);
        ht_shared_add(&ht_p.header->current, net - t->flushed);
        t->flushed = net;
    }
    /* Its successor, if it gets one, starts to remember anew. */
    uint64_t from = ht_round_up((uint64_t)t->memo, HT_PAGE), to = (uint64_t)(t->tails + HT_TAILS) / HT_PAGE * HT_PAGE;
    ht_sys_discard((void *)from, to - from);
}

/* Moves the i-th thread back among the live ones. */
static void ht_thread_revive(uint32_t i)
{
    struct ht_thread *t = ht_thread_in_order(i);
    ht_order_swap(i, ht_p.live_count++);
    ht_totals_add(&ht_p.ended, t->counters, -1);
    t->ended = 0;
    ht_own_set(&t->counters->ended, 0u);
}

/* Asks the kernel whether some of the live threads have ended, under thread_lock. The kernel gives
 * numbers out again: `tid`, the number of a thread that starts, is an ended thread's in any record that
 * it is met in. */
static void ht_threads_look(uint32_t probes, uint32_t tid)
{
    probes = (uint32_t)ht_min(probes, ht_p.live_count);
    for (uint32_t n = 0; n < probes && ht_p.live_count > 0; n++) {
        uint32_t i = ht_p.probe++ % ht_p.live_count;
        struct ht_thread *t = ht_thread_in_order(i);
        if ((t->tid == tid && tid != HT_TID_UNKNOWN) || ht_sys_thread_gone(t->tid))
            ht_thread_retire(i);
    }
}

/* The same for all threads, those without a record too. */
static void ht_threads_look_all(void)
{
    for (uint32_t i = ht_p.live_count; i-- > 0;)
        if (ht_sys_thread_gone(ht_thread_in_order(i)->tid))
            ht_thread_retire(i);
    for (struct ht_thread *t = ht_p.shared_threads; t; t = t->next)
        if (t->holds_window && ht_sys_thread_gone(t->tid))
            ht_window_release(t);
}

/* An ended thread's record for a new thread of that name, under thread_lock: first of one that had the
 * same name, so that the figures of unlike threads stay apart; of any when no fresh one is left. */
static struct ht_thread *ht_thread_ended(const char name[16], int any)
{
    uint32_t last = (uint32_t)ht_min(ht_p.live_count + HT_NAMES_COMPARED, ht_p.thread_count);
    for (uint32_t i = ht_p.live_count; i < last; i++) {
        struct ht_thread *t = ht_thread_in_order(i);
        if (any || ht_same_bytes(t->counters->name, name, 16)) {
            ht_thread_revive(i);
            return t;
        }
    }
    return NULL;
}

/* A fresh record, under thread_lock; NULL when there is none left, or none whose tag the shadow has bits for. */
static struct ht_thread *ht_thread_fresh(void)
{
    struct ht_file_header *h = ht_p.header;
    uint32_t slot = h->threads_used;
    if (slot >= ht_p.capacity[HT_SECTION_THREADS] || (ht_heap.close && slot + 1 >= ht_tag_limit())
        || !ht_file_reserve(HT_SECTION_THREADS, (slot + 1ull) * sizeof *ht_p.threads))
        return NULL;
    struct ht_thread *t = ht_thread_map();
    if (!t)
        return NULL;
    t->slot = slot;
    t->counters = &ht_p.threads[slot];
    t->ready = ht_p.interval ? HT_IDLE_SAMPLED
        : ht_p.lifetimes_kept ? HT_IDLE_GENERAL
        : ht_p.mode == HT_MODE_PATHS ? HT_IDLE_PATHS : HT_IDLE_COUNTERS;
    ht_p.by_slot[slot] = t;
    ht_p.order[ht_p.thread_count] = (uint16_t)slot;
    ht_order_swap(ht_p.thread_count++, ht_p.live_count++);
    if (slot > HT_SLOT_FIRST) {
        ht_shared_set(&h->multi, 1u);
        ht_peak_wake_first();
    }
    ht_shared_set(&h->threads_used, slot + 1);
    return t;
}

/* A thread without a record of its own: the state of one that has ended, else a new one. */
static struct ht_thread *ht_thread_shared(void)
{
    struct ht_thread *t = ht_p.shared_threads;
    for (uint32_t i = 0; t && i < HT_PROBES; i++, t = t->next)
        if (ht_sys_thread_gone(t->tid)) {
            ht_window_release(t);
            return t;
        }
    t = ht_thread_map();
    if (!t)
        return NULL;
    t->next = ht_p.shared_threads;
    ht_p.shared_threads = t;
    t->slot = HT_THREAD_SHARED;
    t->counters = &ht_p.threads[HT_THREAD_SHARED];
    t->ready = HT_IDLE_SHARED;
    ht_shared_set(&ht_p.header->multi, 1u);
    ht_peak_wake_first();
    return t;
}

/* Gives the record the name that its thread has by now. A record of several threads keeps what their
 * names begin with in common, and a star. */
static void ht_thread_rename(struct ht_thread *t, char name[16])
{
    char *own = (char *)t->counters->name;
    if (!name[0] || ht_same_bytes(own, name, 16))
        return;
    if (t->counters->merged > 1) {
        uint32_t same = 0;
        while (same < 14 && own[same] && own[same] == name[same])
            same++;
        if (own[same] == '*' && !own[same + 1])
            return;
        memset(name + same, 0, 16 - same);
        name[same] = '*';
    }
    memcpy(own, name, 16);
}

/* A state for the calling thread: with an ended thread's record, a fresh one, or none of its own. */
static struct ht_thread *ht_thread_take(uint32_t tid, const char name[16])
{
    ht_lock(&ht_p.thread_lock);
    struct ht_thread *t = NULL;
    ht_threads_look(HT_PROBES, tid);
    if (ht_p.thread_count >= ht_min(HT_SLOTS_FRESH, ht_p.capacity[HT_SECTION_THREADS] - 1))
        t = ht_thread_ended(name, ht_p.thread_count >= HT_SLOTS_BY_NAME);
    if (!t)
        t = ht_thread_fresh();
    if (!t)
        t = ht_thread_ended(name, 1);
    if (!t)
        t = ht_thread_shared();
    if (t)
        t->tid = tid;
    ht_unlock(&ht_p.thread_lock);
    return t;
}

static struct ht_thread *ht_thread_start(void)
{
    /* A vfork's child in its parent's memory: it will be gone, and is none of this process's threads. */
    uint32_t pid = ht_sys_pid(), tid = ht_sys_tid();
    if (pid != ht_p.header->pid && !HT_FAILED((long)(int32_t)pid))
        return NULL;
    if (HT_FAILED((long)(int32_t)tid))
        tid = HT_TID_UNKNOWN;
    char name[16] = { 0 };
    ht_sys_thread_name(name);
    struct ht_thread *t = ht_thread_take(tid, name);
    if (!t)
        return NULL;
    t->last = NULL;
    t->top = t->frames;
    t->frames[0] = (struct ht_frame){ .sp = ~0ull, .fp_matters = ~0ull, .words = 1 };
    /* The sentinel of the compares: it holds its own address, which is not 0. */
    t->words[0] = (struct ht_word){ (const uint64_t *)&t->words[0].at, 0 };
    /* What the one before it was at. */
    t->operation = t->pool = t->label = 0;
    t->pool_name = NULL;
    t->other = NULL;
    t->stack_low = t->stack_high = 0;
    t->path = (struct ht_path){ NULL, HT_PATH_NONE, 0 };
    t->tick_mask = 15;
    t->tag = t->slot + 1;
    t->half_tag = t->tag < ht_tag_limit() ? ht_half_value(0, t->tag, 0) : 0;
    t->own_depth = 0;
    t->window = INT64_MAX;
    t->highest = INT64_MIN;
    if (ht_p.interval)
        ht_sampling_start(t);
    t->idle = t->ready;
    if (t->ready == HT_IDLE_SHARED) {
        t->high = t->rise = INT64_MIN;
        t->low = t->fall = INT64_MAX;
        t->sample_high = INT64_MAX;
        t->sample_low = INT64_MIN;
        return t;
    }
    if (ht_peek(&ht_p.header->multi))
        ht_peak_flush(t, t->counters->current);
    else if (t->counters->merged == 0)
        t->low = t->fall = t->sample_low = INT64_MIN;
    struct ht_file_threads *c = t->counters;
    if (c->merged == 0)
        c->start_time = ht_max(ht_sys_now(HT_CLOCK_MONOTONIC), ht_p.start) - ht_p.start;
    ht_own_set(&c->tid, tid);
    ht_own_add(&c->merged, 1u);
    ht_thread_rename(t, name);
    return t;
}

/* Now and then, often at first: the name that the thread has by now, and a sample for the timeline. When not all blocks are recorded,
 * with each that is. */
static void ht_tick_if_due(struct ht_thread *t)
{
    if (t->counters->allocations & t->tick_mask && !ht_p.interval)
        return;
    if (t->tick_mask < HT_TICK_MASK)
        t->tick_mask = t->tick_mask << 1 | 1;
    ht_pause_look();
    if (ht_sample(t) && t->ready != HT_IDLE_SHARED) {
        char name[16] = { 0 };
        ht_sys_thread_name(name);
        ht_thread_rename(t, name);
    }
}

static void ht_untracked(void)
{
    if (ht_p.header)
        ht_shared_add(&ht_p.header->untracked, 1ull);
}

/* Whether an address is in this library. A return address may lie just behind its function. */
static int ht_is_own(uint64_t pc) { return pc - 1 >= ht_own_low && pc - 1 < ht_own_high; }

/* What the stack of a call into this library says of another one, further out. */
enum ht_outer {
    HT_OUTER_UNKNOWN,     /* it could not be walked to its end */
    HT_OUTER_NONE,        /* there is none */
    HT_OUTER_CALLS,       /* there is one: it has called what called this one, or was interrupted in what it called */
    HT_OUTER_INTERRUPTED, /* there is one, interrupted in this library's own code */
};

HT_NOINLINE enum ht_outer ht_outer_call(struct ht_regs at)
{
    struct ht_step steps[2] = { { .pc = 0 } };
    struct ht_thread probe = { .idle = HT_BUSY, .steps = steps };
    uint32_t root = HT_NODE_LOST;
    int in_this_call = 1, in_handler = 0;
    ht_stack_enter(&probe, at.sp);
    for (uint32_t i = 0; i < HT_MAX_DEPTH; i++) {
        int own = ht_is_own(at.pc);
        if (own && !in_this_call)
            return in_handler ? HT_OUTER_INTERRUPTED : HT_OUTER_CALLS;
        in_this_call = in_this_call && own;
        in_handler = ht_rule_kind(ht_rule_at(at.pc)) == HT_RULE_SIGNAL;
        steps[0].key = steps[1].key;
        steps[1] = (struct ht_step){ .pc = at.pc, .sp = at.sp, .fp = at.fp };
        if (!ht_step(&probe, &steps[1], &at, &root))
            return root == HT_NODE_ROOT ? HT_OUTER_NONE : HT_OUTER_UNKNOWN;
    }
    return HT_OUTER_UNKNOWN;
}

/* Starts recording when nothing has yet, and a state for the thread. No signal handler may leave it. */
HT_NOINLINE struct ht_thread *ht_enter_first(void)
{
    struct ht_thread *t = NULL;
    uint64_t signals = ht_sys_block_signals();
    ht_inside++;
    if (ht_shared_get(&ht_p.state) == HT_STATE_NEW)
        ht_process_start();
    if (ht_shared_get(&ht_p.state) == HT_STATE_ON)
        t = ht_thread_start();
    if (!t)
        ht_untracked();
    if (t || !ht_self->kept)
        ht_self = t ? t : &ht_nobody; /* a state that is kept is the thread's again, later */
    ht_inside--;
    ht_sys_restore_signals(signals);
    return t;
}

/*
 * A hook's way in when the thread is not idle: its first call, a nested call, a process that does
 * not record, or the first call in a fork's child, whose state the kernel has zeroed. Returns the
 * thread's state when the call is to be counted.
 */
HT_NOINLINE struct ht_thread *ht_enter_slow(void)
{
    struct ht_thread *t = ht_self;
    uint32_t state = ht_shared_get(&ht_p.state);
    if (state == HT_STATE_OFF)
        return NULL;
    int has_state = state == HT_STATE_ON && t->tid != 0;
    /* A hook of this thread is under way, unless a signal handler has left it by longjmp: its frame is gone. */
    if (ht_inside || (has_state && ht_outer_call(HT_CALLER()) != HT_OUTER_NONE)) {
        ht_untracked();
        return NULL;
    }
    if (!has_state)
        return ht_enter_first();
    ht_thread_mend(t);
    t->idle = t->own_depth > 0 ? HT_IDLE_OWN : t->ready;
    return t;
}
