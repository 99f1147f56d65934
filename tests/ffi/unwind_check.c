/*
 * Stacks against libgcc's: unwind_check_here() compares the call path that the library finds with
 * _Unwind_Backtrace's, frame by frame. unwind_walk.cc calls it from everywhere.
 */
#include "../../ffi/all.c"

#include <stdio.h>
#include <stdlib.h>
#include <unwind.h>

struct trace {
    uint64_t pc[4096];
    int count;
};

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *out)
{
    struct trace *trace = out;
    int before = 0;
    uint64_t pc = _Unwind_GetIPInfo(context, &before);
    if (pc && trace->count < 4096)
        trace->pc[trace->count++] = pc + (before ? 1 : 0); /* as the library keeps interrupted code */
    return _URC_NO_REASON;
}

long unwind_checks, unwind_frames;

static void differ(const struct trace *theirs, const struct trace *ours, int skip)
{
    fprintf(stderr, "stacks differ (theirs, ours) at check %ld:\n", unwind_checks);
    for (int i = 0; i < theirs->count - skip || i < ours->count; i++)
        fprintf(stderr, "  %2d %16lx %16lx\n", i, i + skip < theirs->count ? (unsigned long)theirs->pc[i + skip] : 0ul,
                i < ours->count ? (unsigned long)ours->pc[i] : 0ul);
    exit(1);
}

/* Its own frame is the first of libgcc's; the library's first is its caller's. */
__attribute__((noinline)) void unwind_check_here(void)
{
    static __thread struct trace theirs, ours;
    struct ht_regs at = HT_CALLER();
    if (ht_self->idle == HT_BUSY && !ht_enter_slow()) {
        fprintf(stderr, "the library did not start\n");
        exit(1);
    }
    struct ht_thread *t = ht_self;
    t->idle = HT_BUSY;
    if (!ht_stack_is_kept(t, at))
        ht_walk(t, at.pc, at.sp, at.fp);
    t->idle = t->ready;
    if (!ht_thread_is_valid(t)) {
        fprintf(stderr, "the kept stack is not valid\n");
        exit(1);
    }
    ours.count = 0;
    for (uint32_t node = t->top->node; node >= HT_NODE_FIRST; node = ht_p.nodes[node].parent) {
        uint64_t key = ht_p.nodes[node].key;
        ours.pc[ours.count++] = (key & ~(~0ull << HT_KEY_OFFSET_BITS)) + ht_module_base((uint32_t)(key >> HT_KEY_OFFSET_BITS));
    }
    theirs.count = 0;
    _Unwind_Backtrace(collect, &theirs);
    int cut = t->root == HT_NODE_DEPTH;
    int skip = 1, same = cut ? theirs.count - skip > ours.count : theirs.count - skip == ours.count;
    for (int i = 0; same && i < ours.count; i++)
        same = ours.pc[i] == theirs.pc[i + skip];
    if (!same)
        differ(&theirs, &ours, skip);
    unwind_checks++;
    unwind_frames += ours.count;
}

/* The number of call paths, to see that the cut of deep recursion is stable. */
unsigned unwind_buckets(void) { return ht_p.header->buckets_used; }
unsigned unwind_depth(void) { return ht_p.depth; }
