/*
 * timeline.c: how much was live when, a row of steps.
 *
 * A sample is due when the level, what is live, has left [sample_low, sample_high], the last sample's level and a hundredth of the
 * peak to either side (64 KiB at least): every flush compares that (peak.c). The only thread of a process that has one flushes
 * nothing; it has the same range of its own, in net bytes. A sample is also due by time, at the looks that a thread takes at the clock.
 *
 * The samples of a moment, a 4096th of the run so far, are one: what follows the first is noted in the header (`folded`), which any thread
 * may write, last and highest level each by one store, and goes into the sample when the next is made. So what a moment ends with and
 * its highest level are kept, and levels that go up and down a million times a second cost a look at the clock each.
 *
 * Samples are made, and the ring is thinned when it is full, under timeline_lock, by whoever finds it free. A reader may meet the ring
 * while it is thinned: times that go back tell it.
 *
 * In a process whose script has us record, nobody looks on from outside: there each sample has a reading of the resident set, at the same
 * place of its section and under the same lock. One costs some microseconds and a descriptor for a moment, so that readings are a
 * millisecond apart at least, and samples in between have the one before.
 */
#include "heaptap.h"

#define HT_SAMPLE_INTERVAL 1000000u /* nanoseconds between samples by time, at first; later a 256th of the run so far */
#define HT_MOMENT 2000u /* nanoseconds of a moment, at least */
#define HT_READING_APART 1000000u /* nanoseconds between readings of the resident set, at least; later a 1024th of the run so far */
#define HT_STEP 65536 /* bytes of a move that is worth a sample, at least */

/* Present current as far as this thread can tell without adding up all records. */
static int64_t ht_current(struct ht_thread *t)
{
    int64_t current = ht_peek(&ht_p.header->current) + ht_peak_pending(t);
    return t->ready == HT_IDLE_SHARED ? current : current + t->counters->current - t->flushed;
}

/* What a sample says of the time up to the next one is complete now. */
static void ht_sample_close(struct ht_file_timeline *last, uint32_t number)
{
    struct ht_file_header *h = ht_p.header;
    int64_t highest = ht_max_signed(ht_max_signed(last->highest, last->current), ht_shared_exchange(&h->folded_highest, (int64_t)0));
    if (number != ht_p.sample_peak)
        highest = ht_max_signed(highest, ht_peek(&h->peak));
    if (ht_shared_exchange(&h->folded, 0u))
        ht_own_set(&last->current, ht_peek(&h->folded_level));
    ht_own_set(&last->highest, highest > last->current ? highest : 0);
}

static int64_t ht_sample_top(const struct ht_file_timeline *s) { return s->highest ? s->highest : s->current; }

/* What a picture would lose with a sample: 65536ths of its time and of the highest level. */
static uint64_t ht_sample_says(const struct ht_file_timeline *s, uint64_t run, uint64_t highest)
{
    uint32_t unit = 0; /* of time and of levels, so that nothing overflows */
    while (run >> unit >> 40 || highest >> unit >> 40)
        unit++;
    int64_t move = s[0].current - s[-1].current;
    uint64_t size = ht_min((uint64_t)(move < 0 ? -move : move), highest), time = ht_min(s[1].time - s[-1].time, run);
    return (time >> unit << 16) / ((run >> unit) + 1) + (size >> unit << 16) / ((highest >> unit) + 1);
}

/* Drops a quarter of a full ring: samples that say least, no two neighbours at a time. Their highest levels go into those before.
 * No sample says more than 2^18, so that this comes to an end. */
static uint32_t ht_timeline_thin(uint32_t used, uint64_t now)
{
    struct ht_file_timeline *s = ht_p.timeline;
    uint32_t keep = used / 4 * 3;
    int64_t highest = 0;
    for (uint32_t i = 0; i < used; i++)
        highest = ht_max_signed(highest, ht_sample_top(&s[i]));
    for (uint64_t least = 16; used > keep; least *= 2) {
        uint32_t to = 1, dropped = 0, left = used;
        for (uint32_t i = 1; i < used; i++) {
            int drop = !dropped && left > keep && i + 1 < used && ht_sample_says(&s[i], now, (uint64_t)highest) < least;
            dropped = (uint32_t)drop;
            if (!drop) {
                s[to++] = s[i];
                continue;
            }
            left--;
            if (ht_sample_top(&s[i]) > ht_sample_top(&s[to - 1]))
                s[to - 1].highest = ht_sample_top(&s[i]);
        }
        used = to;
    }
    return used;
}

/* Readings stay with the samples that have stayed, which have their times. */
HT_NOINLINE void ht_readings_thin(uint32_t used)
{
    uint32_t from = 0;
    for (uint32_t to = 0; to < used; to++) {
        while (from + 1 < ht_p.header->resident_used && ht_p.readings[from].time < ht_p.timeline[to].time)
            from++;
        ht_p.readings[to] = ht_p.readings[from];
    }
    ht_shared_set(&ht_p.header->resident_used, used);
}

/* What is resident, beside the sample of this number. */
HT_NOINLINE void ht_reading_put(uint32_t number, uint64_t now)
{
    struct ht_file_header *h = ht_p.header;
    if (!ht_p.readings)
        return;
    if (!ht_file_reserve(HT_SECTION_RESIDENT, (number + 1ull) * sizeof *ht_p.readings)) {
        ht_p.readings = NULL; /* those that are there keep their times */
        return;
    }
    if (now >= ht_p.reading_due) {
        ht_p.resident = ht_sys_resident();
        ht_p.reading_due = now + ht_max(now >> 10, HT_READING_APART);
        ht_own_set(&h->highest_resident, ht_max(h->highest_resident, ht_p.resident));
    }
    ht_p.readings[number] = (struct ht_file_resident){ now, ht_p.resident, HT_UNKNOWN };
    ht_shared_set(&h->resident_used, number + 1);
}

/* Adds a sample, unless somebody else is about to or there is no room. */
static int ht_sample_put(uint64_t now, int64_t level)
{
    struct ht_file_header *h = ht_p.header;
    if (!ht_try_lock(&ht_p.timeline_lock))
        return 0;
    uint32_t used = h->timeline_used, capacity = ht_p.capacity[HT_SECTION_TIMELINE];
    int room = ht_file_reserve(HT_SECTION_TIMELINE, ht_min(used + 1ull, capacity) * sizeof *ht_p.timeline);
    if (room) {
        uint32_t number = ht_shared_get(&h->peak_number); /* before the peak is read: one that comes now is the next sample's */
        if (used > 0) {
            now = ht_max(now, ht_p.timeline[used - 1].time);
            ht_sample_close(&ht_p.timeline[used - 1], number);
        }
        if (used == capacity) {
            used = ht_timeline_thin(used, now);
            ht_shared_set(&h->timeline_used, used);
            if (ht_p.readings)
                ht_readings_thin(used);
            ht_own_add(&h->timeline_thinned, 1u);
        }
        uint64_t allocations = 0;
        uint32_t threads = ht_peek(&h->threads_used);
        for (uint32_t i = 0; i < threads && i < 64; i++)
            allocations += ht_peek(&ht_p.threads[i].allocations);
        ht_p.sample_peak = number;
        ht_p.timeline[used] = (struct ht_file_timeline){ now, level, allocations, 0 };
        ht_shared_set(&h->timeline_used, used + 1);
        ht_reading_put(used, now);
        ht_own_set(&ht_p.sample_due, now + ht_max(now >> 8, HT_SAMPLE_INTERVAL));
        ht_own_set(&ht_p.moment_end, now + ht_max(now >> 12, HT_MOMENT));
    }
    ht_unlock(&ht_p.timeline_lock);
    return room;
}

/* How far the level may go from a sample. */
static int64_t ht_sample_range(int64_t level)
{
    int64_t step = ht_max_signed(ht_max_signed(ht_peek(&ht_p.header->peak), level) / 100, HT_STEP);
    ht_own_set(&ht_p.sample_high, level + step);
    ht_own_set(&ht_p.sample_low, level - step);
    return step;
}

/* The level has left the range. */
static void ht_sample_moved(int64_t level)
{
    ht_sample_range(level);
    uint64_t clock = ht_sys_now(HT_CLOCK_MONOTONIC), now = clock - ht_p.start;
    if (clock && now >= ht_peek(&ht_p.moment_end) && ht_sample_put(now, level))
        return;
    ht_own_set(&ht_p.header->folded_level, level);
    ht_raise(&ht_p.header->folded_highest, level);
    ht_shared_set(&ht_p.header->folded, 1u);
}

/* The range of the only thread, from what its net bytes are. */
static void ht_sample_alone_range(struct ht_thread *t, int64_t net, int64_t step)
{
    t->sample_high = net + step;
    t->sample_low = net - step;
    ht_peak_range(t);
}

/* The net bytes of the only thread leave its range, or are about to. Out of line: in its callers it would cost every pair of calls registers. */
HT_NOINLINE void ht_sample_alone(struct ht_thread *t, int64_t net)
{
    int64_t level = ht_current(t) + net - t->counters->current;
    ht_sample_moved(level);
    ht_sample_alone_range(t, net, ht_p.sample_high - level);
}

/* A sample by time, when it is due; whether one was made. */
static int ht_sample(struct ht_thread *t)
{
    uint64_t clock = ht_sys_now(HT_CLOCK_MONOTONIC), now = clock - ht_p.start;
    int64_t level = ht_current(t);
    if (!clock || now < ht_peek(&ht_p.sample_due) || !ht_sample_put(now, level))
        return 0;
    int64_t step = ht_sample_range(level);
    if (t->slot == HT_SLOT_FIRST && !t->joined && !ht_peek(&ht_p.header->multi))
        ht_sample_alone_range(t, t->counters->current, step);
    return 1;
}

/* A sample of now, for whoever is about to read. */
static void ht_sample_now(struct ht_thread *t)
{
    uint64_t clock = ht_sys_now(HT_CLOCK_MONOTONIC), now = clock - ht_p.start;
    if (clock && now >= ht_peek(&ht_p.moment_end))
        ht_sample_put(now, ht_current(t));
}
