/*
 * real.c: the functions that the hooks wrap, found without dlsym (which allocates): the first
 * definition behind this library in the order of loading, so that a preloaded allocator keeps
 * working below us; else the first anywhere but here.
 *
 * Until that has happened the table holds stand-ins that look the functions up and call them; it is
 * filled with the same values whoever does it, the owner's name last. Afterwards it does not change, in no
 * fork either, but for functions that nobody had yet: their stand-ins look again.
 */
#include "heaptap.h"

static struct ht_object ht_real_object; /* the one that malloc is from; without a name before it is known */
static struct ht_heap ht_heap; /* of that object */
static const struct ht_heap ht_elsewhere; /* of functions that it leaves out, which are the C library's */
static uint64_t ht_own_low, ht_own_high; /* where this library lies */
static uint32_t ht_names_redirected; /* whether the C library's names lead to the hooks (got.c), for good */
static int ht_is_glibc, ht_is_musl; /* which C library the process has, whatever its allocator is; neither of another one */
static int ht_is_second; /* another heaptap's library lies before this one: that records */
static void ht_real_find(void);
static void *ht_real_late(const char *name);

/* What stands for a function that still nobody has: one that is called through a weak reference, which finds
 * the hook. */
static long ht_absent(void) { return 0; }

/* A function that no object had at the start came with one that was loaded later: dlopen and dlclose, before
 * glibc 2.34, with libdl; those for unwind tables with libgcc. */
#define HT_FUNCTION(result, name, parameters, arguments)                                           \
    static result ht_first_##name parameters                                                       \
    {                                                                                              \
        ht_real_find();                                                                            \
        if (ht_real.name == ht_first_##name) {                                                     \
            result(*late) parameters;                                                              \
            *(void **)&late = ht_real_late(#name);                                                 \
            if (!late) {                                                                           \
                *(void **)&late = ht_absent;                                                       \
                return late arguments;                                                             \
            }                                                                                      \
            ht_real.name = late;                                                                   \
        }                                                                                          \
        return ht_real.name arguments;                                                             \
    }
#include "hooks.def"
#undef HT_FUNCTION

static struct ht_real ht_real = {
#define HT_FUNCTION(result, name, parameters, arguments) .name = ht_first_##name,
#include "hooks.def"
#undef HT_FUNCTION
};

/* What was found: behind this library, and before it. */
struct ht_lookup {
    int behind;
    struct ht_real found[2];
    struct ht_object owner; /* of malloc */
};

static int ht_lookup_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct ht_lookup *lookup = context;
    struct ht_object object = ht_object_from(info);
    uint64_t here = (uint64_t)(void *)ht_lookup_visit;
    if (here >= object.low && here < object.high) {
        lookup->behind = 1;
        ht_own_low = object.low;
        ht_own_high = object.high;
        return 0;
    }
    if (!lookup->behind && ht_object_symbol(&object, "heaptap_recording"))
        ht_is_second = 1;
    if (!ht_vdso_clock)
        *(void **)&ht_vdso_clock = ht_object_symbol(&object, HT_VDSO_CLOCK);
    if (!ht_is_glibc)
        ht_is_glibc = ht_object_symbol(&object, "gnu_get_libc_version") != NULL;
    if (!ht_is_musl) /* known by an extension that it alone has, since 0.9 */
        ht_is_musl = ht_object_place(&object, "__freadahead") && ht_object_place(&object, "__libc_start_main");
    struct ht_real *real = &lookup->found[lookup->behind];
    int had_malloc = real->malloc != NULL;
#define HT_FUNCTION(result, name, parameters, arguments)                                           \
    if (!real->name)                                                                               \
        *(void **)&real->name = ht_object_symbol(&object, #name);
#include "hooks.def"
#undef HT_FUNCTION
    if (!had_malloc && real->malloc && (lookup->behind || !lookup->owner.name))
        lookup->owner = object;
    return 0;
}

static int ht_is_in_heap(const void *real) { return (uint64_t)real >= ht_real_object.low && (uint64_t)real < ht_real_object.high; }

struct ht_late {
    const char *name;
    void *found;
};

static int ht_late_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct ht_late *late = context;
    struct ht_object object = ht_object_from(info);
    if (object.low != ht_own_low)
        late->found = ht_object_symbol(&object, late->name);
    return late->found != NULL;
}


static void *ht_real_late(const char *name)
{
    struct ht_late late = { name, NULL };
    ht_iterate(ht_late_visit, &late);
    return late.found;
}

static void ht_real_find(void)
{
    if (ht_real_object.name)
        return;
    struct ht_lookup lookup = { 0 };
    ht_iterate_find();
    ht_iterate(ht_lookup_visit, &lookup);
    if (ht_shared_get(&ht_real_object.name))
        return; /* another thread was faster, and what was just read may lead to the hooks (got.c) */
    struct ht_real real = lookup.found[1];
#define HT_FUNCTION(result, name, parameters, arguments)                                           \
    if (!real.name)                                                                                \
        real.name = lookup.found[0].name;
#include "hooks.def"
#undef HT_FUNCTION
    *(void **)&ht_heap.usable = ht_object_symbol(&lookup.owner, "malloc_usable_size");
    if (!ht_object_symbol(&lookup.owner, "gnu_get_libc_version")) {
        ht_heap.least = HT_CLOSE_LEAST;
        ht_heap.close = HT_CLOSE;
    }
#define HT_FUNCTION(result, name, parameters, arguments)                                           \
    if (!real.name)                                                                                \
        real.name = ht_first_##name;
#include "hooks.def"
#undef HT_FUNCTION
    ht_real = real;
    const char *name = lookup.owner.name;
    lookup.owner.name = NULL;
    ht_real_object = lookup.owner;
    ht_shared_set(&ht_real_object.name, name && name[0] ? name : "program");
}
