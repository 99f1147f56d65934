/*
 * api.c: what a script in the same process calls, through its runtime's foreign function interface.
 *
 * Integers and buffers in, integers out. Figures come back in the calling thread's own `ht_figures`,
 * whose address it asks for once: a call without arguments is one that the runtimes compile to a
 * bare call, which allocates nothing. Only the calling thread reads and writes its figures.
 *
 * A call marks its thread busy as a hook does, so that a signal handler that allocates meanwhile
 * passes through and never waits for a lock that its own thread holds.
 */
#include "heaptap.h"

#define HT_UNSET (~0u)
/* How often heaptap_process asks the kernel for ended threads: seldom while there are few to add up. */
#define HT_FEW_THREADS 16u
#define HT_LOOK_EVERY(live) ((live) <= HT_FEW_THREADS ? 512u : 16u)

enum ht_installed { HT_INSTALLED = 0, HT_JOINED = 1, HT_SWITCHED_OFF = 2, HT_FOREIGN_LIBC = 3 };

/* Not in ht_p, which a failed attempt zeroes while it holds this. A child that was forked meanwhile is
 * about to exec, or does without. */
static struct ht_lock ht_install_lock;

/* Starts recording as the configuration says, where nothing was recorded. */
static int ht_install_new(uint32_t slots[2])
{
    ht_real_find();
    if (!ht_is_glibc && !ht_is_musl) {
        memset(&ht_config, 0, sizeof ht_config);
        return HT_FOREIGN_LIBC;
    }
    ht_config.installed = 1;
    ht_config_read();
    ht_config.off = 0;
    int problem = ht_process_start();
    /* A fork's child of a process that had installed already: its hooks are in, and pass through. */
    if (problem < 0)
        return HT_SWITCHED_OFF;
    if (problem) {
        /* No hook has been called yet: the next attempt begins anew. */
        ht_process_undo();
        memset(&ht_config, 0, sizeof ht_config);
        return -problem;
    }
    ht_got_patch(1, slots);
    return HT_INSTALLED;
}

/*
 * Starts recording in this process and puts the hooks in. `out` names the recording as HEAPTAP_OUT
 * does; when both are empty it is kept in memory. Numbers are as their variables say, HT_UNSET for
 * what those or the defaults say. `slots` gets how many slots lead to a hook: of the program itself,
 * of other objects. Returns ht_installed, or -errno.
 */
static int ht_install(const char *out, uint32_t buckets, uint32_t depth, uint32_t mode, uint32_t exact_peak, uint32_t sizes, uint32_t lifetimes,
    uint32_t sample, uint32_t slots[2])
{
    uint32_t state = ht_shared_get(&ht_p.state);
    if (state == HT_STATE_ON) {
        ht_got_patch(ht_config.installed, slots);
        return HT_JOINED;
    }
    if (state != HT_STATE_NEW)
        return HT_SWITCHED_OFF;
    struct ht_config *c = &ht_config;
    c->installed = 1;
    ht_config_read();
    c->off = 0;
    if (buckets != HT_UNSET)
        c->buckets = buckets;
    if (depth != HT_UNSET)
        c->depth = depth;
    if (mode != HT_UNSET)
        c->mode = mode;
    if (exact_peak != HT_UNSET)
        c->exact_peak = exact_peak;
    if (sizes != HT_UNSET)
        c->sizes = sizes;
    if (lifetimes != HT_UNSET)
        c->lifetimes = lifetimes;
    if (sample != HT_UNSET)
        c->interval = sample;
    if (out[0])
        ht_copy(c->pattern, sizeof c->pattern, out);
    return ht_install_new(slots);
}

HT_EXPORT int heaptap_install(const char *out, uint32_t buckets, uint32_t depth, uint32_t mode, uint32_t exact_peak, uint32_t sizes, uint32_t lifetimes,
    uint32_t sample, uint32_t slots[2])
{
    slots[0] = slots[1] = 0;
    ht_lock(&ht_install_lock); /* two threads of the runtime may come at once */
    int result = ht_install(out, buckets, depth, mode, exact_peak, sizes, lifetimes, sample, slots);
    ht_unlock(&ht_install_lock);
    return result;
}

/* The recording where it is mapped; its header says how large it is. NULL when there is none. */
HT_EXPORT void *heaptap_recording(void) { return ht_shared_get(&ht_p.state) == HT_STATE_ON ? ht_p.file : NULL; }

/* Where the calling thread's figures stand from now on; NULL when it cannot be counted. */
HT_EXPORT struct ht_figures *heaptap_figures(void)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return NULL;
    t->figures.slot = t->slot;
    ht_end(t, idle);
    return &t->figures;
}

static void ht_put(struct ht_double *to, int64_t n) { to->bits = ht_arch_double(n); }

static void ht_figures_put(struct ht_figures *f, const struct ht_totals *totals, int64_t level, int64_t window, int64_t peak)
{
    ht_put(&f->allocations, (int64_t)totals->allocations);
    ht_put(&f->bytes, (int64_t)totals->bytes);
    ht_put(&f->frees, (int64_t)totals->frees);
    ht_put(&f->current, (int64_t)totals->current);
    ht_put(&f->reallocations, (int64_t)totals->reallocations);
    ht_put(&f->temporary, (int64_t)totals->temporary);
    ht_put(&f->level, level);
    ht_put(&f->window, window);
    ht_put(&f->peak, peak);
}

/*
 * The calling thread's own figures. Ends its window and begins the next: at the present level when
 * `watch` says so, else at the thread's peak, which is then all that there is to follow. Returns 0
 * when the thread shares its record.
 */
HT_EXPORT uint32_t heaptap_thread(void)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return 0;
    uint32_t has_own = t->ready != HT_IDLE_SHARED;
    if (has_own) {
        int64_t level = t->counters->current, window = t->window == INT64_MAX ? level : t->window;
        t->highest = ht_max_signed(t->highest, window);
        ht_figures_put(&t->figures, (const struct ht_totals *)t->counters, level, window, t->highest);
        t->window = t->figures.watch ? level : t->highest;
        ht_peak_range(t);
    }
    ht_end(t, idle);
    return has_own;
}

/* Takes a slot of the process's windows, under thread_lock; 0 when none is free. */
static int ht_window_hold(struct ht_thread *t, int64_t level)
{
    if (!~ht_peek(&ht_p.windows_open))
        ht_threads_look_all();
    uint64_t open = ht_peek(&ht_p.windows_open);
    if (!~open)
        return 0;
    t->window_slot = (uint32_t)__builtin_ctzll(~open);
    t->holds_window = 1;
    ht_own_set(&ht_p.windows[t->window_slot], level);
    ht_shared_or(&ht_p.windows_open, 1ull << t->window_slot);
    return 1;
}

/*
 * The process's figures: ended threads stand in one sum, so that the cost is by threads that run.
 * Ends the calling thread's window of the process, and begins the next when `watch` says so.
 * Returns 0 when all 64 windows are taken.
 */
HT_EXPORT uint32_t heaptap_process(void)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return 0;
    struct ht_figures *f = &t->figures;
    struct ht_file_header *h = ht_p.header;
    /* Windows go by what threads flush, which the first one does not while it is alone. */
    ht_shared_set(&h->multi, 1u);
    ht_hold_if_shared(t);
    ht_peak_flush(t, t->counters->current);
    ht_lock_bare(&ht_p.thread_lock); /* two system calls would cost more than all the rest */
    if (ht_p.looks++ % HT_LOOK_EVERY(ht_p.live_count) == 0)
        ht_threads_look(HT_PROBES, 0);
    struct ht_totals totals = ht_p.ended;
    ht_totals_add(&totals, &ht_p.threads[HT_THREAD_SHARED], 1);
    for (uint32_t i = 0; i < ht_p.live_count; i++)
        ht_totals_add(&totals, &ht_p.threads[ht_p.order[i]], 1);
    int64_t level = ht_peek(&h->current) + ht_peak_pending(t), window = level;
    uint32_t held = 1;
    if (t->holds_window)
        window = ht_max_signed(level, ht_shared_exchange(&ht_p.windows[t->window_slot], level));
    else if (f->watch)
        held = (uint32_t)ht_window_hold(t, level);
    if (!f->watch)
        ht_window_release(t);
    ht_unlock_bare(&ht_p.thread_lock);
    ht_peak_next(t, t->counters->current, level);
    ht_peak_raise((int64_t)totals.current);
    ht_figures_put(f, &totals, level, window, ht_peek(&h->peak));
    ht_end(t, idle);
    return held;
}

/* The number of an operation of the script, made when it is new; 0 when there is no room, or no call paths are recorded. */
HT_EXPORT uint32_t heaptap_operation(const char *name)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return 0;
    uint32_t number = ht_p.mode == HT_MODE_PATHS ? ht_module_named(HT_OPERATION_PATH, name) : 0;
    ht_end(t, idle);
    return number;
}

/* Whether a module stands for an operation. */
static int ht_is_operation(uint32_t module)
{
    static const char path[] = HT_OPERATION_PATH;
    const struct ht_file_modules *m = &ht_p.modules[module];
    return module < ht_shared_get(&ht_p.header->modules_used) && m->path_length >= sizeof path - 1
        && ht_same_bytes(ht_p.strings + m->path, path, sizeof path - 1);
}

/* From here on what the calling thread allocates is that operation's, 0 for none. Returns whether it is. */
HT_EXPORT uint32_t heaptap_operate(uint32_t operation)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return 0;
    uint32_t is_set = !operation || ht_is_operation(operation);
    if (is_set)
        ht_operation_set(t, operation);
    ht_end(t, idle);
    return is_set;
}

/* A script is about to read: looks which threads have ended, all of them, notes it in their records, and adds a sample to the timeline. */
HT_EXPORT void heaptap_threads(void)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return;
    ht_lock(&ht_p.thread_lock);
    ht_threads_look_all();
    ht_unlock(&ht_p.thread_lock);
    ht_sample_now(t);
    ht_end(t, idle);
}

/* Allocations of the whole process are not counted from here on, or are again. */
HT_EXPORT void heaptap_pause(uint32_t pause) { ht_pause(pause != 0); }

/* Between these two the calling thread's allocations are heaptap's own: not counted. They nest. */
HT_EXPORT void heaptap_own_begin(void)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return;
    t->own_depth++;
    ht_end(t, HT_IDLE_OWN);
}

HT_EXPORT void heaptap_own_end(void)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return;
    if (t->own_depth > 0)
        t->own_depth--;
    ht_end(t, t->own_depth > 0 ? HT_IDLE_OWN : t->ready);
}

/*
 * What V8 tells of a piece of code that it made, or moved: `JitCodeEvent` of its v8-callbacks.h, as it has been from V8 10 (Node 18) to 14.
 * src/native/v8_names.ts has it told, and looks whether a function of its own comes out under its name.
 */
struct ht_code_event {
    uint32_t type;
    uint32_t kind;
    uint64_t start;
    uint64_t length;
    uint64_t script, user_data, wasm_source;
    union {
        struct {
            uint64_t text;
            uint64_t length;
        } name;
        uint64_t new_start;
    };
};
enum { HT_CODE_ADDED = 0, HT_CODE_MOVED = 1, HT_CODE_BYTES = 0, HT_CODE_NAME_MOST = 4096 };

static size_t ht_hex(char *at, uint64_t n)
{
    size_t digits = 1;
    while (digits < 16 && n >> 4 * digits)
        digits++;
    for (size_t i = 0; i < digits; i++)
        at[i] = "0123456789abcdef"[n >> 4 * (digits - 1 - i) & 15];
    return digits;
}

/*
 * Adds the line that V8 itself would have written, had it been started with --perf-basic-prof. In any thread, in the middle of a garbage
 * collection: one write, so that lines of several are whole, and no descriptor that stays. Nothing of the event is followed but by the
 * kernel, which refuses what is no memory: an engine that tells in another form writes nothing, and takes no harm.
 */
static void ht_code_event(const struct ht_code_event *event)
{
    int is_moved = event->type == HT_CODE_MOVED;
    if (!ht_p.header || (event->type != HT_CODE_ADDED && !is_moved) || event->kind == HT_CODE_BYTES)
        return;
    char path[HT_CODE_MAP_PATH], range[2 * 16 + 2];
    size_t length = ht_hex(range, is_moved ? event->new_start : event->start);
    range[length++] = ' ';
    length += ht_hex(range + length, event->length);
    range[length++] = ' ';
    /* What code was called that has moved is not known here: it has no name, in place of another one's. */
    struct {
        uint64_t base;
        uint64_t length;
    } parts[] = {
        { (uint64_t)range, length },
        { event->name.text, is_moved ? 0 : ht_min(event->name.length, HT_CODE_NAME_MOST) },
        { (uint64_t) "\n", 1 },
    };
    ht_code_map_path(path);
    long file = ht_syscall(HT_SYS_OPENAT, HT_AT_FDCWD, (long)path, HT_O_WRONLY | HT_O_APPEND | HT_O_NOFOLLOW | HT_O_CLOEXEC, 0, 0, 0);
    if (HT_FAILED(file))
        return;
    ht_syscall(HT_SYS_WRITEV, file, (long)parts, 3, 0, 0, 0);
    ht_syscall(HT_SYS_CLOSE, file, 0, 0, 0, 0, 0);
}

/* The function that V8 is to call. */
HT_EXPORT void *heaptap_code_events(void)
{
    return (void *)ht_code_event;
}
