/*
 * jit.c: unwind tables that compilers at run time tell debuggers of: the list of ELF images at __jit_debug_descriptor, as
 * gdb reads it. Most of them register their tables too (tables.c); this is for those that do not.
 *
 * A descriptor is found when its object is met on a stack for the first time (module.c): compilers allocate long before
 * their code does. `ht_p.jit` holds their addresses under module_lock; a slot changes from 0 once, and is
 * forgotten with the generation of loaded code.
 *
 * The list is the program's, and may change while it is read: the kernel is asked before each part of
 * it is, the number of steps is bounded, and nothing is believed that an image does not bear out: a section of code
 * that has the place in it, and in its loaded .eh_frame an entry that covers it. When the list is not as it was
 * at the last look, code may have come in the place of other code: rules of before are then not used any more.
 */
#include "heaptap.h"

struct ht_jit_entry {
    uint64_t next, previous, image, size;
};
struct ht_jit_descriptor {
    uint32_t version, action;
    uint64_t relevant, first;
};

#define HT_JIT_ENTRIES 100000u
#define HT_JIT_SECTIONS 4096u

static int ht_jit_can_read(uint64_t at, uint64_t size)
{
    struct ht_entries asked = ht_entries(at, at, at + size, 1);
    return size > 0 && at >= HT_PAGE && at + size > at && !((at + size) >> HT_ADDRESS_BITS) && ht_entries_can_read(&asked, at + size);
}

/* Called under module_lock, of an object that is on the calling thread's stack. */
static void ht_jit_note(const struct ht_object *object, uint32_t generation)
{
    struct ht_symbols s = ht_object_symbols(object);
    s.data = 1;
    uint32_t i = ht_symbol_next(&s, "__jit_debug_descriptor", 0);
    if (!i)
        return;
    for (uint32_t n = 0; n < HT_COUNT(ht_p.jit); n++) {
        struct ht_jit *jit = &ht_p.jit[n];
        if (jit->descriptor && jit->generation == generation)
            continue;
        jit->generation = generation;
        jit->seen = 0;
        ht_shared_set(&jit->descriptor, s.base + s.symbols[i].st_value);
        return;
    }
}

/* What an image says of a place. */
static int ht_row_of_image(const struct ht_jit_entry *entry, uint64_t pc, struct ht_row *row)
{
    const ElfW(Ehdr) *elf = (const ElfW(Ehdr) *)entry->image;
    if (entry->size < sizeof *elf || entry->image % 8 || !ht_jit_can_read(entry->image, sizeof *elf) || !ht_same_bytes(elf->e_ident, ELFMAG, SELFMAG))
        return 0;
    uint64_t count = elf->e_shnum, table = elf->e_shoff, names = elf->e_shstrndx;
    if (elf->e_shentsize != sizeof(ElfW(Shdr)) || count > HT_JIT_SECTIONS || names >= count || table % 8 || table > entry->size
        || count * sizeof(ElfW(Shdr)) > entry->size - table || !ht_jit_can_read(entry->image + table, count * sizeof(ElfW(Shdr))))
        return 0;
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(entry->image + table);
    uint64_t text = sections[names].sh_offset, text_size = sections[names].sh_size;
    int has_code = 0;
    for (uint64_t i = 0; i < count; i++)
        has_code |= (sections[i].sh_flags & SHF_EXECINSTR) && pc - sections[i].sh_addr < sections[i].sh_size;
    if (!has_code || text > entry->size || text_size > entry->size - text || !ht_jit_can_read(entry->image + text, text_size))
        return 0;
    static const char name[] = ".eh_frame";
    for (uint64_t i = 0; i < count; i++) {
        const ElfW(Shdr) *section = &sections[i];
        if (section->sh_name > text_size || text_size - section->sh_name < sizeof name || !section->sh_addr
            || !ht_same_bytes((const char *)entry->image + text + section->sh_name, name, sizeof name))
            continue;
        if (section->sh_size >> HT_ADDRESS_BITS || section->sh_addr >> HT_ADDRESS_BITS)
            continue;
        if (ht_row_linear(ht_entries(section->sh_addr, section->sh_addr, section->sh_addr + section->sh_size, 1), pc, row))
            return 1;
    }
    return 0;
}

/* What compilers say of code that is in no object. */
static int ht_row_debugged(uint64_t pc, struct ht_row *row)
{
    for (uint32_t n = 0; n < HT_COUNT(ht_p.jit); n++) {
        struct ht_jit *jit = &ht_p.jit[n];
        uint64_t at = ht_shared_get(&jit->descriptor);
        if (!at || jit->generation != ht_peek(&ht_p.generation) || !ht_jit_can_read(at, sizeof(struct ht_jit_descriptor)))
            continue;
        const struct ht_jit_descriptor *descriptor = (const struct ht_jit_descriptor *)at;
        uint64_t next = ht_peek(&descriptor->first), state = next * 31 + ht_peek(&descriptor->relevant) + ht_peek(&descriptor->action);
        if (descriptor->version != 1)
            continue;
        for (uint32_t i = 0; i < HT_JIT_ENTRIES && next % 8 == 0 && ht_jit_can_read(next, sizeof(struct ht_jit_entry)); i++) {
            struct ht_jit_entry entry = *(const struct ht_jit_entry *)next;
            if (ht_row_of_image(&entry, pc, row)) {
                uint64_t seen = ht_peek(&jit->seen);
                if (seen && seen != state) {
                    jit->generation++;
                    ht_modules_changed();
                }
                ht_own_set(&jit->seen, state);
                return 1;
            }
            next = entry.next;
        }
    }
    return 0;
}
