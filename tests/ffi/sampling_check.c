/*
 * sampling_check SEED: what ffi/sampling.c works out without floating point, against long double; which blocks it says are sampled,
 * against an array. Ends with 1 and a line at the first that differs.
 */
#include "../../ffi/all.c"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;
static uint64_t pick(uint64_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 11) % n;
}

#define CHECK(ok, ...)                                                                             \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static const uint64_t intervals[] = { 64, 1000, 4096, 65536, 524288, 10000000, 1ull << 30 };

/* What a block stands for, and the variance that comes of it. */
static void weights(void)
{
    for (uint32_t i = 0; i < HT_COUNT(intervals); i++) {
        ht_p.interval = intervals[i];
        long double variance = 0;
        uint64_t sum = 0;
        for (int n = 0; n < 200000; n++) {
            uint64_t size = n < 100000 ? (uint64_t)n : pick((uint64_t)1 << (1 + pick(36)));
            long double p = -expm1l(-(long double)(size + 1) / (long double)ht_p.interval), count = 1 / p, bytes = (long double)size / p;
            struct ht_weight w = ht_weight(size);
            CHECK(fabsl((long double)w.count / HT_WEIGHT_ONE - count) <= count / 8000 + 0.0006L, "%lu of %lu: %lu blocks, not %Lf", size, ht_p.interval,
                w.count, count * HT_WEIGHT_ONE);
            CHECK(fabsl((long double)w.bytes - bytes) <= bytes / 8000 + 1, "%lu of %lu: %lu bytes, not %Lf", size, ht_p.interval, w.bytes, bytes);
            /* What goes in comes out again. */
            uint64_t part = pick(size + 1);
            CHECK(size == 0 || fabsl((long double)ht_part(w.bytes, part, size) - (long double)w.bytes * part / size) <= bytes / 8000 + 1, "a part");
            sum = ht_variance_add(sum, w.count);
            variance += (long double)w.count * (long double)(w.count - HT_WEIGHT_ONE);
        }
        long double said = ldexpl((long double)(sum & ((1ull << 52) - 1)), (int)(sum >> 52));
        CHECK(fabsl(said - variance) <= variance / 1e6L, "a variance of %Lf, not %Lf", said, variance);
    }
}

/* Bytes between samples: their mean, and how often they are less than a tenth, the half, twice the mean and five times. */
static void draws(uint64_t seed)
{
    static const double bounds[] = { 0.1, 0.5, 1, 2, 5 };
    enum { N = 400000 };
    for (uint32_t i = 1; i < HT_COUNT(intervals); i++) {
        struct ht_thread t = { .slot = i };
        uint64_t below[HT_COUNT(bounds)] = { 0 };
        double sum = 0;
        ht_p.interval = intervals[i];
        ht_p.seed = seed;
        ht_p.mode = HT_MODE_PATHS;
        ht_sampling_start(&t);
        for (int n = 0; n < N; n++) {
            int64_t bytes = ht_until_next(&t);
            CHECK(bytes >= 0, "%ld bytes", bytes);
            sum += (double)bytes;
            for (uint32_t b = 0; b < HT_COUNT(bounds); b++)
                below[b] += (double)bytes < bounds[b] * (double)ht_p.interval;
        }
        /* Five times the deviation that chance has. */
        double mean = sum / N / (double)ht_p.interval;
        CHECK(fabs(mean - 1) < 5 / sqrt(N) + 1.0 / (double)ht_p.interval, "a mean of %f intervals", mean);
        for (uint32_t b = 0; b < HT_COUNT(bounds); b++) {
            double p = 1 - exp(-bounds[b]), is = (double)below[b] / N;
            CHECK(fabs(is - p) < 5 * sqrt(p * (1 - p) / N) + 1.0 / (double)ht_p.interval, "%f below %f intervals, not %f", is, bounds[b], p);
        }
    }
}

/* Random blocks come and go, many of them at places that others have too. */
static void table(void)
{
    enum { BLOCKS = 6000 };
    static uint64_t blocks[BLOCKS];
    static uint32_t there[BLOCKS];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = i % 3 ? 0x7f0000000010 + 0x1000 * pick(1u << 20) : i % 2 ? blocks[i - 1] + (1u << 22) : 0x555500000000 + 16 * pick(1u << 22);
    for (int i = 0; i < BLOCKS; i++)
        for (int j = 0; j < i; j++)
            if (blocks[j] == blocks[i]) {
                blocks[i] = 0x600000000000 + 16 * (uint64_t)i;
                j = -1;
            }
    ht_p.interval = 1000;
    ht_p.sampled_marks = ht_sys_map(HT_SAMPLED_PLACES * sizeof *ht_p.sampled_marks);
    uint32_t live = 0;
    for (long n = 0; n < 400000; n++) {
        /* Full, then nearly empty, and again. */
        uint32_t i = (uint32_t)pick(n / 50000 % 2 ? BLOCKS / 20 : BLOCKS);
        const void *block = (const void *)blocks[i];
        struct ht_block b = ht_shadow_block(block, there[i] ? (int)pick(2) : 1);
        CHECK((b.kind == HT_BLOCK_COUNTED) == (there[i] > 0), "step %ld: block %u is %u", n, i, b.kind);
        CHECK(!there[i] || (b.size == there[i] && b.bucket == i && b.slot == i % 7), "step %ld: block %u has %lu bytes", n, i, b.size);
        ht_shadow_block(block, 1);
        live -= there[i] > 0;
        there[i] = 0;
        CHECK(ht_shadow_block(block, 0).kind == HT_BLOCK_UNKNOWN, "step %ld: block %u is there still", n, i);
        if (n / 50000 % 2 == 0 || pick(3) == 0) {
            int put;
            there[i] = 1 + (uint32_t)pick(1000000);
            CHECK(ht_sampled_put(block, i, i % 7, there[i], &put).kind == HT_BLOCK_UNKNOWN && put, "step %ld: block %u was there", n, i);
            live++;
        }
        CHECK(ht_p.sampled_live == live && ht_p.sampled_used >= live && ht_p.sampled_capacity >= live, "step %ld: %u, not %u", n, ht_p.sampled_live, live);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (there[i])
            ht_shadow_block((const void *)blocks[i], 1);
    for (uint32_t i = 0; i < HT_SAMPLED_PLACES; i++)
        CHECK(ht_p.sampled_marks[i] == 0 && !(ht_p.sampled_bits[i / 64] >> i % 64 & 1), "place %u has a mark, and no block", i);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    state = seed;
    weights();
    draws(seed);
    table();
    printf("seed %lu\n", seed);
    return 0;
}
