/*
 * linked.c: allocators that are linked into the program or into a library: their functions are called directly, past every
 * symbol and slot, and begin with a jump to the hooks of allocators.c (code.c).
 *
 * They are found by name, in the object's own tables and its file's (symtab.c). What is looked for are families whose names
 * leave no doubt: a function that makes blocks, one that ends them, and another that only the allocator has. Prefixes of
 * jemalloc are what stands before `mallocx` and its like. All of a family's functions lead to hooks, or none: a block that is seen to begin and not to end would be a leak.
 *
 * One allocation counts once: what the allocator's own functions call of each other goes past the hooks. Who calls is told by
 * the return address, from a map of the functions' code that all sets of one object share.
 *
 * An object is looked at once: at the start, or when it arrives. The dynamic linker tells of arrivals by a function that
 * does nothing and that debuggers stop at (_dl_debug_state): from the program's first dlopen on it calls us. What was there
 * before the hooks, in a script's process, may be running, and stays as it is; in one that was attached to it is planned, and done from outside
 * (ht_link_running, attached.c).
 *
 * All of it happens under ht_loaded.lock, in the dynamic linker's list.
 */
#include "heaptap.h"

#define HT_PREFIXES 3u

enum ht_family { HT_FAMILY_C, HT_FAMILY_JEMALLOC, HT_FAMILY_OPERATORS, HT_FAMILY_TCMALLOC, HT_FAMILY_MIMALLOC, HT_FAMILY_RPMALLOC, HT_FAMILY_SNMALLOC, HT_FAMILY_MOZILLA, HT_FAMILIES };

/* What is wanted of an object beside the functions that are wrapped. */
enum ht_wanted {
    HT_WANTED_USABLE = HT_WRAPPED_COUNT,
    HT_WANTED_MI_USABLE,
    HT_WANTED_RP_USABLE,
    HT_WANTED_SN_USABLE,
    HT_WANTED_VISIT,
    HT_WANTED_BACKING,
    HT_WANTED_NEW_HANDLER,
    /* Names that a family has beside those of its functions, which alone may be others'. */
    HT_WANTED_MI_PAGE_FREE,
    HT_WANTED_MI_VERSION,
    HT_WANTED_TC_VERSION,
    HT_WANTED_RP_INITIALIZE,
    HT_WANTED_RP_THREAD,
    HT_WANTED_COUNT
};

static const char *ht_wanted_name(uint32_t i)
{
    static const char *const more[] = { "malloc_usable_size", "mi_usable_size", "rpmalloc_usable_size", "sn_rust_usable_size", "mi_heap_visit_blocks",
                                        "mi_heap_get_backing", "_ZSt15get_new_handlerv", "_mi_page_free", "mi_version", "tc_version",
                                        "rpmalloc_initialize", "rpmalloc_thread_initialize" };
    _Static_assert(HT_COUNT(more) == HT_WANTED_COUNT - HT_WRAPPED_COUNT, "a name for each");
    return i < HT_WRAPPED_COUNT ? ht_wrapped_functions[i].name : more[i - HT_WRAPPED_COUNT];
}

/* What an object has under those names. */
struct ht_findings {
    char prefix[32];
    struct {
        uint64_t at, size;
        int global, several;
    } found[HT_WANTED_COUNT];
};

/* A table of symbols, of memory or of a file. */
struct ht_table {
    const ElfW(Sym) *symbols;
    uint64_t count;
    const char *strings;
    uint64_t string_size;
    uint64_t *marks; /* where in the strings a name may be that is looked for, 8 bytes a bit; NULL: anywhere */
};

/* Code of functions. */
struct ht_range {
    uint64_t at, size;
};

/* One object at a time is looked at. */
static struct {
    uint32_t ready;
    int runs; /* somebody may be executing it: what leads its code to hooks is planned, and put in from outside (pokes.h) */
    uint16_t slots[1024]; /* wanted names by their hash: number + 1 */
    uint64_t endings[256]; /* how they end, by a hash */
    uint32_t prefixes;
    struct ht_findings findings[1 + HT_PREFIXES]; /* without a prefix, and with each */
    struct ht_names names; /* of its file */
    uint32_t locals;       /* functions in it that nobody else can ask for; 0 when it was stripped of them */
    struct ht_table tables[2];
    uint32_t detours;
    struct ht_detour detour[2 * HT_WRAPPED_COUNT];
    uint8_t function[2 * HT_WRAPPED_COUNT], set[2 * HT_WRAPPED_COUNT]; /* what each is of */
    uint32_t ranges, targets;
    struct ht_range range[4 * HT_WRAPPED_COUNT]; /* the allocators' own code */
    uint64_t target[4 * HT_WRAPPED_COUNT];       /* what that calls */
} ht_look;
_Static_assert(HT_WANTED_COUNT < 256, "the number of a function fits");

/* Objects that have been looked at, by where they begin. */
static uint64_t ht_seen[HT_COUNT(ht_loaded.objects)];
static uint32_t ht_seen_count;

/* What was found, for reports: lines of family, prefix, how many functions lead to hooks, why none do, what that was about, object. */
static char ht_linked_text[4096];
static uint32_t ht_linked_length;

#define HT_NAME_LONGEST 63u

/* By the length, the first bytes and the last: very many names are looked up. */
static uint32_t ht_name_hash(const char *name, uint32_t length)
{
    uint64_t first = 0, last = 0;
    uint32_t n = length < 8 ? length : 8;
    if (n == 8) {
        __builtin_memcpy(&first, name, 8);
        __builtin_memcpy(&last, name + length - 8, 8);
    }
    for (uint32_t i = 0; n < 8 && i < n; i++)
        first = first << 8 | (uint8_t)name[i];
    uint64_t hash = (first ^ last << 7 ^ last >> 57 ^ length) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 40);
}

/* Of the last bytes of a name, which has four at least. */
static uint32_t ht_ending_hash(const char *end)
{
    uint32_t last;
    __builtin_memcpy(&last, end - 4, 4);
    return last * 2654435761u >> 18;
}
_Static_assert(sizeof ht_look.endings * 8 == 1u << 14, "a bit for each hash");

static void ht_look_start(void)
{
    if (ht_look.ready)
        return;
    ht_look.ready = 1;
    for (uint32_t i = 0; i < HT_WANTED_COUNT; i++) {
        const char *name = ht_wanted_name(i);
        uint32_t at = ht_name_hash(name, (uint32_t)ht_length(name));
        while (ht_look.slots[at % HT_COUNT(ht_look.slots)])
            at++;
        ht_look.slots[at % HT_COUNT(ht_look.slots)] = (uint16_t)(i + 1);
        uint32_t ending = ht_ending_hash(name + ht_length(name));
        ht_look.endings[ending / 64] |= 1ull << ending % 64;
    }
}

/* The number of a name that is wanted; HT_WANTED_COUNT when it is not. */
static uint32_t ht_wanted(const char *name, uint32_t length)
{
    ht_look_start();
    for (uint32_t at = ht_name_hash(name, length);; at++) {
        uint32_t number = ht_look.slots[at % HT_COUNT(ht_look.slots)];
        if (number == 0)
            return HT_WANTED_COUNT;
        const char *wanted = ht_wanted_name(number - 1);
        if (ht_length(wanted) == length && ht_same_bytes(wanted, name, length))
            return number - 1;
    }
}

static int ht_begins(const char *text, const char *with) { return ht_same_bytes(text, with, ht_length(with)); }

static enum ht_family ht_family_of(uint32_t wanted)
{
    static const struct {
        const char *prefix;
        enum ht_family family;
    } families[] = { { "_Zn", HT_FAMILY_OPERATORS }, { "_Zd", HT_FAMILY_OPERATORS }, { "tc_", HT_FAMILY_TCMALLOC }, { "mi_", HT_FAMILY_MIMALLOC },
                     { "rp", HT_FAMILY_RPMALLOC },   { "sn_", HT_FAMILY_SNMALLOC },  { "moz_", HT_FAMILY_MOZILLA } };
    const char *name = ht_wanted_name(wanted);
    for (uint32_t i = 0; i < HT_COUNT(families); i++)
        if (ht_begins(name, families[i].prefix))
            return families[i].family;
    return ht_same_text(name + ht_length(name) - 6, "allocx") ? HT_FAMILY_JEMALLOC : HT_FAMILY_C;
}

/* The lowest zero byte of a word, a bit in its place; 0 when there is none. */
HT_INLINE uint64_t ht_zero_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    return (word - ones) & ~word & 0x80 * ones;
}

/*
 * Marks where names are that may be looked for. Symbols stand in another order than their names: to read all names by symbol
 * would miss the cache for each of a hundred thousand. So the names are gone through once, from the first to the last, and by
 * symbol only those that end right are read. A name may be the end of another.
 */
HT_RAW static void ht_table_mark(struct ht_table *table)
{
    ht_look_start();
    uint64_t *marks = table->marks = ht_sys_map(table->string_size / 64 + 16);
    const uint64_t *words = (const uint64_t *)((uint64_t)table->strings / 8 * 8);
    uint64_t skipped = (uint64_t)table->strings % 8, start = 0;
    for (uint64_t i = 0; marks && i * 8 < table->string_size + skipped; i++)
        for (uint64_t zeros = ht_zero_bytes(words[i]); zeros; zeros &= zeros - 1) {
            uint64_t end = i * 8 + (uint64_t)__builtin_ctzll(zeros) / 8 - skipped;
            if (end >= table->string_size || table->strings[end] != 0)
                continue; /* before the first; or not the lowest zero, which alone is sure */
            uint32_t ending = end >= start + 4 ? ht_ending_hash(table->strings + end) : 0;
            if (end >= start + 4 && (ht_look.endings[ending / 64] >> ending % 64 & 1))
                for (uint64_t at = ht_max(start, end - ht_min(end, HT_NAME_LONGEST)) / 8; at <= end / 8; at++)
                    marks[at / 64] |= 1ull << at % 64;
            start = end + 1;
        }
}

/* The length of a symbol's name, 0 when it cannot be one that is looked for. */
HT_RAW static uint32_t ht_looked_for_length(const char *name)
{
    /* By words, which do not cross into a page that the name does not reach. */
    uint64_t at = (uint64_t)name / 8 * 8, skipped = (uint64_t)name - at;
    uint64_t word = *(const uint64_t *)at | ~(~0ull << 8 * skipped);
    for (uint64_t end = at + HT_NAME_LONGEST; at <= end; word = *(const uint64_t *)(at += 8)) {
        uint64_t zeros = ht_zero_bytes(word);
        if (zeros) {
            uint64_t length = at + (uint64_t)__builtin_ctzll(zeros) / 8 - (uint64_t)name;
            return length <= HT_NAME_LONGEST ? (uint32_t)length : 0;
        }
    }
    return 0;
}

/* Whether a table's symbol is a function that it defines, with a name. */
static int ht_is_function(const struct ht_table *table, const ElfW(Sym) *s)
{
    return (s->st_info & 15u) == STT_FUNC && s->st_shndx != 0 && s->st_value != 0 && s->st_name < table->string_size;
}

/* A function that a table defines: its name's length, 0 when it is none that is looked for. */
static uint32_t ht_table_function(const struct ht_table *table, uint64_t i, const char **name)
{
    const ElfW(Sym) *s = &table->symbols[i];
    if (!ht_is_function(table, s))
        return 0;
    ht_look.locals += s->st_info >> 4 == STB_LOCAL;
    if (table->marks && !(table->marks[s->st_name / 512] >> s->st_name / 8 % 64 & 1))
        return 0;
    *name = table->strings + s->st_name;
    return ht_looked_for_length(*name);
}

/* Keeps what stands before a name that only jemalloc's functions have. */
static void ht_prefix_keep(const char *name, uint32_t length)
{
    static const char ending[] = "allocx";
    uint32_t rest = sizeof ending - 1;
    if (length <= rest || !ht_same_text(name + length - rest, ending) || ht_wanted(name, length) != HT_WANTED_COUNT)
        return;
    /* sdallocx before dallocx. */
    for (rest += 2; rest > sizeof ending - 1 && (rest >= length || ht_wanted(name + length - rest, rest) == HT_WANTED_COUNT); rest--) {}
    if (rest == sizeof ending - 1 || ht_look.prefixes == HT_PREFIXES)
        return;
    struct ht_findings *f = &ht_look.findings[ht_look.prefixes + 1];
    if (length - rest >= sizeof f->prefix)
        return;
    memcpy(f->prefix, name, length - rest);
    f->prefix[length - rest] = 0;
    for (uint32_t p = 1; p <= ht_look.prefixes; p++)
        if (ht_same_text(ht_look.findings[p].prefix, f->prefix))
            return;
    ht_look.prefixes++;
}

#define HT_FUNCTION_LARGEST (1u << 20)

/* Whether a function lies in an object's code as a whole. What a file says may be anything. */
static int ht_is_code(const struct ht_object *object, uint64_t at, uint64_t size)
{
    for (uint32_t i = 0; size <= HT_FUNCTION_LARGEST && i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        uint64_t start = object->base + h->p_vaddr;
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X) && at >= start && at - start < h->p_filesz && size <= h->p_filesz - (at - start))
            return 1;
    }
    return 0;
}

static void ht_finding_keep(struct ht_findings *f, uint32_t wanted, const ElfW(Sym) *s, uint64_t at)
{
    int global = s->st_info >> 4 != STB_LOCAL;
    if (f->found[wanted].at && f->found[wanted].at != at && global == f->found[wanted].global)
        f->found[wanted].several = 1;
    if (!f->found[wanted].at || (global && !f->found[wanted].global)) {
        f->found[wanted].at = at;
        f->found[wanted].size = s->st_size;
        f->found[wanted].global = global;
        f->found[wanted].several = 0;
    }
}

/* Looks for functions whose names begin as findings number `p` says; without a prefix (0), for prefixes too. */
static void ht_look_for_functions(const struct ht_object *object, const struct ht_table *table, uint32_t p)
{
    struct ht_findings *f = &ht_look.findings[p];
    uint32_t before = (uint32_t)ht_length(f->prefix);
    for (uint64_t i = 1; i < table->count; i++) {
        const char *name;
        uint32_t length = ht_table_function(table, i, &name);
        if (length <= before || !ht_same_bytes(name, f->prefix, before))
            continue;
        uint32_t wanted = ht_wanted(name + before, length - before);
        const ElfW(Sym) *s = &table->symbols[i];
        if (wanted != HT_WANTED_COUNT && s->st_shndx < SHN_LORESERVE && ht_is_code(object, object->base + s->st_value, s->st_size))
            ht_finding_keep(f, wanted, s, object->base + s->st_value);
        else if (p == 0)
            ht_prefix_keep(name, length);
    }
}

/* Until ht_look_end. */
static void ht_look_at(const struct ht_object *object)
{
    struct ht_symbols s = ht_object_symbols(object);
    memset(ht_look.findings, 0, sizeof ht_look.findings);
    ht_look.prefixes = ht_look.detours = ht_look.ranges = ht_look.targets = ht_look.locals = 0;
    const struct ht_names *names = &ht_look.names;
    ht_names_open(&ht_look.names, object);
    uint64_t count = s.strings ? ht_symbol_count(&s) : 0;
    /* What a file names has all that the dynamic linker knows, and more, unless somebody made it smaller. */
    ht_look.tables[0] = (struct ht_table){ s.symbols, count > names->count ? count : 0, s.strings, s.string_size, NULL };
    ht_look.tables[1] = (struct ht_table){ names->symbols, names->count, names->strings, names->string_size, NULL };
    for (uint32_t i = 0; i < 2; i++)
        if (ht_look.tables[i].count)
            ht_table_mark(&ht_look.tables[i]);
    for (uint32_t p = 0; p <= ht_look.prefixes; p++)
        for (uint32_t i = 0; i < 2; i++)
            ht_look_for_functions(object, &ht_look.tables[i], p);
}

static void ht_look_end(void)
{
    for (uint32_t i = 0; i < 2; i++)
        if (ht_look.tables[i].marks)
            ht_sys_unmap(ht_look.tables[i].marks, ht_look.tables[i].string_size / 64 + 16);
    ht_names_close(&ht_look.names);
}

static uint64_t ht_found(const struct ht_findings *f, uint32_t wanted) { return f->found[wanted].several ? 0 : f->found[wanted].at; }

/* Whether there is a function of a family that makes blocks, and one that ends them. */
static int ht_has_family(const struct ht_findings *f, enum ht_family family)
{
    int makes = 0, ends = 0;
    for (uint32_t i = 0; i < HT_WRAPPED_COUNT; i++)
        if (ht_found(f, i) && ht_family_of(i) == family) {
            makes |= ht_wrapped_functions[i].makes;
            ends |= ht_wrapped_functions[i].ends;
        }
    return makes && ends;
}

/* Whether a function calls another one. */
static int ht_calls(uint64_t function, uint64_t size, uint64_t other)
{
    struct ht_code c;
    for (uint64_t at = function; other && at < function + size && ht_arch_code((const uint8_t *)at, &c); at += c.length)
        if (c.kind == HT_CODE_CALL && c.target == other)
            return 1;
    return 0;
}

/* Whether a text stands among an object's constants: looked at where it would end, a text's length apart. Under ht_loaded.lock. */
static int ht_has_text(const struct ht_object *object, const char *text)
{
    static struct ht_glimpse glimpse;
    uint64_t length = ht_length(text);
    uint8_t skip[256];
    memset(skip, (int)length, sizeof skip);
    for (uint64_t i = 0; i + 1 < length; i++)
        skip[(uint8_t)text[i]] = (uint8_t)(length - 1 - i);
    ht_glimpse_begin(&glimpse);
    int found = 0;
    for (uint32_t i = 0; i < object->header_count && !found; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        if (h->p_type != PT_LOAD || (h->p_flags & (PF_R | PF_W | PF_X)) != PF_R)
            continue;
        const char *at = (const char *)(object->base + h->p_vaddr), *end = at + h->p_filesz;
        for (at += length - 1; !found && at < end;) {
            for (const char *stop = (const char *)ht_glimpse_part(&glimpse, (uint64_t)at, (uint64_t)end); !found && at < stop; at += skip[(uint8_t)*at])
                found = *at == text[length - 1] && ht_same_bytes(at - (length - 1), text, length);
            ht_glimpse_forget(&glimpse);
        }
    }
    ht_glimpse_end(&glimpse);
    return found;
}

/* Which families an object has under one prefix, a bit each. */
static uint32_t ht_families_of(const struct ht_findings *f, const struct ht_object *object)
{
    uint32_t families = 0;
    for (uint32_t family = 0; family < HT_FAMILIES; family++)
        families |= (uint32_t)ht_has_family(f, family) << family;
    const uint32_t c = 1u << HT_FAMILY_C, operators = 1u << HT_FAMILY_OPERATORS, mozilla = 1u << HT_FAMILY_MOZILLA;
    if (!ht_found(f, HT_WANTED_MI_USABLE) && !ht_found(f, HT_WANTED_MI_PAGE_FREE) && !ht_found(f, HT_WANTED_MI_VERSION))
        families &= ~(1u << HT_FAMILY_MIMALLOC);
    if (!ht_found(f, HT_WANTED_TC_VERSION))
        families &= ~(1u << HT_FAMILY_TCMALLOC);
    if (!ht_found(f, HT_WANTED_RP_INITIALIZE) && !ht_found(f, HT_WANTED_RP_THREAD))
        families &= ~(1u << HT_FAMILY_RPMALLOC);
    uint32_t known = families & ~(c | operators | mozilla);
    int jemalloc = (ht_found(f, HT_WRAPPED_mallocx) || ht_found(f, HT_WRAPPED_malloc))
        && (ht_found(f, HT_WRAPPED_dallocx) || ht_found(f, HT_WRAPPED_sdallocx) || ht_found(f, HT_WRAPPED_rallocx));
    known |= (uint32_t)jemalloc << HT_FAMILY_JEMALLOC;
    if (f->prefix[0])
        return jemalloc ? 1u << HT_FAMILY_JEMALLOC | c : 0;
    /* What nobody else can ask for may have malloc's name and other parameters, but in an allocator. */
    if (!known && !(f->found[HT_WRAPPED_malloc].global && f->found[HT_WRAPPED_free].global))
        families &= ~(c | mozilla);
    if (jemalloc)
        families |= c;
    /* Operators of the C++ library call malloc, in a library of their own and linked in. */
    if (!known && !ht_look.prefixes
        && ((object->name[0] && ht_object_place(object, "__cxa_allocate_exception"))
            || ht_calls(ht_found(f, HT_WRAPPED__Znwm), f->found[HT_WRAPPED__Znwm].size, ht_found(f, HT_WANTED_NEW_HANDLER))))
        families &= ~operators;
    return known | (families & (c | operators | mozilla));
}

/* How an allocator is called in a report. */
static const char *ht_family_text(uint32_t families)
{
    return families >> HT_FAMILY_MIMALLOC & 1     ? "mimalloc"
        : families >> HT_FAMILY_JEMALLOC & 1 ? "jemalloc"
        : families >> HT_FAMILY_TCMALLOC & 1 ? "tcmalloc"
        : families >> HT_FAMILY_RPMALLOC & 1 ? "rpmalloc"
        : families >> HT_FAMILY_SNMALLOC & 1 ? "snmalloc"
        : families >> HT_FAMILY_C & 1        ? "malloc"
                                             : "operator new";
}

/* Tells the recording, if there is one yet. */
static void ht_linked_say(void)
{
    struct ht_file_header *h = ht_p.header;
    uint32_t at = 0, length = ht_linked_length;
    if (!h || length == 0)
        return;
    length = ht_string_add(ht_linked_text, length, &at);
    /* Who reads meanwhile reads nothing. */
    ht_shared_set(&h->linked_length, 0u);
    ht_shared_set(&h->linked, at);
    ht_shared_set(&h->linked_length, length);
}

/* Adds a line to others, unless it is there already or there is no room for all of it; whether it has. */
static int ht_line_add(char *text, uint32_t *used, const char *line, uint32_t length)
{
    for (uint32_t at = 0; at < *used; at++)
        if ((at == 0 || text[at - 1] == '\n') && *used - at >= length && ht_same_bytes(text + at, line, length))
            return 0;
    if (length >= sizeof ht_linked_text - *used)
        return 0;
    memcpy(text + *used, line, length);
    *used += length;
    return 1;
}

static void ht_linked_add(const char *line, uint32_t length)
{
    if (ht_line_add(ht_linked_text, &ht_linked_length, line, length) && ht_shared_get(&ht_p.state) == HT_STATE_ON)
        ht_linked_say();
}

/* Such lines of what is planned and not done yet. */
static char ht_planned_text[sizeof ht_linked_text];
static uint32_t ht_planned_length;

static void ht_linked_note(const struct ht_object *object, const char *family, const char *prefix, uint32_t functions, enum ht_refusal refusal, const char *about)
{
    static char path[4096], line[2 * sizeof path]; /* not on the program's stack, which may be small */
    const char *end = line + sizeof line - 1;
    uint64_t length;
    const char *texts[] = { family, prefix, NULL, NULL, about, ht_object_path(object, path, &length) };
    const uint64_t numbers[] = { 0, 0, functions, refusal };
    char *at = line;
    for (uint32_t i = 0; i < HT_COUNT(texts); i++) {
        at = texts[i] ? ht_path_text(at, end, texts[i], ht_length(texts[i])) : ht_path_number(at, end, numbers[i]);
        at = ht_path_text(at, end, i + 1 < HT_COUNT(texts) ? "\t" : "\n", 1);
    }
    *at = 0;
    if (ht_look.runs)
        ht_line_add(ht_planned_text, &ht_planned_length, line, (uint32_t)(at - line));
    else
        ht_linked_add(line, (uint32_t)(at - line));
}

/* A set of hooks that is nobody's; HT_ALLOCATORS when there is none. */
static uint32_t ht_set_free(uint32_t taken)
{
    for (uint32_t k = 0; k < HT_ALLOCATORS; k++)
        if (ht_allocators[k].object == 0 && !(taken >> k & 1))
            return k;
    return HT_ALLOCATORS;
}

/* Whether a function is too short for a jump and does nothing that would be counted. */
static int ht_is_idle_function(const struct ht_detour *d)
{
    struct ht_code c;
    for (uint64_t at = d->at; at < d->at + d->size; at += c.length)
        if (!ht_arch_code((const uint8_t *)at, &c) || (c.kind != HT_CODE_PLAIN && c.kind != HT_CODE_RELATIVE))
            return 0;
    return d->size > 0 && d->size < HT_JUMP_SIZE;
}

/* Plans the functions of some families for a set; names the one that cannot be. */
static enum ht_refusal ht_plan_set(const struct ht_findings *f, uint32_t families, uint32_t set, int keeps, const char **about)
{
    for (uint32_t i = 0; i < HT_WRAPPED_COUNT; i++) {
        uint64_t at = f->found[i].at;
        enum ht_family family = ht_family_of(i);
        if (f->found[i].several && (families >> family & 1)) {
            *about = ht_wrapped_functions[i].name;
            return HT_REFUSAL_CODE;
        }
        if (!at || !(families >> family & 1) || (ht_wrapped_functions[i].text && !(families >> HT_FAMILY_MIMALLOC & 1)))
            continue;
        struct ht_detour d = { .at = at, .size = f->found[i].size, .hook = (uint64_t)ht_hook_of(set, i, keeps), .ends = ht_wrapped_functions[i].ends };
        int known = 0;
        for (uint32_t k = 0; k < ht_look.detours; k++)
            known |= ht_look.detour[k].at == at;
        if (known)
            continue; /* another name of the same */
        if (!ht_detour_plan(&d, ht_look.runs)) {
            if (!d.ends && ht_is_idle_function(&d))
                continue;
            *about = ht_wrapped_functions[i].name;
            return ht_look.runs && ht_detour_plan(&d, 0) ? HT_REFUSAL_RUNS : HT_REFUSAL_CODE;
        }
        if (ht_look.detours == HT_COUNT(ht_look.detour))
            return HT_REFUSAL_SETS;
        ht_look.function[ht_look.detours] = (uint8_t)i;
        ht_look.set[ht_look.detours] = (uint8_t)set;
        ht_look.detour[ht_look.detours++] = d;
    }
    return HT_REFUSAL_NONE;
}

static void ht_range_add(uint64_t at, uint64_t size)
{
    for (uint32_t i = 0; i < ht_look.ranges; i++)
        if (ht_look.range[i].at == at)
            return;
    if (ht_look.ranges < HT_COUNT(ht_look.range))
        ht_look.range[ht_look.ranges++] = (struct ht_range){ at, size };
}

/* What a function calls, or jumps to, in other functions. */
static void ht_targets_of(struct ht_range r)
{
    struct ht_code c;
    for (uint64_t at = r.at; at < r.at + r.size && ht_arch_code((const uint8_t *)at, &c); at += c.length) {
        int goes = c.kind == HT_CODE_CALL || c.kind == HT_CODE_JUMP || c.kind == HT_CODE_BRANCH, known = 0;
        if (!goes || (c.target >= r.at && c.target < r.at + r.size))
            continue;
        for (uint32_t i = 0; i < ht_look.targets && !known; i++)
            known = ht_look.target[i] == c.target;
        if (!known && ht_look.targets < HT_COUNT(ht_look.target))
            ht_look.target[ht_look.targets++] = c.target;
    }
}

/* Whether a function's name is one that the families' inner functions have. */
static int ht_is_inner_name(const char *name, uint32_t families)
{
    static const struct {
        enum ht_family family;
        const char *begins;
    } inner[] = { { HT_FAMILY_MIMALLOC, "_mi_" },         { HT_FAMILY_MIMALLOC, "mi_" },
                  { HT_FAMILY_TCMALLOC, "_ZN8tcmalloc" }, { HT_FAMILY_TCMALLOC, "_ZN12_GLOBAL__N_1" },
                  { HT_FAMILY_TCMALLOC, "_ZL" },          { HT_FAMILY_RPMALLOC, "_rp" },
                  { HT_FAMILY_RPMALLOC, "rp" },           { HT_FAMILY_RPMALLOC, "_memory_" },
                  { HT_FAMILY_RPMALLOC, "heap_" },        { HT_FAMILY_SNMALLOC, "_ZN8snmalloc" },
                  { HT_FAMILY_SNMALLOC, "_ZNK8snmalloc" }, { HT_FAMILY_SNMALLOC, "_ZZN8snmalloc" } };
    for (uint32_t i = 0; i < HT_COUNT(inner); i++)
        if ((families >> inner[i].family & 1) && ht_begins(name, inner[i].begins))
            return 1;
    return 0;
}

/*
 * Adds to the functions that lead to hooks what they call, and what that calls, of the same allocator. By name alone it
 * would be the program's too, which may begin its own names so; by calls alone what both call.
 */
static void ht_ranges_close(const struct ht_object *object, uint32_t families)
{
    for (uint32_t done = 0, before; done < ht_look.ranges;) {
        before = ht_look.targets;
        for (; done < ht_look.ranges; done++)
            ht_targets_of(ht_look.range[done]);
        for (uint32_t k = 0; k < 2 && ht_look.targets > before; k++)
            for (uint64_t i = 1; i < ht_look.tables[k].count; i++) {
                const ElfW(Sym) *s = &ht_look.tables[k].symbols[i];
                uint64_t at = object->base + s->st_value;
                if (!ht_is_function(&ht_look.tables[k], s) || !ht_is_inner_name(ht_look.tables[k].strings + s->st_name, families))
                    continue;
                for (uint32_t t = before; t < ht_look.targets; t++)
                    if (ht_look.target[t] >= at && ht_look.target[t] < at + s->st_size && ht_is_code(object, at, s->st_size))
                        ht_range_add(at, s->st_size);
            }
    }
}

/* Makes the map of the ranges: a bit for each byte, of pages that are used. Returns where it begins; *size is how far it goes. */
static uint64_t ht_code_map(struct ht_link *link, uint64_t *size)
{
    uint64_t low = ~0ull, high = 0;
    for (uint32_t i = 0; i < ht_look.ranges; i++) {
        low = ht_min(low, ht_look.range[i].at);
        high = ht_max(high, ht_look.range[i].at + ht_look.range[i].size);
    }
    *size = 0;
    link->map_size = high > low ? (high - low + 63) / 64 * sizeof(uint64_t) : 0;
    uint64_t *map = link->map_size ? ht_sys_map(link->map_size) : NULL;
    link->map = map;
    /* Without it a call from inside is told by its block, as what a library calls of another. */
    if (!map)
        return 0;
    *size = high - low;
    for (uint32_t i = 0; i < ht_look.ranges; i++)
        for (uint64_t at = ht_look.range[i].at - low; at < ht_look.range[i].at + ht_look.range[i].size - low; at++)
            map[at / 64] |= 1ull << at % 64;
    return low;
}

/* What a set's hooks call, before anybody calls them. */
static void ht_set_fill(uint32_t set, const struct ht_object *object, const struct ht_findings *f, uint32_t families)
{
    struct ht_allocator *a = &ht_allocators[set];
    *a = (struct ht_allocator){ .heap = { HT_HEAP_CLOSE }, .object = object->low, .linked = 1 };
    uint32_t usable = families >> HT_FAMILY_MIMALLOC & 1 ? HT_WANTED_MI_USABLE
        : families >> HT_FAMILY_RPMALLOC & 1             ? HT_WANTED_RP_USABLE
        : families >> HT_FAMILY_SNMALLOC & 1             ? HT_WANTED_SN_USABLE
                                                         : HT_WANTED_USABLE;
    *(uint64_t *)&a->heap.usable = ht_found(f, usable);
    *(uint64_t *)&a->visit = ht_found(f, HT_WANTED_VISIT);
    *(uint64_t *)&a->backing = ht_found(f, HT_WANTED_BACKING);
    for (uint32_t i = 0; i < ht_look.detours; i++)
        if (ht_look.set[i] == set)
            ht_route_set(set, ht_look.function[i], ht_look.detour[i].before);
}

/*
 * Looks through all functions once more, for what stands against the plan: one that begins in bytes that a jump takes, and
 * copies that the compiler has made of a function for some of its callers, which do not come by the function itself.
 */
static enum ht_refusal ht_plan_holds(const struct ht_object *object, const char **about)
{
    static const char *const copies[] = { ".constprop", ".isra", ".lto_priv" };
    uint64_t low = ~0ull, high = 0;
    for (uint32_t d = 0; d < ht_look.detours; d++) {
        low = ht_min(low, ht_look.detour[d].from);
        high = ht_max(high, ht_look.detour[d].from + HT_JUMP_SIZE);
    }
    for (uint32_t k = 0; k < 2; k++)
        for (uint64_t i = 1; i < ht_look.tables[k].count; i++) {
            const ElfW(Sym) *s = &ht_look.tables[k].symbols[i];
            uint64_t at = object->base + s->st_value;
            if (!ht_is_function(&ht_look.tables[k], s) || at <= low || at >= high)
                continue;
            for (uint32_t d = 0; d < ht_look.detours; d++) {
                *about = ht_wrapped_functions[ht_look.function[d]].name;
                if (at > ht_look.detour[d].from && at < ht_look.detour[d].from + HT_JUMP_SIZE)
                    return HT_REFUSAL_CODE;
                const char *name = ht_look.tables[k].strings + s->st_name;
                if (!ht_begins(name, *about))
                    continue;
                for (uint32_t c = 0; c < HT_COUNT(copies); c++)
                    if (ht_begins(name + ht_length(*about), copies[c]))
                        return HT_REFUSAL_COPIES;
            }
        }
    *about = "";
    return HT_REFUSAL_NONE;
}

/* Leads what was found in an object to hooks. */
static void ht_link_object(const struct ht_object *object)
{
    struct {
        const struct ht_findings *f;
        uint32_t families, set;
    } sets[1 + HT_PREFIXES];
    uint32_t count = 0, taken = 0, all = 0;
    enum ht_refusal refusal = HT_REFUSAL_NONE;
    const char *about = "";
    struct ht_link *link = NULL;
    for (uint32_t p = 0; p <= ht_look.prefixes && !refusal; p++) {
        uint32_t families = ht_families_of(&ht_look.findings[p], object), set = ht_set_free(taken);
        if (!families)
            continue;
        sets[count].f = &ht_look.findings[p];
        sets[count].families = families;
        sets[count++].set = set;
        all |= families;
        taken |= 1u << set;
    }
    /* A program's own may be so small that its compiler saw all of it (arch/), and may lie in malloc's blocks. */
    const uint32_t own = 1u << HT_FAMILY_C | 1u << HT_FAMILY_OPERATORS | 1u << HT_FAMILY_MOZILLA;
    int is_own = !(all & ~own);
    for (uint32_t i = 0; i < count && !refusal; i++)
        refusal = sets[i].set == HT_ALLOCATORS ? HT_REFUSAL_SETS : ht_plan_set(sets[i].f, sets[i].families, sets[i].set, is_own, &about);
    if (count == 0) {
        /* What allocators say when something is wrong. CPython has mimalloc in it, and uses it when it is told to. */
        const char *printed = ht_look.locals || ht_object_place(object, "PyMem_Malloc") ? NULL
            : ht_has_text(object, "mimalloc: ")                                                    ? "mimalloc"
            : ht_has_text(object, "<jemalloc>: ")                                                  ? "jemalloc"
                                                                                                     : NULL;
        if (printed)
            ht_linked_note(object, printed, "", 0, HT_REFUSAL_NAMES, "");
        return;
    }
    if (!refusal && ht_look.detours == 0)
        return;
    /* Rust calls its allocator by names that are the allocator's own; without those a part would be seen, and the wrong one. */
    if (!refusal && !ht_look.locals && ht_has_text(object, "/rustc/"))
        refusal = HT_REFUSAL_NAMES;
    if (!refusal && ht_object_symbols(object).text_relocations)
        refusal = HT_REFUSAL_CODE;
    if (!refusal)
        refusal = ht_plan_holds(object, &about);
    if (!refusal)
        refusal = ht_detours_prepare(object, ht_look.detour, ht_look.detours, &link);
    if (!refusal) {
        if (is_own)
            ht_keeps_start();
        for (uint32_t i = 0; i < ht_look.detours; i++)
            /* The program's own operators are not the allocator's inner part, unless it is one that brings them. */
            if (!is_own || ht_family_of(ht_look.function[i]) != HT_FAMILY_OPERATORS)
                ht_range_add(ht_look.detour[i].at, ht_look.detour[i].size);
        ht_ranges_close(object, all);
        uint64_t size, low = ht_code_map(link, &size);
        for (uint32_t i = 0; i < count; i++) {
            ht_set_fill(sets[i].set, object, sets[i].f, sets[i].families);
            struct ht_allocator *a = &ht_allocators[sets[i].set];
            a->heap.turned = is_own ? HT_TURNED : 0;
            a->code = link->map;
            a->code_low = low;
            a->code_size = size;
        }
        refusal = (ht_look.runs ? ht_detours_plan : ht_detours_make)(object, ht_look.detour, ht_look.detours);
        for (uint32_t i = 0; i < count && refusal; i++)
            ht_allocators[sets[i].set].object = 0;
        if (refusal)
            ht_link_free(link);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t functions = 0;
        for (uint32_t d = 0; d < ht_look.detours && !refusal; d++)
            functions += ht_look.set[d] == sets[i].set;
        ht_linked_note(object, ht_family_text(sets[i].families), sets[i].f->prefix, functions, refusal, about);
    }
}

/* Whether an object asks the kernel for memory: else no allocator is in it. The program may do that without a function. */
static int ht_may_hold_allocator(const struct ht_object *object)
{
    static const char *const asks[] = { "mmap", "mmap64", "sbrk" };
    struct ht_symbols s = ht_object_symbols(object);
    uint32_t count = !s.symbols || !s.strings ? 0 : s.gnu_hash ? s.gnu_hash[1] : s.sysv_hash ? s.sysv_hash[1] : 0;
    for (uint32_t i = 1; i < count; i++) {
        const char *name = s.strings + s.symbols[i].st_name;
        for (uint32_t k = 0; s.symbols[i].st_shndx == 0 && (name[0] == 'm' || name[0] == 's') && k < HT_COUNT(asks); k++)
            if (ht_same_text(name, asks[k]))
                return 1;
    }
    return 0;
}

/* Whether a library is an allocator and little else: its symbols lead to hooks then (discover.c). */
static int ht_is_allocators_library(const struct ht_object *object)
{
    struct ht_symbols s = ht_object_symbols(object);
    uint32_t count = s.strings ? ht_symbol_count(&s) : 0, functions = 0, own = 0;
    for (uint32_t i = 1; i < count; i++) {
        const char *name = s.strings + s.symbols[i].st_name;
        if (s.symbols[i].st_shndx == 0 || (s.symbols[i].st_info & 15u) != STT_FUNC)
            continue;
        int allocates = ht_begins(name, "mi_") || ht_begins(name, "tc_") || ht_wanted(name, (uint32_t)ht_length(name)) < HT_WANTED_COUNT;
        for (const char *c = name; *c && !allocates; c++)
            allocates = ht_begins(c, "alloc") || ht_begins(c, "Alloc") || ht_begins(c, "free");
        functions++;
        own += (uint32_t)allocates;
    }
    return own * 2 > functions;
}

static int ht_is_linked(const struct ht_object *object)
{
    for (uint32_t k = 0; k < HT_ALLOCATORS; k++)
        if (ht_allocators[k].linked && ht_allocators[k].object == object->low)
            return 1;
    return 0;
}

/* Whether an object may have an allocator linked in. */
static int ht_may_be_linked(const struct ht_object *object)
{
    return !ht_is_own_object(object) && !ht_is_runtime(object)
        && (!object->name[0] || (ht_may_hold_allocator(object) && !(ht_allocator_of(object) && ht_is_allocators_library(object))));
}

static void ht_look_and_link(const struct ht_object *object)
{
    ht_look_at(object);
    ht_link_object(object);
    ht_look_end();
}

/* Looks at what has come since the last look; `untouched` says that nobody has called anything in it yet. */
static void ht_link_arrivals(int untouched)
{
    /* Of more objects than there is room for it is not known which are new. */
    static int lost;
    lost |= ht_loaded.count == HT_COUNT(ht_loaded.objects);
    untouched = untouched && !lost && !ht_config.off && !ht_unwanted;
    for (uint32_t i = 0; untouched && i < ht_loaded.count; i++) {
        const struct ht_object *object = &ht_loaded.objects[i];
        int seen = 0;
        for (uint32_t k = 0; k < ht_seen_count && !seen; k++)
            seen = ht_seen[k] == object->low;
        if (!seen && ht_may_be_linked(object))
            ht_look_and_link(object);
    }
    for (uint32_t i = 0; i < ht_loaded.count; i++)
        ht_requests_find(&ht_loaded.objects[i]);
    ht_seen_count = ht_loaded.count;
    for (uint32_t i = 0; i < ht_loaded.count; i++)
        ht_seen[i] = ht_loaded.objects[i].low;
}

static int ht_running_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)info, (void)size, (void)context;
    ht_loaded_look();
    for (uint32_t i = 0; i < ht_loaded.count; i++) {
        const struct ht_object *object = &ht_loaded.objects[i];
        if (!ht_is_linked(object) && ht_may_be_linked(object))
            ht_look_and_link(object);
    }
    return 1;
}

/* Plans what leads the allocators' code to hooks, of all that is loaded: somebody may be executing it. What an earlier look has planned stays
 * planned. */
static void ht_link_running(void)
{
    ht_lock(&ht_loaded.lock);
    ht_look.runs = 1;
    ht_iterate(ht_running_visit, NULL);
    ht_look.runs = 0;
    ht_unlock(&ht_loaded.lock);
}

static int ht_unloaded_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)info, (void)size, (void)context;
    ht_loaded_look();
    return 1;
}

/* An object was unloaded: what was planned for its code is not done to another one that comes to lie there. */
static void ht_link_unloaded(void)
{
    if (HT_LIKELY(ht_peek(&heaptap_pokes.count) == 0))
        return;
    ht_lock(&ht_loaded.lock);
    ht_iterate(ht_unloaded_visit, NULL);
    ht_unlock(&ht_loaded.lock);
}

/* Whether a line says of an allocator that it ran already: its fourth field. */
static int ht_says_runs(const char *line)
{
    for (uint32_t tabs = 0; tabs < 3; line++)
        tabs += *line == '\t';
    return line[0] == '0' + HT_REFUSAL_RUNS && line[1] == '\t';
}

/* Tells what there are lines of; `runs`: also of what ran already. */
static void ht_lines_say(const char *lines, uint32_t length, int runs)
{
    for (uint32_t at = 0, end; at < length; at = end) {
        for (end = at; end < length && lines[end++] != '\n';)
            ;
        if (runs || !ht_says_runs(lines + at))
            ht_line_add(ht_linked_text, &ht_linked_length, lines + at, end - at);
    }
}

/* How many of the jumps that were planned are in, and how many are not. */
struct ht_poked {
    uint32_t in, out;
};

static int ht_poked_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct ht_object object = ht_object_from(info);
    struct ht_poked *poked = context;
    for (uint64_t i = 0; i < heaptap_pokes.count; i++) {
        const struct ht_poke *p = &heaptap_pokes.each[i];
        if (p->object != object.low || !ht_is_code(&object, p->at, HT_POKE_SIZE))
            continue;
        int is_in = ht_same_bytes((const void *)p->at, p->becomes, HT_POKE_SIZE);
        poked->in += (uint32_t)is_in;
        poked->out += (uint32_t)!is_in;
    }
    return 0;
}

static int ht_is_any_poked(void)
{
    struct ht_poked poked = { 0, 0 };
    if (heaptap_pokes.count)
        ht_iterate(ht_poked_visit, &poked);
    return poked.in > 0;
}

/* It is done, if it is: tells the recording what was found, in the place of what whoever attached has found by the files. */
static void ht_link_running_done(void)
{
    static char before[sizeof ht_linked_text];
    struct ht_poked poked = { 0, 0 };
    ht_lock(&ht_loaded.lock);
    ht_iterate(ht_poked_visit, &poked);
    if (poked.out == 0) {
        uint32_t length = ht_linked_length;
        memcpy(before, ht_linked_text, length);
        ht_linked_length = 0;
        ht_lines_say(before, length, 0);
        ht_lines_say(ht_planned_text, ht_planned_length, 1);
        ht_linked_say();
    }
    ht_unlock(&ht_loaded.lock);
}

/* The same of what there is now. What is done at the next dlsym is not done yet. */
static void ht_link_loaded(int untouched)
{
    unsigned long long added = ht_loaded.added;
    ht_loaded_look();
    ht_loaded.added = added;
    ht_link_arrivals(untouched);
}

static int ht_arrived_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)info, (void)size, (void)context;
    ht_link_loaded(1);
    return 1;
}

/* The dynamic linker's list has changed, or is about to: called by it, in the thread that opens or closes. What is new in it
 * is mapped and not relocated, and none of its code has run. */
static void ht_arrived(void)
{
    ht_lock(&ht_loaded.lock);
    ht_iterate(ht_arrived_visit, NULL);
    ht_unlock(&ht_loaded.lock);
}

static int ht_watch_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    struct ht_object object = ht_object_from(info);
    uint64_t says = (uint64_t)ht_object_symbol(&object, "_dl_debug_state");
    if (!says || !ht_object_symbol(&object, "__tls_get_addr"))
        return 0;
    ht_link_loaded(0); /* what came without dlopen may have run */
    ht_code_call(&object, says, (void *)ht_arrived);
    return 1;
}

/* Before the program opens its first library. */
static void ht_loader_watch(void)
{
    static uint32_t watched;
    if (HT_LIKELY(ht_shared_get(&watched)) || ht_unwanted)
        return;
    ht_real_find();
    ht_lock(&ht_loaded.lock);
    if (!watched && ht_is_glibc)
        ht_iterate(ht_watch_visit, NULL);
    ht_shared_set(&watched, 1u);
    ht_unlock(&ht_loaded.lock);
}
