/*
 * allocators.c: the functions of other allocators' shared libraries, wherever they are: preloaded before or behind this
 * library, linked, or opened later.
 *
 * `operator new` of jemalloc, tcmalloc and mimalloc does not go through malloc, nor does what they call their own
 * (allocators.def). None of it is exported from here: programs ask for mallocx to find out whether they run on jemalloc, and
 * which operator an object gets is for the dynamic linker to say (one that the program or a library replaces stays
 * theirs). In place of that the definitions lead to the hooks: the symbol table of the allocator's library, and slots that
 * are bound already, as in got.c. The operators of the C++ library are left alone: they call malloc.
 *
 * A hook calls one function of one library, so there is a set of hooks for each of HT_ALLOCATORS libraries; one that is
 * unloaded leaves its set to the next. Where the process's own malloc is from such a library (real.c), its functions of
 * those names lead to the hooks of hooks.c. Of the C library, what it has beside them under other names
 * (__libc_malloc, cfree) leads there too, by slots alone: backtrace_symbols names addresses by its symbols.
 *
 * One allocation counts once, at the outermost call. Calls inside an allocator's library go where they went before. What
 * comes through a hook all the same (a library that wraps another's malloc) is found by the block: a hook that
 * counted while the real function ran, and has the block that it returned or one that holds it, has counted it. What
 * a new-handler or a thrown exception allocates in between is counted as ever, and nothing is left to put right when an
 * exception or longjmp passes through a hook. Blocks that end are `handed` (ht_thread) to the calls inside.
 *
 * A library is looked for at the start, before any constructor but this library's, and after dlopen, before the next
 * dlsym, dlopen or dlclose: what its constructors have allocated by then is not seen. Not looked at are sanitizers' runtimes.
 * An allocator among other code, the program's or a library's, leads to these hooks by its code: linked.c.
 */
#include "heaptap.h"

#define HT_ALLOCATORS 6
_Static_assert(HT_ALLOCATORS <= HT_LINKS, "each may be of an object of its own");

enum ht_wrapped {
#define HT_NAMED(name, ...) HT_WRAPPED_##name,
#define HT_NEW HT_NAMED
#define HT_TEXT HT_NAMED
#define HT_STORE HT_NAMED
#define HT_RESIZE HT_NAMED
#define HT_RESIZE_SIX HT_NAMED
#define HT_OTHER HT_NAMED
#define HT_END HT_NAMED
#define HT_END_ALL HT_NAMED
#include "allocators.def"
    HT_WRAPPED_COUNT
};

/* An allocator's functions. Written while its hooks are called by nobody: before its symbols or its code lead to them. */
static struct ht_allocator {
    struct ht_heap heap;
    uint64_t object;    /* where the object begins that it is in; 0 when the set is nobody's */
    uint64_t low, high; /* where it lies, when nothing else is in that object */
    /* An allocator among other code (linked.c): which bytes of code are its own, from code_low on, a bit each. */
    int linked;
    uint64_t code_low, code_size;
    const uint64_t *code;
    _Bool (*visit)(const void *heap, _Bool all, _Bool (*visitor)(const void *, const void *, void *, size_t, void *), void *argument);
    void *(*backing)(void);
} ht_allocators[HT_ALLOCATORS];

struct ht_route;
/* What a hook does: with the parameters that it was called with, and where. Returns what the real function did. */
typedef uint64_t ht_go(const struct ht_route *route, const uint64_t arguments[6], struct ht_regs at);

/*
 * One function of one of them. Hooks are alike but for what they call and which parameters matter, which is in here. A hook is
 * two instructions (arch/): either it says which route it is in the sixth parameter's register and jumps to the `way`, for
 * functions of five parameters at most, or it says so on the stack and goes through ht_keeping_hook, which leaves all registers
 * but the result as they were.
 */
struct ht_route {
    void *real;
    void *way; /* HT_ROUTE_WAY */
    const struct ht_allocator *of;
    ht_go *go;
    uint8_t block;   /* which parameter ends, or HT_NOTHING */
    uint8_t size[2]; /* which parameters are the size: one, or two whose product it is */
    uint8_t gone;    /* what becomes of the old block when there is no new one */
};
_Static_assert(offsetof(struct ht_route, way) == HT_ROUTE_WAY && sizeof(struct ht_route) == HT_ROUTE_SIZE, "as the hooks expect");

#define HT_NOTHING 0xff
#define HT_IS(n) n, HT_NOTHING
#define HT_TIMES(n, m) n, m
enum { HT_STAYS, HT_GOES, HT_GOES_AT_ZERO };

/* By set and function. Written as the sets are. */
__attribute__((used)) static struct ht_route ht_routes[HT_ALLOCATORS * HT_WRAPPED_COUNT];

static struct ht_route *ht_route(uint32_t set, uint32_t wrapped) { return &ht_routes[set * HT_WRAPPED_COUNT + wrapped]; }

/* An exception passes through a hook: that is how operator new refuses. The unwinder asks this when it looks for who
 * catches it; there is nothing to clean up. */
enum { HT_UNWIND_SEARCH = 1, HT_UNWIND_CONTINUE = 8 };
__attribute__((used)) static int ht_unwinds_through(int version, int actions, uint64_t class, void *exception, void *context)
{
    (void)version, (void)class, (void)exception, (void)context;
    uint32_t idle;
    struct ht_thread *t = actions & HT_UNWIND_SEARCH ? ht_begin(&idle) : NULL;
    if (t) {
        if (ht_is_counted(idle))
            ht_count_failure(t);
        ht_end(t, idle);
    }
    return HT_UNWIND_CONTINUE;
}
#define HT_MAY_THROW() __asm__ volatile(".cfi_personality 0x1b, ht_unwinds_through")

/* What the thread had counted before a real function was called. */
struct ht_before {
    uint64_t allocations, failed;
};

HT_INLINE const struct ht_file_threads *ht_counters(void)
{
    const struct ht_file_threads *c = ht_self->counters;
    return HT_LIKELY(c) ? c : &ht_no_counters;
}

HT_INLINE struct ht_before ht_before(void)
{
    const struct ht_file_threads *c = ht_counters();
    return (struct ht_before){ c->allocations, c->failed };
}

/* Whether hooks inside have counted allocations since, or refusals. */
HT_INLINE int ht_has_counted(const struct ht_before *before)
{
    const struct ht_file_threads *c = ht_counters();
    return ((c->allocations ^ before->allocations) | (c->failed ^ before->failed)) != 0;
}

/* Whether a hook inside has counted this block, or the one that it is a part of. */
static int ht_counted_at(const struct ht_thread *t, const void *block)
{
    if (ht_is_sampling())
        return t->last && t->last <= block && (const char *)block <= t->last_end;
    struct ht_block b = ht_shadow_block(block, 0);
    if (b.kind == HT_BLOCK_COUNTED && (b.slot == t->slot || b.slot == HT_THREAD_SHARED))
        return 1;
    if (!t->last || t->last >= block)
        return 0;
    b = ht_shadow_block(t->last, 0);
    return b.kind == HT_BLOCK_COUNTED && (uint64_t)block - (uint64_t)t->last < b.size;
}

static int ht_counted_inside(const struct ht_thread *t, const struct ht_heap *heap, const void *block)
{
    return ht_counted_at(t, block) || (heap->turned && ht_counted_at(t, ht_turned(heap, block)));
}

HT_NOINLINE void *ht_note_outer(const struct ht_before *before, void *block, size_t size, struct ht_regs at, const struct ht_heap *heap)
{
    if (HT_UNLIKELY(ht_unwanted)) /* what it would look at may have been given back while the real function was called */
        return block;
    if (ht_has_counted(before) && (block ? ht_counted_inside(ht_self, heap, block) : ht_counters()->failed != before->failed))
        return block;
    ht_note_close(ht_turned(heap, block), size, at.pc, at.sp, at.fp, heap);
    return block;
}

HT_INLINE void *ht_note(const struct ht_before before, void *block, size_t size, struct ht_regs at, const struct ht_heap *heap)
{
    if (HT_UNLIKELY(ht_has_counted(&before) || heap->turned))
        return ht_note_outer(&before, block, size, at, heap);
    return ht_note_close(block, size, at.pc, at.sp, at.fp, heap);
}

/* The end of a block, around the real function. */
struct ht_ending {
    struct ht_handed before; /* what calls further out have handed */
    int handed;              /* and whether this one has */
    uint64_t ends;           /* when the block is not known: how many ends there were, and one */
};

static uint64_t ht_ends_now(void) { return ht_counters()->frees + ht_counters()->unknown_frees + 1; }

/* Counts the end of a block, if that was counted. */
static void ht_end_counted(const void *block)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return;
    struct ht_block b = ht_shadow_block(block, 1);
    if (b.kind == HT_BLOCK_COUNTED)
        ht_count_end(t, b, block);
    ht_end(t, idle);
}

/* A library ends a block by itself. Those that it made so were never to be seen, and what a call further out has handed is
 * that one's to count. */
static void ht_ending_inside(const void *block)
{
    if (ht_self->idle != HT_BUSY)
        ht_end_counted(block);
}

/* Whether a call came from the library itself, or by a jump from what one of our hooks called. (In a test the hooks and
 * who calls them are one object.) */
static int ht_is_inside(const struct ht_allocator *a, const void *by)
{
#ifdef HT_TEST
    return (uint64_t)by >= a->low && (uint64_t)by < a->high;
#else
    return ((uint64_t)by >= a->low && (uint64_t)by < a->high) || ht_is_own((uint64_t)by);
#endif
}

/* Whether one function of a linked allocator calls another, or a hook does: past the hooks then. The call itself is looked up,
 * not what it returns to. */
HT_NOINLINE int ht_is_linked_inside(const struct ht_allocator *a, const void *by)
{
    uint64_t at = (uint64_t)by - 1 - a->code_low;
    return (at < a->code_size && (a->code[at / 64] >> at % 64 & 1)) || ht_is_own((uint64_t)by);
}

/* Counts the end of a block; 0 when it is not known, or not to be counted. */
static int ht_ending_take(struct ht_ending *e, const void *block)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return 0;
    struct ht_block b = ht_take_block(t, block);
    int known = b.kind != HT_BLOCK_UNKNOWN || ht_is_sampling();
    if (known)
        ht_count_end(t, b, block);
    else
        e->ends = ht_ends_now();
    ht_end(t, idle);
    return known;
}

/* `by` is where the call came from. */
HT_NOINLINE void ht_ending_begin(struct ht_ending *e, const struct ht_allocator *a, const void *block, const void *by)
{
    e->handed = 0;
    e->ends = 0;
    /* Blocks that are told apart from others' at their place: nothing inside ends them. */
    if (HT_UNLIKELY(a->heap.turned)) {
        if (block && !ht_end_close(ht_turned(&a->heap, block)))
            ht_ending_take(e, ht_turned(&a->heap, block));
        return;
    }
    /* Every end counts when not all blocks are recorded: but for those of the library's own. */
    if (ht_is_sampling() && ht_is_inside(a, by)) {
        if (ht_is_sampled(block))
            ht_ending_inside(block);
        return;
    }
    /* Nothing, or what a call further out has counted. */
    if (!block || (block == ht_self->handed.block && ht_self->handed.kind == HT_BLOCK_UNCOUNTED))
        return;
    if (HT_UNLIKELY(!ht_end_close(block))) {
        if (ht_is_inside(a, by))
            return ht_ending_inside(block);
        if (!ht_ending_take(e, block))
            return;
    }
    e->handed = 1;
    e->before = ht_self->handed;
    ht_self->handed = (struct ht_handed){ .block = block, .kind = HT_BLOCK_UNCOUNTED };
}

/* Nobody inside has counted the end of a block that is not known. */
HT_NOINLINE void ht_ending_unknown(const struct ht_ending *e)
{
    uint32_t idle;
    struct ht_thread *t = e->ends == ht_ends_now() ? ht_begin(&idle) : NULL;
    if (!t)
        return;
    ht_count_end(t, (struct ht_block){ .kind = HT_BLOCK_UNKNOWN }, NULL);
    ht_end(t, idle);
}

HT_INLINE void ht_ending_end(const struct ht_ending *e)
{
    if (HT_LIKELY(e->handed))
        ht_self->handed = e->before;
    else if (HT_UNLIKELY(e->ends))
        ht_ending_unknown(e);
}

/* A reallocation, around the real function. The thread is not marked: hooks inside count, and take over what was handed. */
struct ht_moving {
    struct ht_handed handed;
    struct ht_birth handed_born;
    struct ht_block known;
    size_t had;
    struct ht_before before;
    int begun;
};

HT_NOINLINE void ht_moving_begin(struct ht_moving *m, const struct ht_heap *heap, void *old)
{
    old = ht_turned(heap, old);
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    m->begun = t != NULL;
    if (!t)
        return;
    struct ht_resize r = ht_resize_begin(t, idle, heap, old);
    m->known = r.known;
    m->had = r.had;
    m->handed = t->handed;
    m->handed_born = t->handed_born;
    m->before = ht_before();
    t->handed = (struct ht_handed){ m->known.kind == HT_BLOCK_UNKNOWN ? NULL : old, m->known.size, m->known.bucket, m->known.slot, m->known.kind };
    t->handed_born = m->known.born;
    ht_end(t, idle);
}

/* What became of it: `block`, nothing with the old one `gone` or still there; or it is not to be counted (`back`). */
HT_NOINLINE void *ht_moving_end(const struct ht_moving *m, const struct ht_heap *heap, void *old, void *block, size_t size, int gone, int back,
    struct ht_regs at)
{
    uint32_t idle;
    struct ht_thread *t = m->begun ? ht_begin(&idle) : NULL;
    if (!t)
        return block;
    struct ht_resize r = { t, m->known, ht_is_counted(idle), m->had };
    void *result = block;
    old = ht_turned(heap, old);
    int taken = m->known.kind != HT_BLOCK_UNKNOWN && old && t->handed.block != old;
    int inside = ht_has_counted(&m->before) && (block ? ht_counted_inside(t, heap, block) : ht_counters()->failed != m->before.failed);
    block = ht_turned(heap, block);
    t->handed = m->handed;
    t->handed_born = m->handed_born;
    if (taken)
        r.known.kind = HT_BLOCK_UNCOUNTED;
    if (back || (!block && !(gone && old))) {
        if (old && !taken)
            ht_resize_back(&r, heap, old);
        if (!back && !inside && r.counted)
            ht_count_failure(t);
    } else if (block && !inside) {
        ht_resize_end(&r, heap, taken ? NULL : old, block, size, gone, at);
    } else if (!taken && old && (!block || r.known.kind == HT_BLOCK_COUNTED)) {
        ht_count_end(t, r.known, old);
    }
    ht_end(t, idle);
    return result;
}

/* Ends what is known of the blocks of a heap. An aligned block may begin inside what the allocator calls one. */
static _Bool ht_end_visited(const void *heap, const void *area, void *block, size_t size, void *argument)
{
    (void)heap, (void)area, (void)argument;
    for (size_t i = 0; block && i < size; i += 8) {
        const char *at = (const char *)block + i;
        if (ht_shadow_block(at, 0).kind == HT_BLOCK_UNKNOWN)
            continue;
        uint32_t idle;
        struct ht_thread *t = ht_begin(&idle);
        if (t) {
            ht_count_end(t, ht_take_block(t, at), at);
            ht_end(t, idle);
        }
        break;
    }
    return 1;
}

static size_t ht_wide_size(const uint16_t *text)
{
    size_t n = 0;
    while (text[n])
        n++;
    return (n + 1) * sizeof *text;
}

#define HT_CALL(route, with) ((uint64_t (*)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t))(route)->real)(with[0], with[1], with[2], with[3], with[4], with[5])
#define HT_PASSES(route, at) ((route)->of->linked && HT_UNLIKELY(ht_is_linked_inside((route)->of, (const void *)(at).pc)))

HT_INLINE size_t ht_size_of(const struct ht_route *route, const uint64_t with[6])
{
    size_t size = route->size[0] == 0 ? with[0] : route->size[0] == 1 ? with[1] : route->size[0] == 2 ? with[2] : with[3];
    if (HT_UNLIKELY(route->size[1] != HT_NOTHING))
        size *= route->size[1] == 1 ? with[1] : route->size[1] == 2 ? with[2] : with[3];
    return size;
}

HT_INLINE void *ht_block_of(const struct ht_route *route, const uint64_t with[6])
{
    return (void *)(route->block == 0 ? with[0] : route->block == 1 ? with[1] : 0);
}

HT_INLINE uint64_t ht_new(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    if (HT_PASSES(route, at))
        return HT_CALL(route, with);
    size_t size = ht_size_of(route, with);
    struct ht_before before = ht_before();
    void *block = (void *)HT_CALL(route, with);
    return (uint64_t)ht_note(before, block, size, at, &route->of->heap);
}

HT_INLINE uint64_t ht_resize(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    if (HT_PASSES(route, at))
        return HT_CALL(route, with);
    struct ht_moving m;
    size_t size = ht_size_of(route, with);
    void *old = ht_block_of(route, with);
    ht_moving_begin(&m, &route->of->heap, old);
    void *block = (void *)HT_CALL(route, with);
    int gone = route->gone == HT_GOES_AT_ZERO ? size == 0 : route->gone;
    return (uint64_t)ht_moving_end(&m, &route->of->heap, old, block, size, gone, 0, at);
}

HT_INLINE uint64_t ht_ends(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    if (HT_PASSES(route, at))
        return HT_CALL(route, with);
    struct ht_ending ending;
    ht_ending_begin(&ending, route->of, ht_block_of(route, with), (const void *)at.pc);
    uint64_t result = HT_CALL(route, with);
    ht_ending_end(&ending);
    return result;
}

static uint64_t ht_go_new(const struct ht_route *route, const uint64_t with[6], struct ht_regs at) { return ht_new(route, with, at); }
static uint64_t ht_go_resize(const struct ht_route *route, const uint64_t with[6], struct ht_regs at) { return ht_resize(route, with, at); }
static uint64_t ht_go_end(const struct ht_route *route, const uint64_t with[6], struct ht_regs at) { return ht_ends(route, with, at); }

/* The same for calls that may change registers as functions do. */
#define HT_PARAMETERS uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, const struct ht_route *route
#define HT_WITH ((const uint64_t[6]){ a, b, c, d, e, 0 })
static uint64_t ht_way_new(HT_PARAMETERS)
{
    HT_MAY_THROW();
    return ht_new(route, HT_WITH, HT_CALLER());
}
static uint64_t ht_way_resize(HT_PARAMETERS)
{
    HT_MAY_THROW();
    return ht_resize(route, HT_WITH, HT_CALLER());
}
static uint64_t ht_way_end(HT_PARAMETERS) { return ht_ends(route, HT_WITH, HT_CALLER()); }

/* Ways that are rare. */
static uint64_t ht_go_text(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    struct ht_before before = ht_before();
    const char *text = (const char *)HT_CALL(route, with);
    if (text && !HT_PASSES(route, at) && (route->block == HT_NOTHING || !with[route->block]))
        ht_note(before, (void *)(uint64_t)text, ht_length(text) + 1, at, &route->of->heap);
    return (uint64_t)text;
}

static uint64_t ht_go_wide_text(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    struct ht_before before = ht_before();
    const uint16_t *text = (const uint16_t *)HT_CALL(route, with);
    if (text && !HT_PASSES(route, at))
        ht_note(before, (void *)(uint64_t)text, ht_wide_size(text), at, &route->of->heap);
    return (uint64_t)text;
}

/* The block is stored where the first parameter says; 0 is success. */
static uint64_t ht_stored(const struct ht_route *route, const uint64_t with[6], struct ht_regs at, int is_text)
{
    struct ht_before before = ht_before();
    uint64_t result = HT_CALL(route, with);
    void *block = (int)result == 0 && with[0] ? *(void **)with[0] : NULL;
    if (!HT_PASSES(route, at) && (block || (int)result != 0))
        ht_note(before, block, !block ? 0 : is_text ? ht_length(block) + 1 : with[2], at, &route->of->heap);
    return result;
}
static uint64_t ht_go_store(const struct ht_route *route, const uint64_t with[6], struct ht_regs at) { return ht_stored(route, with, at, 0); }
static uint64_t ht_go_environment(const struct ht_route *route, const uint64_t with[6], struct ht_regs at) { return ht_stored(route, with, at, 1); }

/* A block changes where it lies, or stays as it was; `place` when not NULL says where the block is then. */
static uint64_t ht_changed(const struct ht_route *route, const uint64_t with[6], struct ht_regs at, void *old, void **place, size_t size, int (*done)(uint64_t, size_t))
{
    if (HT_PASSES(route, at))
        return HT_CALL(route, with);
    struct ht_moving m;
    ht_moving_begin(&m, &route->of->heap, old);
    uint64_t result = HT_CALL(route, with);
    ht_moving_end(&m, &route->of->heap, old, place ? *place : old, size, 0, !done(result, size), at);
    return result;
}
static int ht_is_large(uint64_t result, size_t size) { return result >= size; }
static int ht_is_there(uint64_t result, size_t size) { return (void)size, result != 0; }
static int ht_is_zero(uint64_t result, size_t size) { return (void)size, (int)result == 0; }
static uint64_t ht_go_in_place(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    return ht_changed(route, with, at, (void *)with[0], NULL, with[1], ht_is_large);
}
static uint64_t ht_go_expand(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    return ht_changed(route, with, at, (void *)with[0], NULL, with[1], ht_is_there);
}
static uint64_t ht_go_array(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    void **place = (void **)with[0];
    return place ? ht_changed(route, with, at, *place, place, with[1] * with[2], ht_is_zero) : HT_CALL(route, with);
}

static uint64_t ht_go_end_all(const struct ht_route *route, const uint64_t with[6], struct ht_regs at)
{
    const struct ht_allocator *a = route->of;
    void *heap = (void *)with[0];
    if (heap && !HT_PASSES(route, at) && a->visit && (!a->backing || heap != a->backing()))
        a->visit(heap, 1, ht_end_visited, NULL);
    return HT_CALL(route, with);
}

/* Called by ht_keeping_hook, with the registers of the caller as they were: what is stored in them is what they will be. `frame`: its saved
 * fp, the route's number, its return address. */
__attribute__((used)) static void ht_keep_go(struct ht_kept_registers *kept, const uint64_t frame[3])
{
    HT_MAY_THROW();
    const struct ht_route *route = &ht_routes[frame[1]];
    const uint64_t with[6] = { kept->parameters[0], kept->parameters[1], kept->parameters[2], kept->parameters[3], kept->parameters[4], kept->parameters[5] };
    uint64_t result = route->go(route, with, (struct ht_regs){ frame[2], (uint64_t)(frame + 3), frame[0] });
    if (route->go != ht_go_end && route->go != ht_go_end_all) /* which return nothing */
        kept->result = result;
}
__asm__(HT_KEEP);

/* The hooks, by route: both forms. */
#define HT_STUB(...) HT_STUB_NEXT
#define HT_NEW HT_STUB
#define HT_TEXT HT_STUB
#define HT_STORE HT_STUB
#define HT_RESIZE HT_STUB
#define HT_RESIZE_SIX HT_STUB
#define HT_OTHER HT_STUB
#define HT_END HT_STUB
#define HT_END_ALL HT_STUB
__asm__(HT_STUBS_BEGIN(HT_ALLOCATORS)
#include "allocators.def"
            HT_STUBS_END);
extern const uint8_t ht_stubs[][2 * HT_STUB_ALIGNMENT] __attribute__((visibility("hidden")));

static const struct ht_wrapped_function {
    const char *name;
    void *way;                    /* NULL: by ht_keeping_hook alone */
    ht_go *go;
    uint8_t block, size[2], gone; /* as in a route */
    uint8_t makes, text, ends;    /* it returns a block that is new; that holds a copy of a text; it is called with blocks that others may have made */
} ht_wrapped_functions[HT_WRAPPED_COUNT] = {
#define HT_NEW(name, ...) [HT_WRAPPED_##name] = { #name, (void *)ht_way_new, ht_go_new, HT_NOTHING, { __VA_ARGS__ }, .makes = 1 },
#define HT_RESIZED(name, does, old, n, m, goes) [HT_WRAPPED_##name] = { #name, does, ht_go_resize, .block = old, .size = { n, m }, .gone = goes },
#define HT_RESIZE(name, old, ...) HT_RESIZED_BY(name, (void *)ht_way_resize, old, __VA_ARGS__)
#define HT_RESIZE_SIX(name, old, ...) HT_RESIZED_BY(name, NULL, old, __VA_ARGS__)
#define HT_RESIZED_BY(...) HT_RESIZED(__VA_ARGS__)
#define HT_OTHER(name, does) [HT_WRAPPED_##name] = { #name, NULL, does, HT_NOTHING, { HT_IS(0) }, .makes = 0 },
#define HT_TEXT(name, into) [HT_WRAPPED_##name] = { #name, NULL, ht_go_text, into, { HT_IS(0) }, .makes = 1, .text = 1 },
#define HT_STORE(name) [HT_WRAPPED_##name] = { #name, NULL, ht_go_store, HT_NOTHING, { HT_IS(2) }, .makes = 1 },
#define HT_END(name, block) [HT_WRAPPED_##name] = { #name, (void *)ht_way_end, ht_go_end, block, { HT_IS(0) }, .ends = 1 },
#define HT_END_ALL(name) [HT_WRAPPED_##name] = { #name, NULL, ht_go_end_all, HT_NOTHING, { HT_IS(0) }, .makes = 0 },
#include "allocators.def"
};

/* The hook of a set for a function; `keeps`: one that leaves all registers as they were. */
static void *ht_hook_of(uint32_t set, uint32_t wrapped, int keeps)
{
    const uint8_t *both = ht_stubs[set * HT_WRAPPED_COUNT + wrapped];
    return (void *)(uint64_t)(both + (keeps || !ht_wrapped_functions[wrapped].way ? HT_STUB_ALIGNMENT : 0));
}

/* What a hook is to call, before anybody calls it. */
static void ht_route_set(uint32_t set, uint32_t wrapped, void *real)
{
    const struct ht_wrapped_function *f = &ht_wrapped_functions[wrapped];
    *ht_route(set, wrapped) = (struct ht_route){ real, f->way, &ht_allocators[set], f->go, f->block, { f->size[0], f->size[1] }, f->gone };
}
