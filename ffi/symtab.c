/*
 * symtab.c: the names that an object's file gives its functions, those too that the dynamic linker does not know.
 *
 * They stand in the file alone: in its own symbol table, or, where that was stripped, in the debug file that its build id
 * names. The file has to be the one that is mapped; it may have been replaced since. That is told by its program headers and
 * notes, the build id among them. The tables are mapped while they are read, and no longer.
 */
#include "heaptap.h"

struct ht_names {
    const ElfW(Sym) *symbols;
    uint64_t count;
    const char *strings;
    uint64_t string_size;
    struct {
        void *at;
        uint64_t size;
    } maps[2];
};

static void ht_names_close(struct ht_names *names)
{
    for (uint32_t i = 0; i < 2; i++)
        if (names->maps[i].at)
            ht_sys_unmap(names->maps[i].at, names->maps[i].size);
    *names = (struct ht_names){ 0 };
}

/* Whether a part of a file is what is mapped. */
static int ht_file_has(long fd, uint64_t offset, const void *mapped, uint64_t size)
{
    char part[256];
    for (uint64_t at = 0; at < size; at += sizeof part) {
        uint64_t n = ht_min(size - at, sizeof part);
        if (!ht_read_at(fd, offset + at, part, n) || !ht_same_bytes(part, (const char *)mapped + at, n))
            return 0;
    }
    return 1;
}

static int ht_is_file_of(long fd, const ElfW(Ehdr) *elf, const struct ht_object *object)
{
    if (elf->e_phnum != object->header_count || !ht_file_has(fd, elf->e_phoff, object->headers, elf->e_phnum * sizeof *object->headers))
        return 0;
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        if (h->p_type == PT_NOTE && !ht_file_has(fd, h->p_offset, (const void *)(object->base + h->p_vaddr), h->p_filesz))
            return 0;
    }
    return 1;
}

/* Maps a section, if the file has all of it; what is mapped begins at a page. */
static const void *ht_section_map(long fd, const ElfW(Shdr) *section, struct ht_names *names, uint32_t which)
{
    uint64_t before = section->sh_offset % HT_PAGE, size = section->sh_size + before;
    uint8_t last;
    if (section->sh_type == SHT_NOBITS || (section->sh_flags & SHF_COMPRESSED) || section->sh_size == 0 || section->sh_size > 1ull << 32
        || !ht_read_at(fd, section->sh_offset + section->sh_size - 1, &last, 1))
        return NULL;
    long at = ht_syscall(HT_SYS_MMAP, 0, (long)size, HT_PROT_READ, HT_MAP_PRIVATE | HT_MAP_POPULATE, fd, (long)(section->sh_offset - before));
    if (HT_FAILED(at))
        return NULL;
    names->maps[which].at = (void *)at;
    names->maps[which].size = size;
    return (const char *)at + before;
}

/* Reads the symbol table of a file, which must be `object`'s own unless that is NULL. */
static int ht_names_read(struct ht_names *names, const char *path, const struct ht_object *object)
{
    ElfW(Ehdr) elf;
    ElfW(Shdr) strings;
    long fd = ht_open(HT_AT_FDCWD, path);
    if (HT_FAILED(fd))
        return 0;
    int fits = ht_read_at(fd, 0, &elf, sizeof elf) && ht_same_bytes(elf.e_ident, ELFMAG, SELFMAG) && elf.e_machine == HT_MACHINE
        && elf.e_shentsize == sizeof strings && (!object || ht_is_file_of(fd, &elf, object));
    static ElfW(Shdr) sections[96]; /* by as many as are read at once */
    for (uint32_t i = 0; fits && i < elf.e_shnum && !names->symbols; i++) {
        uint32_t n = i % HT_COUNT(sections), rest = (uint32_t)ht_min(elf.e_shnum - i, HT_COUNT(sections));
        if (n == 0 && !ht_read_at(fd, elf.e_shoff + i * sizeof *sections, sections, rest * sizeof *sections))
            break;
        if (sections[n].sh_type != SHT_SYMTAB || sections[n].sh_link >= elf.e_shnum
            || !ht_read_at(fd, elf.e_shoff + sections[n].sh_link * sizeof strings, &strings, sizeof strings))
            continue;
        names->strings = ht_section_map(fd, &strings, names, 0);
        names->symbols = names->strings ? ht_section_map(fd, &sections[n], names, 1) : NULL;
        names->count = sections[n].sh_size / sizeof *names->symbols;
        names->string_size = strings.sh_size;
        /* Names end: so says the format, and so must the last one. */
        if (!names->symbols || names->strings[names->string_size - 1] != 0)
            ht_names_close(names);
    }
    ht_sys_close(fd);
    return names->symbols != NULL;
}

/* Opens what names an object's functions have beyond those in its memory; 0 when they were stripped and no debug file is
 * there. */
static int ht_names_open(struct ht_names *names, const struct ht_object *object)
{
    static char path[4096]; /* not on the program's stack, which may be small; one thread looks at a time (linked.c) */
    uint64_t length;
    uint8_t id[32];
    *names = (struct ht_names){ 0 };
    if (ht_names_read(names, ht_object_path(object, path, &length), object) || (!object->name[0] && ht_names_read(names, "/proc/self/exe", object)))
        return 1;
    uint32_t size = ht_object_build_id(object, id);
    if (size < 2)
        return 0;
    static const char folder[] = "/usr/lib/debug/.build-id/", digits[] = "0123456789abcdef";
    uint32_t at = ht_copy(path, sizeof path, folder);
    for (uint32_t i = 0; i < size; i++) {
        path[at++] = digits[id[i] >> 4];
        path[at++] = digits[id[i] & 15];
        if (i == 0)
            path[at++] = '/';
    }
    ht_copy(path + at, sizeof path - at, ".debug");
    return ht_names_read(names, path, NULL);
}
