/*
 * lifetimes.c: how long blocks lived, beside the path records (`lifetimes` of docs/FORMAT.md).
 *
 * A block is born when its allocation is counted, as the process's n-th, at a time; both stand in the shadow with it (shadow.c).
 * It ends when its end is counted, before the real function gives the address back; one whose end passed by the hooks when its
 * address comes back. A reallocation leaves it its birth, whether it moves or not: it goes on, with the path that it goes to.
 * Blocks from before the recording, or before the fork, have no birth here, and neither have those that were not counted.
 *
 * What a record has is written by the page's thread, as all else of it. `live` and what follows are differences, as `live_bytes` is:
 * the thread that ends a block takes from its own page what another one's has.
 *
 * Threads are HT_IDLE_GENERAL while this is kept: hot forms know nothing of it.
 */
#include "heaptap.h"

/* The next allocation of the process: reallocations are among them. */
static uint64_t ht_birth_number(void) { return ht_shared_add(&ht_p.allocations, 1ull) + 1; }

/* Of a block that is given out now; none where the clock is not to be asked (seccomp.c), or lifetimes are not kept. */
static struct ht_birth ht_birth_now(void)
{
    struct ht_birth born = { 0, 0 };
    if (!ht_p.lifetimes_kept)
        return born;
    born.number = ht_birth_number();
    born.time = ht_sys_now(HT_CLOCK_MONOTONIC);
    return born.time ? born : (struct ht_birth){ 0, 0 };
}

static uint64_t ht_microseconds(uint64_t time) { return (time - ht_p.start) / 1000; }

/* A block comes to a call path (`by` 1), or leaves it (-1). */
static void ht_lifetime_live(const struct ht_file_paths *record, struct ht_birth born, int64_t by)
{
    if (!born.number)
        return;
    struct ht_file_lifetimes *l = &ht_p.lifetimes[record - ht_p.paths];
    ht_own_add(&l->live, by);
    ht_own_add(&l->born_time, by * (int64_t)ht_microseconds(born.time));
    ht_own_add(&l->born_allocations, by * (int64_t)born.number);
}

/* The class of a lifetime: 0 of 0, 1 of 1, 2 of 2 and 3, 3 of 4 to 7 ... */
static uint32_t ht_lifetime_class(uint64_t n)
{
    uint32_t bits = n ? 64 - (uint32_t)__builtin_clzl(n) : 0;
    return bits < HT_LIFETIME_CLASSES ? bits : HT_LIFETIME_CLASSES - 1;
}

/* A block of a call path ends. Microseconds are taken off whole ones, so that sums of many short lifetimes are right on average. */
static void ht_lifetime_end(const struct ht_file_paths *record, struct ht_birth born)
{
    ht_lifetime_live(record, born, -1);
    uint64_t now = born.number ? ht_sys_now(HT_CLOCK_MONOTONIC) : 0;
    if (!now)
        return;
    struct ht_file_lifetimes *l = &ht_p.lifetimes[record - ht_p.paths];
    uint64_t allocations = ht_peek(&ht_p.allocations) - born.number;
    ht_own_add(&l->time, ht_microseconds(now) - ht_microseconds(born.time));
    ht_own_add(&l->allocations, allocations);
    ht_own_add(&l->by_time[ht_lifetime_class((now - born.time) / 1000)], 1);
    ht_own_add(&l->by_allocations[ht_lifetime_class(allocations)], 1);
}
