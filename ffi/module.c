/*
 * module.c: loaded objects, numbered in the order in which their code appears on stacks.
 *
 * A module's number stands for (path, build id), not for an address range: an object that is
 * unloaded and loaded again, there or elsewhere, keeps its number, and another object in the same
 * place gets one of its own. That is why frames are kept as (module, offset) and never take another
 * library's names. Number 0 is code of no object (JIT), whose offset is the address.
 *
 * Module records are written under module_lock, `ready` last; they change only in `base`, when an
 * object comes back. `known` is private, under the same lock, and forgets on every unload; it is part
 * of ht_p, because a fork's child numbers its modules anew.
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

/* The program's own headers, from the kernel (process.c): what the dynamic linker calls the start of
 * the program may be the start of its code, where there are none. */
static const ElfW(Phdr) *ht_main_headers;
static uint32_t ht_main_header_count;

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
    int found = dl_iterate_phdr && dl_iterate_phdr(ht_find_visit, &find);
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

/* Adds text to the strings section; *offset is where. Returns the length kept: 0 when it is full. */
static uint32_t ht_string_add(const char *text, uint64_t length, uint32_t *offset)
{
    uint32_t capacity = ht_p.capacity[HT_SECTION_STRINGS];
    if (length > capacity)
        return 0;
    uint32_t at = ht_shared_add(&ht_p.header->strings_used, (uint32_t)length);
    if (at > capacity - length || !ht_file_reserve(HT_SECTION_STRINGS, at + length)) {
        ht_shared_add(&ht_p.header->strings_used, -(uint32_t)length);
        return 0;
    }
    memcpy(ht_p.strings + at, text, length);
    *offset = at;
    return (uint32_t)length;
}

static int ht_module_is(const struct ht_file_modules *m, const char *path, uint64_t length, const uint8_t *id, uint32_t id_length)
{
    return m->path_length == length && m->build_id_length == id_length
        && ht_same_bytes(ht_p.strings + m->path, path, length) && ht_same_bytes(m->build_id, id, id_length);
}

static uint32_t ht_module_number(const struct ht_object *object)
{
    char own[4096];
    const char *path = object->name;
    uint64_t length = path ? ht_length(path) : 0;
    if (length == 0) {
        long n = ht_sys_readlink("/proc/self/exe", own, sizeof own);
        path = own;
        length = n > 0 ? (uint64_t)n : 0;
    }
    uint8_t id[32];
    uint32_t id_length = ht_object_build_id(object, id);
    uint32_t used = ht_p.header->modules_used;
    for (uint32_t i = 1; i < used; i++)
        if (ht_module_is(&ht_p.modules[i], path, length, id, id_length)) {
            ht_own_set(&ht_p.modules[i].base, object->base);
            return i;
        }
    struct ht_file_modules *m = &ht_p.modules[used];
    if (used >= ht_p.capacity[HT_SECTION_MODULES]
        || !ht_file_reserve(HT_SECTION_MODULES, (used + 1ull) * sizeof *m))
        return 0;
    m->base = object->base;
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X) && m->text_size == 0) {
            m->text_start = h->p_vaddr;
            m->text_size = h->p_memsz;
            m->text_offset = h->p_offset;
        }
    }
    m->path_length = ht_string_add(path, length, &m->path);
    m->build_id_length = id_length;
    memcpy(m->build_id, id, id_length);
    ht_shared_set(&m->ready, 1u);
    ht_shared_set(&ht_p.header->modules_used, used + 1);
    return used;
}

/* What was found out about the object at pc since the last unload; NULL when it is new. Under
 * module_lock. */
static struct ht_known *ht_known_at(uint64_t pc)
{
    for (uint32_t i = 0; i < ht_p.known_count; i++) {
        struct ht_known *known = &ht_p.known[i];
        if (pc >= known->low && pc < known->high && known->generation == ht_peek(&ht_p.generation))
            return known;
    }
    return NULL;
}

/* The same of an object that was met for the first time. Under module_lock. */
static struct ht_known *ht_known_add(const struct ht_object *object, uint32_t generation)
{
    struct ht_known *known = NULL;
    for (uint32_t i = 0; i < ht_p.known_count && !known; i++)
        if (ht_p.known[i].generation != generation)
            known = &ht_p.known[i];
    if (!known)
        known = &ht_p.known[ht_p.known_count < HT_COUNT(ht_p.known) ? ht_p.known_count++ : 0];
    *known = (struct ht_known){ object->low, object->high, 0, generation };
    known->module = ht_module_number(object);
    return known;
}

/* The module at pc, with its unwind table and span; 0 when pc is in no object. */
static uint32_t ht_module_at(uint64_t pc, const void **eh_frame_hdr, uint64_t *low, uint64_t *high)
{
    struct ht_object object = { .base = 0 };
    struct ht_dl_find_object found = { .eh_frame = NULL };
    *eh_frame_hdr = NULL;
    if (ht_dl_find_object ? ht_dl_find_object((void *)pc, &found) != 0 : !ht_object_in_list(pc, &object))
        return 0;
    uint32_t generation = ht_peek(&ht_p.generation);
    ht_lock(&ht_p.module_lock);
    struct ht_known *known = ht_known_at(pc);
    if (!known && ht_dl_find_object) {
        ht_unlock(&ht_p.module_lock);
        ht_object_describe(pc, &found, &object);
        ht_lock(&ht_p.module_lock);
        known = ht_known_at(pc); /* another thread may have been here */
    }
    if (!known)
        known = ht_known_add(&object, generation);
    uint32_t module = known->module;
    *low = known->low;
    *high = known->high;
    ht_unlock(&ht_p.module_lock);
    *eh_frame_hdr = ht_dl_find_object ? found.eh_frame : object.eh_frame_hdr;
    return module;
}

static uint64_t ht_module_base(uint32_t module) { return module ? ht_peek(&ht_p.modules[module].base) : 0; }

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
    if (dl_iterate_phdr)
        dl_iterate_phdr(ht_unloads_visit, &unloads);
    return unloads.count;
}

/* Called when code went away: rules and kept stacks of before are not used any more. */
static void ht_modules_changed(void) { ht_shared_add(&ht_p.generation, 1u); }
