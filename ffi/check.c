/*
 * check.c: the invariants as code, for tests (HT_TEST). Each function is called when no hook is under
 * way and says 1 when its structure is as the file that owns it describes.
 */
#include "heaptap.h"

/* thread.c, unwind.c: the kept stack of a thread. */
static int ht_thread_is_valid(const struct ht_thread *t)
{
    if (t->idle != t->ready || t->locked || t->words[0].at != (const uint64_t *)&t->words[0].at || t->words[0].value != 0)
        return 0;
    if (t->frames[0].sp != ~0ull || t->frames[0].words != 1 || ht_kept(t) > ht_p.depth)
        return 0;
    for (uint32_t i = 1; i <= ht_kept(t); i++) {
        const struct ht_frame *f = &t->frames[i];
        if (f->words < f[-1].words || f->words - f[-1].words > HT_STEP_WORDS)
            return 0;
        /* Interned below its caller, unless the table was full from here on. */
        uint32_t outermost = i == 1 && t->operation && f->node ? ht_p.nodes[f->node].parent : t->root;
        if (i == 1 && t->operation && f->node
            && (ht_p.nodes[outermost].parent != t->root || ht_p.nodes[outermost].key != (uint64_t)t->operation << HT_KEY_OFFSET_BITS))
            return 0;
        uint32_t caller = i == 1 ? outermost : f[-1].node;
        if (f->node && (f->node <= caller || ht_p.nodes[f->node].parent != caller))
            return 0;
        if (!caller && f->node)
            return 0;
    }
    return t->slot == HT_THREAD_SHARED || ht_p.by_slot[t->slot] == t;
}

/* path.c: parents are smaller, no two nodes are the same place, buckets are in range and unique. */
static int ht_nodes_are_valid(uint8_t *seen, size_t seen_size)
{
    const struct ht_file_header *h = ht_p.header;
    if (h->nodes_used > ht_p.capacity[HT_SECTION_NODES] || h->buckets_used > ht_p.buckets || seen_size < ht_p.buckets)
        return 0;
    memset(seen, 0, seen_size);
    for (uint32_t n = HT_NODE_FIRST; n < h->nodes_used; n++) {
        const struct ht_file_nodes *node = &ht_p.nodes[n];
        if (node->parent == 0)
            continue; /* taken, and not in use yet */
        if (node->parent >= n || node->bucket >= h->buckets_used || (node->bucket && seen[node->bucket]))
            return 0;
        if (node->bucket)
            seen[node->bucket] = 1;
    }
    return 1;
}

/* count.c: what all threads counted, and what stands in all path records. */
struct ht_sums {
    uint64_t allocations, bytes, frees, reallocations, carried, temporary;
    int64_t live_bytes, live_count;
};

static struct ht_sums ht_sums_of(uint32_t from, uint32_t to)
{
    struct ht_sums s = { 0 };
    for (uint32_t i = from; i < to; i++) {
        const struct ht_file_threads *c = &ht_p.threads[i];
        s.allocations += c->allocations;
        s.bytes += c->bytes;
        s.frees += c->frees;
        s.reallocations += c->reallocations;
        s.carried += c->carried;
        s.temporary += c->temporary;
        s.live_bytes += c->current;
        s.live_count += (int64_t)(c->allocations - c->frees - c->reallocations);
    }
    return s;
}

static struct ht_sums ht_thread_sums(void) { return ht_sums_of(0, ht_p.header->threads_used); }

static struct ht_sums ht_path_sums(void)
{
    struct ht_sums s = { 0 };
    for (uint64_t i = 0; i < (uint64_t)ht_p.header->pages_used * HT_PAGE_RECORDS; i++) {
        const struct ht_file_paths *r = &ht_p.paths[i];
        s.allocations += r->allocations;
        s.bytes += r->bytes;
        s.frees += r->frees;
        s.reallocations += r->reallocations;
        s.carried += r->carried;
        s.temporary += r->temporary;
        s.live_bytes += r->live_bytes;
        s.live_count += (int64_t)(r->allocations - r->frees - r->moved);
    }
    return s;
}

/* The sizes of all requests, and their slack. */
static struct ht_file_sizes ht_size_sums(void)
{
    struct ht_file_sizes s = { 0 };
    for (uint64_t i = 0; ht_p.sizes_kept && i < (uint64_t)ht_p.header->pages_used * HT_PAGE_RECORDS; i++) {
        s.slack += ht_p.sizes[i].slack;
        for (uint32_t c = 0; c < HT_SIZE_CLASSES; c++)
            s.requests[c] += ht_p.sizes[i].requests[c];
    }
    return s;
}

/* Lifetimes of all blocks, and the births of those that are live. */
static struct ht_file_lifetimes ht_lifetime_sums(void)
{
    struct ht_file_lifetimes s = { 0 };
    for (uint64_t i = 0; ht_p.lifetimes_kept && i < (uint64_t)ht_p.header->pages_used * HT_PAGE_RECORDS; i++)
        for (size_t word = 0; word < sizeof s / 8; word++)
            ((uint64_t *)&s)[word] += ((const uint64_t *)&ht_p.lifetimes[i])[word];
    return s;
}

/* Every block that has ended has lived, by both measures; every one that has not has a birth. */
static int ht_lifetimes_are_valid(const struct ht_sums *threads)
{
    struct ht_file_lifetimes s = ht_lifetime_sums();
    uint64_t by_time = 0, by_allocations = 0;
    for (uint32_t c = 0; c < HT_LIFETIME_CLASSES; c++) {
        by_time += s.by_time[c];
        by_allocations += s.by_allocations[c];
    }
    return !ht_p.lifetimes_kept
        || (by_time == threads->frees && by_allocations == threads->frees && s.live == threads->live_count && ht_p.allocations == threads->allocations);
}

static int ht_sums_are_valid(void)
{
    struct ht_sums threads = ht_thread_sums(), paths = ht_path_sums();
    struct ht_file_sizes sizes = ht_size_sums();
    uint64_t requests = 0;
    for (uint32_t c = 0; c < HT_SIZE_CLASSES; c++)
        requests += sizes.requests[c];
    return ht_same_bytes(&threads, &paths, sizeof threads) && (!ht_p.sizes_kept || requests == threads.allocations)
        && ht_lifetimes_are_valid(&threads);
}

/* peak.c: what one call path had live at the peak, as a reader finds it (docs/FORMAT.md). */
static int64_t ht_live_at_peak(uint32_t bucket)
{
    const struct ht_file_header *h = ht_p.header;
    int now = ht_thread_sums().live_bytes > h->peak;
    int64_t live = 0;
    for (uint32_t page = 0; page < h->pages_used; page++) {
        uint32_t first = ht_p.owners[page].first;
        if (bucket < first || bucket >= first + HT_PAGE_RECORDS)
            continue;
        const struct ht_file_paths *r = &ht_p.paths[(uint64_t)page * HT_PAGE_RECORDS + (bucket - first)];
        live += !now && r->peak_seen == h->peak_number ? r->peak_bytes : r->live_bytes;
    }
    return live;
}

static int64_t ht_peak_now(void)
{
    int64_t live = ht_thread_sums().live_bytes;
    return live > ht_p.header->peak ? live : ht_p.header->peak;
}
