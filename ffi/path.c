/*
 * path.c: from stacks to numbered call paths. Nodes (a frame below its caller), the index that finds
 * them, and the buckets: the numbers under which path records stand.
 *
 * Nodes are only ever added. A node's key and parent are written before its number is published in
 * the index by compare-and-swap, its bucket is set once, by compare-and-swap. Its parent always has
 * a smaller number. Whoever loses such a race keeps the number that it took for its next use.
 *
 * The index is private. It has levels: a small one that most programs never fill, so that a
 * sparse hash does not touch a page per node, and larger ones behind it, where a node goes for which the one
 * before has no room; a table of up to 65,536 buckets has two, a larger one three. A slot is 0 or
 *     bits 0..22 node, 23..31 nine bits of the hash.
 * A slot never changes once it is set.
 *
 * In front of the index each thread remembers the nodes that it looked up last, in a table of its own
 * that fits the processor's near cache: also those that it did not find once the table was full.
 * Nodes never go away, and a full table stays full, so what it remembers stays true.
 *
 * A compiler at run time may throw code away and put other code in its place. What it writes of its code for perf tells which was
 * there when: so how much that was when a node of such code came is noted below the node, in one that is in no index and on no stack.
 *
 * When nodes or buckets run out, a path falls back to its innermost HT_FALLBACK_FRAMES frames (below
 * HT_NODE_FULL, for which a sixteenth of both is kept back), then to its innermost frame (another
 * sixteenth), and to HT_PATH_NONE when that is full too. The few frames matter: the innermost one is
 * an allocating helper in many programs, the same for every path.
 */
#include "heaptap.h"

#define HT_INDEX_WINDOW 16u
#define HT_INDEX_FEW 4u /* places in the first level: where that is full, they are looked at in vain */
#define HT_INDEX_MIDDLE (1u << 20)
#define HT_INDEX_NODE_BITS 23
#define HT_MEMO_ENTRIES 4096u
#define HT_FALLBACK_FRAMES 4u

static int ht_path_start(void)
{
    uint32_t nodes = ht_p.capacity[HT_SECTION_NODES];
    uint32_t most = nodes * 2, middle = (uint32_t)ht_min(most, HT_INDEX_MIDDLE);
    uint32_t entries[HT_INDEX_LEVELS] = { middle / 16, middle, most > middle ? most : 0 };
    for (uint32_t level = 0; level < HT_INDEX_LEVELS && entries[level]; level++) {
        size_t size = entries[level] * sizeof(uint32_t);
        ht_p.index[level] = ht_sys_map(size);
        if (!ht_p.index[level])
            return 0;
        ht_sys_not_inherited(ht_p.index[level], size);
        ht_p.index_mask[level] = entries[level] - 1;
    }
    ht_p.header->nodes_used = HT_NODE_FIRST;
    ht_p.header->buckets_used = 1;
    return 1;
}

HT_INLINE uint32_t ht_mix(uint64_t key, uint32_t parent)
{
    uint64_t h = (key ^ (uint64_t)parent << 40 ^ parent) * 0x9e3779b97f4a7c15ull;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9ull;
    return (uint32_t)(h >> 32);
}

/* What a node or bucket is for, and how many of `capacity` may be taken for that. */
enum ht_use { HT_USE_STACK = 2, HT_USE_FEW = 1, HT_USE_ONE = 0 };
HT_INLINE uint32_t ht_share(uint32_t capacity, enum ht_use use) { return capacity - capacity / 16 * (uint32_t)use; }

/* Takes the next number of a counter that stops at a limit; 0 when it is there. */
static uint32_t ht_take_next(uint32_t *counter, uint32_t limit)
{
    uint32_t n = ht_peek(counter);
    while (n < limit)
        if (ht_shared_swap(counter, &n, n + 1))
            return n;
    return 0;
}

/* Whether nothing more can be taken for a use. Once true it stays true. */
static int ht_is_full(enum ht_use use)
{
    return ht_peek(&ht_p.header->nodes_used) >= ht_share(ht_p.capacity[HT_SECTION_NODES], use)
        || ht_peek(&ht_p.header->buckets_used) >= ht_share(ht_p.buckets, use);
}

static uint32_t ht_node_new(struct ht_thread *t, uint32_t parent, uint64_t key, enum ht_use use)
{
    uint32_t n = t->spare_node;
    t->spare_node = 0;
    /* A parent has the smaller number: readers rely on it. */
    if (n <= parent) {
        uint32_t limit = ht_share(ht_p.capacity[HT_SECTION_NODES], use);
        uint64_t used = ht_peek(&ht_p.header->nodes_used);
        if (ht_is_full(use) || !ht_file_reserve(HT_SECTION_NODES, ht_min(used + 256, ht_p.capacity[HT_SECTION_NODES]) * sizeof *ht_p.nodes))
            return 0;
        n = ht_take_next(&ht_p.header->nodes_used, limit);
        if (n == 0 || !ht_file_reserve(HT_SECTION_NODES, (n + 1ull) * sizeof *ht_p.nodes))
            return 0;
    }
    ht_own_set(&ht_p.nodes[n].key, key);
    ht_own_set(&ht_p.nodes[n].parent, parent);
    return n;
}

/* The node at one of the `places` of a line where it may be: from the hash's own on; 0 when it is not
 * there, with the first empty place, NULL when there is none. */
HT_INLINE uint32_t ht_node_look(uint32_t *line, uint32_t places, uint32_t hash, uint32_t parent, uint64_t key, uint32_t **empty)
{
    uint32_t tag = hash >> HT_INDEX_NODE_BITS;
    *empty = NULL;
    for (uint32_t i = hash, end = hash + places; i != end; i++) {
        uint32_t entry = ht_shared_get(&line[i % HT_INDEX_WINDOW]);
        if (HT_LIKELY(entry >> HT_INDEX_NODE_BITS == tag) && entry) {
            uint32_t node = entry & ((1u << HT_INDEX_NODE_BITS) - 1);
            if (HT_LIKELY(ht_p.nodes[node].key == key && ht_p.nodes[node].parent == parent))
                return node;
        }
        if (entry == 0) {
            *empty = &line[i % HT_INDEX_WINDOW];
            return 0;
        }
    }
    return 0;
}

/* The file in which compilers at run time write for perf what their code is. */
enum { HT_CODE_MAP_PATH = 40 };
static void ht_code_map_path(char path[HT_CODE_MAP_PATH])
{
    char *at = path, *end = path + HT_CODE_MAP_PATH;
    at = ht_path_text(at, end, "/tmp/perf-", 10);
    at = ht_path_number(at, end, ht_peek(&ht_p.header->pid));
    ht_path_text(at, end, ".map", 5);
}

/* How long it is; 0 when there is none. */
static uint64_t ht_code_map_length(void)
{
    char path[HT_CODE_MAP_PATH];
    ht_code_map_path(path);
    uint64_t statx[32] = { 0 };
    enum { SIZE_AND_TIME = 0x240, SIZE_AT = 5, TIME_AT = 14 };
    if (HT_FAILED(ht_syscall(HT_SYS_STATX, HT_AT_FDCWD, (long)path, 0, SIZE_AND_TIME, (long)statx, 0)))
        return 0;
    /* One of an earlier process's with that number. A script's own may have been written before it was recorded. */
    int is_old = !ht_p.installed && statx[TIME_AT] + 1 < ht_p.header->start_time / 1000000000u;
    return is_old ? 0 : statx[SIZE_AT];
}

/* After a node of code of no object was made. */
HT_NOINLINE void ht_node_note(struct ht_thread *t, uint32_t node)
{
    uint64_t length = ht_min(ht_code_map_length(), (1ull << HT_KEY_OFFSET_BITS) - 1);
    if (length)
        ht_node_new(t, node, 1ull << HT_KEY_NOTE_BIT | length, HT_USE_STACK);
}

static uint32_t *ht_index_line(uint32_t level, uint32_t hash)
{
    static const uint32_t factors[HT_INDEX_LEVELS] = { 1, 0x9e3779b1u, 0x85ebca6bu };
    return &ht_p.index[level][(hash * factors[level] >> 7) & ht_p.index_mask[level] & ~(HT_INDEX_WINDOW - 1)];
}

HT_NOINLINE uint32_t ht_node_find(struct ht_thread *t, uint32_t parent, uint64_t key, uint32_t hash, enum ht_use use)
{
    for (uint32_t level = 0; level < HT_INDEX_LEVELS && ht_p.index[level]; level++) {
        int is_last = level + 1 == HT_INDEX_LEVELS || !ht_p.index[level + 1];
        uint32_t *line = ht_index_line(level, hash), *first = ht_p.index[level], places = level == 0 ? HT_INDEX_FEW : HT_INDEX_WINDOW;
        /* In the last level the lines behind it too. */
        for (uint32_t lines = is_last ? 8 : 1; lines > 0; lines--) {
            uint32_t *empty, node = ht_node_look(line, places, hash, parent, key, &empty);
            while (!node && empty) {
                uint32_t entry = 0, fresh = ht_node_new(t, parent, key, use);
                if (fresh == 0)
                    return 0;
                if (ht_shared_swap(empty, &entry, fresh | (hash & ~((1u << HT_INDEX_NODE_BITS) - 1)))) {
                    if (!(key >> HT_KEY_OFFSET_BITS & ((1u << HT_KEY_MODULE_BITS) - 1)))
                        ht_node_note(t, fresh);
                    return fresh;
                }
                t->spare_node = fresh;
                node = ht_node_look(line, places, hash, parent, key, &empty);
            }
            if (node)
                return node;
            line = first + (((uint32_t)(line - first) + HT_INDEX_WINDOW) & ht_p.index_mask[level]);
        }
    }
    return 0;
}

/* The node of a frame below its caller's, made when it is new; 0 when there is no room. */
static uint32_t ht_node_intern(struct ht_thread *t, uint32_t parent, uint64_t key, enum ht_use use)
{
    uint32_t hash = ht_mix(key, parent);
    struct ht_node_memo *memo = &t->memo[hash % HT_MEMO_ENTRIES];
    /* "Not found" may be remembered from another use, which was full; the last one looks itself. */
    if (memo->key == key && memo->parent == parent && (memo->node || use != HT_USE_ONE))
        return memo->node;
    __builtin_prefetch(ht_index_line(1, hash));
    uint32_t *empty, node = ht_node_look(ht_index_line(0, hash), HT_INDEX_FEW, hash, parent, key, &empty);
    if (HT_UNLIKELY(!node))
        node = ht_node_find(t, parent, key, hash, use);
    if (node || ht_is_full(use))
        *memo = (struct ht_node_memo){ key, parent, node };
    return node;
}

/* The bucket of a node, numbered now if it has none; 0 when there is no number left. */
static uint32_t ht_node_bucket(struct ht_thread *t, uint32_t node, enum ht_use use)
{
    uint32_t bucket = ht_shared_get(&ht_p.nodes[node].bucket);
    if (bucket)
        return bucket;
    uint32_t fresh = t->spare_bucket;
    t->spare_bucket = 0;
    if (!fresh)
        fresh = ht_take_next(&ht_p.header->buckets_used, ht_share(ht_p.buckets, use));
    if (!fresh)
        return 0;
    if (ht_shared_swap(&ht_p.nodes[node].bucket, &bucket, fresh))
        return fresh;
    t->spare_bucket = fresh;
    return bucket;
}

/* A thread's record of a call path, NULL while it has no page for that. */
HT_INLINE struct ht_file_paths *ht_record_known(const struct ht_thread *t, uint32_t bucket)
{
    struct ht_file_paths *page = t->pages[bucket / HT_PAGE_RECORDS];
    return HT_LIKELY(page) ? page + bucket % HT_PAGE_RECORDS : NULL;
}
