/*
 * got.c: putting the hooks where the dynamic linker does not find them by itself: into a process that runs
 * already, when the library came by dlopen, and into the C library's own names, when it was preloaded.
 *
 * Objects that are loaded have resolved `malloc` to an address in a slot of their own (the global
 * offset table, or a pointer in their data that names the symbol). Each slot that holds the address
 * of a real function gets the hook's. What is compared is the address, not the name: an object that
 * was bound to an allocator of its own stays bound to it.
 *
 * Objects that come later, and slots that are not bound yet, look the symbol up. So the symbol
 * tables in which the real functions were found are changed too, to say that `malloc` lies where
 * the hook is (symbol values are relative to their object and wrap around). That serves dlopen by
 * anyone, with the caller's own search path and name space, where wrapping dlopen would not.
 *
 * Both happen under the dynamic linker's lock of its list (dl_iterate_phdr): no object comes or goes
 * meanwhile. One may be half way through another thread's dlopen; its pages are writable still, and
 * stay as they are. (That its last page is protected just between our look and our store, and that
 * it had bound malloc before the tables were changed, is possible, and was not seen in ten thousand
 * installs against threads that did nothing but dlopen.) Everything is stored as whole words, and either
 * value of a word is right at any time: other threads go on calling. The same way it is put back (attached.c); the
 * library is never unloaded.
 *
 * Not reached: pointers that a program copied before (a table of allocator functions), and the
 * dynamic linker's own.
 */
#include "heaptap.h"

struct ht_redirect {
    const char *name;
    uint64_t real, hook;
    int allocates;
};

struct ht_redirects {
    struct ht_redirect all[48]; /* what hooks.def has; on the stack of the first allocation */
    uint32_t count;
};

struct ht_patch {
    struct ht_redirects redirects;
    uint32_t slots[2]; /* that lead to a hook: in the program itself, in other objects */
    int write;
};

/* What the page of an address is to be protected as, from the headers of its object. */
static long ht_protection(const struct ht_object *object, uint64_t at)
{
    long protection = 0;
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        uint64_t start = object->base + h->p_vaddr, end = start + h->p_memsz;
        if (h->p_type == PT_LOAD && at >= start && at < end)
            protection |= (h->p_flags & PF_R ? HT_PROT_READ : 0) | (h->p_flags & PF_W ? HT_PROT_WRITE : 0)
                | (h->p_flags & PF_X ? HT_PROT_EXEC : 0);
    }
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        uint64_t start = object->base + h->p_vaddr;
        if (h->p_type == PT_GNU_RELRO && at >= start / HT_PAGE * HT_PAGE && at < (start + h->p_memsz) / HT_PAGE * HT_PAGE)
            protection = HT_PROT_READ;
    }
    return protection;
}

/* Makes the pages of [low, high) writable; *read_only says whether they have to be made as they were. */
static int ht_patch_open(const struct ht_object *object, uint64_t low, uint64_t high, int *read_only)
{
    *read_only = !ht_sys_writable((uint64_t *)low);
    return !*read_only || ht_sys_protect(low, high, ht_protection(object, low) | HT_PROT_WRITE);
}

static void ht_patch_close(const struct ht_object *object, uint64_t low, uint64_t high, int read_only)
{
    if (read_only)
        ht_sys_protect(low, high, ht_protection(object, low));
}

/* Stores a word that may lie in a read-only page. */
static int ht_patch_word(const struct ht_object *object, uint64_t *at, uint64_t value)
{
    uint64_t low = (uint64_t)at, high = low + sizeof *at;
    int read_only;
    if (!ht_patch_open(object, low, high, &read_only))
        return 0;
    ht_shared_set(at, value);
    ht_patch_close(object, low, high, read_only);
    return 1;
}

/* A table lies in one segment, read-only as a whole. */
static int ht_patch_symbols(const struct ht_redirects *redirects, const struct ht_object *object, const struct ht_symbols *s)
{
    struct {
        uint64_t *at, value;
    } words[2 * HT_COUNT(((struct ht_redirects *)0)->all)];
    uint32_t count = 0;
    uint64_t low = UINT64_MAX, high = 0;
    for (uint32_t r = 0; r < redirects->count; r++) {
        const struct ht_redirect *redirect = &redirects->all[r];
        for (uint32_t i = 0; (i = ht_symbol_next(s, redirect->name, i)) != 0;) {
            if (s->base + s->symbols[i].st_value != redirect->real || count == HT_COUNT(words))
                continue;
            words[count].at = (uint64_t *)(uint64_t)&s->symbols[i].st_value;
            words[count].value = redirect->hook - s->base;
            low = ht_min(low, (uint64_t)words[count].at);
            high = ht_max(high, (uint64_t)(words[count].at + 1));
            count++;
        }
    }
    int read_only;
    if (count == 0 || !ht_patch_open(object, low, high, &read_only))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        ht_shared_set(words[i].at, words[i].value);
    ht_patch_close(object, low, high, read_only);
    return 1;
}

/* Goes through the slots of an object that the dynamic linker stores a symbol's address in. */
static void ht_slots_each(const struct ht_object *object, void (*visit)(const struct ht_object *, uint64_t *, const char *, void *), void *context)
{
    struct ht_symbols s = ht_object_symbols(object);
    for (uint32_t table = 0; table < 2; table++) {
        uint64_t count = s.relocations[table] ? s.relocation_bytes[table] / sizeof(ElfW(Rela)) : 0;
        for (uint64_t i = table == 0 ? s.relative_count : 0; i < count; i++) {
            const ElfW(Rela) *relocation = &s.relocations[table][i];
            uint64_t at = s.base + relocation->r_offset;
            if (HT_RELOCATION_IS_POINTER(ELF64_R_TYPE(relocation->r_info)) && ELF64_R_SYM(relocation->r_info) != 0 && at % sizeof(uint64_t) == 0)
                visit(object, (uint64_t *)at, s.strings + s.symbols[ELF64_R_SYM(relocation->r_info)].st_name, context);
        }
    }
}

static void ht_patch_slot(const struct ht_object *object, uint64_t *slot, const char *name, void *context)
{
    struct ht_patch *patch = context;
    uint64_t value = ht_peek(slot);
    for (uint32_t r = 0; r < patch->redirects.count; r++) {
        const struct ht_redirect *redirect = &patch->redirects.all[r];
        if (patch->write && value == redirect->real && ht_patch_word(object, slot, redirect->hook))
            value = redirect->hook;
        /* One that is not bound yet still leads back into its own object. */
        if (redirect->allocates
            && (value == redirect->hook || (value >= object->low && value < object->high && ht_same_text(redirect->name, name))))
            patch->slots[object->name[0] != 0]++;
    }
}

static int ht_patch_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct ht_patch *patch = context;
    struct ht_object object = ht_object_from(info);
    uint64_t here = (uint64_t)(void *)ht_patch_visit;
    if (here >= object.low && here < object.high)
        return 0;
    struct ht_symbols s = ht_object_symbols(&object);
    /* Names first: a slot that is bound between the two passes is bound to the hook. */
    if (patch->write)
        ht_patch_symbols(&patch->redirects, &object, &s);
    ht_slots_each(&object, ht_patch_slot, patch);
    return 0;
}

/* The hooks of mappings.c. */
#define HT_FUNCTION(result, name, parameters, arguments)
#define HT_MAPPING(result, name, parameters, arguments) HT_EXPORT result HT_HOOK(name) parameters;
#include "hooks.def"
#undef HT_FUNCTION

/* What is redirected: each has what those before it have. A script's runtime maps memory of its own, which is not followed. */
enum ht_redirected { HT_ALLOCATING, HT_ALSO_WATCHED, HT_ALSO_MAPPING };

static struct ht_redirects ht_redirects(enum ht_redirected which)
{
    struct ht_redirects redirects = { .count = 0 };
#define HT_REDIRECT(name, allocates, from)                                                         \
    if (ht_real.name != ht_first_##name && which >= from)                                          \
        redirects.all[redirects.count++]                                                           \
            = (struct ht_redirect){ #name, (uint64_t)(void *)ht_real.name, (uint64_t)(void *)HT_HOOK(name), allocates };
#define HT_FUNCTION(result, name, parameters, arguments) HT_REDIRECT(name, 1, HT_ALLOCATING)
#define HT_WATCHED(result, name, parameters, arguments) HT_REDIRECT(name, 0, HT_ALSO_WATCHED)
#define HT_MAPPING(result, name, parameters, arguments) HT_REDIRECT(name, 0, HT_ALSO_MAPPING)
#define HT_STARTING(result, name, parameters, arguments) /* what a running process starts is none of its own */
#include "hooks.def"
#undef HT_FUNCTION
    return redirects;
}
enum {
#define HT_FUNCTION(result, name, parameters, arguments) ht_number_of_##name,
#include "hooks.def"
#undef HT_FUNCTION
    ht_function_count
};
_Static_assert(ht_function_count <= HT_COUNT(((struct ht_redirects *)0)->all), "room for every hook");

/*
 * Puts the hooks in (`write`), or looks where they are. Says how many slots lead to a hook of an
 * allocation function now: in the program itself, and in other objects.
 */
static void ht_got_patch(int write, uint32_t slots[2])
{
    struct ht_patch patch = { .redirects = ht_redirects(ht_config.attached ? HT_ALSO_MAPPING : HT_ALSO_WATCHED), .write = write };
    ht_discover();
    ht_iterate(ht_patch_visit, &patch);
    if (write && !ht_heap.close)
        ht_own_set(&ht_names_redirected, 1u);
    slots[0] = patch.slots[0];
    slots[1] = patch.slots[1];
}

/*
 * The same for a process in which the library was preloaded: the dynamic linker finds the hooks first, but
 * for those who look in the C library itself: objects that RTLD_DEEPBIND puts before everything, and
 * callers of dlsym with its handle (Python's ctypes, say). Allocation functions alone: by their symbols
 * backtrace_symbols names addresses, and malloc has others beside it. Only where the C library's functions are the
 * real ones: with an allocator between, those who go past it would be led into it.
 */
static void ht_names_redirect(void)
{
    if (ht_heap.close || ht_peek(&ht_names_redirected))
        return;
    struct ht_redirects redirects = ht_redirects(HT_ALLOCATING);
    struct ht_symbols s = ht_object_symbols(&ht_real_object);
    ht_own_set(&ht_names_redirected, (uint32_t)ht_patch_symbols(&redirects, &ht_real_object, &s));
}
