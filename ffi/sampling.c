/*
 * sampling.c: which blocks are recorded when not all are.
 *
 * By bytes, as a Poisson process: between two samples of a thread lies an exponentially distributed number of bytes, whose mean is
 * the interval R. So a block of s bytes is recorded with the probability p = 1 - exp(-(s + 1) / R), whatever came before it, and
 * stands for 1 / p blocks and s / p bytes (`ht_weight`): sums of these are unbiased. (A block counts for one byte more than
 * it asks for: so empty ones are met too.) Path records hold them, counts in 1024ths; the reader works out by how much they may be off.
 * What each thread allocated and freed stays counted one by one.
 *
 * No floating point: the program's vector registers are not ours. Everything here is good to 1 part in 2^14.
 *
 * The shadow would have a page for each sample. Sampled blocks are in a table of their own instead, by address, open
 * addressing, a third to two thirds full, under `sampled_lock`; that is taken once a sample and once at its end. That a block is
 * *not* among them is found out without it: `sampled_bits` has a bit for each address modulo 4 MiB (in units of 16 bytes), set
 * while a sampled block has that place; where one is set, `sampled_marks` has a mark of the one block there, or says that there
 * are several. Bits and marks are written under the lock. Who frees a block has got its address from who allocated it,
 * after the bit was set; a bit of another block's that comes or goes meanwhile says nothing about this one. So the hot path of
 * free reads one word, 64 blocks' neighbour to what it is about to touch.
 *
 * With an interval beyond all bytes nothing is ever recorded: HT_MODE_TOTALS.
 */
#include "heaptap.h"

#define HT_SAMPLED_FIRST 256u /* places in the table at first */
#define HT_WEIGHT_ONE 1024u
#define HT_TICK_BYTES (1ull << 20) /* between looks at clock, name and pauses, at most */
#define HT_RANDOM_STEP 0x2545f4914f6cdd1dull
#define HT_LN_2 2977044472u  /* times 2^32 */
#define HT_LOG2_E 6196328019ull

struct ht_sampled {
    uint64_t block; /* 0: never used since the table was made */
    uint64_t size;
    uint32_t bucket, slot;
};
#define HT_SAMPLED_GONE 1ull

/* Some bits of an address that those of its place do not tell, never 0. */
static uint16_t ht_sampled_mark(uint64_t block) { return (uint16_t)(block >> 22 ^ block >> 38) | 1; }
HT_INLINE uint32_t ht_sampled_place(uint64_t block) { return (uint32_t)(block >> 4) % HT_SAMPLED_PLACES; }

/* Whether a block may be a sampled one. */
HT_INLINE int ht_is_sampled(const void *block)
{
    uint32_t place = ht_sampled_place((uint64_t)block);
    return HT_UNLIKELY(ht_peek(&ht_p.sampled_bits[place / 64]) >> place % 64 & 1);
}

/* The same with the mark. */
static int ht_may_be_sampled(const void *block)
{
    uint32_t mark = ht_peek(&ht_p.sampled_marks[ht_sampled_place((uint64_t)block)]);
    return ht_is_sampled(block) && (mark >> 16 > 1 || (uint16_t)mark == ht_sampled_mark((uint64_t)block));
}

/* A block comes to its place, or leaves it: how many are there in the upper half, their marks, each exclusive or, in the lower. */
static void ht_sampled_note(uint64_t block, int comes)
{
    uint32_t place = ht_sampled_place(block), *mark = &ht_p.sampled_marks[place];
    uint32_t now = (*mark ^ ht_sampled_mark(block)) + (comes ? 1u << 16 : -(1u << 16));
    uint64_t *bits = &ht_p.sampled_bits[place / 64], bit = (uint64_t)1 << place % 64;
    ht_own_set(mark, now);
    if (comes)
        ht_shared_or(bits, bit);
    else if (now >> 16 == 0)
        ht_shared_and(bits, ~bit);
}

/* Where a block is in the table, or where it may go: a place that is empty, or that one is gone from; under the lock. */
static struct ht_sampled *ht_sampled_find(uint64_t block)
{
    uint32_t i = (uint32_t)(block * 0x9e3779b97f4a7c15ull >> 32);
    for (struct ht_sampled *gone = NULL;; i++) {
        struct ht_sampled *s = &ht_p.sampled[i & (ht_p.sampled_capacity - 1)];
        if (s->block == block)
            return s;
        if (s->block == 0)
            return gone ? gone : s;
        if (s->block == HT_SAMPLED_GONE && !gone)
            gone = s;
    }
}

/* Makes the table anew, without those that are gone, when it is two thirds full. 0 when there is no memory for it: places that some are
 * gone from serve again then, as long as one is empty to stop at. */
static int ht_sampled_room(void)
{
    if (3 * (ht_p.sampled_used + 1) <= 2 * ht_p.sampled_capacity)
        return 1;
    struct ht_sampled *old = ht_p.sampled;
    uint32_t capacity = ht_p.sampled_capacity, fits = HT_SAMPLED_FIRST;
    while (fits < 3 * (ht_p.sampled_live + 1))
        fits *= 2;
    struct ht_sampled *fresh = ht_sys_map(fits * sizeof *fresh);
    if (!fresh)
        return ht_p.sampled_used + 1 < capacity;
    ht_sys_not_inherited(fresh, fits * sizeof *fresh);
    ht_p.sampled = fresh;
    ht_p.sampled_capacity = fits;
    ht_p.sampled_used = ht_p.sampled_live;
    for (uint32_t i = 0; i < capacity; i++)
        if (old[i].block > HT_SAMPLED_GONE)
            *ht_sampled_find(old[i].block) = old[i];
    if (old)
        ht_sys_unmap(old, capacity * sizeof *old);
    return 1;
}

/* Puts a block in. One that is there already has ended unseen: it is returned. *put is 0 when there was no memory. */
static struct ht_block ht_sampled_put(const void *block, uint32_t bucket, uint32_t slot, uint64_t size, int *put)
{
    struct ht_block lost = { .kind = HT_BLOCK_UNKNOWN };
    ht_lock(&ht_p.sampled_lock);
    *put = ht_sampled_room();
    if (*put) {
        struct ht_sampled *s = ht_sampled_find((uint64_t)block);
        if (s->block == (uint64_t)block) {
            lost = (struct ht_block){ s->size, s->bucket, s->slot, HT_BLOCK_COUNTED, { 0, 0 } };
        } else {
            ht_p.sampled_used += s->block == 0;
            ht_p.sampled_live++;
            ht_sampled_note((uint64_t)block, 1);
        }
        *s = (struct ht_sampled){ (uint64_t)block, size, bucket, slot };
    }
    ht_unlock(&ht_p.sampled_lock);
    return lost;
}

/* What is known of a block; with `take` it is out of the table then. */
static struct ht_block ht_sampled_block(const void *block, int take)
{
    struct ht_block b = { .kind = HT_BLOCK_UNKNOWN };
    if (!block || !ht_may_be_sampled(block))
        return b;
    ht_lock(&ht_p.sampled_lock);
    struct ht_sampled *s = ht_p.sampled_capacity ? ht_sampled_find((uint64_t)block) : NULL;
    if (s && s->block == (uint64_t)block) {
        b = (struct ht_block){ s->size, s->bucket, s->slot, HT_BLOCK_COUNTED, { 0, 0 } };
        if (take) {
            s->block = HT_SAMPLED_GONE;
            ht_p.sampled_live--;
            ht_sampled_note((uint64_t)block, 0);
        }
    }
    ht_unlock(&ht_p.sampled_lock);
    return b;
}

/* A thread's next random number, not 0. */
static uint64_t ht_random(struct ht_thread *t)
{
    t->random ^= t->random >> 12;
    t->random ^= t->random << 25;
    t->random ^= t->random >> 27;
    return (t->random * HT_RANDOM_STEP) | 1;
}

/* a * b / 2^32, for results below 2^64. */
static uint64_t ht_times(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 32); }

/* Bytes until the next sample: -ln(u) * R, u in (0, 1]. */
static int64_t ht_until_next(struct ht_thread *t)
{
    if (ht_p.mode == HT_MODE_TOTALS)
        return (int64_t)HT_INTERVAL_NEVER;
    /* log2 of u: the whole part is where its highest bit is, the rest comes bit by bit out of squares. */
    uint64_t u = ht_random(t), whole = (uint64_t)__builtin_clzl(u), m = u << whole >> 32, rest = 0;
    for (uint64_t bit = 1ull << 31; bit > 1ull << 8; bit >>= 1) {
        m = m * m >> 31; /* m is in [1, 2), times 2^31 */
        if (m >> 32) {
            m >>= 1;
            rest |= bit;
        }
    }
    uint64_t log = ((whole + 1) << 32) - rest;
    return (int64_t)ht_times(ht_times(log, HT_LN_2), ht_p.interval);
}

/* The next sample is drawn. Looks at clock, name and pauses come in between, when it is far. */
static void ht_until_set(struct ht_thread *t)
{
    int64_t next = ht_until_next(t);
    t->until = (int64_t)ht_min((uint64_t)next, HT_TICK_BYTES);
    t->beyond = next - t->until;
}

static void ht_sampling_start(struct ht_thread *t)
{
    /* Threads differ; so do runs, unless HEAPTAP_SEED says which. */
    uint64_t seed = ht_p.seed ? ht_p.seed : ht_sys_now(HT_CLOCK_MONOTONIC) ^ (uint64_t)ht_p.header->pid << 40;
    t->random = ((seed + t->slot) * 0x9e3779b97f4a7c15ull) | 1;
    for (int i = 0; i < 4; i++)
        ht_random(t);
    ht_until_set(t);
}

/* exp(-x), x and result times 2^24 and 2^32. */
static uint64_t ht_exp_minus(uint64_t x)
{
    /* 2 to the power of -1/2, -1/4 ... -1/2^24, times 2^32. */
    static const uint32_t roots[24] = {
        3037000500u, 3611622603u, 3938502376u, 4112874773u, 4202935003u, 4248701965u, 4271771996u, 4283353945u,
        4289156690u, 4292061010u, 4293513907u, 4294240540u, 4294603903u, 4294785595u, 4294876445u, 4294921870u,
        4294944583u, 4294955939u, 4294961618u, 4294964457u, 4294965876u, 4294966586u, 4294966941u, 4294967119u
    };
    uint64_t y = ht_times(x, HT_LOG2_E), power = 1ull << 32;
    for (int i = 0; i < 24; i++)
        if (y >> (23 - i) & 1)
            power = power * roots[i] >> 32;
    return y >> 24 < 64 ? power >> (y >> 24) : 0;
}

/* What a block stands for. */
struct ht_weight {
    uint64_t count; /* blocks, in 1024ths when not all are recorded */
    uint64_t bytes;
};

static struct ht_weight ht_weight_sampled(uint64_t size)
{
    uint64_t interval = ht_p.interval, s = size + 1;
    if (s / 45 >= interval)
        return (struct ht_weight){ HT_WEIGHT_ONE, size };
    if (s < interval / 64) {
        /* 1 / (1 - exp(-x)) = 1 / x + 1 / 2 + x / 12 - ... */
        uint64_t twice = 2 * interval + s;
        return (struct ht_weight){ (HT_WEIGHT_ONE * twice + s) / (2 * s), (size * twice + s) / (2 * s) };
    }
    uint64_t p = (1ull << 32) - ht_exp_minus((s << 24) / interval);
    return (struct ht_weight){ (((uint64_t)HT_WEIGHT_ONE << 32) + p / 2) / p, (size << 20) / (p >> 12) };
}

HT_INLINE int ht_is_sampling(void) { return HT_UNLIKELY(ht_p.interval); }
HT_INLINE struct ht_weight ht_weight(uint64_t size)
{
    return ht_is_sampling() ? ht_weight_sampled(size) : (struct ht_weight){ 1, size };
}

/* The part of what a block stands for that is `part` of `whole`, its size. */
static uint64_t ht_part(uint64_t bytes, uint64_t part, uint64_t whole)
{
    return part >= whole ? bytes : (uint64_t)((unsigned __int128)bytes * ((part << 20) / whole) >> 20);
}

/*
 * The variance that a sample adds to the number of blocks of its path: (1 - p) / p^2, which is w * (w - 1). Sums of it may be
 * larger than a word: a number below 2^52 in the lower bits, and in the others by what power of two it is to be multiplied. In 2^20ths.
 */
static uint64_t ht_variance_add(uint64_t sum, uint64_t count)
{
    unsigned __int128 more = (unsigned __int128)count * (count - HT_WEIGHT_ONE);
    uint64_t number = sum & ((1ull << 52) - 1), power = sum >> 52;
    more = (power < 120 ? more >> power : 0) + number;
    for (; more >> 52; power++)
        more >>= 1;
    return power << 52 | (uint64_t)more;
}
