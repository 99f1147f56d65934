/*
 * loader.c: what is asked of the dynamic linker: which objects are loaded, and which holds an address.
 *
 * The list (dl_iterate_phdr) is held by the dynamic linker's lock while it is gone through;
 * _dl_find_object takes none, and tells of one object.
 */
#include "heaptap.h"

/* Imports, weak and unversioned: glibc from 2.35 has the first (older headers do not know it),
 * every libc the second. */
struct ht_dl_find_object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};
extern int ht_dl_find_object(void *, struct ht_dl_find_object *) __asm__("_dl_find_object") __attribute__((weak));
extern int dl_iterate_phdr(int (*)(struct dl_phdr_info *, size_t, void *), void *) __attribute__((weak));
extern const char *gnu_get_libc_version(void) __attribute__((weak));

/* Goes through the list: by the C library's own function once ht_iterate_find has run. Others may wrap it, and
 * ThreadSanitizer's wrapper must not be called as early as the first hook is. */
static int (*ht_iterate_by)(int (*)(struct dl_phdr_info *, size_t, void *), void *) = dl_iterate_phdr;

HT_KEEPING(int, ht_iterate_keeping, (int (*visit)(struct dl_phdr_info *, size_t, void *), void *context), ht_iterate_by(visit, context))

static int ht_iterate(int (*visit)(struct dl_phdr_info *, size_t, void *), void *context)
{
    if (!ht_iterate_by)
        return 0;
    return HT_UNLIKELY(ht_peek(&ht_keeps)) ? ht_iterate_keeping(visit, context) : ht_iterate_by(visit, context);
}

HT_KEEPING(int, ht_find_object_keeping, (uint64_t pc, struct ht_dl_find_object *found), ht_dl_find_object((void *)pc, found))

/* Finds the object at pc; 1 when there is one. Only where ht_dl_find_object is there. */
static int ht_find_object(uint64_t pc, struct ht_dl_find_object *found)
{
    return (HT_UNLIKELY(ht_peek(&ht_keeps)) ? ht_find_object_keeping(pc, found) : ht_dl_find_object((void *)pc, found)) == 0;
}

struct ht_find {
    uint64_t pc;
    struct ht_object object;
};

static int ht_find_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct ht_find *find = context;
    struct ht_object object = ht_object_from(info);
    if (find->pc < object.low || find->pc >= object.high)
        return 0;
    find->object = object;
    return 1;
}

/* The object that holds pc, by the dynamic linker's list. That takes its lock, which a thread in a
 * dl_iterate_phdr callback may hold while it allocates: no lock of ours is held here, and no signal
 * handler may leave it. */
static int ht_object_in_list(uint64_t pc, struct ht_object *object)
{
    struct ht_find find = { .pc = pc };
    uint64_t signals = ht_sys_block_signals();
    int found = ht_iterate(ht_find_visit, &find);
    ht_sys_restore_signals(signals);
    *object = find.object;
    return found;
}

/* What is to be known of an object that was found without the list. */
static void ht_object_describe(uint64_t pc, const struct ht_dl_find_object *found, struct ht_object *object)
{
    *object = (struct ht_object){ .base = found->link_map->l_addr, .name = found->link_map->l_name };
    const ElfW(Ehdr) *elf = found->map_start;
    if (object->name && !object->name[0] && ht_main_headers) {
        object->headers = ht_main_headers;
        object->header_count = ht_main_header_count;
    } else if (ht_sys_readable((uint64_t)elf) && ht_same_bytes(elf->e_ident, ELFMAG, SELFMAG)) {
        /* Tools that rewrite objects may move the headers to where this does not find them. */
        uint64_t span = (uint64_t)found->map_end - (uint64_t)elf, size = elf->e_phnum * sizeof(ElfW(Phdr));
        if (elf->e_phoff < span && size <= span - elf->e_phoff && ht_sys_readable((uint64_t)elf + elf->e_phoff)
            && ht_sys_readable((uint64_t)elf + elf->e_phoff + size - 8)) {
            object->headers = (const ElfW(Phdr) *)((const char *)elf + elf->e_phoff);
            object->header_count = elf->e_phnum;
        }
    }
    ht_object_span(object);
    if (pc < object->low || pc >= object->high) {
        object->low = (uint64_t)found->map_start;
        object->high = (uint64_t)found->map_end;
    }
    object->eh_frame_hdr = found->eh_frame;
}

/* Before anything is asked: the object that has a function which nobody else has is the C library. */
static void ht_iterate_find(void)
{
    struct ht_object object;
    struct ht_dl_find_object found;
    uint64_t inside = (uint64_t)(void *)gnu_get_libc_version;
    if (!inside || !ht_dl_find_object || !ht_find_object(inside, &found))
        return;
    ht_object_describe(inside, &found, &object);
    void *own = ht_object_symbol(&object, "dl_iterate_phdr");
    if (own)
        *(void **)&ht_iterate_by = own;
}

struct ht_unloads {
    unsigned long long count;
};

static int ht_unloads_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs)
        ((struct ht_unloads *)context)->count = info->dlpi_subs;
    return 1;
}

/* How many objects the dynamic linker has unloaded so far. */
static unsigned long long ht_unload_count(void)
{
    struct ht_unloads unloads = { 0 };
    ht_iterate(ht_unloads_visit, &unloads);
    return unloads.count;
}
