/*
 * elf.c: what loaded objects say of themselves: program headers, build ids, dynamic symbols.
 *
 * Everything read here is mapped memory of objects that the dynamic linker has accepted and that
 * stay loaded while they are looked at: all at start-up and while the dynamic linker's list is held
 * (dl_iterate_phdr), otherwise only those whose code is on the calling thread's stack.
 */
#include "heaptap.h"
#include <elf.h>
#include <link.h>

struct ht_object {
    uint64_t base;         /* load bias */
    uint64_t low, high;    /* addresses that it spans */
    const char *name;      /* "" for the program itself */
    const ElfW(Phdr) *headers;
    uint32_t header_count;
    const void *eh_frame_hdr; /* NULL when it has none */
};

/* The program's own headers, from the kernel (process.c): what the dynamic linker calls the start of
 * the program may be the start of its code, where there are none. */
static const ElfW(Phdr) *ht_main_headers;
static uint32_t ht_main_header_count;

static void ht_object_span(struct ht_object *object)
{
    object->low = ~0ull;
    object->high = 0;
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        if (h->p_type == PT_GNU_EH_FRAME)
            object->eh_frame_hdr = (const void *)(object->base + h->p_vaddr);
        if (h->p_type != PT_LOAD)
            continue;
        if (object->base + h->p_vaddr < object->low)
            object->low = object->base + h->p_vaddr;
        if (object->base + h->p_vaddr + h->p_memsz > object->high)
            object->high = object->base + h->p_vaddr + h->p_memsz;
    }
}

static struct ht_object ht_object_from(const struct dl_phdr_info *info)
{
    struct ht_object object = { .base = info->dlpi_addr, .name = info->dlpi_name ? info->dlpi_name : "",
                                .headers = info->dlpi_phdr, .header_count = info->dlpi_phnum };
    if (object.headers == ht_main_headers) /* musl gives the program a name, which is what its caller called it */
        object.name = "";
    ht_object_span(&object);
    return object;
}

/* Copies the build id to `id`; returns its length, 0 when there is none. */
static uint32_t ht_object_build_id(const struct ht_object *object, uint8_t id[32])
{
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        if (h->p_type != PT_NOTE)
            continue;
        const uint8_t *at = (const uint8_t *)(object->base + h->p_vaddr);
        const uint8_t *end = at + h->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const uint8_t *name = at + sizeof *note;
            const uint8_t *text = name + ((note->n_namesz + 3u) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && ht_same_bytes(name, "GNU", 4)) {
                uint32_t length = note->n_descsz < 32 ? note->n_descsz : 32;
                if (text > end || length > (uint64_t)(end - text))
                    break;
                memcpy(id, text, length);
                return length;
            }
            if (text > end || note->n_descsz > (uint64_t)(end - text))
                break;
            at = text + ((note->n_descsz + 3u) & ~3u);
        }
    }
    return 0;
}

/* What an object's dynamic section says: its symbols, and where their addresses went. */
struct ht_symbols {
    const ElfW(Sym) *symbols;
    const char *strings;
    uint64_t string_size;
    const uint16_t *versions;
    const uint32_t *gnu_hash;
    const uint32_t *sysv_hash;
    uint64_t base;
    const ElfW(Rela) *relocations[2]; /* the general ones, and those of calls */
    uint64_t relocation_bytes[2];
    int text_relocations;
    uint64_t relative_count; /* how many at the head of the general ones name no symbol */
    int data; /* not functions are looked for, but what they work on */
};

static struct ht_symbols ht_object_symbols(const struct ht_object *object)
{
    struct ht_symbols s = { .base = object->base };
    const ElfW(Dyn) *d = NULL;
    for (uint32_t i = 0; i < object->header_count; i++)
        if (object->headers[i].p_type == PT_DYNAMIC)
            d = (const ElfW(Dyn) *)(object->base + object->headers[i].p_vaddr);
    for (; d && d->d_tag != DT_NULL; d++) {
        /* glibc relocates these pointers in place, musl and the vDSO do not. */
        uint64_t at = d->d_un.d_ptr < object->base ? object->base + d->d_un.d_ptr : d->d_un.d_ptr;
        switch (d->d_tag) {
        case DT_SYMTAB: s.symbols = (const ElfW(Sym) *)at; break;
        case DT_STRTAB: s.strings = (const char *)at; break;
        case DT_STRSZ: s.string_size = d->d_un.d_val; break;
        case DT_VERSYM: s.versions = (const uint16_t *)at; break;
        case DT_GNU_HASH: s.gnu_hash = (const uint32_t *)at; break;
        case DT_HASH: s.sysv_hash = (const uint32_t *)at; break;
        case DT_RELA: s.relocations[0] = (const ElfW(Rela) *)at; break;
        case DT_RELASZ: s.relocation_bytes[0] = d->d_un.d_val; break;
        case DT_RELACOUNT: s.relative_count = d->d_un.d_val; break;
        case DT_JMPREL: s.relocations[1] = (const ElfW(Rela) *)at; break;
        case DT_TEXTREL: s.text_relocations = 1; break;
        case DT_FLAGS: s.text_relocations |= (d->d_un.d_val & DF_TEXTREL) != 0; break;
        case DT_PLTRELSZ: s.relocation_bytes[1] = d->d_un.d_val; break;
        }
    }
    return s;
}

static int ht_symbol_is_hidden(const struct ht_symbols *s, uint32_t i) { return s->versions && (s->versions[i] & 0x8000); }

/* Defined, and a function (or data, where those are wanted). An undefined symbol with a value is a canonical PLT entry of a
 * fixed-position program: calling that would come back to us. */
static int ht_symbol_fits(const struct ht_symbols *s, uint32_t i, const char *name)
{
    const ElfW(Sym) *symbol = &s->symbols[i];
    uint32_t type = symbol->st_info & 15u;
    int fits = s->data ? type == STT_OBJECT : type == STT_FUNC || type == STT_GNU_IFUNC;
    return fits && symbol->st_shndx != 0 && symbol->st_value != 0
        && ht_same_text(s->strings + symbol->st_name, name);
}

static void *ht_symbol_address(const struct ht_symbols *s, uint32_t i)
{
    uint64_t at = s->base + s->symbols[i].st_value;
    if ((s->symbols[i].st_info & 15u) == STT_GNU_IFUNC)
        at = (uint64_t)((void *(*)(void))at)();
    return (void *)at;
}

/* The next symbol of a name behind number `after` (0 to begin with), whatever its version; 0 when
 * there is none. */
static uint32_t ht_symbol_next(const struct ht_symbols *s, const char *name, uint32_t after)
{
    if (!s->symbols || !s->strings)
        return 0;
    if (s->gnu_hash) {
        uint32_t hash = 5381;
        for (const char *c = name; *c; c++)
            hash = hash * 33 + (uint8_t)*c;
        uint32_t bucket_count = s->gnu_hash[0], first = s->gnu_hash[1], bloom = s->gnu_hash[2];
        const uint32_t *buckets = s->gnu_hash + 4 + bloom * (sizeof(ElfW(Addr)) / 4);
        const uint32_t *chain = buckets + bucket_count;
        uint32_t i = bucket_count ? buckets[hash % bucket_count] : 0;
        if (i < first)
            return 0;
        for (;; i++) {
            if (i > after && (chain[i - first] | 1) == (hash | 1) && ht_symbol_fits(s, i, name))
                return i;
            if (chain[i - first] & 1)
                return 0;
        }
    }
    for (uint32_t i = after + 1; s->sysv_hash && i < s->sysv_hash[1]; i++)
        if (ht_symbol_fits(s, i, name))
            return i;
    return 0;
}

/* How many symbols the object has, as far as its hash tables tell. */
static uint32_t ht_symbol_count(const struct ht_symbols *s)
{
    if (s->sysv_hash)
        return s->sysv_hash[1];
    if (!s->gnu_hash)
        return 0;
    uint32_t bucket_count = s->gnu_hash[0], first = s->gnu_hash[1], bloom = s->gnu_hash[2], last = 0;
    const uint32_t *buckets = s->gnu_hash + 4 + bloom * (sizeof(ElfW(Addr)) / 4);
    const uint32_t *chain = buckets + bucket_count;
    for (uint32_t i = 0; i < bucket_count; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < first)
        return 0;
    while (!(chain[last - first] & 1))
        last++;
    return last + 1;
}

/* The same without its address, which for an IFUNC its resolver knows, and that may not be called before the object is relocated. */
static uint64_t ht_object_place(const struct ht_object *object, const char *name)
{
    struct ht_symbols s = ht_object_symbols(object);
    for (uint32_t i = 0; (i = ht_symbol_next(&s, name, i)) != 0;)
        if (!ht_symbol_is_hidden(&s, i))
            return s.base + s.symbols[i].st_value;
    return 0;
}

/* The default version of a function that the object defines. */
static void *ht_object_symbol(const struct ht_object *object, const char *name)
{
    struct ht_symbols s = ht_object_symbols(object);
    for (uint32_t i = 0; (i = ht_symbol_next(&s, name, i)) != 0;)
        if (!ht_symbol_is_hidden(&s, i))
            return ht_symbol_address(&s, i);
    return NULL;
}
