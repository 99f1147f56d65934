/*
 * shadow.c: whose block is this? From a block's address to its call path, thread and size.
 *
 * Two levels. The first has one pointer per 64 MiB of address space; the second, mapped when a
 * block first falls into it, one word per granule of 32 bytes:
 *     bits 0..31 size, 32..51 call path, 52..63 thread slot + 1, its tag
 * A block of 4 GiB and more has HT_TAG_LARGE for its tag; tag and size stand in the next two
 * words, which are its own too.
 * 0 is "no block that we know", a word without a tag one that is not counted (count.c). glibc's blocks
 * span 32 bytes, so no two live ones share a word.
 *
 * Other allocators' blocks may lie as close as 8 bytes ("close" in names here). A block of theirs has the word
 * to itself when it begins where the granule does and spans it. Any other one makes the granule a shared one:
 * its word's highest bit is set, which no tag reaches, so that the hot path leaves it to the forms that know
 * of this. A shared granule has a half word for each 8 bytes: those of bytes 0 and 16 are the upper and lower
 * half of the word, those of bytes 8 and 24 stand in a second table of the same size, which is mapped when it is
 * needed: a heap of 8-byte blocks costs half of its size, one of 16-byte blocks a quarter. From the low end:
 *     5 bits size, as many for the call path as there are paths, the rest up to bit 30 tag
 * So fewer threads than else have records of their own (ht_tag_limit); one that is beyond takes the shared
 * record's tag, which is met only where such an allocator came by dlopen. A longer block has HT_LONG for its size,
 * which stands in the first half word of the next granule: that part of memory is the block's too. Beyond 31
 * bits it stands in the word of the granule after that.
 *
 * When lifetimes are kept, each granule has room for four births, two words each, in tables of their own, which are mapped when they are
 * needed: a block that has the word to itself takes the first, one of a shared granule that of its 8 bytes. The births of glibc's blocks
 * take half of what the heap does. A birth is there before its block is, is read when the block is taken out, and is never cleared.
 *
 * Who writes: the thread that owns the block at that moment; between a free and the next malloc of
 * an address the allocator below orders the two, in ways of its own that no tool need see: words and halves are
 * read and written whole. First-level pointers are set once, by compare-and-swap, and so is the bit that makes
 * an empty granule a shared one: its blocks have several owners. It goes when a block has the granule to
 * itself. Nothing is locked, hashed or moved.
 */
#include "heaptap.h"

#define HT_LEAF_BITS 26
#define HT_GRANULE_BITS 5
#define HT_GRANULE ((uint64_t)1 << HT_GRANULE_BITS)
#define HT_LEAF_WORDS ((size_t)1 << (HT_LEAF_BITS - HT_GRANULE_BITS))
#define HT_TABLE_SIZE (8 * HT_LEAF_WORDS)
#define HT_LEAF_SIZE (HT_TABLE_SIZE + HT_PAGE) /* behind the words: where the second table is, and those of births */
#define HT_BIRTHS_SIZE (2 * HT_TABLE_SIZE)
#define HT_LEAVES ((size_t)1 << (HT_ADDRESS_BITS - HT_LEAF_BITS))

/* Anonymous pages of the library's own; zeroed in a fork's child (process.c). */
static uint64_t *ht_leaves[HT_LEAVES] __attribute__((aligned(65536)));

/* Which pages of that array have a pointer, a bit each; more may be set. */
#define HT_LEAVES_A_PAGE (HT_PAGE / sizeof *ht_leaves)
static uint64_t ht_leaf_pages[HT_LEAVES / HT_LEAVES_A_PAGE / 64];

/* Sets a pointer to fresh memory, unless another thread has; returns what it is then. Signals wait: a handler's
 * fork gives its child the tables that are known (process.c), not one that is half made. */
static uint64_t *ht_table_map(uint64_t **at, size_t size, uint64_t first)
{
    uint64_t signals = ht_sys_block_signals(), *table = ht_sys_map(size), *expected = NULL;
    if (table) {
        ht_sys_not_inherited(table, size);
        if (first)
            table[0] = first;
        if (!ht_shared_swap(at, &expected, table)) {
            ht_sys_unmap(table, size);
            table = expected;
        }
    }
    ht_sys_restore_signals(signals);
    return table;
}

static uint64_t **ht_leaf_second(uint64_t *leaf) { return (uint64_t **)(leaf + HT_LEAF_WORDS); }
static uint64_t **ht_leaf_births(uint64_t *leaf, uint64_t place) { return ht_leaf_second(leaf) + 1 + place; }

HT_NOINLINE uint64_t *ht_leaf_map(uint64_t number)
{
    if (number >= HT_LEAVES)
        return NULL;
    /* NULL lies in the first one, and is never a block: it must not look like a free place. */
    uint64_t page = number / HT_LEAVES_A_PAGE;
    ht_shared_or(&ht_leaf_pages[page / 64], 1ull << page % 64);
    uint64_t *leaf = ht_table_map(&ht_leaves[number], HT_LEAF_SIZE, number == 0 ? 1 : 0); /* HT_SHADOW_UNCOUNTED */
    if (leaf && ht_heap.close && !ht_shared_get(ht_leaf_second(leaf)))
        ht_table_map(ht_leaf_second(leaf), HT_TABLE_SIZE, 0);
    if (leaf && ht_p.lifetimes_kept && !ht_shared_get(ht_leaf_births(leaf, 0)))
        ht_table_map(ht_leaf_births(leaf, 0), HT_BIRTHS_SIZE, 0);
    return leaf;
}

/* What a fork's child gets of a leaf (process.c). */
static void ht_leaf_inherit(uint64_t *leaf, long advice)
{
    if (!leaf)
        return;
    ht_sys_inherit(ht_shared_get(ht_leaf_second(leaf)), HT_TABLE_SIZE, advice);
    for (uint64_t place = 0; place < 4; place++)
        ht_sys_inherit(ht_shared_get(ht_leaf_births(leaf, place)), HT_BIRTHS_SIZE, advice);
    ht_sys_inherit(leaf, HT_LEAF_SIZE, advice);
}

/* What it has got of one: a table that another thread has made meanwhile is not here. */
static uint64_t *ht_leaf_inherited(uint64_t *leaf)
{
    if (!leaf || !ht_sys_readable((uint64_t)leaf))
        return NULL;
    for (uint64_t place = 0; place < 4; place++)
        if (!ht_sys_readable((uint64_t)*ht_leaf_births(leaf, place)))
            *ht_leaf_births(leaf, place) = NULL;
    return leaf;
}

static void ht_leaf_release(uint64_t *leaf)
{
    if (*ht_leaf_second(leaf))
        ht_sys_unmap(*ht_leaf_second(leaf), HT_TABLE_SIZE);
    for (uint64_t place = 0; place < 4; place++)
        if (*ht_leaf_births(leaf, place))
            ht_sys_unmap(*ht_leaf_births(leaf, place), HT_BIRTHS_SIZE);
    ht_sys_unmap(leaf, HT_LEAF_SIZE);
}

/* Gives all of them back (process.c). */
static void ht_leaves_release(void)
{
    for (uint64_t page = 0; page < HT_LEAVES / HT_LEAVES_A_PAGE; page++)
        for (uint64_t i = 0; ht_leaf_pages[page / 64] >> page % 64 & 1 && i < HT_LEAVES_A_PAGE; i++)
            if (ht_leaves[page * HT_LEAVES_A_PAGE + i])
                ht_leaf_release(ht_leaves[page * HT_LEAVES_A_PAGE + i]);
    memset(ht_leaf_pages, 0, sizeof ht_leaf_pages);
    ht_sys_discard(ht_leaves, sizeof ht_leaves);
}

HT_INLINE uint64_t *ht_word_in(uint64_t *leaf, uint64_t address)
{
    return &leaf[address >> HT_GRANULE_BITS & (((uint64_t)1 << (HT_LEAF_BITS - HT_GRANULE_BITS)) - 1)];
}

HT_INLINE uint64_t *ht_leaf_find(const void *block)
{
    uint64_t number = (uint64_t)block >> HT_LEAF_BITS;
    return HT_LIKELY(number < HT_LEAVES) ? ht_shared_get(&ht_leaves[number]) : NULL;
}

/* The word of an address, NULL where no block was ever recorded. */
HT_INLINE uint64_t *ht_shadow_find(const void *block)
{
    uint64_t *leaf = ht_leaf_find(block);
    return HT_LIKELY(leaf) ? ht_word_in(leaf, (uint64_t)block) : NULL;
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

#define HT_SHADOW_UNCOUNTED 1ull
#define HT_SIZE_LARGE (1ull << 32)
#define HT_TAG_LARGE 0x7ffu
_Static_assert(HT_MAX_THREADS < HT_TAG_LARGE, "tags leave the highest bit of a word alone");

HT_INLINE uint32_t ht_shadow_owner(uint32_t bucket, uint64_t tag) { return (uint32_t)tag << 20 | bucket; }
HT_INLINE uint64_t ht_shadow_value(uint32_t bucket, uint64_t tag, uint64_t size) { return (uint64_t)ht_shadow_owner(bucket, tag) << 32 | size; }
HT_INLINE uint64_t ht_shadow_tag(uint64_t value) { return value >> 52; }
HT_INLINE uint32_t ht_shadow_bucket(uint64_t value) { return (uint32_t)(value >> 32) & 0xfffff; }
HT_INLINE uint64_t ht_shadow_size(uint64_t value) { return value & 0xffffffff; }

/* A block's further words. */
static uint64_t *ht_large_word(const void *block, uint32_t i)
{
    return ht_shadow_word((const char *)block + ((size_t)i << HT_GRANULE_BITS));
}

/* Shared granules. */
#define HT_SHARED (1ull << 63)
#define HT_HALF_SHARED (1u << 31) /* the same in the upper half */
#define HT_SIZE_BITS 5u
#define HT_SHORT 24u /* a longer block spans 32 bytes */
#define HT_LONG 31u
_Static_assert(HT_CLOSE == HT_GRANULE - 1 && HT_CLOSE_LEAST == HT_SHORT + 1, "what an address has where no granule begins");
#define HT_BEYOND 0x7fffffffu /* in the next granule: the size stands in the one after it */

HT_INLINE int ht_is_shared(uint64_t word) { return (int64_t)word < 0; }
HT_INLINE int ht_is_shared_at(const uint64_t *word) { return (ht_peek((const uint32_t *)word + 1) & HT_HALF_SHARED) != 0; }
HT_INLINE int ht_has_own_word(const void *block, size_t size, uint32_t close)
{
    return !close || ((uint64_t)block % HT_GRANULE == 0 && size > HT_SHORT);
}

HT_INLINE uint32_t ht_path_bits(void) { return (uint32_t)__builtin_ctz(ht_p.buckets); }
HT_INLINE uint32_t ht_tag_limit(void) { return 1u << (31 - HT_SIZE_BITS - ht_path_bits()); }
HT_INLINE uint32_t ht_half_value(uint32_t bucket, uint64_t tag, uint64_t size)
{
    return ((uint32_t)tag << ht_path_bits() | bucket) << HT_SIZE_BITS | (uint32_t)size;
}
HT_INLINE uint32_t ht_half_tag(uint32_t value) { return value >> HT_SIZE_BITS >> ht_path_bits(); }
HT_INLINE uint32_t ht_half_bucket(uint32_t value) { return value >> HT_SIZE_BITS & (ht_p.buckets - 1); }
HT_INLINE uint32_t ht_half_size(uint32_t value) { return value & ((1u << HT_SIZE_BITS) - 1); }

/* The half word of an address in a granule that has a word; NULL when it is in a table that is not there yet. */
HT_INLINE uint32_t *ht_half_find(const void *block)
{
    uint64_t *leaf = ht_leaf_find(block), place = (uint64_t)block / 8 % 4;
    if (place % 2 == 0)
        return (uint32_t *)ht_word_in(leaf, (uint64_t)block) + (place == 0);
    uint64_t *second = ht_shared_get(ht_leaf_second(leaf));
    return HT_LIKELY(second) ? (uint32_t *)ht_word_in(second, (uint64_t)block) + (place == 3) : NULL;
}

/* The same when its word is known. */
HT_INLINE uint32_t *ht_half_in(uint64_t *word, const void *block)
{
    uint64_t place = (uint64_t)block / 8 % 4;
    return HT_LIKELY(place % 2 == 0) ? (uint32_t *)word + (place == 0) : ht_half_find(block);
}

HT_INLINE uint32_t ht_half_get(const uint32_t *half) { return ht_peek(half) & ~HT_HALF_SHARED; }
HT_INLINE void ht_half_set(uint32_t *half, const void *block, uint32_t value)
{
    ht_own_set(half, (uint64_t)block % HT_GRANULE < 8 ? value | HT_HALF_SHARED : value);
}

/* The first half word of the granule behind a long block's own; NULL when there is none. */
static uint32_t *ht_half_next(const void *block)
{
    uint64_t *word = ht_large_word(block, 1);
    return word ? (uint32_t *)word + 1 : NULL;
}

/* Two words of a block in a leaf that is there; `place` 0 when it has its word to itself. NULL when they are in a table that is not there. */
static uint64_t *ht_birth_words(const void *block, uint64_t place, int make)
{
    uint64_t *leaf = ht_leaf_find(block), **at = ht_leaf_births(leaf, place), *table = ht_shared_get(at);
    if (!table && make)
        table = ht_table_map(at, HT_BIRTHS_SIZE, 0);
    return table ? table + 2 * (ht_word_in(leaf, (uint64_t)block) - leaf) : NULL;
}

static struct ht_birth ht_birth_get(const void *block, uint64_t place)
{
    const uint64_t *words = ht_p.lifetimes_kept ? ht_birth_words(block, place, 0) : NULL;
    return words ? (struct ht_birth){ ht_peek(&words[0]), ht_peek(&words[1]) } : (struct ht_birth){ 0, 0 };
}

static void ht_birth_put(const void *block, uint64_t place, struct ht_birth born)
{
    uint64_t *words = ht_p.lifetimes_kept ? ht_birth_words(block, place, 1) : NULL;
    if (!words)
        return;
    ht_own_set(&words[0], born.time);
    ht_own_set(&words[1], born.number);
}

/* What a half word says of the block that begins there; with `take` it is out of the shadow then. */
static struct ht_block ht_half_block(uint32_t *half, const void *block, int take)
{
    uint32_t value = ht_half_get(half);
    struct ht_block b = { ht_half_size(value), ht_half_bucket(value), ht_half_tag(value) - 1, HT_BLOCK_COUNTED, { 0, 0 } };
    if (value == 0)
        return (struct ht_block){ .kind = HT_BLOCK_UNKNOWN };
    if (take)
        ht_half_set(half, block, 0);
    if (ht_half_tag(value) == 0)
        return (struct ht_block){ .kind = HT_BLOCK_UNCOUNTED };
    if (take)
        b.born = ht_birth_get(block, (uint64_t)block / 8 % 4);
    if (b.size == HT_LONG) {
        uint32_t *next = ht_half_next(block);
        uint64_t *beyond = ht_half_get(next) == HT_BEYOND ? ht_large_word(block, 2) : NULL;
        b.size = beyond ? ht_peek(beyond) : ht_half_get(next);
        if (take)
            ht_own_set(next, HT_HALF_SHARED);
        if (take && beyond)
            ht_own_set(beyond, 0);
    }
    return b;
}

/* The same of a word that is one block's. */
static struct ht_block ht_word_block(uint64_t *word, const void *block, int take)
{
    uint64_t value = ht_peek(word);
    struct ht_block b = { ht_shadow_size(value), ht_shadow_bucket(value), (uint32_t)ht_shadow_tag(value) - 1, HT_BLOCK_COUNTED, { 0, 0 } };
    if (value == 0)
        return (struct ht_block){ .kind = HT_BLOCK_UNKNOWN };
    if (take)
        ht_own_set(word, 0);
    if (ht_shadow_tag(value) == 0)
        return (struct ht_block){ .kind = HT_BLOCK_UNCOUNTED };
    if (take)
        b.born = ht_birth_get(block, 0);
    if (HT_UNLIKELY(ht_shadow_tag(value) == HT_TAG_LARGE)) {
        uint64_t *tag_at = ht_large_word(block, 1), *size_at = ht_large_word(block, 2);
        b.slot = (uint32_t)ht_peek(tag_at) - 1;
        b.size = ht_peek(size_at);
        if (take) {
            ht_own_set(tag_at, 0);
            ht_own_set(size_at, 0);
        }
    }
    return b;
}

static struct ht_block ht_shadow_block(const void *block, int take)
{
    if (ht_is_sampling())
        return ht_sampled_block(block, take);
    uint64_t *word = ht_shadow_find(block);
    if (!word)
        return (struct ht_block){ .kind = HT_BLOCK_UNKNOWN };
    if (!ht_is_shared(ht_peek(word)))
        return ht_word_block(word, block, take);
    uint32_t *half = ht_half_find(block);
    return half ? ht_half_block(half, block, take) : (struct ht_block){ .kind = HT_BLOCK_UNKNOWN };
}

/* A half word that is in the way may hold the size of a long block that begins in the granule before. */
static struct ht_block ht_half_evict(uint32_t *half, const char *at)
{
    if ((uint64_t)at % HT_GRANULE < 8 && ht_half_get(half)) {
        const uint64_t *before = ht_shadow_find(at - HT_GRANULE);
        for (uint64_t place = 1; before && ht_is_shared(ht_peek(before)) && place < 4; place++) {
            const char *block = (const char *)((uint64_t)at / HT_GRANULE * HT_GRANULE - HT_GRANULE + 8 * place);
            uint32_t *other = ht_half_find(block);
            if (other && ht_half_tag(ht_half_get(other)) && ht_half_size(ht_half_get(other)) == HT_LONG)
                return ht_half_block(other, block, 1);
        }
    }
    return ht_half_block(half, at, 1);
}

/* What is known in a granule and cannot be there any more: all of it, or what one half word holds. */
static struct ht_block ht_granule_evict(const char *at, int all)
{
    uint64_t *word = ht_shadow_find(at);
    struct ht_block b = { .kind = HT_BLOCK_UNKNOWN };
    if (!word || ht_peek(word) == 0)
        return b;
    if (!ht_is_shared(ht_peek(word)))
        return ht_word_block(word, at, 1);
    for (uint64_t place = 0; place < 4 && b.kind == HT_BLOCK_UNKNOWN; place++) {
        const char *here = all ? (const char *)((uint64_t)at / HT_GRANULE * HT_GRANULE + 8 * place) : at;
        uint32_t *half = ht_half_find(here);
        if (half)
            b = ht_half_evict(half, here);
    }
    return b;
}

/*
 * Before a block is put in: takes out one whose place it is. The allocator has given that out again, so its end has
 * passed by the hooks. HT_BLOCK_UNKNOWN when there is none any more.
 */
static struct ht_block ht_shadow_evict(const void *block, size_t size, uint32_t close)
{
    int own = ht_has_own_word(block, size, close);
    struct ht_block b = ht_granule_evict(block, own);
    if (b.kind == HT_BLOCK_UNKNOWN && !own && size > HT_SHORT)
        b = ht_granule_evict((const char *)((uint64_t)block / HT_GRANULE * HT_GRANULE + HT_GRANULE), 0);
    return b;
}

/* Makes an empty granule a shared one. Others may do so at the same time. */
static void ht_make_shared(uint64_t *word)
{
    uint64_t empty = 0;
    if (!ht_is_shared(ht_peek(word)))
        ht_shared_swap(word, &empty, HT_SHARED);
}

/* Whether there is memory to put a block in. */
static int ht_shadow_room(const void *block, size_t size, uint32_t close)
{
    if (!ht_shadow_word(block))
        return 0;
    if (ht_has_own_word(block, size, close))
        return 1;
    uint64_t **second = ht_leaf_second(ht_leaf_find(block));
    return (ht_shared_get(second) || ht_table_map(second, HT_TABLE_SIZE, 0)) && (size <= HT_SHORT || ht_half_next(block));
}

/* Whether an empty half word, or one of an empty granule, is free for a block; the granule is a shared one then. */
HT_INLINE int ht_half_is_free(uint64_t *word, const uint32_t *half)
{
    if (HT_UNLIKELY(!ht_is_shared_at(word))) {
        if (ht_peek(word))
            return 0;
        ht_make_shared(word);
    }
    return ht_half_get(half) == 0;
}

/* The half word for a block that has no word to itself, where it can go in as it is: there is room, and nothing in the way. */
HT_INLINE uint32_t *ht_half_free(uint64_t *word, const void *block, size_t size)
{
    uint32_t *half = ht_half_in(word, block);
    if (HT_UNLIKELY(!half || !ht_half_is_free(word, half)))
        return NULL;
    if (size <= HT_SHORT)
        return half;
    int is_last = ((uint64_t)block & (((uint64_t)1 << HT_LEAF_BITS) - HT_GRANULE)) == ((uint64_t)1 << HT_LEAF_BITS) - HT_GRANULE;
    return HT_UNLIKELY(is_last || size >= HT_BEYOND || !ht_half_is_free(word + 1, (uint32_t *)(word + 1) + 1)) ? NULL : half;
}

/* Puts a block there; `owner`: its half word but for the size. */
HT_INLINE void ht_half_put(uint64_t *word, uint32_t *half, const void *block, uint32_t owner, size_t size)
{
    if (size > HT_SHORT) {
        ht_own_set((uint32_t *)(word + 1) + 1, HT_HALF_SHARED | (uint32_t)size);
        size = HT_LONG;
    }
    ht_half_set(half, block, owner | (uint32_t)size);
}

/* Puts a block in where there is room, and nothing in the way. A tag of 0 says that it is not counted. */
static void ht_shadow_put(const void *block, uint32_t bucket, uint64_t tag, uint64_t size, uint32_t close, struct ht_birth born)
{
    uint64_t *word = ht_shadow_find(block);
    if (tag == 0) {
        bucket = 0;
        size = HT_SHADOW_UNCOUNTED;
    }
    int own = ht_has_own_word(block, size, close);
    ht_birth_put(block, own ? 0 : (uint64_t)block / 8 % 4, born);
    if (!own) {
        if (tag >= ht_tag_limit())
            tag = HT_THREAD_SHARED + 1;
        ht_make_shared(word);
        if (size > HT_SHORT) {
            uint32_t *next = ht_half_next(block);
            ht_make_shared((uint64_t *)(next - 1));
            if (size >= HT_BEYOND)
                ht_own_set(ht_large_word(block, 2), size);
            ht_own_set(next, HT_HALF_SHARED | (uint32_t)ht_min(size, HT_BEYOND));
            size = HT_LONG;
        }
        ht_half_set(ht_half_find(block), block, ht_half_value(bucket, tag, size));
        return;
    }
    if (HT_UNLIKELY(size >= HT_SIZE_LARGE)) {
        uint64_t *tag_at = ht_large_word(block, 1), *size_at = ht_large_word(block, 2);
        if (!tag_at || !size_at)
            return;
        ht_own_set(tag_at, tag);
        ht_own_set(size_at, size);
        tag = HT_TAG_LARGE;
        size = 0;
    }
    ht_own_set(word, ht_shadow_value(bucket, tag, size));
}
