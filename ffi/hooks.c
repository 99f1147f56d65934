/*
 * hooks.c: the functions that the program calls in place of the allocator's.
 *
 * Each calls the real function and counts (count.c). For free and realloc the block's word is taken
 * out of the shadow *before* the real call: after it another thread may own the address. Where the
 * real function may call back into the hooks (musl's calloc does) the thread is marked busy around
 * it, and the nested call passes through.
 */
#include "heaptap.h"

/* Weak, because Valgrind puts its own functions in the place of every other `malloc`, whoever defines
 * it, and would be called in place of the hooks. The dynamic linker takes them like any other. */
#define HT_INTERPOSE HT_EXPORT __attribute__((weak))

#ifdef HT_TEST
#define HT_HOOK(name) ht_hook_##name
#else
#define HT_HOOK(name) name
#endif

HT_INTERPOSE void *HT_HOOK(malloc)(size_t size)
{
    void *block = ht_real.malloc(size);
    return ht_note_allocation(block, size, HT_CALLER());
}

HT_INTERPOSE void HT_HOOK(free)(void *block)
{
    if (HT_LIKELY(block))
        ht_free(block);
}

/* Whether a signal handler inside the real function forked, and this is the child: the kernel has
 * zeroed the thread's state, and nothing of the call is counted. */
HT_INLINE int ht_forked_away(const struct ht_thread *t) { return t->tid == 0; }

/* Marks the thread busy around a real function; what it was before, HT_BUSY when nothing is to be
 * counted afterwards. */
static uint32_t ht_around(struct ht_thread **t)
{
    *t = ht_self;
    if (HT_UNLIKELY(ht_unwanted))
        return HT_BUSY;
    if ((*t)->idle == HT_BUSY) {
        *t = ht_enter_slow();
        if (!*t)
            return HT_BUSY;
    }
    return ht_busy(*t);
}

/* `real` is what was called: of a block that is not the allocator's own it must not be asked how large it is. */
HT_INLINE void ht_note_around(struct ht_thread *t, uint32_t idle, void *block, size_t size, struct ht_regs at, const void *real)
{
    if (idle == HT_BUSY || HT_UNLIKELY(ht_forked_away(t)))
        return;
    ht_idle(t, idle);
    if (HT_UNLIKELY(ht_p.sizes_kept && !ht_is_in_heap(real)))
        ht_note_general(block, size, at.pc, at.sp, at.fp, &ht_elsewhere);
    else
        ht_note_allocation(block, size, at);
}

HT_INTERPOSE void *HT_HOOK(calloc)(size_t count, size_t size)
{
    struct ht_thread *t;
    uint32_t idle = ht_around(&t);
    void *block = ht_real.calloc(count, size);
    ht_note_around(t, idle, block, count * size, HT_CALLER(), (void *)ht_real.calloc);
    return block;
}

/* A reallocation under way: the thread is marked, and the old block out of the shadow. */
struct ht_resize {
    struct ht_thread *t;
    struct ht_block known;
    int counted;
    size_t had; /* how many bytes the old block had, as far as the allocator tells: asked when not all blocks are recorded */
};

static struct ht_resize ht_resize_begin(struct ht_thread *t, uint32_t idle, const struct ht_heap *heap, void *old)
{
    struct ht_resize r = { t, { .kind = HT_BLOCK_UNCOUNTED }, ht_is_counted(idle), 0 };
    if (old)
        r.known = ht_take_block(t, old);
    if (ht_is_sampling() && old && heap->usable)
        r.had = ht_usable(heap, old);
    return r;
}

/* The old block is there still. */
static void ht_resize_back(const struct ht_resize *r, const struct ht_heap *heap, void *old)
{
    const struct ht_block *b = &r->known;
    int put;
    if (ht_is_sampling() && b->kind == HT_BLOCK_COUNTED)
        ht_sampled_put(old, b->bucket, b->slot, b->size, &put); /* where it was: there is room */
    else if (!ht_is_sampling() && b->kind != HT_BLOCK_UNKNOWN)
        ht_shadow_put(old, b->bucket, b->kind == HT_BLOCK_COUNTED ? b->slot + 1ull : 0, b->size, heap->close, b->born);
}

/* What the real function returned: `gone` says that the old block is no more also when that was nothing. */
static void ht_resize_end(const struct ht_resize *r, const struct ht_heap *heap, void *old, void *block, size_t size, int gone, struct ht_regs at)
{
    struct ht_thread *t = r->t;
    struct ht_block known = r->known;
    if (HT_UNLIKELY(ht_forked_away(t)))
        return;
    if (!block && old && gone) {
        ht_count_end(t, known, old);
    } else if (!block) {
        if (old)
            ht_resize_back(r, heap, old);
        if (r->counted)
            ht_count_failure(t);
    } else if (!r->counted) {
        if (known.kind == HT_BLOCK_COUNTED)
            ht_count_free(t, known, 0);
        ht_count_nothing(t, heap, block, size);
    } else if (ht_is_sampling() && old) {
        ht_count_reallocation_sampled(t, heap, known, r->had, block, size, at);
    } else if (known.kind == HT_BLOCK_COUNTED) {
        ht_count_reallocation(t, heap, known, block, size, at);
    } else {
        ht_count_end(t, known, old);
        ht_count_allocation(t, heap, block, size, at);
    }
}

/* realloc once the thread is marked. Zero stays zero: what that means is the C library's to say. */
static void *ht_reallocate(struct ht_thread *t, uint32_t idle, void *old, size_t size, struct ht_regs at)
{
    struct ht_resize r = ht_resize_begin(t, idle, &ht_heap, old);
    void *block = ht_real.realloc(old, size);
    ht_resize_end(&r, &ht_heap, old, block, size, size == 0, at);
    return block;
}

HT_INTERPOSE void *HT_HOOK(realloc)(void *old, size_t size)
{
    struct ht_thread *t;
    uint32_t idle = ht_around(&t);
    if (idle == HT_BUSY)
        return ht_real.realloc(old, size);
    void *block = ht_reallocate(t, idle, old, size, HT_CALLER());
    ht_end(t, idle);
    return block;
}

HT_INTERPOSE void *HT_HOOK(reallocarray)(void *old, size_t count, size_t size)
{
    struct ht_thread *t;
    size_t bytes;
    uint32_t idle = ht_around(&t);
    if (idle == HT_BUSY)
        return ht_real.reallocarray(old, count, size);
    void *block;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        /* The real function's to refuse, and to set errno. */
        block = ht_real.reallocarray(old, count, size);
        if (!ht_forked_away(t) && ht_is_counted(idle))
            ht_count_failure(t);
    } else {
        block = ht_reallocate(t, idle, old, bytes, HT_CALLER());
    }
    ht_end(t, idle);
    return block;
}

HT_INTERPOSE int HT_HOOK(posix_memalign)(void **to, size_t alignment, size_t size)
{
    struct ht_thread *t;
    uint32_t idle = ht_around(&t);
    int result = ht_real.posix_memalign(to, alignment, size);
    ht_note_around(t, idle, result == 0 ? *to : NULL, size, HT_CALLER(), (void *)ht_real.posix_memalign);
    return result;
}

#define HT_ALLOCATING_HOOK(name, parameters, arguments)                                            \
    HT_INTERPOSE void *HT_HOOK(name) parameters                                                       \
    {                                                                                              \
        struct ht_thread *t;                                                                       \
        uint32_t idle = ht_around(&t);                                                             \
        void *block = ht_real.name arguments;                                                      \
        ht_note_around(t, idle, block, size, HT_CALLER(), (void *)ht_real.name);                   \
        return block;                                                                              \
    }
HT_ALLOCATING_HOOK(aligned_alloc, (size_t alignment, size_t size), (alignment, size))
HT_ALLOCATING_HOOK(memalign, (size_t alignment, size_t size), (alignment, size))
HT_ALLOCATING_HOOK(valloc, (size_t size), (size))
HT_ALLOCATING_HOOK(pvalloc, (size_t size), (size))

/* C23. A C library without them has a free that does the same. */
HT_INTERPOSE void HT_HOOK(free_sized)(void *block, size_t size)
{
    (void)size;
    HT_HOOK(free)(block);
}

HT_INTERPOSE void HT_HOOK(free_aligned_sized)(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    HT_HOOK(free)(block);
}

/* The program forbids itself system calls: what the library needs of the kernel it gets before that. */
HT_INTERPOSE int HT_HOOK(prctl)(int option, long a, long b, long c, long d)
{
    enum { SET_SECCOMP = 22, SET_TSC = 26 };
    if (option == SET_TSC) {
        ht_real_find();
        ht_vdso_clock = NULL; /* it reads that counter itself */
    }
    if (HT_LIKELY(option != SET_SECCOMP))
        return ht_real.prctl(option, a, b, c, d);
    struct ht_confined confined = ht_confine(a == 2 ? (const void *)b : NULL, a == 1);
    int result = ht_real.prctl(option, a, b, c, d);
    ht_confine_done(confined, result == 0);
    return result;
}

/* Before a fork. By a signal handler that interrupts one of our calls, the child returns into that: it may have
 * taken what it needs before it marked the thread busy. */
static int ht_fork_begin(struct ht_regs at)
{
    struct ht_thread *t = ht_self;
    if (ht_shared_get(&ht_p.state) != HT_STATE_ON || t->tid == 0)
        return 0;
    /* Busy: what is looked at is not given back meanwhile (attached.c). */
    uint32_t idle = ht_busy(t);
    enum ht_outer outer = ht_inside ? HT_OUTER_INTERRUPTED : ht_outer_call(at);
    ht_idle(t, idle);
    int inside = outer == HT_OUTER_INTERRUPTED || (idle == HT_BUSY && outer == HT_OUTER_CALLS);
    if (inside)
        ht_fork_inside_begin();
    return inside;
}

#define HT_FORK(way)                                                                               \
    int inside = ht_fork_begin(HT_CALLER());                                                       \
    long child = way;                                                                              \
    ht_fork_end(inside, child);
HT_INTERPOSE int HT_HOOK(fork)(void)
{
    HT_FORK(ht_real.fork())
    return (int)child;
}

HT_INTERPOSE int HT_HOOK(_Fork)(void)
{
    HT_FORK(ht_real._Fork())
    return (int)child;
}

/* Whether a system call makes a child with memory of its own that goes on here. */
static int ht_is_fork(long n, long a, long b)
{
    enum { CLONE_VM = 0x100 };
    return n == HT_SYS_FORK || (n == HT_SYS_CLONE && !(a & CLONE_VM) && b == 0)
        || (n == HT_SYS_CLONE3 && ht_sys_readable((uint64_t)a) && !(*(const uint64_t *)a & CLONE_VM));
}

HT_INTERPOSE long HT_HOOK(syscall)(long n, long a, long b, long c, long d, long e, long f)
{
    enum { STRICT = 0, FILTER = 1, TSYNC = 1, NEW_LISTENER = 8, TSYNC_ESRCH = 16 };
    if (HT_UNLIKELY(n == HT_SYS_PRCTL))
        return HT_HOOK(prctl)((int)a, b, c, d, e);
    if (HT_UNLIKELY(n == HT_SYS_EXECVE || n == HT_SYS_EXECVEAT))
        return ht_exec_by_number(n, a, b, c, d, e, f);
    if (HT_UNLIKELY(ht_is_fork(n, a, b))) {
        HT_FORK(ht_real.syscall(n, a, b, c, d, e, f))
        return child;
    }
    uint32_t operation = (uint32_t)a;
    if (HT_LIKELY(n != HT_SYS_SECCOMP || operation > FILTER))
        return ht_real.syscall(n, a, b, c, d, e, f);
    struct ht_confined confined = ht_confine(operation == FILTER ? (const void *)c : NULL, operation == STRICT);
    long result = ht_real.syscall(n, a, b, c, d, e, f);
    /* A thread's number says that this thread would not have it, and none has. */
    int names_thread = (b & TSYNC) && !(b & (NEW_LISTENER | TSYNC_ESRCH));
    ht_confine_done(confined, names_thread ? result == 0 : result >= 0);
    return result;
}

/* A library is being opened whose calls may go past the hooks. Recording begins here if it has not yet. */
static void ht_opened_past(int own_space)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return;
    if (own_space || !ht_peek(&ht_names_redirected))
        ht_shared_add(&ht_p.header->past_libraries, 1u);
    ht_end(t, idle);
}

/* The dynamic linker looks at who calls it (search path, name space, what RTLD_NEXT is next to): these only jump there. */
HT_INTERPOSE void *HT_HOOK(dlopen)(const char *file, int mode)
{
    ht_discover_opened(1);
    if (HT_UNLIKELY(mode & RTLD_DEEPBIND) && file && !(mode & RTLD_NOLOAD))
        ht_opened_past(0);
    return ht_real.dlopen(file, mode);
}

/* Before what was opened is used, the allocators in it are found. */
HT_INTERPOSE void *HT_HOOK(dlsym)(void *handle, const char *name)
{
    ht_discover_opened(0);
    return ht_real.dlsym(handle, name);
}

HT_INTERPOSE void *HT_HOOK(dlvsym)(void *handle, const char *name, const char *version)
{
    ht_discover_opened(0);
    return ht_real.dlvsym(handle, name, version);
}

/* Another name space than the program's has a C library and a heap of its own. */
HT_INTERPOSE void *HT_HOOK(dlmopen)(long space, const char *file, int mode)
{
    if (space != LM_ID_BASE && file && !(mode & RTLD_NOLOAD))
        ht_opened_past(1);
    return ht_real.dlmopen(space, file, mode);
}

/* Code that goes away takes its unwind rules with it. */
HT_INTERPOSE int HT_HOOK(dlclose)(void *handle)
{
    if (ht_shared_get(&ht_p.state) != HT_STATE_ON)
        return ht_real.dlclose(handle);
    ht_discover_opened(0);
    unsigned long long before = ht_unload_count();
    int result = ht_real.dlclose(handle);
    if (ht_unload_count() != before) {
        ht_modules_changed();
        ht_link_unloaded();
    }
    return result;
}

/* Unwind tables of code that is made at run time (tables.c). Whom nobody was told of at the start, nobody is asked to forget:
 * libgcc aborts. */
#define HT_REGISTERING_HOOK(name, parameters, arguments, bits)                                     \
    HT_INTERPOSE void HT_HOOK(name) parameters                                                     \
    {                                                                                              \
        ht_real.name arguments;                                                                    \
        ht_frames_register(a, bits | (ht_real.name == ht_first_##name ? HT_REGISTERED_ALONE : 0)); \
    }
HT_REGISTERING_HOOK(__register_frame, (void *a), (a), 0)
HT_REGISTERING_HOOK(__register_frame_table, (void *a), (a), HT_REGISTERED_TABLE)
HT_REGISTERING_HOOK(__register_frame_info, (const void *a, void *b), (a, b), 0)
HT_REGISTERING_HOOK(__register_frame_info_table, (void *a, void *b), (a, b), HT_REGISTERED_TABLE)
HT_REGISTERING_HOOK(__register_frame_info_bases, (const void *a, void *b, void *c, void *d), (a, b, c, d), 0)
HT_REGISTERING_HOOK(__register_frame_info_table_bases, (void *a, void *b, void *c, void *d), (a, b, c, d), HT_REGISTERED_TABLE)

HT_INTERPOSE void HT_HOOK(__deregister_frame)(void *begin)
{
    if (!ht_frames_deregister(begin))
        ht_real.__deregister_frame(begin);
}

HT_INTERPOSE void *HT_HOOK(__deregister_frame_info)(const void *begin)
{
    return ht_frames_deregister(begin) ? NULL : ht_real.__deregister_frame_info(begin);
}

HT_INTERPOSE void *HT_HOOK(__deregister_frame_info_bases)(const void *begin)
{
    return ht_frames_deregister(begin) ? NULL : ht_real.__deregister_frame_info_bases(begin);
}
