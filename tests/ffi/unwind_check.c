/*
 * Stacks against libgcc's: unwind_check_here() compares the call path that the library finds with
 * _Unwind_Backtrace's, frame by frame. unwind_walk.cc calls it from everywhere, unwind_odd.c from code with
 * odd rules. unwind_check_malloc() does the same by an allocation, for unwind_steps.cc.
 *
 * Where libgcc has no table it ends, and the library may go on: what libgcc has must be there then too,
 * and the stack must be one that was guessed, or left by the instructions behind the call.
 */
#include "../../ffi/all.c"

#include <stdio.h>
#include <stdlib.h>
#include <unwind.h>

struct dwarf_eh_bases {
    void *tbase, *dbase, *func;
};
extern const void *_Unwind_Find_FDE(void *, struct dwarf_eh_bases *);

enum { MOST = 40000 };
struct trace {
    uint64_t pc[MOST];
    int count;
};

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *out)
{
    struct trace *trace = out;
    int before = 0;
    uint64_t pc = _Unwind_GetIPInfo(context, &before);
    if (trace->count == MOST)
        return _URC_NORMAL_STOP;
    if (pc && trace->count++ >= 0)
        trace->pc[trace->count - 1] = pc + (before ? 1 : 0); /* as the library keeps interrupted code */
    return _URC_NO_REASON;
}

long unwind_checks, unwind_frames, unwind_beyond;

static void differ(const struct trace *theirs, const struct trace *ours)
{
    fprintf(stderr, "stacks differ (theirs, ours) at check %ld:\n", unwind_checks);
    for (int i = 0; i < theirs->count || i < ours->count; i++)
        fprintf(stderr, "  %2d %16lx %16lx\n", i, i < theirs->count ? (unsigned long)theirs->pc[i] : 0ul,
                i < ours->count ? (unsigned long)ours->pc[i] : 0ul);
    exit(1);
}

static struct ht_thread *thread_here(void)
{
    if (ht_self->idle == HT_BUSY && !ht_enter_slow()) {
        fprintf(stderr, "the library did not start\n");
        exit(1);
    }
    return ht_self;
}

static __thread struct trace theirs, ours;

/* The node of a call path. */
static uint32_t node_of(uint32_t bucket)
{
    static uint32_t nodes[HT_MAX_BUCKETS];
    for (uint32_t n = ht_p.header->nodes_used; nodes[bucket] == 0 && n-- > HT_NODE_FIRST;)
        if (ht_p.nodes[n].bucket == bucket)
            nodes[bucket] = n;
    return nodes[bucket];
}

/* The stack that ends at a node against libgcc's of here, from its `skip`-th frame on, with the first `own` of ours left out. */
__attribute__((always_inline)) static inline void compare(const struct ht_thread *t, uint32_t node, int skip, int own)
{
    if (!ht_thread_is_valid(t)) {
        fprintf(stderr, "the kept stack is not valid\n");
        exit(1);
    }
    ours.count = 0;
    for (; node >= HT_NODE_FIRST; node = ht_p.nodes[node].parent) {
        uint64_t key = ht_p.nodes[node].key;
        if (own-- <= 0)
            ours.pc[ours.count++] = (key & HT_KEY_OFFSET) + ht_module_base(ht_key_module(key));
    }
    theirs.count = -skip;
    _Unwind_Backtrace(collect, &theirs);
    int cut = node == HT_NODE_DEPTH, beyond = !cut && theirs.count < ours.count && theirs.count > 0;
    struct dwarf_eh_bases bases;
    if (beyond && _Unwind_Find_FDE((void *)(theirs.pc[theirs.count - 1] - 1), &bases))
        differ(&theirs, &ours);
    int same = beyond || (cut ? theirs.count > ours.count : theirs.count == ours.count);
    for (int i = 0; same && i < ours.count && i < theirs.count; i++)
        same = ours.pc[i] == theirs.pc[i];
    if (!same)
        differ(&theirs, &ours);
    unwind_checks++;
    unwind_beyond += beyond;
    unwind_frames += ours.count;
}

/* Its own frame is the first of libgcc's; the library's first is its caller's. */
__attribute__((noinline)) void unwind_check_here(void)
{
    struct ht_regs at = HT_CALLER();
    struct ht_thread *t = thread_here();
    t->idle = HT_BUSY;
    if (!ht_stack_is_kept(t, at))
        ht_walk(t, at.pc, at.sp, at.fp);
    t->idle = t->ready;
    compare(t, t->top->node, 1, 0);
}

/* Where a signal handler allocates: the C library's malloc may be what it has interrupted. */
static void *own_malloc(size_t size)
{
    static _Alignas(64) char room[1 << 16];
    static size_t used;
    used = used + size < sizeof room ? used + 64 : 0;
    return room + used;
}
static void own_free(void *block) { (void)block; }

/* Its own frame is the first of both. */
__attribute__((noinline)) void unwind_check_malloc(void)
{
    struct ht_thread *t = thread_here();
    ht_real.malloc = own_malloc;
    ht_real.free = own_free;
    void *block = ht_hook_malloc(24);
    uint32_t bucket = ht_shadow_block(block, 0).bucket;
    ht_hook_free(block);
    compare(t, node_of(bucket), 1, 1);
}

/* The number of call paths, to see that the cut of deep recursion is stable. */
unsigned unwind_buckets(void) { return ht_p.header->buckets_used; }
unsigned unwind_depth(void) { return ht_p.depth; }
