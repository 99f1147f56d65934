/*
 * discover.c: finds allocators' shared libraries, and makes what they define lead to the hooks of allocators.c.
 *
 * A library is one when it defines malloc and free, or a function by which an allocator is known. Its definitions lead to
 * the hooks from then on, and are recognised by that. Objects that are bound already have the functions' addresses in slots;
 * those are changed in all of them.
 *
 * Inside such a library the slots stay, or are put back, as they would be without heaptap: what one function calls of another
 * is a part of the same allocation. Only functions that end blocks have hooks there: they may be given blocks that were
 * counted. One that is not known is no unknown one then.
 *
 * An allocator that is linked in beside other code has no such symbols: linked.c.
 *
 * Everything here happens under the dynamic linker's lock of its list, by one thread: another one that comes meanwhile goes
 * on without.
 */
#include "heaptap.h"

#define HT_FAMILY_COUNT 32

/* What leads to hooks: one library's functions. The first is the one that the hooks of hooks.c call. */
static struct ht_wrapping {
    uint64_t low, high;
    int behind; /* the process's own malloc may call this library's */
    uint32_t count;
    struct ht_wrap {
        const char *name;
        uint64_t real, hook;
        int ends;
    } wraps[HT_WRAPPED_COUNT + HT_FAMILY_COUNT];
} ht_wrappings[HT_ALLOCATORS + 1];

static struct {
    struct ht_lock lock;
    uint32_t count;
    struct ht_object objects[1024];
    unsigned long long added; /* how many objects had come when it was looked last */
    uint32_t opened;          /* the thread that has opened one since, 0 for none */
} ht_loaded;

static int ht_is_own_object(const struct ht_object *object) { return object->low == ht_own_low; }
static int ht_lies_in(uint64_t at, uint64_t low, uint64_t high) { return at >= low && at < high; }

static int ht_loaded_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)context;
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs))
        ht_loaded.added = info->dlpi_adds;
    if (ht_loaded.count < HT_COUNT(ht_loaded.objects))
        ht_loaded.objects[ht_loaded.count++] = ht_object_from(info);
    return 0;
}

static int ht_is_loaded(uint64_t low)
{
    for (uint32_t i = 0; i < ht_loaded.count; i++)
        if (ht_loaded.objects[i].low == low)
            return 1;
    return 0;
}

/* Which objects there are now. Sets of hooks that belong to one that is gone are nobody's. */
static void ht_loaded_look(void)
{
    ht_loaded.count = 0;
    ht_iterate(ht_loaded_visit, NULL);
    for (uint32_t k = 0; k < HT_ALLOCATORS; k++)
        if (ht_allocators[k].object && !ht_is_loaded(ht_allocators[k].object)) {
            ht_allocators[k].object = 0;
            ht_wrappings[k + 1].low = ht_wrappings[k + 1].high = 0;
        }
    for (uint32_t k = 0; k < HT_LINKS; k++)
        if (ht_links[k].object && !ht_is_loaded(ht_links[k].object))
            ht_link_free(&ht_links[k]);
}

/* A function by which an allocator is known; 0 when the object has none. */
static uint64_t ht_known_allocator(const struct ht_object *object)
{
    static const char *const known[] = { "mallocx", "tc_malloc", "mi_malloc" };
    uint64_t marker = 0;
    for (uint32_t i = 0; !marker && i < HT_COUNT(known); i++)
        marker = ht_object_place(object, known[i]);
    return marker;
}

/* What the program's malloc is from: an allocator that comes before this library, else what the hooks call. */
static const char *ht_allocator_name(void)
{
    for (uint32_t i = 0; i < ht_loaded.count && !ht_is_own_object(&ht_loaded.objects[i]) && !ht_config.installed; i++)
        if (ht_loaded.objects[i].name[0] && ht_known_allocator(&ht_loaded.objects[i]))
            return ht_loaded.objects[i].name;
    return ht_real_object.name;
}

/* Whether a library's names lead to hooks already. Another one may have been loaded in its place. */
static int ht_is_wrapped(const struct ht_object *object)
{
    for (uint32_t k = 1; k <= HT_ALLOCATORS; k++)
        for (uint32_t i = 0; ht_wrappings[k].low == object->low && i < ht_wrappings[k].count; i++)
            if (ht_lies_in((uint64_t)ht_object_symbol(object, ht_wrappings[k].wraps[i].name), ht_own_low, ht_own_high))
                return 1;
    return 0;
}

/* The C library, the dynamic linker, this library, and sanitizers' runtimes, which are in programs too. */
static int ht_is_runtime(const struct ht_object *object)
{
    static const char *const names[] = { "__tls_get_addr", "gnu_get_libc_version", "__sanitizer_get_heap_size", "heaptap_install" };
    for (uint32_t i = 0; i < HT_COUNT(names); i++)
        if (ht_object_place(object, names[i]))
            return 1;
    return 0;
}

/* A function of an object that says that it is an allocator, or has one; 0 when it exports none. */
static uint64_t ht_allocator_of(const struct ht_object *object)
{
    uint64_t marker = ht_known_allocator(object);
    return marker || !ht_object_place(object, "free") ? marker : ht_object_place(object, "malloc");
}

static int ht_is_linked(const struct ht_object *object);
static void ht_link_arrivals(int untouched);
static void ht_loader_watch(void);

/* Whether an object's symbols are to lead to hooks that do not yet. */
static int ht_is_allocator(const struct ht_object *object)
{
    uint64_t marker = object->name[0] ? ht_allocator_of(object) : 0;
    return marker && !ht_is_runtime(object) && !ht_lies_in(marker, ht_own_low, ht_own_high) && !ht_is_linked(object) && !ht_is_wrapped(object);
}

static void ht_wrap_add(struct ht_wrapping *w, const char *name, void *real, void *hook, int ends)
{
    if (real && ht_lies_in((uint64_t)real, w->low, w->high))
        w->wraps[w->count++] = (struct ht_wrap){ name, (uint64_t)real, (uint64_t)hook, ends };
}

/* The functions of hooks.c, of the object that they call. */
static void ht_wrap_family(struct ht_wrapping *w)
{
#define HT_FUNCTION(result, name, parameters, arguments)                                           \
    ht_wrap_add(w, #name, (void *)ht_real.name, (void *)HT_HOOK(name), ht_same_text(#name, "free"));
#define HT_WATCHED(result, name, parameters, arguments)
#include "hooks.def"
#undef HT_FUNCTION
}

static int ht_is_family(const char *name)
{
#define HT_FUNCTION(result, function, parameters, arguments)                                       \
    if (ht_same_text(name, #function))                                                             \
        return 1;
#define HT_WATCHED(result, function, parameters, arguments)
#include "hooks.def"
#undef HT_FUNCTION
    return 0;
}

/* Whether a name of a library leads to its hook. Where the process's own malloc is a library's, that may look for the
 * next one (RTLD_NEXT), and the hooks have counted then. The C library's own names led to the hooks before. */
static int ht_is_led(const struct ht_wrapping *w, const char *name) { return !(w->behind || w == ht_wrappings) || !ht_is_family(name); }

/* Gives a library its set of hooks; 0 when all are taken. */
static struct ht_wrapping *ht_wrap_object(const struct ht_object *object)
{
    uint32_t k = 0;
    for (uint32_t i = HT_ALLOCATORS; i-- > 0;)
        if (ht_allocators[i].object == 0)
            k = i + 1;
    for (uint32_t i = 0; i < HT_ALLOCATORS; i++)
        if (ht_allocators[i].object == object->low)
            k = i + 1; /* loaded anew where it was */
    if (k == 0)
        return NULL;
    struct ht_allocator *a = &ht_allocators[k - 1];
    struct ht_wrapping *w = &ht_wrappings[k];
    *w = (struct ht_wrapping){ .low = object->low, .high = object->high };
    *a = (struct ht_allocator){ .heap = { HT_HEAP_CLOSE }, .object = object->low, .low = object->low, .high = object->high };
    *(void **)&a->heap.usable = ht_object_symbol(object, "malloc_usable_size");
    if (!a->heap.usable)
        *(void **)&a->heap.usable = ht_object_symbol(object, "mi_usable_size");
    *(void **)&a->visit = ht_object_symbol(object, "mi_heap_visit_blocks");
    *(void **)&a->backing = ht_object_symbol(object, "mi_heap_get_backing");
    w->behind = ht_heap.close && object->low != ht_real_object.low;
    if (object->low == ht_real_object.low)
        ht_wrap_family(w);
    for (uint32_t i = 0; i < HT_WRAPPED_COUNT; i++) {
        const struct ht_wrapped_function *f = &ht_wrapped_functions[i];
        void *real = ht_object_symbol(object, f->name);
        if (ht_lies_in((uint64_t)real, ht_own_low, ht_own_high))
            real = NULL; /* never a hook of a hook */
        ht_route_set(k - 1, i, real);
        ht_wrap_add(w, f->name, real, ht_hook_of(k - 1, i, 0), f->ends);
    }
    return w;
}

/* The first of those that have the same function under several names. */
static const struct ht_wrap *ht_wrap_of(const struct ht_wrapping *w, uint64_t real)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->wraps[i].real == real)
            return &w->wraps[i];
    return NULL;
}

/* All symbols of the library, whatever their names are, lead to the hooks of their functions. */
static void ht_wrap_symbols(const struct ht_wrapping *w, const struct ht_object *object)
{
    struct ht_symbols s = ht_object_symbols(object);
    uint32_t count = ht_symbol_count(&s);
    if (count == 0)
        return;
    uint64_t low = (uint64_t)s.symbols, high = (uint64_t)(s.symbols + count);
    int read_only;
    if (!ht_patch_open(object, low, high, &read_only))
        return;
    for (uint32_t i = 1; i < count; i++) {
        const ElfW(Sym) *symbol = &s.symbols[i];
        const struct ht_wrap *wrap
            = symbol->st_shndx != 0 && (symbol->st_info & 15u) == STT_FUNC ? ht_wrap_of(w, s.base + symbol->st_value) : NULL;
        if (wrap && ht_is_led(w, s.strings + symbol->st_name))
            ht_shared_set((uint64_t *)(uint64_t)&symbol->st_value, wrap->hook - s.base);
    }
    ht_patch_close(object, low, high, read_only);
}

/* Whether the program's look-up of a name would end at this object. */
static int ht_is_first_with(const char *name, const struct ht_object *object)
{
    for (uint32_t i = 0; i < ht_loaded.count; i++) {
        const struct ht_object *o = &ht_loaded.objects[i];
        if (o->low == object->low)
            return 1;
        if (!ht_is_own_object(o) && ht_object_symbol(o, name))
            return 0;
    }
    return 0;
}

/* The last of those that have the same function: the library's own hook, which tells who calls it. */
static const struct ht_wrap *ht_wrap_inside(const struct ht_wrapping *w, uint64_t real)
{
    const struct ht_wrap *last = NULL;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->wraps[i].real == real)
            last = &w->wraps[i];
    return last;
}

/* What a slot inside an allocator's library is to hold; 0 when it may stay. */
static uint64_t ht_slot_inside(const struct ht_wrapping *w, const struct ht_object *object, uint64_t value, const char *name)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct ht_wrap *wrap = &w->wraps[i];
        int bound = value == wrap->real || value == wrap->hook;
        if (bound || (ht_lies_in(value, w->low, w->high) && !ht_wrap_of(w, value) && ht_same_text(name, wrap->name) && ht_is_first_with(name, object)))
            return wrap->ends ? ht_wrap_inside(w, wrap->real)->hook : wrap->real;
    }
    return 0;
}

/* The C library's functions under names that it alone has, in a slot that is not bound yet. */
static uint64_t ht_slot_unbound(const struct ht_object *object, uint64_t value, const char *name)
{
    const struct ht_wrapping *w = &ht_wrappings[0];
    if (!ht_lies_in(value, object->low, object->high) || name[0] != '_' || name[1] != '_' || name[2] != 'l')
        return 0;
    for (uint32_t i = 0; i < w->count; i++)
        if (ht_same_text(name, w->wraps[i].name) && ht_is_first_with(name, &ht_real_object))
            return w->wraps[i].hook;
    return 0;
}

static const struct ht_wrapping *ht_wrapping_at(uint64_t at)
{
    for (uint32_t i = 0; i <= HT_ALLOCATORS; i++)
        if (ht_lies_in(at, ht_wrappings[i].low, ht_wrappings[i].high))
            return &ht_wrappings[i];
    return NULL;
}

static void ht_slot_visit(const struct ht_object *object, uint64_t *slot, const char *name, void *context)
{
    const struct ht_wrapping *inside = context;
    uint64_t value = ht_peek(slot), to = 0;
    const struct ht_wrapping *w = ht_wrapping_at(value);
    if (inside && inside != ht_wrappings && (w == inside || ht_lies_in(value, ht_own_low, ht_own_high))) {
        to = ht_slot_inside(inside, object, value, name);
    } else if (w && w != inside) {
        const struct ht_wrap *wrap = ht_wrap_of(w, value);
        to = wrap && ht_is_led(w, name) ? wrap->hook : 0;
    } else if (!w) {
        to = ht_slot_unbound(object, value, name);
    }
    if (to && to != value)
        ht_patch_word(object, slot, to);
}

/* The C library's own functions, by all their names. */
static void ht_wrap_c_library(void)
{
    struct ht_wrapping *w = &ht_wrappings[0];
    if (w->count || ht_heap.close || ht_config.installed)
        return;
    w->low = ht_real_object.low;
    w->high = ht_real_object.high;
    ht_wrap_family(w);
    uint32_t family = w->count;
    for (uint32_t i = 0; i < HT_WRAPPED_COUNT && w->count < HT_COUNT(w->wraps); i++) {
        const char *name = ht_wrapped_functions[i].name;
        const struct ht_wrap *same = name[0] == '_' && name[1] == '_' ? ht_wrap_of(w, (uint64_t)ht_object_symbol(&ht_real_object, name)) : NULL;
        if (same && same < w->wraps + family)
            ht_wrap_add(w, name, (void *)same->real, (void *)same->hook, same->ends);
    }
}

static int ht_discover_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)info, (void)size, (void)context;
    ht_loaded_look();
    ht_link_arrivals(!ht_started && !ht_config.installed);
    ht_wrap_c_library();
    for (uint32_t i = 0; i < ht_loaded.count; i++) {
        const struct ht_object *object = &ht_loaded.objects[i];
        const struct ht_wrapping *w = ht_is_allocator(object) ? ht_wrap_object(object) : NULL;
        if (w)
            ht_wrap_symbols(w, object);
    }
    /* Names first: a slot that is bound between the two passes is bound to the hook. */
    for (uint32_t i = 0; i < ht_loaded.count; i++) {
        const struct ht_object *object = &ht_loaded.objects[i];
        if (!ht_is_own_object(object))
            ht_slots_each(object, ht_slot_visit, (void *)ht_wrapping_at(object->low));
    }
    return 1;
}

/* Finds what allocators there are now. */
static void ht_discover(void)
{
    ht_real_find();
    if (!ht_try_lock(&ht_loaded.lock))
        return;
    ht_iterate(ht_discover_visit, NULL);
    ht_unlock(&ht_loaded.lock);
}

/* In a fork's child: whoever was looking is not here. */
static void ht_discover_forked(void) { ht_shared_set(&ht_loaded.lock.held, 0u); }

static int ht_added_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs))
        *(unsigned long long *)context = info->dlpi_adds;
    return 1;
}

/*
 * The same when a library may have come since: before what is in it can be looked up, but for its constructors. Only the
 * thread that opened it looks, once: that takes a lock of the dynamic linker's, which it had to have for the opening, and
 * which dlsym in other threads does not take by itself.
 */
static void ht_discover_opened(int opens)
{
    uint32_t opener = ht_peek(&ht_loaded.opened), me = opener || opens ? ht_sys_tid() : 0;
    if (opener && opener == me) {
        ht_own_set(&ht_loaded.opened, 0u);
        unsigned long long added = 0;
        ht_iterate(ht_added_visit, &added);
        if (added != ht_peek(&ht_loaded.added))
            ht_discover();
    }
    if (opens) {
        ht_loader_watch();
        ht_own_set(&ht_loaded.opened, me);
    }
}
