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
 * dlsym, dlopen or dlclose: what its constructors have allocated by then is not seen. Not looked at are the program itself and
 * sanitizers' runtimes.
 */
#include "heaptap.h"

#define HT_ALLOCATORS 6
_Static_assert(HT_ALLOCATORS <= HT_LINKS, "each may be of an object of its own");

enum ht_wrapped {
#define HT_NEW(name, ...) HT_WRAPPED_##name,
#define HT_WRITTEN_NEW(name, ...) HT_WRAPPED_##name,
#define HT_WRITTEN_RESIZE(name, ...) HT_WRAPPED_##name,
#define HT_WRITTEN_STORE(name, ...) HT_WRAPPED_##name,
#define HT_TEXT(name, ...) HT_WRAPPED_##name,
#define HT_STORE(name) HT_WRAPPED_##name,
#define HT_RESIZE(name, ...) HT_WRAPPED_##name,
#define HT_EXPAND(result, name, ...) HT_WRAPPED_##name,
#define HT_END(name, ...) HT_WRAPPED_##name,
#define HT_END_ALL(name) HT_WRAPPED_##name,
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

/*
 * One function of one of them. Most hooks are alike but for what they call and which parameters matter: those are in here, and
 * a hook is two instructions that say which route it is and jump to the way that it goes (arch/). The program calls with
 * what the real function takes, five registers at most; the sixth says the route.
 */
struct ht_route {
    void *real;
    void *way; /* HT_ROUTE_WAY */
    const struct ht_allocator *of;
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
static int ht_counted_inside(const struct ht_thread *t, const void *block)
{
    struct ht_block b = ht_shadow_block(block, 0);
    if (b.kind == HT_BLOCK_COUNTED && (b.slot == t->slot || b.slot == HT_THREAD_SHARED))
        return 1;
    if (!t->last || t->last >= block)
        return 0;
    b = ht_shadow_block(t->last, 0);
    return b.kind == HT_BLOCK_COUNTED && (uint64_t)block - (uint64_t)t->last < b.size;
}

HT_NOINLINE void *ht_note_outer(const struct ht_before *before, void *block, size_t size, struct ht_regs at, const struct ht_heap *heap)
{
    if (block ? ht_counted_inside(ht_self, block) : ht_counters()->failed != before->failed)
        return block;
    return ht_note_close(block, size, at.pc, at.sp, at.fp, heap);
}

HT_INLINE void *ht_note(const struct ht_before before, void *block, size_t size, struct ht_regs at, const struct ht_heap *heap)
{
    if (HT_UNLIKELY(ht_has_counted(&before)))
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

/* A library ends a block by itself. Those that it made so were never to be seen, and what a call further out has handed is
 * that one's to count. */
static void ht_ending_inside(const void *block)
{
    uint32_t idle;
    struct ht_thread *t = ht_self->idle == HT_BUSY ? NULL : ht_begin(&idle);
    if (!t)
        return;
    struct ht_block b = ht_shadow_block(block, 1);
    if (b.kind == HT_BLOCK_COUNTED)
        ht_count_end(t, b, block);
    ht_end(t, idle);
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

/* `by` is where the call came from. */
HT_NOINLINE void ht_ending_begin(struct ht_ending *e, const struct ht_allocator *a, const void *block, const void *by)
{
    e->handed = 0;
    e->ends = 0;
    /* Nothing, or what a call further out has counted. */
    if (!block || (block == ht_self->handed.block && ht_self->handed.as.kind == HT_BLOCK_UNCOUNTED))
        return;
    if (HT_UNLIKELY(!ht_end_hot(block, 1))) {
        uint32_t idle;
        if (ht_is_inside(a, by))
            return ht_ending_inside(block);
        struct ht_thread *t = ht_begin(&idle);
        if (!t)
            return;
        struct ht_block b = ht_take_block(t, block);
        if (b.kind == HT_BLOCK_UNKNOWN)
            e->ends = ht_ends_now();
        else
            ht_count_end(t, b, block);
        ht_end(t, idle);
        if (b.kind == HT_BLOCK_UNKNOWN)
            return;
    }
    e->handed = 1;
    e->before = ht_self->handed;
    ht_self->handed = (struct ht_handed){ block, { .kind = HT_BLOCK_UNCOUNTED } };
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
    struct ht_block known;
    struct ht_before before;
    int begun;
};

HT_NOINLINE void ht_moving_begin(struct ht_moving *m, void *old)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    m->begun = t != NULL;
    if (!t)
        return;
    m->known = ht_resize_begin(t, idle, old).known;
    m->handed = t->handed;
    m->before = ht_before();
    t->handed = (struct ht_handed){ m->known.kind == HT_BLOCK_UNKNOWN ? NULL : old, m->known };
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
    struct ht_resize r = { t, m->known, ht_is_counted(idle) };
    int taken = m->known.kind != HT_BLOCK_UNKNOWN && old && t->handed.block != old;
    int inside = ht_has_counted(&m->before) && (block ? ht_counted_inside(t, block) : ht_counters()->failed != m->before.failed);
    t->handed = m->handed;
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
    return block;
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

/* The ways of hooks whose parameters a route describes. */
#define HT_PARAMETERS uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e
#define HT_CALL(route) ((void *(*)(HT_PARAMETERS))(route)->real)(a, b, c, d, e)
#define HT_PASSES(of) ((of)->linked && HT_UNLIKELY(ht_is_linked_inside(of, __builtin_return_address(0))))

HT_INLINE size_t ht_size_of(const struct ht_route *route, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    size_t size = route->size[0] == 0 ? a : route->size[0] == 1 ? b : route->size[0] == 2 ? c : d;
    if (HT_UNLIKELY(route->size[1] != HT_NOTHING))
        size *= route->size[1] == 1 ? b : route->size[1] == 2 ? c : d;
    return size;
}

static void *ht_way_new(HT_PARAMETERS, const struct ht_route *route)
{
    HT_MAY_THROW();
    if (HT_PASSES(route->of))
        return HT_CALL(route);
    size_t size = ht_size_of(route, a, b, c, d);
    struct ht_before before = ht_before();
    void *block = HT_CALL(route);
    return ht_note(before, block, size, HT_CALLER(), &route->of->heap);
}

static void *ht_way_resize(HT_PARAMETERS, const struct ht_route *route)
{
    if (HT_PASSES(route->of))
        return HT_CALL(route);
    struct ht_moving m;
    size_t size = ht_size_of(route, a, b, c, d);
    void *old = (void *)(route->block == 0 ? a : b);
    ht_moving_begin(&m, old);
    void *block = HT_CALL(route);
    int gone = route->gone == HT_GOES_AT_ZERO ? size == 0 : route->gone;
    return ht_moving_end(&m, &route->of->heap, old, block, size, gone, 0, HT_CALLER());
}

static void ht_way_end(HT_PARAMETERS, const struct ht_route *route)
{
    if (HT_PASSES(route->of)) {
        HT_CALL(route);
        return;
    }
    struct ht_ending ending;
    ht_ending_begin(&ending, route->of, (void *)(route->block == 0 ? a : route->block == 1 ? b : 0), __builtin_return_address(0));
    HT_CALL(route);
    ht_ending_end(&ending);
}

static const char *ht_way_text(HT_PARAMETERS, const struct ht_route *route)
{
    struct ht_before before = ht_before();
    const char *text = HT_CALL(route);
    if (!text || HT_PASSES(route->of) || (route->block != HT_NOTHING && (route->block == 1 ? b : c) != 0))
        return text;
    return ht_note(before, (void *)(uint64_t)text, ht_length(text) + 1, HT_CALLER(), &route->of->heap);
}

static int ht_way_store(HT_PARAMETERS, const struct ht_route *route)
{
    if (HT_PASSES(route->of))
        return (int)(uint64_t)HT_CALL(route);
    struct ht_before before = ht_before();
    int result = (int)(uint64_t)HT_CALL(route);
    if (result != 0)
        ht_note(before, NULL, 0, HT_CALLER(), &route->of->heap);
    else if (*(void **)a)
        ht_note(before, *(void **)a, c, HT_CALLER(), &route->of->heap);
    return result;
}

#define HT_SET(k, name) ht_set_##k##_##name
#define HT_REAL_OF(k, result, name, parameters) ((result(*) parameters)ht_route(k, HT_WRAPPED_##name)->real)
#define HT_EACH_SET(M, ...)                                                                        \
    M(0, __VA_ARGS__) M(1, __VA_ARGS__) M(2, __VA_ARGS__) M(3, __VA_ARGS__) M(4, __VA_ARGS__) M(5, __VA_ARGS__)
#define HT_PASS(k, result, name, parameters, arguments)                                            \
    if (HT_PASSES(&ht_allocators[k]))                                                              \
        return HT_REAL_OF(k, result, name, parameters) arguments;

/* Those that are written out. */
#define HT_NEW(...)
#define HT_RESIZE(...)
#define HT_END(...)
#define HT_WRITTEN_NEW(...) HT_EACH_SET(HT_WRITTEN_NEW_OF, __VA_ARGS__)
#define HT_WRITTEN_NEW_OF(k, name, parameters, arguments, size)                                    \
    static void *HT_SET(k, name) parameters                                                        \
    {                                                                                              \
        HT_PASS(k, void *, name, parameters, arguments)                                            \
        struct ht_before before = ht_before();                                                      \
        void *block = HT_REAL_OF(k, void *, name, parameters) arguments;                           \
        return ht_note(before, block, size, HT_CALLER(), &ht_allocators[k].heap);                  \
    }
#define HT_TEXT(...)
#define HT_STORE(...)
#define HT_WRITTEN_STORE(...) HT_EACH_SET(HT_WRITTEN_STORE_OF, __VA_ARGS__)
#define HT_WRITTEN_STORE_OF(k, name, parameters, arguments, place, size)                                   \
    static int HT_SET(k, name) parameters                                                          \
    {                                                                                              \
        HT_PASS(k, int, name, parameters, arguments)                                               \
        struct ht_before before = ht_before();                                                      \
        int result = HT_REAL_OF(k, int, name, parameters) arguments;                               \
        if (result != 0)                                                                           \
            ht_note(before, NULL, 0, HT_CALLER(), &ht_allocators[k].heap);                         \
        else if (place)                                                                            \
            ht_note(before, place, size, HT_CALLER(), &ht_allocators[k].heap);                     \
        return result;                                                                             \
    }
#define HT_WRITTEN_RESIZE(...) HT_EACH_SET(HT_WRITTEN_RESIZE_OF, __VA_ARGS__)
#define HT_WRITTEN_RESIZE_OF(k, name, parameters, arguments, old, size)                            \
    static void *HT_SET(k, name) parameters                                                        \
    {                                                                                              \
        HT_PASS(k, void *, name, parameters, arguments)                                            \
        struct ht_moving m;                                                                        \
        ht_moving_begin(&m, old);                                                                  \
        void *block = HT_REAL_OF(k, void *, name, parameters) arguments;                           \
        return ht_moving_end(&m, &ht_allocators[k].heap, old, block, size, 0, 0, HT_CALLER());     \
    }
#define HT_EXPAND(...) HT_EACH_SET(HT_EXPAND_OF, __VA_ARGS__)
#define HT_EXPAND_OF(k, type, name, parameters, arguments, old, size, done)                        \
    static type HT_SET(k, name) parameters                                                         \
    {                                                                                              \
        HT_PASS(k, type, name, parameters, arguments)                                              \
        struct ht_moving m;                                                                        \
        void *block = old;                                                                         \
        ht_moving_begin(&m, block);                                                                \
        type result = HT_REAL_OF(k, type, name, parameters) arguments;                             \
        ht_moving_end(&m, &ht_allocators[k].heap, block, old, size, 0, !(done), HT_CALLER());      \
        return result;                                                                             \
    }
#define HT_END_ALL(...) HT_EACH_SET(HT_END_ALL_OF, __VA_ARGS__)
#define HT_END_ALL_OF(k, name)                                                                     \
    static void HT_SET(k, name)(void *heap)                                                        \
    {                                                                                              \
        HT_PASS(k, void, name, (void *), (heap))                                                   \
        const struct ht_allocator *a = &ht_allocators[k];                                          \
        if (heap && a->visit && (!a->backing || heap != a->backing()))                             \
            a->visit(heap, 1, ht_end_visited, NULL);                                               \
        HT_REAL_OF(k, void, name, (void *))(heap);                                                 \
        __asm__ volatile("" ::: "memory"); /* not a jump: who calls is to be seen inside */        \
    }
#include "allocators.def"

/* The others, one route after the other. */
__asm__(HT_STUBS_BEGIN(HT_ALLOCATORS)
#define HT_STUB(...) HT_STUB_NEXT
#define HT_NEW HT_STUB
#define HT_WRITTEN_NEW HT_STUB
#define HT_WRITTEN_RESIZE HT_STUB
#define HT_WRITTEN_STORE HT_STUB
#define HT_TEXT HT_STUB
#define HT_STORE HT_STUB
#define HT_RESIZE HT_STUB
#define HT_EXPAND HT_STUB
#define HT_END HT_STUB
#define HT_END_ALL HT_STUB
#include "allocators.def"
            HT_STUBS_END);
extern const uint8_t ht_stubs[][HT_STUB_ALIGNMENT] __attribute__((visibility("hidden")));

static const struct ht_wrapped_function {
    const char *name;
    void *way;                     /* NULL when the hooks are written out: */
    void *written[HT_ALLOCATORS];
    uint8_t block, size[2], gone;  /* as in a route */
    uint8_t makes, text, ends;     /* it returns a block that is new; that holds a copy of a text; it is called with blocks that others may have made */
} ht_wrapped_functions[HT_WRAPPED_COUNT] = {
#define HT_HOOKS_OF(k, name) (void *)HT_SET(k, name),
#define HT_WRITTEN(name, ...) [HT_WRAPPED_##name] = { #name, NULL, { HT_EACH_SET(HT_HOOKS_OF, name) }, .size = { HT_IS(0) }, __VA_ARGS__ },
#define HT_NEW(name, ...) [HT_WRAPPED_##name] = { #name, (void *)ht_way_new, { NULL }, HT_NOTHING, { __VA_ARGS__ }, .makes = 1 },
#define HT_RESIZE(name, old, ...) [HT_WRAPPED_##name] = { #name, (void *)ht_way_resize, { NULL }, .block = old, HT_RESIZE_SIZE(__VA_ARGS__) },
#define HT_RESIZE_SIZE(n, m, goes) .size = { n, m }, .gone = goes
#define HT_END(name, block) [HT_WRAPPED_##name] = { #name, (void *)ht_way_end, { NULL }, block, { HT_IS(0) }, .ends = 1 },
#define HT_WRITTEN_NEW(name, ...) HT_WRITTEN(name, .makes = 1)
#define HT_WRITTEN_RESIZE(name, ...) HT_WRITTEN(name, .makes = 0)
#define HT_WRITTEN_STORE(name, ...) HT_WRITTEN(name, .makes = 1)
#define HT_TEXT(name, into) [HT_WRAPPED_##name] = { #name, (void *)ht_way_text, { NULL }, into, { HT_IS(0) }, .makes = 1, .text = 1 },
#define HT_STORE(name) [HT_WRAPPED_##name] = { #name, (void *)ht_way_store, { NULL }, HT_NOTHING, { HT_IS(2) }, .makes = 1 },
#define HT_EXPAND(type, name, ...) HT_WRITTEN(name, .makes = 0)
#define HT_END_ALL(name) HT_WRITTEN(name, .makes = 0)
#include "allocators.def"
};

/* The hook of a set for a function. */
static void *ht_hook_of(uint32_t set, uint32_t wrapped)
{
    const struct ht_wrapped_function *f = &ht_wrapped_functions[wrapped];
    return f->way ? (void *)(uint64_t)ht_stubs[set * HT_WRAPPED_COUNT + wrapped] : f->written[set];
}

/* What a hook is to call, before anybody calls it. */
static void ht_route_set(uint32_t set, uint32_t wrapped, void *real)
{
    const struct ht_wrapped_function *f = &ht_wrapped_functions[wrapped];
    *ht_route(set, wrapped) = (struct ht_route){ real, f->way, &ht_allocators[set], f->block, { f->size[0], f->size[1] }, f->gone };
}
