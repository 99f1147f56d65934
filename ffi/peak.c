/*
 * peak.c: the process's current and peak, what every call path had live at the peak, and the windows
 * in which scripts ask for a peak of their own.
 *
 * Each thread keeps its own net bytes in its counters (`current`). It calls in here only when they
 * leave [low, high], a range that it keeps for itself, so the hot path is one compare. `high` is the
 * lowest of three levels: `rise`, beyond which the process wants to know, `window`, the highest net
 * since the thread's own window began (INT64_MAX when nobody asked for one), and `sample_high`, at which a
 * sample is due (timeline.c). `low` is the higher of `fall`, as `rise`, and `sample_low`.
 *
 * While only one thread has ever allocated, the range follows it exactly. While it rises above the
 * old peak nothing is stored; the first fall after a rise raises the peak and its number, so a
 * reader that finds the present sum above `peak` knows that the peak is now.
 *
 * With several threads each adds its net change to the header's `current` when it has changed by
 * more than a batch. A sum above `peak` becomes the peak and takes the next number. The first
 * thread may be on its own rule still when the second comes; so until it has flushed for the first
 * time (`joined`, stored before that), every flush counts what it has pending, whose counters it may
 * read like any reader, and sets its range so that its next call comes in here: its own store may
 * undo that once.
 *
 * What was live at the peak: a path record that changes under a new peak number first saves its
 * live values (ht_peak_keep). One that never changed since then needs no saving. No table is copied.
 *
 * A window of the process (api.c) is one of 64 numbered slots, held by a thread while it has one open:
 * its bit in `windows_open` and its highest sum in `windows`. Every flush raises those that are open;
 * only the holder sets one back, at the window's start, by an exchange that loses no raise; a flush
 * that was under way then may still raise it to a sum of just before. The holder flushes as soon as its own rise could pass
 * the window's highest, so a window is exact while no other thread allocates.
 */
#include "heaptap.h"

#define HT_PEAK_BATCH 32768
#define HT_WINDOW_BATCH 4096 /* while somebody watches a window of the process */
#define HT_SLOT_FIRST 1u

/* Before a path record changes. Part of the hot path: while a program grows, each fall makes a new peak. */
HT_INLINE void ht_peak_keep(struct ht_file_paths *r)
{
    uint64_t number = ht_peek(&ht_p.header->peak_number);
    if (HT_LIKELY(r->peak_seen == number))
        return;
    ht_own_set(&r->peak_bytes, r->live_bytes);
    ht_own_set(&r->peak_count, (int64_t)(r->allocations - r->frees - r->moved));
    ht_own_set(&r->peak_seen, number);
    ht_signal_fence();
}

/* Makes the first thread's next rise or fall come here. */
static void ht_peak_wake_first(void)
{
    struct ht_thread *first = ht_p.by_slot[HT_SLOT_FIRST];
    if (!first || ht_peek(&first->joined))
        return;
    ht_own_set(&first->high, INT64_MIN);
    ht_own_set(&first->low, INT64_MAX);
}

/* After a change of what the range is made of. */
static void ht_peak_range(struct ht_thread *t)
{
    int64_t high = t->rise < t->window ? t->rise : t->window;
    ht_own_set(&t->high, high < t->sample_high ? high : t->sample_high);
    ht_own_set(&t->low, ht_max_signed(t->fall, t->sample_low));
}

/* What the first thread has not flushed, as seen by another, until it flushes by itself. From then on
 * its flush may be half done: in the header's current, and in what it has flushed not yet. */
static int64_t ht_peak_pending(const struct ht_thread *t)
{
    const struct ht_thread *first = ht_p.by_slot[HT_SLOT_FIRST];
    if (!first || first == t || ht_shared_get(&first->joined))
        return 0;
    return ht_peek(&first->counters->current) - ht_peek(&first->flushed);
}

static void ht_raise(int64_t *highest, int64_t level)
{
    int64_t seen = ht_peek(highest);
    while (level > seen && !ht_shared_swap(highest, &seen, level)) { }
}

/* A level of the process that may be its highest. */
static void ht_peak_raise(int64_t level)
{
    struct ht_file_header *h = ht_p.header;
    int64_t peak = ht_peek(&h->peak);
    while (level > peak)
        if (ht_shared_swap(&h->peak, &peak, level)) {
            ht_shared_add(&h->peak_number, 1u);
            break;
        }
}

/* After a flush: at which net bytes the next one is due. */
static void ht_peak_next(struct ht_thread *t, int64_t net, int64_t level)
{
    if (t->ready == HT_IDLE_SHARED)
        return;
    int64_t batch = ht_p.exact_peak ? 0 : ht_peek(&ht_p.windows_open) ? HT_WINDOW_BATCH : HT_PEAK_BATCH, room = batch;
    if (t->holds_window) {
        int64_t below = ht_peek(&ht_p.windows[t->window_slot]) - level;
        room = below < 0 ? 0 : below < batch ? below : batch;
    }
    t->rise = net + room;
    t->fall = net - batch;
    t->sample_high = INT64_MAX; /* samples go by the process's level now */
    t->sample_low = INT64_MIN;
    ht_peak_range(t);
}

static void ht_peak_flush(struct ht_thread *t, int64_t net)
{
    struct ht_file_header *h = ht_p.header;
    if (t->slot == HT_SLOT_FIRST)
        ht_shared_set(&t->joined, 1u);
    else
        ht_peak_wake_first();
    int64_t *flushed = t->ready == HT_IDLE_SHARED ? &ht_p.shared_flushed : &t->flushed;
    int64_t change = net - *flushed;
    int64_t level = ht_shared_add(&h->current, change) + change + ht_peak_pending(t);
    *flushed = net;
    ht_peak_raise(level);
    for (uint64_t open = ht_peek(&ht_p.windows_open); HT_UNLIKELY(open); open &= open - 1)
        ht_raise(&ht_p.windows[__builtin_ctzll(open)], level);
    ht_peak_next(t, net, level);
    if (HT_UNLIKELY(level > ht_peek(&ht_p.sample_high) || level < ht_peek(&ht_p.sample_low)))
        ht_sample_moved(level);
}

static void ht_peak_over(struct ht_thread *t, int64_t net)
{
    if (!ht_peek(&ht_p.header->multi)) {
        t->rise = net;
        t->fall = net;
        ht_peak_range(t);
    } else {
        ht_peak_flush(t, net);
    }
}

/* The only thread falls: the first time after a rise, that was to a new peak. Returns whether there is no more to do than that: it is
 * the only one, and no sample is due. */
HT_INLINE int ht_peak_left(struct ht_thread *t, int64_t after)
{
    if (HT_LIKELY(after <= t->fall)) {
        /* A second one may come now, and have a higher peak before this one is stored; it says so before. */
        int64_t peak = ht_shared_get(&ht_p.header->peak);
        if (HT_UNLIKELY(ht_peek(&ht_p.header->multi) || !ht_shared_swap(&ht_p.header->peak, &peak, t->rise)))
            return 0;
        ht_shared_add(&ht_p.header->peak_number, 1u);
        t->fall = INT64_MIN;
        t->low = t->sample_low;
    }
    return after > t->sample_low && after > t->low;
}

/* Before any record shows a fall of the calling thread's net bytes. */
static void ht_peak_fall(struct ht_thread *t, uint64_t bytes)
{
    int64_t before = t->counters->current, after = before - (int64_t)bytes;
    /* "Not above" in place of "below": a reallocation that moves bytes to another path without
     * changing their sum leaves the peak too, which is the first moment at that height. */
    if (after > t->low || ht_peak_left(t, after))
        return;
    if (!ht_peek(&ht_p.header->multi)) {
        ht_sample_alone(t, after);
        return;
    }
    ht_peak_flush(t, before);
    if (t->ready == HT_IDLE_SHARED || after < t->low)
        ht_peak_flush(t, after);
}

/* After every record shows a rise. */
static void ht_peak_rise(struct ht_thread *t)
{
    int64_t net = t->counters->current;
    if (net <= t->high)
        return;
    if (net > t->window) {
        t->window = net;
        ht_peak_range(t);
    }
    /* The first thread's high may say that it is to join the others. */
    if (net > t->rise || (t->slot == HT_SLOT_FIRST && !t->joined && ht_peek(&ht_p.header->multi)))
        ht_peak_over(t, net);
    if (net > t->sample_high)
        ht_sample_alone(t, net);
}
