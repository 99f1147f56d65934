/*
 * target.c: the process's memory, what is mapped in it, and the objects that are loaded, by what stands there: its files may be others than ours.
 */
static int peek(uint64_t at, void *to, size_t size) { return pread(memory, to, size, (off_t)at) == (ssize_t)size; }
static int poke(uint64_t at, const void *from, size_t size) { return pwrite(memory, from, size, (off_t)at) == (ssize_t)size; }

struct range {
    uint64_t low, high;
};
static int is_in(struct range r, uint64_t at) { return at >= r.low && at < r.high; }

struct mapping {
    struct range at;
    uint64_t inode, offset;
    char rights[5];
    char path[512];
};
static struct mapping *maps;
static size_t map_count;

static void read_maps(void)
{
    char name[64], line[PATH_MAX + 256];
    snprintf(name, sizeof name, "/proc/%d/maps", target);
    FILE *file = fopen(name, "re");
    if (!file)
        fail("gone", "");
    map_count = 0;
    while (fgets(line, sizeof line, file)) {
        if (map_count % 1024 == 0 && !(maps = realloc(maps, (map_count + 1024) * sizeof *maps)))
            fail("memory", "");
        struct mapping *m = &maps[map_count];
        int path = 0;
        if (sscanf(line, "%lx-%lx %4s %lx %*s %lu %n", &m->at.low, &m->at.high, m->rights, &m->offset, &m->inode, &path) < 5)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(m->path, sizeof m->path, "%s", path ? line + path : "");
        map_count++;
    }
    fclose(file);
}

static const struct mapping *mapping_at(uint64_t at)
{
    for (size_t i = 0; i < map_count; i++)
        if (is_in(maps[i].at, at))
            return &maps[i];
    return NULL;
}

struct object {
    uint64_t base;        /* what its addresses are relative to */
    struct range code;    /* of executable segments */
    struct range data;    /* of those that are written */
    uint64_t code_end;    /* where the last executable segment ends, before its last page does */
    uint64_t symbols, strings, strings_size;
    size_t symbol_count;
    Elf64_Sym *symbol;
    char *string;
};

static uint64_t relocated(const struct object *o, uint64_t at) { return at && at < o->base ? o->base + at : at; }

/* How many symbols a GNU hash table is of. */
static size_t hashed_symbols(uint64_t at)
{
    uint32_t head[4], last = 0, entry;
    if (!peek(at, head, sizeof head) || head[0] > 1 << 20)
        return 0;
    uint32_t *buckets = calloc(head[0] + 1, sizeof *buckets);
    uint64_t from = at + 16 + 8ull * head[2], chains = from + 4ull * head[0];
    if (buckets && peek(from, buckets, head[0] * sizeof *buckets))
        for (uint32_t i = 0; i < head[0]; i++)
            last = buckets[i] > last ? buckets[i] : last;
    free(buckets);
    if (last < head[1])
        return head[1];
    do
        if (!peek(chains + 4ull * (last - head[1]), &entry, sizeof entry))
            return 0;
    while (last++, !(entry & 1) && last < 1 << 22);
    return last;
}

/* Reads the object whose first page lies there; 0 when that is none. */
static int read_object(uint64_t at, struct object *o)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment[64];
    *o = (struct object){ .code = { UINT64_MAX, 0 }, .data = { UINT64_MAX, 0 } };
    if (!peek(at, &header, sizeof header) || memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_phnum > COUNT(segment)
        || !peek(at + header.e_phoff, segment, header.e_phnum * sizeof *segment))
        return 0;
    uint64_t lowest = UINT64_MAX, dynamic = 0, size = 0, hash = 0, count = 0;
    for (int i = 0; i < header.e_phnum; i++)
        if (segment[i].p_type == PT_LOAD && segment[i].p_vaddr < lowest)
            lowest = segment[i].p_vaddr;
    o->base = at - lowest / PAGE * PAGE;
    for (int i = 0; i < header.e_phnum; i++) {
        const Elf64_Phdr *s = &segment[i];
        uint64_t low = o->base + s->p_vaddr, high = low + s->p_memsz;
        struct range *r = s->p_flags & PF_X ? &o->code : &o->data;
        if (s->p_type == PT_LOAD && s->p_flags & (PF_X | PF_W)) {
            r->low = low < r->low ? low : r->low;
            r->high = high > r->high ? high : r->high;
            if (s->p_flags & PF_X)
                o->code_end = o->base + s->p_vaddr + s->p_filesz;
        }
        if (s->p_type == PT_DYNAMIC)
            dynamic = low, size = s->p_memsz;
    }
    for (uint64_t i = 0; i < size / sizeof(Elf64_Dyn) && i < 256; i++) {
        Elf64_Dyn entry;
        if (!peek(dynamic + i * sizeof entry, &entry, sizeof entry) || entry.d_tag == DT_NULL)
            break;
        if (entry.d_tag == DT_SYMTAB)
            o->symbols = relocated(o, entry.d_un.d_ptr);
        if (entry.d_tag == DT_STRTAB)
            o->strings = relocated(o, entry.d_un.d_ptr);
        if (entry.d_tag == DT_STRSZ)
            o->strings_size = entry.d_un.d_val;
        if (entry.d_tag == DT_GNU_HASH)
            hash = relocated(o, entry.d_un.d_ptr);
        uint32_t head[2];
        if (entry.d_tag == DT_HASH && peek(relocated(o, entry.d_un.d_ptr), head, sizeof head))
            count = head[1];
    }
    o->symbol_count = hash ? hashed_symbols(hash) : count;
    return 1;
}

static int read_symbols(struct object *o)
{
    if (o->symbol)
        return 1;
    size_t size = o->symbol_count * sizeof *o->symbol;
    if (!o->symbols || !o->strings || o->symbol_count > 1 << 22 || o->strings_size > 1 << 28)
        return 0;
    o->symbol = malloc(size + 1);
    o->string = calloc(1, o->strings_size + 1);
    if (o->symbol && o->string && peek(o->symbols, o->symbol, size) && peek(o->strings, o->string, o->strings_size))
        return 1;
    o->symbol_count = 0;
    return 0;
}

static uint64_t symbol_end;
/* Address of a function that it defines, 0 when it does not; symbol_end is where it ends. */
static uint64_t symbol_in(struct object *o, const char *name)
{
    if (!read_symbols(o))
        return 0;
    for (size_t i = 0; i < o->symbol_count; i++) {
        const Elf64_Sym *s = &o->symbol[i];
        if (s->st_shndx == SHN_UNDEF || s->st_value == 0 || s->st_name >= o->strings_size || ELF64_ST_TYPE(s->st_info) == STT_TLS
            || strcmp(o->string + s->st_name, name))
            continue;
        symbol_end = o->base + s->st_value + s->st_size;
        return o->base + s->st_value;
    }
    return 0;
}
