/*
 * Random operations against a naive model.
 *
 * One thread first: after every step the library's totals, the live bytes of each call path, the peak
 * and what each call path had live at it equal the model's, which keeps a list of blocks and copies
 * everything at each new peak. Then several threads that also free each other's blocks: the sums over
 * call paths equal the totals, and the totals equal what the threads did. Last, what scripts ask for
 * (api.c): figures and windows of the thread and of the process, own sections and pauses.
 *
 * With CLOSE in the environment all that below an allocator whose blocks lie as close as can be.
 *
 * model_test SEED STEPS
 */
#include "../../ffi/all.c"

#include "close_heap.h"

#include <stdio.h>

#define SITES 12
#define BLOCKS 400
#define THREADS 4
#define KINDS 13 /* of ways to allocate */

static unsigned seed;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: seed %u: ", __FILE__, __LINE__, seed);                         \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static __thread uint64_t random_state;
static uint32_t pick(uint32_t n)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % n;
}

struct block {
    void *at;
    size_t size;
    int site;
    uint64_t born; /* the number of its allocation */
};

/* The sanitizers' aligned_alloc refuses what glibc's allows. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALIGNED ht_hook_memalign
#else
#define ALIGNED ht_hook_aligned_alloc
#endif

/* A hook for another allocator's function. */
#define HOOK(k, name, ...) HOOK_(k, name, __VA_ARGS__, 0, 0, 0, 0)
#define HOOK_(k, name, a, b, c, d, e, ...)                                                         \
    ((void *(*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t))ht_hook_of(k, HT_WRAPPED_##name, 0))(                \
        (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c), (uintptr_t)(d), (uintptr_t)(e))

/* A call path each: the site's number keeps the calls apart. */
#define SITE(n)                                                                                    \
    __attribute__((noinline)) static void *allocate_##n(int kind, size_t size)                     \
    {                                                                                              \
        void *block = NULL;                                                                        \
        switch (kind) {                                                                            \
        case 0: block = ht_hook_calloc(1, size); break;                                            \
        case 1: block = ALIGNED(64, size); break;                                    \
        case 2: (void)!ht_hook_posix_memalign(&block, 32, size); break;                            \
        case 3: block = ht_hook_valloc(size); break;                                               \
        case 9: block = HOOK(0, _Znwm, size); break;                                               \
        case 10: block = HOOK(0, _ZnamSt11align_val_tRKSt9nothrow_t, size, 32, NULL); break;       \
        case 11: block = HOOK(1, _Znwm, size); break;                                              \
        case 12: block = HOOK(1, mallocx, size, 0); break;                                         \
        default: block = ht_hook_malloc(size); break;                                              \
        }                                                                                          \
        __asm__ volatile("" ::: "memory");                                                         \
        return block;                                                                              \
    }
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7) SITE(8) SITE(9) SITE(10) SITE(11)
static void *(*const allocate[SITES])(int, size_t) = { allocate_0, allocate_1, allocate_2, allocate_3, allocate_4, allocate_5,
                                                       allocate_6, allocate_7, allocate_8, allocate_9, allocate_10, allocate_11 };

/*
 * Two other libraries: the first one's functions are the allocator's, the second one's call the hooks, so that each call is one
 * inside another. Its operators keep a header before the block.
 */
static void *outer_new(size_t size)
{
    char *block = ht_hook_malloc(size + 16);
    return block ? block + 16 : NULL;
}

static void *outer_realloc(void *old, size_t size)
{
    void *volatile block = ht_hook_realloc(old, size);
    return block;
}

static void *outer_move(void *old, size_t size)
{
    void *block = ht_hook_malloc(size);
    if (block)
        memcpy(block, old, size < ht_heap.usable(old) ? size : ht_heap.usable(old));
    if (block)
        ht_hook_free(old);
    return block;
}

static void *outer_malloc(size_t size)
{
    void *volatile block = ht_hook_malloc(size);
    return block;
}

static void outer_free(void *block)
{
    ht_hook_free(block);
    __asm__ volatile("" ::: "memory");
}

static void *aligned_new(size_t size, size_t alignment) { return ht_real.memalign(alignment, size); }

static void use_libraries(void)
{
    ht_real_find();
    ht_allocators[0].heap = ht_allocators[1].heap = (struct ht_heap){ HT_HEAP_CLOSE, .usable = ht_heap.usable };
#define REAL(k, name, function) ht_route_set(k, HT_WRAPPED_##name, (void *)(function))
    REAL(0, _Znwm, ht_real.malloc);
    REAL(0, _ZnamSt11align_val_tRKSt9nothrow_t, aligned_new);
    REAL(0, rallocx, ht_real.realloc);
    REAL(0, _ZdlPvm, ht_real.free);
    REAL(1, _Znwm, outer_malloc);
    REAL(1, mallocx, outer_malloc);
    REAL(1, rallocx, outer_realloc);
    REAL(1, mi_realloc, outer_move);
    REAL(1, _ZdlPvm, outer_free);
    REAL(1, _Znam, outer_new);
}

static void release(void *block)
{
    switch (pick(4)) {
    case 0: HOOK(0, _ZdlPvm, block, 0); break;
    case 1: HOOK(1, _ZdlPvm, block, 0); break;
    default: ht_hook_free(block); break;
    }
}

/* The model. */
static struct {
    struct block blocks[BLOCKS];
    uint64_t allocations, bytes, frees, reallocations, carried, temporary;
    int64_t live, live_of[1024], peak, peak_of[1024];
    uint64_t requests[HT_SIZE_CLASSES], slack;
    uint64_t lived, lived_of[HT_LIFETIME_CLASSES]; /* allocations while blocks that ended lived */
    int odd; /* live blocks are no longer those of the list alone */
    const void *last;
} model;

static void request(void *block, size_t size)
{
    size_t most = 8;
    uint32_t class = 0;
    while (size > most && class < HT_SIZE_CLASSES - 1)
        most *= 2, class++;
    model.requests[class]++;
    model.slack += ht_heap.usable(block) - size;
}

static void end(uint64_t born)
{
    uint64_t lived = model.allocations - born, least = 1;
    uint32_t class = 0;
    for (; lived >= least && class < HT_LIFETIME_CLASSES - 1; least *= 2)
        class++;
    model.lived += lived;
    model.lived_of[class]++;
    model.frees++;
}

static void grow(int bucket, int64_t bytes)
{
    model.live += bytes;
    model.live_of[bucket] += bytes;
}

static void new_peak(void)
{
    if (model.live <= model.peak)
        return;
    model.peak = model.live;
    memcpy(model.peak_of, model.live_of, sizeof model.peak_of);
}

static void compare(long step)
{
    struct ht_sums s = ht_thread_sums();
    CHECK(ht_thread_is_valid(ht_self), "step %ld: the thread is not valid", step);
    CHECK(ht_sums_are_valid(), "step %ld: call paths and totals differ", step);
    CHECK(s.allocations == model.allocations && s.bytes == model.bytes && s.frees == model.frees,
          "step %ld: allocations %lu %lu, bytes %lu %lu, frees %lu %lu", step, s.allocations, model.allocations, s.bytes, model.bytes,
          s.frees, model.frees);
    CHECK(s.reallocations == model.reallocations && s.carried == model.carried, "step %ld: reallocations %lu %lu, carried %lu %lu", step,
          s.reallocations, model.reallocations, s.carried, model.carried);
    CHECK(s.temporary == model.temporary, "step %ld: temporary %lu %lu", step, s.temporary, model.temporary);
    CHECK(s.live_bytes == model.live, "step %ld: live %ld %ld", step, s.live_bytes, model.live);
    CHECK(ht_peak_now() == model.peak, "step %ld: peak %ld %ld", step, ht_peak_now(), model.peak);
    struct ht_file_sizes sizes = ht_size_sums();
    for (uint32_t c = 0; ht_p.sizes_kept && c < HT_SIZE_CLASSES; c++)
        CHECK(sizes.requests[c] == model.requests[c], "step %ld: class %u has %lu requests, not %lu", step, c, sizes.requests[c],
              model.requests[c]);
    CHECK(!ht_p.sizes_kept || sizes.slack == model.slack, "step %ld: slack %lu %lu", step, sizes.slack, model.slack);
    struct ht_file_lifetimes lifetimes = ht_lifetime_sums();
    for (uint32_t c = 0; ht_p.lifetimes_kept && c < HT_LIFETIME_CLASSES; c++)
        CHECK(lifetimes.by_allocations[c] == model.lived_of[c], "step %ld: %lu blocks of class %u ended, not %lu", step, lifetimes.by_allocations[c], c,
              model.lived_of[c]);
    CHECK(!ht_p.lifetimes_kept || lifetimes.allocations == model.lived, "step %ld: blocks lived %lu allocations, not %lu", step, lifetimes.allocations,
          model.lived);
    uint64_t births = 0;
    for (int i = 0; i < BLOCKS; i++)
        births += model.blocks[i].at ? model.blocks[i].born : 0;
    CHECK(!ht_p.lifetimes_kept || model.odd || (uint64_t)lifetimes.born_allocations == births, "step %ld: births of live blocks %ld, not %lu", step,
          lifetimes.born_allocations, births);
    for (int i = 0; i < BLOCKS && step % 16 == 0; i++) {
        const struct block *b = &model.blocks[i];
        struct ht_block known = ht_shadow_block(b->at, 0);
        CHECK(!b->at || (known.kind == HT_BLOCK_COUNTED && known.size == b->size && known.bucket == (uint32_t)b->site), "step %ld: block %p is of %lu bytes, not %zu",
              step, b->at, known.size, b->size);
    }
    for (uint32_t b = 0; b < ht_p.header->buckets_used && b < 1024; b++)
        CHECK(ht_live_at_peak(b) == model.peak_of[b], "step %ld: call path %u had %ld live at the peak, not %ld", step, b,
              model.peak_of[b], ht_live_at_peak(b));
}

static size_t random_size(void)
{
    switch (pick(8)) {
    case 0: return 0;
    case 1: return pick(100000);
    case 2: return pick(16);
    default: return pick(600);
    }
}

static void *refuse(size_t size)
{
    (void)size;
    return NULL;
}

static void one_thread(long steps)
{
    for (long i = 0; i < steps; i++) {
        struct block *b = &model.blocks[pick(BLOCKS)];
        size_t size = random_size();
        if (!b->at) {
            b->at = allocate[pick(SITES)]((int)pick(KINDS), size);
            b->born = ++model.allocations;
            model.bytes += size;
        } else if (pick(3) == 0) {
            size_t old = b->size;
            if (size == 0)
                size = 1;
            grow(b->site, -(int64_t)old);
            switch (pick(5)) {
            case 0: b->at = ht_hook_reallocarray(b->at, 1, size); break;
            case 1: b->at = HOOK(0, rallocx, b->at, size, 0); break;
            case 2: b->at = HOOK(1, rallocx, b->at, size, 0); break;
            default: b->at = ht_hook_realloc(b->at, size); break;
            }
            model.allocations++;
            model.reallocations++;
            model.bytes += size > old ? size - old : 0;
            model.carried += size > old ? old : size;
        } else {
            model.temporary += b->at == model.last;
            grow(b->site, -(int64_t)b->size);
            end(b->born);
            release(b->at);
            b->at = NULL;
            compare(i);
            continue;
        }
        CHECK(b->at, "step %ld: no memory", i);
        request(b->at, size);
        /* The path is the library's own number for it: what is checked is what it counts there. */
        b->site = (int)ht_shadow_block(b->at, 0).bucket;
        b->size = size;
        CHECK(b->site < 1024, "step %ld: call path %d", i, b->site);
        CHECK(ht_shadow_block(b->at, 0).size == size, "step %ld: the shadow's size", i);
        grow(b->site, (int64_t)size);
        new_peak();
        model.last = b->at;
        compare(i);
    }
    /* Odds and ends with known outcomes. */
    uint64_t failed = ht_self->counters->failed;
    CHECK(ht_shadow_word((void *)4096), "a place low in memory"); /* as of a program that is not position-independent */
    void *(*real)(size_t) = ht_real.malloc;
    for (volatile int i = 0; i < 4; i++) { /* from the second on with a kept stack */
        void *block = ht_hook_malloc(100);
        CHECK(i == 0 ? block != NULL : block == NULL, "a refused request");
        if (block) {
            request(block, 100);
            model.allocations++;
            model.bytes += 100;
            end(model.allocations);
            model.temporary++;
            grow((int)ht_shadow_block(block, 0).bucket, 100);
            new_peak();
            grow((int)ht_shadow_block(block, 0).bucket, -100);
            ht_hook_free(block);
        }
        ht_real.malloc = refuse;
    }
    ht_real.malloc = real;
    CHECK(ht_self->counters->failed == failed + 3, "a refused request is counted as one");
    compare(steps);
    failed += 3;
    CHECK(!ht_hook_malloc(SIZE_MAX / 2) && !ht_hook_calloc(SIZE_MAX / 2, 3) && !ht_hook_reallocarray(NULL, SIZE_MAX / 2, 3), "impossible sizes");
    CHECK(ht_self->counters->failed == failed + 3, "failed requests");
    ht_hook_free(NULL);
    void *p = ht_hook_malloc(100);
    request(p, 100);
    CHECK(!ht_hook_realloc(p, SIZE_MAX / 2), "an impossible realloc");
    model.allocations++;
    model.bytes += 100;
    grow((int)ht_shadow_block(p, 0).bucket, 100);
    new_peak();
    model.odd = 1; /* a block that is not among them */
    compare(steps);
    p = ht_hook_realloc(p, 0);
    CHECK(!p, "realloc to 0 of glibc frees");
    end(model.allocations);
    model.temporary++;
    for (int i = 0; i < 1024; i++)
        model.live_of[i] = 0; /* not compared from here on */
    model.live -= 100;
    CHECK(ht_thread_sums().live_bytes == model.live && ht_sums_are_valid(), "after realloc to 0");
}

/* Several threads. Boxes through which blocks change hands. */
static void *boxes[64];
static struct totals {
    uint64_t allocations, bytes, frees;
} did[THREADS];
static long thread_steps;

static void *worker(void *argument)
{
    long number = (long)argument;
    struct totals *t = &did[number];
    random_state = seed * 31u + (unsigned)number;
    for (long i = 0; i < thread_steps; i++) {
        size_t size = pick(2000);
        void *mine = allocate[pick(SITES)]((int)pick(KINDS), size);
        t->allocations++;
        t->bytes += size;
        void *theirs = __atomic_exchange_n(&boxes[pick(64)], mine, __ATOMIC_ACQ_REL);
        if (theirs) {
            t->frees++;
            release(theirs);
        }
    }
    CHECK(ht_thread_is_valid(ht_self), "thread %ld is not valid", number);
    return NULL;
}

static void several_threads(long steps)
{
    struct ht_sums before = ht_thread_sums(), expected = before;
    pthread_t threads[THREADS];
    thread_steps = steps;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, worker, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        expected.allocations += did[i].allocations;
        expected.bytes += did[i].bytes;
        expected.frees += did[i].frees;
    }
    for (int i = 0; i < 64; i++)
        if (boxes[i]) {
            ht_hook_free(boxes[i]);
            expected.frees++;
        }
    struct ht_sums s = ht_thread_sums();
    CHECK(ht_sums_are_valid(), "threads: call paths and totals differ");
    CHECK(s.allocations == expected.allocations && s.bytes == expected.bytes && s.frees == expected.frees,
          "threads: allocations %lu %lu, bytes %lu %lu, frees %lu %lu", s.allocations, expected.allocations, s.bytes, expected.bytes, s.frees,
          expected.frees);
    CHECK(s.live_bytes == before.live_bytes, "threads: live %ld %ld", s.live_bytes, before.live_bytes);
    uint64_t by_others = 0;
    for (uint32_t i = 0; i < ht_p.header->threads_used; i++)
        by_others += ht_p.threads[i].freed_by_others;
    CHECK(by_others > 0, "no block changed hands");
    if (ht_p.exact_peak)
        CHECK(ht_current(ht_self) == s.live_bytes, "exact peak: current %ld %ld", ht_current(ht_self), s.live_bytes);
}

/* More threads than have records of their own, one after the other and then at once. */
static pthread_barrier_t barrier;
static void *short_worker(void *argument)
{
    void *p = ht_hook_malloc(64);
    if (argument)
        pthread_barrier_wait(&barrier);
    ht_hook_free(p);
    return NULL;
}

static void many_threads(void)
{
    enum { SHORT = 1000, LIVE = 120 };
    struct ht_sums before = ht_thread_sums();
    for (int i = 0; i < SHORT; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, short_worker, NULL);
        pthread_join(thread, NULL);
    }
    CHECK(ht_p.header->threads_used <= HT_SLOTS_FRESH + HT_PROBES, "%u records for threads one after the other", ht_p.header->threads_used);
    static pthread_t threads[LIVE];
    pthread_barrier_init(&barrier, NULL, LIVE);
    for (int i = 0; i < LIVE; i++)
        pthread_create(&threads[i], NULL, short_worker, &barrier);
    for (int i = 0; i < LIVE; i++)
        pthread_join(threads[i], NULL);
    struct ht_sums s = ht_thread_sums();
    CHECK(s.allocations == before.allocations + SHORT + LIVE && s.frees == before.frees + SHORT + LIVE, "short threads: %lu allocations",
          s.allocations - before.allocations);
    CHECK(ht_sums_are_valid(), "short threads: call paths and totals differ");
}

static double number(struct ht_double d)
{
    double n;
    memcpy(&n, &d, sizeof n);
    return n;
}

/* What a window's holder is told: the highest level since it last asked, when it had asked to be told. */
struct window {
    uint32_t (*ask)(void);
    const char *name;
    int watched;
    double highest;
};

static void look(struct window *w, double live, long step)
{
    struct ht_figures *f = heaptap_figures();
    int watch = pick(4) != 0;
    f->watch = (uint64_t)watch;
    CHECK(w->ask(), "step %ld: the %s refuses", step, w->name);
    struct ht_sums s = ht_sums_of(w->ask == heaptap_thread ? ht_self->slot : 0, w->ask == heaptap_thread ? ht_self->slot + 1 : ht_p.header->threads_used);
    CHECK(number(f->current) == live, "step %ld: the %s has %.0f, not %.0f", step, w->name, number(f->current), live);
    CHECK(number(f->allocations) == (double)s.allocations && number(f->bytes) == (double)s.bytes && number(f->frees) == (double)s.frees
              && number(f->reallocations) == (double)s.reallocations && number(f->temporary) == (double)s.temporary,
          "step %ld: the %s's figures", step, w->name);
    if (w->watched)
        CHECK(number(f->window) == w->highest, "step %ld: the %s's highest is %.0f, not %.0f", step, w->name, number(f->window), w->highest);
    CHECK(number(f->peak) >= number(f->window), "step %ld: the %s's peak is below its window", step, w->name);
    w->watched = watch;
    w->highest = live;
}

/* While one thread allocates, both kinds of windows are exact. */
static void windows(long steps)
{
    struct window of[2] = { { heaptap_thread, "thread", 0, 0 }, { heaptap_process, "process", 0, 0 } };
    static struct block blocks[BLOCKS];
    /* The thread's own net is less: it has freed what others allocated. */
    double live = (double)ht_thread_sums().live_bytes, others = live - (double)ht_self->counters->current;
    for (long i = 0; i < steps; i++) {
        struct block *b = &blocks[pick(BLOCKS)];
        /* Now and then all at once, for levels that fall and rise by more than a batch. */
        if (pick(200) == 0) {
            for (int j = 0; j < BLOCKS; j++) {
                live -= (double)blocks[j].size;
                ht_hook_free(blocks[j].at);
                blocks[j] = (struct block){ 0 };
            }
        } else if (b->at && pick(3) == 0) {
            size_t size = random_size() + 1;
            live += (double)size - (double)b->size;
            b->at = ht_hook_realloc(b->at, size);
            b->size = size;
        } else if (b->at) {
            live -= (double)b->size;
            ht_hook_free(b->at);
            *b = (struct block){ 0 };
        } else {
            *b = (struct block){ NULL, random_size(), 0, 0 };
            b->at = allocate[pick(SITES)]((int)pick(9), b->size);
            live += (double)b->size;
        }
        double levels[2] = { live - others, live };
        for (int k = 0; k < 2; k++)
            if (levels[k] > of[k].highest)
                of[k].highest = levels[k];
        while (pick(3) == 0) {
            uint32_t k = pick(2);
            look(&of[k], levels[k], i);
        }
        if (pick(50) == 0) {
            /* Neither is counted but for the end of a known block. */
            int pause = (int)pick(2);
            if (pause)
                heaptap_pause(1);
            else
                heaptap_own_begin();
            void *unknown = allocate[pick(SITES)]((int)pick(9), 100);
            unknown = ht_hook_realloc(unknown, 5000);
            if (b->at) {
                live -= (double)b->size;
                b->at = ht_hook_realloc(b->at, 77);
                ht_hook_free(b->at);
                *b = (struct block){ 0 };
            }
            if (pause)
                heaptap_pause(0);
            else
                heaptap_own_end();
            ht_hook_free(unknown);
        }
        CHECK(ht_thread_is_valid(ht_self) && ht_sums_are_valid(), "step %ld: not valid", i);
    }
    for (int j = 0; j < BLOCKS; j++)
        ht_hook_free(blocks[j].at);
    CHECK(ht_self->counters->unknown_frees == 0 && ht_self->counters->lost_frees == 0, "an uncounted block's end is counted: %lu unknown, %lu lost",
          ht_self->counters->unknown_frees, ht_self->counters->lost_frees);
    heaptap_figures()->watch = 0;
    heaptap_process();
    CHECK(ht_p.windows_open == 0, "a window is open that nobody holds");
}

/* The process's figures are the sums over all threads, those that have ended among them. */
static void process_figures(void)
{
    struct ht_figures *f = heaptap_figures();
    /* A thread that has been joined is on its way out of the kernel still. */
    for (int i = 0; i < 10000 && (i == 0 || ht_p.live_count > 1); i++)
        heaptap_threads();
    CHECK(ht_p.live_count == 1, "%u threads have not ended", ht_p.live_count);
    f->watch = 0;
    CHECK(heaptap_process(), "refused");
    struct ht_sums s = ht_thread_sums();
    CHECK(number(f->allocations) == (double)s.allocations && number(f->bytes) == (double)s.bytes && number(f->frees) == (double)s.frees
              && number(f->current) == (double)s.live_bytes,
          "the process's figures are not the sums over its threads");
    CHECK(number(f->level) == (double)s.live_bytes, "level %.0f, live %ld: an ended thread has told nothing", number(f->level), s.live_bytes);
}

/* More threads than there are windows, which end with theirs open, some without a record of their own. */
static void *window_worker(void *argument)
{
    heaptap_figures()->watch = 1;
    uint32_t *held = argument;
    __atomic_fetch_add(held, heaptap_process(), __ATOMIC_RELAXED);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void windows_of_ended_threads(void)
{
    enum { AT_ONCE = 70 };
    static pthread_t threads[AT_ONCE];
    for (int round = 0; round < 3; round++) {
        uint32_t held = 0;
        pthread_barrier_init(&barrier, NULL, AT_ONCE);
        for (int i = 0; i < AT_ONCE; i++)
            pthread_create(&threads[i], NULL, window_worker, &held);
        for (int i = 0; i < AT_ONCE; i++)
            pthread_join(threads[i], NULL);
        CHECK(held == 64, "round %d: %u windows, not 64", round, held);
    }
}

/* The address sanitizer writes all of a large block's shadow: as many would take nine tenths of the time of all. */
#ifdef __SANITIZE_ADDRESS__
#define SPIKES(steps) ((steps) / 10)
#else
#define SPIKES(steps) (steps)
#endif

/* Another thread's short rise stands in this window or in the next, whenever it comes. */
static int spikes_done;
static void *spike_worker(void *argument)
{
    for (long i = 0; i < (long)argument; i++)
        ht_hook_free(ht_hook_malloc((size_t)1 << 24));
    __atomic_store_n(&spikes_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void spikes(long steps)
{
    struct ht_figures *f = heaptap_figures();
    f->watch = 1;
    heaptap_process();
    double start = number(f->level), highest = 0;
    pthread_t thread;
    spikes_done = 0;
    pthread_create(&thread, NULL, spike_worker, (void *)steps);
    /* The other thread may do all that it does between two looks: the last look is after its end. */
    for (int done = 0; !done;) {
        done = __atomic_load_n(&spikes_done, __ATOMIC_ACQUIRE);
        ht_hook_free(ht_hook_malloc((size_t)1 << 22));
        heaptap_process();
        if (number(f->window) > highest)
            highest = number(f->window);
        CHECK(number(f->window) - start < 1.5 * (1 << 24), "a rise was counted twice: %.0f", number(f->window) - start);
    }
    pthread_join(thread, NULL);
    CHECK(highest - start >= (1 << 24) - HT_PEAK_BATCH * 2.0, "the highest was %.0f", highest - start);
}

/*
 * Blocks whose ends pass by the hooks, in memory that is given out again to blocks of other sizes: each ends when its
 * place is another's, once, and what stands in the shadow then is what is live.
 */
static void lost(void)
{
    struct block old[BLOCKS], new[BLOCKS];
    uint64_t before = ht_self->counters->lost_frees;
    int64_t live = ht_thread_sums().live_bytes, remains = 0;
    for (int round = 0; round < 20; round++) {
        int64_t count = 0, known = 0;
        for (int i = 0; i < BLOCKS; i++) {
            old[i].size = pick(90);
            old[i].at = allocate[pick(SITES)](8, old[i].size);
        }
        uint64_t lost_before = ht_self->counters->lost_frees;
        for (int i = 0; i < BLOCKS; i++)
            ht_real.free(old[i].at);
        for (int i = 0; i < BLOCKS; i++) {
            new[i].size = pick(90);
            new[i].at = allocate[pick(SITES)](8, new[i].size);
        }
        for (int i = 0; i < BLOCKS; i++) {
            struct ht_block b = ht_shadow_block(new[i].at, 0);
            CHECK(b.kind == HT_BLOCK_COUNTED && b.size == new[i].size, "round %d: a block in a lost one's place has %lu bytes, not %zu", round,
                  b.size, new[i].size);
        }
        for (int i = 0; i < BLOCKS; i++)
            ht_hook_free(new[i].at);
        for (int i = 0; i < BLOCKS; i++) {
            struct ht_block b = ht_shadow_block(old[i].at, 1);
            count += b.kind == HT_BLOCK_COUNTED;
            known += (int64_t)b.size;
        }
        CHECK((uint64_t)(BLOCKS - count) == ht_self->counters->lost_frees - lost_before, "round %d: %ld of %d are known, %lu were lost", round, count,
              BLOCKS, ht_self->counters->lost_frees - lost_before);
        remains += known;
        CHECK(ht_thread_sums().live_bytes == live + remains && ht_sums_are_valid(), "round %d: live %ld, not %ld", round,
              ht_thread_sums().live_bytes, live + remains);
    }
    CHECK(ht_self->counters->lost_frees > before, "nothing was lost");
}

/* A call inside another one. */
static void nested(void)
{
    uint64_t failed = ht_self->counters->failed, unknown = ht_self->counters->unknown_frees;
    struct ht_sums s = ht_thread_sums();
    char *inner = HOOK(1, _Znam, 50); /* a header and the block are one allocation */
    CHECK(ht_thread_sums().allocations == s.allocations + 1 && ht_thread_sums().bytes == s.bytes + 66, "a block behind a header");
    ht_hook_free(inner - 16);
    CHECK(ht_thread_sums().frees == s.frees + 1 && ht_thread_sums().live_bytes == s.live_bytes, "a block behind a header ends");
    void *moved = HOOK(1, mi_realloc, ht_hook_malloc(20), 30); /* by malloc and free */
    CHECK(ht_thread_sums().allocations == s.allocations + 3 && ht_thread_sums().live_bytes == s.live_bytes + 30, "a block that is moved by hand");
    HOOK(1, _ZdlPvm, moved, 30);
    CHECK(ht_thread_sums().frees == s.frees + 3 && ht_thread_sums().live_bytes == s.live_bytes && ht_sums_are_valid(), "and its end");
    CHECK(!HOOK(1, mallocx, SIZE_MAX / 2, 0) && !HOOK(0, _Znwm, SIZE_MAX / 2), "impossible sizes");
    CHECK(ht_self->counters->failed == failed + 2, "refused, once each");
    void *unseen = ht_real.malloc(10);
    HOOK(1, _ZdlPvm, unseen, 10);
    CHECK(ht_self->counters->unknown_frees == unknown + 1, "an unknown block's end, once");
    HOOK(0, _ZdlPvm, ht_real.malloc(10), 10);
    CHECK(ht_self->counters->unknown_frees == unknown + 2 && !ht_self->handed.block, "and again");
}

static void use_close_heap(void)
{
    ht_real_find();
    ht_real.malloc = close_malloc;
    ht_real.free = close_free;
    ht_real.calloc = close_calloc;
    ht_real.realloc = close_realloc;
    ht_real.posix_memalign = close_posix_memalign;
    ht_real.aligned_alloc = ht_real.memalign = close_memalign;
    ht_real.valloc = close_valloc;
    ht_heap = (struct ht_heap){ HT_HEAP_CLOSE, .usable = close_usable };
    ht_real_object.low = 0; /* all functions are this allocator's */
    ht_real_object.high = UINT64_MAX;
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? (unsigned)atol(argv[1]) : 1;
    long steps = argc > 2 ? atol(argv[2]) : 20000;
    random_state = seed;
    int close = getenv("CLOSE") != NULL;
    if (close)
        use_close_heap();
    use_libraries();
    one_thread(steps);
    several_threads(steps);
    many_threads();
    process_figures();
    windows(steps);
    windows_of_ended_threads();
    spikes(SPIKES(steps));
    process_figures();
    nested();
    if (close)
        lost();
    static uint8_t seen[HT_MAX_BUCKETS];
    CHECK(ht_nodes_are_valid(seen, sizeof seen), "the nodes are not valid");
    printf("seed %u: %u call paths, %u thread records\n", seed, ht_p.header->buckets_used, ht_p.header->threads_used);
    return 0;
}
