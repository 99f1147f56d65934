/*
 * shadow.c: whose block is this? From a block's address to its call path, thread and size.
 *
 * Two levels. The first has one pointer per 64 MiB of address space; the second, mapped when a
 * block first falls into it, one word per 32 bytes:
 *     bits 0..31 size, 32..51 call path, 52..63 thread slot + 1
 * A block of 4 GiB and more has HT_SLOT_LARGE for its slot; slot and size stand in the next two
 * words, which are its own too.
 * 0 is "no block that we know", a word without a slot one that is not counted (count.c). No two live
 * blocks share a word: glibc's blocks span 32 bytes, for other allocators requests are rounded up to
 * that (real.c).
 *
 * Who writes: the thread that owns the block at that moment; between a free and the next malloc of
 * an address the allocator below orders the two, in ways of its own that no tool need see: words are
 * read and written whole. First-level pointers are set once, by
 * compare-and-swap. Nothing is locked, hashed or moved.
 */
#include "heaptap.h"

#define HT_LEAF_BITS 26
#define HT_GRANULE_BITS 5
#define HT_LEAF_SIZE ((size_t)8 << (HT_LEAF_BITS - HT_GRANULE_BITS))
#define HT_LEAVES ((size_t)1 << (HT_ADDRESS_BITS - HT_LEAF_BITS))

/* Anonymous pages of the library's own; zeroed in a fork's child (process.c). */
static uint64_t *ht_leaves[HT_LEAVES] __attribute__((aligned(65536)));

/* Signals wait: a handler's fork gives its child the leaves that are known (process.c), not one that is half made. */
HT_NOINLINE uint64_t *ht_leaf_map(uint64_t number)
{
    if (number >= HT_LEAVES)
        return NULL;
    uint64_t signals = ht_sys_block_signals(), *leaf = ht_sys_map(HT_LEAF_SIZE), *expected = NULL;
    if (leaf) {
        ht_sys_not_inherited(leaf, HT_LEAF_SIZE);
        /* NULL lies in the first one, and is never a block: it must not look like a free place. */
        if (number == 0)
            leaf[0] = 1; /* HT_SHADOW_UNCOUNTED */
        if (!ht_shared_swap(&ht_leaves[number], &expected, leaf)) {
            ht_sys_unmap(leaf, HT_LEAF_SIZE);
            leaf = expected;
        }
    }
    ht_sys_restore_signals(signals);
    return leaf;
}

HT_INLINE uint64_t *ht_word_in(uint64_t *leaf, uint64_t address)
{
    return &leaf[address >> HT_GRANULE_BITS & (((uint64_t)1 << (HT_LEAF_BITS - HT_GRANULE_BITS)) - 1)];
}

/* The word of an address, NULL where no block was ever recorded. */
HT_INLINE uint64_t *ht_shadow_find(const void *block)
{
    uint64_t address = (uint64_t)block;
    uint64_t number = address >> HT_LEAF_BITS;
    uint64_t *leaf = HT_LIKELY(number < HT_LEAVES) ? ht_shared_get(&ht_leaves[number]) : NULL;
    return HT_LIKELY(leaf) ? ht_word_in(leaf, address) : NULL;
}

/* The word of an address, made when needed; NULL when there is no memory for it. */
static uint64_t *ht_shadow_word(const void *block)
{
    uint64_t *word = ht_shadow_find(block);
    if (word)
        return word;
    uint64_t *leaf = ht_leaf_map((uint64_t)block >> HT_LEAF_BITS);
    return leaf ? ht_word_in(leaf, (uint64_t)block) : NULL;
}

struct ht_block {
    uint64_t size;
    uint32_t bucket, slot;
};

/* A block that is not counted: known, and nobody's. Its end is no unknown one. */
#define HT_SHADOW_UNCOUNTED 1ull

#define HT_SIZE_LARGE (1ull << 32)
#define HT_SLOT_LARGE 0xfffu

HT_INLINE uint64_t ht_shadow_value(uint32_t bucket, uint64_t tag, uint64_t size) { return tag << 52 | (uint64_t)bucket << 32 | size; }
HT_INLINE uint64_t ht_shadow_tag(uint64_t value) { return value >> 52; }
static int ht_is_uncounted(uint64_t value) { return value != 0 && ht_shadow_tag(value) == 0; }
HT_INLINE uint32_t ht_shadow_bucket(uint64_t value) { return (uint32_t)(value >> 32) & 0xfffff; }
HT_INLINE uint64_t ht_shadow_size(uint64_t value) { return value & 0xffffffff; }

static uint64_t *ht_large_word(const void *block, uint32_t i)
{
    return ht_shadow_word((const char *)block + ((size_t)i << HT_GRANULE_BITS));
}

static void ht_shadow_put(uint64_t *word, const void *block, uint32_t bucket, uint64_t tag, uint64_t size)
{
    if (HT_UNLIKELY(size >= HT_SIZE_LARGE)) {
        uint64_t *slot_at = ht_large_word(block, 1), *size_at = ht_large_word(block, 2);
        if (!slot_at || !size_at)
            return;
        ht_own_set(slot_at, tag);
        ht_own_set(size_at, size);
        tag = HT_SLOT_LARGE;
        size = 0;
    }
    ht_own_set(word, ht_shadow_value(bucket, tag, size));
}

/* What a word said; takes a large block's other words out. */
static struct ht_block ht_shadow_block(uint64_t value, const void *block)
{
    struct ht_block b = { ht_shadow_size(value), ht_shadow_bucket(value), (uint32_t)ht_shadow_tag(value) - 1 };
    if (HT_UNLIKELY(ht_shadow_tag(value) == HT_SLOT_LARGE)) {
        uint64_t *slot_at = ht_large_word(block, 1), *size_at = ht_large_word(block, 2);
        b.slot = (uint32_t)ht_peek(slot_at) - 1;
        b.size = ht_peek(size_at);
        ht_own_set(slot_at, 0);
        ht_own_set(size_at, 0);
    }
    return b;
}
