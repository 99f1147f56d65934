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

#define HT_POOL_PATH "pool "
#define HT_OPERATION_PATH "operation "

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

/* Under module_lock. */
static uint32_t ht_module_number(const struct ht_object *object, const char *path, uint64_t length)
{
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
    if (!object->header_count && !m->path_length) {
        /* Its name is all that it is. */
        memset(m, 0, sizeof *m);
        return 0;
    }
    m->build_id_length = id_length;
    memcpy(m->build_id, id, id_length);
    ht_shared_set(&m->ready, 1u);
    ht_shared_set(&ht_p.header->modules_used, used + 1);
    return used;
}

/* A module without code, which stands for a pool of the program's, `pool NAME`, or for an operation of a script, `operation NAME`.
 * 0 when there is no room. */
static uint32_t ht_module_named(const char *kind, const char *name)
{
    static char path[256]; /* under module_lock */
    static const struct ht_object nothing;
    ht_lock(&ht_p.module_lock);
    uint32_t length = (uint32_t)ht_length(kind);
    memcpy(path, kind, length);
    length += ht_copy(path + length, sizeof path - length, name);
    /* Loaded objects need room too. */
    uint32_t module = ht_p.header->modules_used < ht_p.capacity[HT_SECTION_MODULES] / 2 ? ht_module_number(&nothing, path, length) : 0;
    ht_unlock(&ht_p.module_lock);
    return module;
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
    *known = (struct ht_known){ object->low, object->high, 0, 0, generation };
    if (!object->eh_frame_hdr)
        known->eh_frame = ht_search_eh_frame(object);
    ht_jit_note(object, generation);
    static char own[4096]; /* not on the program's stack, which may be small */
    uint64_t length;
    const char *path = ht_object_path(object, own, &length);
    known->module = ht_module_number(object, path, length);
    return known;
}

/* The module at pc, and where that is; 0, and no object, when pc is in none. */
static uint32_t ht_module_at(uint64_t pc, struct ht_place *place)
{
    struct ht_object object = { .base = 0 };
    struct ht_dl_find_object found = { .eh_frame = NULL };
    *place = (struct ht_place){ 0 };
    if (ht_dl_find_object ? !ht_find_object(pc, &found) : !ht_object_in_list(pc, &object))
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
    place->low = known->low;
    place->high = known->high;
    place->eh_frame = known->eh_frame;
    ht_unlock(&ht_p.module_lock);
    place->hdr = (uint64_t)(ht_dl_find_object ? found.eh_frame : object.eh_frame_hdr);
    return module;
}

/* Where pc is; this library gets no number for it. */
static struct ht_place ht_place_at(uint64_t pc)
{
    struct ht_place place;
    struct ht_dl_find_object found;
    struct ht_object object = { .base = 0 };
    if (pc < ht_own_low || pc >= ht_own_high) {
        ht_module_at(pc, &place);
        return place;
    }
    if (!ht_dl_find_object)
        ht_object_in_list(pc, &object);
    else if (ht_find_object(pc, &found))
        ht_object_describe(pc, &found, &object);
    return (struct ht_place){ object.low, object.high, (uint64_t)object.eh_frame_hdr, 0 };
}

static uint64_t ht_module_base(uint32_t module) { return module ? ht_peek(&ht_p.modules[module].base) : 0; }

/* Called when code went away: rules and kept stacks of before are not used any more. */
static void ht_modules_changed(void) { ht_shared_add(&ht_p.generation, 1u); }
