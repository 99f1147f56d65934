/*
 * file.c: the mapped recording. Sparse, shared, laid out once; see docs/FORMAT.md.
 *
 * Every store of the library into it goes to a part that ht_file_reserve has said yes to: the file
 * system has given that room already. A hole stored to on a full disk would be a SIGBUS in the
 * program.
 */
#include "heaptap.h"

/* A section grows by as much as it has, within these bounds: start-up touches few pages. */
#define HT_CHUNK_MIN ((uint64_t)HT_PAGE)
#define HT_CHUNK_MAX 65536ull

static uint64_t ht_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t ht_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
static int64_t ht_max_signed(int64_t a, int64_t b) { return a > b ? a : b; }
static uint64_t ht_clamp(uint64_t n, uint64_t low, uint64_t high) { return ht_min(ht_max(n, low), high); }

HT_NOINLINE int ht_file_reserve_slow(uint32_t section, uint64_t bytes)
{
    uint64_t limit = (uint64_t)ht_p.capacity[section] * ((const struct ht_file_section *)(ht_p.file + HT_SECTION_TABLE))[section].record_size;
    uint64_t from = ht_shared_get(&ht_p.reserved[section]);
    uint64_t to = ht_round_up(bytes, ht_clamp(from, HT_CHUNK_MIN, HT_CHUNK_MAX));
    if (bytes > limit || !ht_sys_reserve(ht_p.file + ht_p.offset[section] + from, to - from, ht_p.path, ht_p.offset[section] + from)) {
        if (bytes <= limit)
            ht_shared_set(&ht_p.header->no_space, 1u);
        return 0;
    }
    while (from < to)
        if (ht_shared_swap(&ht_p.reserved[section], &from, to))
            break;
    return 1;
}

/* Whether the first `bytes` of a section can be stored to. */
HT_INLINE int ht_file_reserve(uint32_t section, uint64_t bytes)
{
    if (HT_FAULT_ROOM())
        return 0;
    return HT_LIKELY(bytes <= ht_shared_get(&ht_p.reserved[section])) || ht_file_reserve_slow(section, bytes);
}

/* Appends n in decimal, or text; the end stays inside `path`. */
static char *ht_path_text(char *at, const char *end, const char *text, size_t length)
{
    for (size_t i = 0; i < length && at < end; i++)
        *at++ = text[i];
    return at;
}

static char *ht_path_number(char *at, const char *end, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    return ht_path_text(at, end, digits + i, sizeof digits - i);
}

/* The name of a recording from HEAPTAP_OUT: `%p` becomes the pid. From the second attempt on the
 * pid is added when the pattern has none (the first name is the parent's, or an earlier image's of
 * this process), then a count. They go before the suffix. */
static void ht_file_name(char path[4096], const char *pattern, const char *program, uint32_t attempt)
{
    static const char suffix[] = ".heaptap";
    const char *end = path + 4095;
    char *at = path;
    int has_pid = !pattern;
    if (!pattern) {
        at = ht_path_text(at, end, "heaptap.", 8);
        at = ht_path_text(at, end, program, ht_length(program));
        at = ht_path_text(at, end, ".", 1);
        at = ht_path_number(at, end, ht_sys_pid());
        pattern = suffix;
    }
    size_t length = ht_length(pattern), stem = length;
    if (length >= sizeof suffix - 1 && ht_same_text(pattern + length - (sizeof suffix - 1), suffix))
        stem = length - (sizeof suffix - 1);
    for (size_t i = 0; i < stem; i++) {
        if (pattern[i] == '%' && pattern[i + 1] == 'p') {
            at = ht_path_number(at, end, ht_sys_pid());
            has_pid = 1;
            i++;
        } else {
            at = ht_path_text(at, end, pattern + i, 1);
        }
    }
    if (attempt > 0 && !has_pid) {
        at = ht_path_text(at, end, ".", 1);
        at = ht_path_number(at, end, ht_sys_pid());
        attempt--;
    }
    if (attempt > 0) {
        at = ht_path_text(at, end, ".", 1);
        at = ht_path_number(at, end, attempt + 1);
    }
    at = ht_path_text(at, end, pattern + stem, length - stem);
    *at = 0;
}

/* The name of a mark's file: that of the recording, then the mark's, of which what a name may not have becomes `_`. */
static void ht_mark_name(char path[4096], const char *name)
{
    const char *end = path + 4095;
    size_t length = ht_length(ht_p.path), stem = length;
    if (length >= 8 && ht_same_text(ht_p.path + length - 8, ".heaptap"))
        stem = length - 8;
    char *at = ht_path_text(path, end, ht_p.path, stem);
    at = ht_path_text(at, end, ".", 1);
    for (const char *c = name; *c; c++) {
        int fits = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z') || *c == '-' || *c == '_' || *c == '.';
        at = ht_path_text(at, end, fits ? c : "_", 1);
    }
    at = ht_path_text(at, end, ".mark", 5);
    *at = 0;
}

static int ht_write_at(long fd, uint64_t offset, const void *from, uint64_t size)
{
    while (size > 0) {
        long n = ht_syscall(HT_SYS_PWRITE64, fd, (long)from, (long)size, (long)offset, 0, 0);
        if (HT_FAILED(n) || n == 0)
            return 0;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
        from = (const char *)from + n;
    }
    return 1;
}

/*
 * Keeps this moment under a name: a copy of what is in use of the recording, beside it, as `heaptap mark` makes one. The header
 * first: it says how much of each section there is, and what comes later is not in the copy. One that has the name already gives way.
 */
static void ht_file_mark(const char *name)
{
    static struct ht_lock marking;
    static char path[4096];
    if (!ht_p.path[0] || !name[0])
        return;
    ht_lock(&marking);
    ht_mark_name(path, name);
    ht_sys_unlink(path);
    long fd = ht_sys_create(path);
    if (!HT_FAILED(fd)) {
        const struct ht_file_header h = *ht_p.header;
        const uint64_t used[HT_SECTION_COUNT] = {
            [HT_SECTION_STRINGS] = h.strings_used,
            [HT_SECTION_MODULES] = h.modules_used,
            [HT_SECTION_THREADS] = h.threads_used,
            [HT_SECTION_NODES] = h.nodes_used,
            [HT_SECTION_OWNERS] = h.pages_used,
            [HT_SECTION_PATHS] = h.pages_used * (uint64_t)HT_PAGE_RECORDS,
            [HT_SECTION_TIMELINE] = h.timeline_used,
            [HT_SECTION_SIZES] = ht_p.sizes_kept ? h.pages_used * (uint64_t)HT_PAGE_RECORDS : 0,
            [HT_SECTION_RESIDENT] = h.resident_used,
            [HT_SECTION_ACCOUNTS] = h.accounts_used,
            [HT_SECTION_MAPPED] = h.mapped_used,
            [HT_SECTION_LIFETIMES] = ht_p.lifetimes_kept ? h.pages_used * (uint64_t)HT_PAGE_RECORDS : 0,
        };
        const struct ht_file_section *table = (const struct ht_file_section *)(ht_p.file + HT_SECTION_TABLE);
        int done = ht_sys_truncate(fd, ht_p.file_size) == 0 && ht_write_at(fd, 0, &h, sizeof h)
            && ht_write_at(fd, HT_SECTION_TABLE, table, HT_SECTION_COUNT * sizeof *table);
        for (uint32_t i = 0; i < HT_SECTION_COUNT && done; i++)
            done = ht_write_at(fd, table[i].offset, ht_p.file + table[i].offset, ht_min(used[i], table[i].capacity) * table[i].record_size);
        ht_sys_close(fd);
        if (!done)
            ht_sys_unlink(path);
    }
    ht_unlock(&marking);
}

/* Creates and maps a file of `size` bytes at ht_p.path: a new one, never through a symbolic link.
 * Returns 0 or an errno. */
static int ht_file_create(const char *pattern, const char *program, uint64_t size)
{
    if (size > ht_sys_limit(HT_RLIMIT_FSIZE))
        return HT_EFBIG;
    long fd = -HT_EEXIST;
    for (uint32_t attempt = 0; fd == -HT_EEXIST && attempt < 1000; attempt++) {
        ht_file_name(ht_p.path, pattern, program, attempt);
        fd = ht_sys_create(ht_p.path);
    }
    if (HT_FAILED(fd)) {
        ht_p.path[0] = 0;
        return (int)-fd;
    }
    /* The program may change its folder. */
    static char absolute[4096];
    ht_copy(ht_p.path, sizeof ht_p.path, (ht_absolute(absolute, ht_p.path), absolute));
    ht_p.file = ht_sys_truncate(fd, size) == 0 ? ht_sys_map_file(fd, size) : NULL;
    ht_sys_close(fd);
    return ht_p.file ? 0 : HT_ENOMEM;
}

/* Lays the recording out, in a file or, for a script that reads it in place, in memory. Returns 0
 * or an errno. */
static int ht_file_start(const char *pattern, const char *program, int in_memory)
{
    uint32_t b = ht_p.buckets;
    uint32_t threads = (uint32_t)ht_clamp(b / 16, 64, HT_MAX_THREADS);
    ht_p.page_capacity = (uint32_t)ht_max((uint64_t)b * 7 / 64, b / 64 + threads);
    const struct ht_file_section sections[HT_SECTION_COUNT] = {
        [HT_SECTION_STRINGS] = { 0, (uint32_t)ht_clamp(b * 8ull, 65536, 1048576), 1 },
        [HT_SECTION_MODULES] = { 0, (uint32_t)ht_clamp(b / 16, 256, 4096), sizeof(struct ht_file_modules) },
        [HT_SECTION_THREADS] = { 0, threads, sizeof(struct ht_file_threads) },
        [HT_SECTION_NODES] = { 0, b * 8, sizeof(struct ht_file_nodes) },
        [HT_SECTION_OWNERS] = { 0, ht_p.page_capacity, sizeof(struct ht_file_owners) },
        [HT_SECTION_PATHS] = { 0, ht_p.page_capacity * HT_PAGE_RECORDS, sizeof(struct ht_file_paths) },
        [HT_SECTION_TIMELINE] = { 0, HT_TIMELINE, sizeof(struct ht_file_timeline) },
        [HT_SECTION_SIZES] = { 0, ht_p.sizes_kept ? ht_p.page_capacity * HT_PAGE_RECORDS : 0, sizeof(struct ht_file_sizes) },
        [HT_SECTION_RESIDENT] = { 0, HT_TIMELINE, sizeof(struct ht_file_resident) },
        [HT_SECTION_ACCOUNTS] = { 0, HT_ACCOUNTS, sizeof(struct ht_file_accounts) },
        [HT_SECTION_MAPPED] = { 0, HT_MAPPED, sizeof(struct ht_file_mapped) },
        [HT_SECTION_LIFETIMES] = { 0, ht_p.lifetimes_kept ? ht_p.page_capacity * HT_PAGE_RECORDS : 0, sizeof(struct ht_file_lifetimes) },
    };
    uint64_t size = HT_ALIGNMENT;
    for (uint32_t i = 0; i < HT_SECTION_COUNT; i++) {
        ht_p.offset[i] = size;
        ht_p.capacity[i] = sections[i].capacity;
        size += ht_round_up((uint64_t)sections[i].capacity * sections[i].record_size, HT_ALIGNMENT);
    }
    int problem = 0;
    if (in_memory)
        ht_p.file = ht_sys_map(size);
    else
        problem = ht_file_create(pattern, program, size);
    if (!problem && (!ht_p.file || !ht_sys_not_inherited(ht_p.file, size)))
        problem = HT_ENOMEM;
    if (!problem && !ht_sys_reserve(ht_p.file, HT_CHUNK_MIN, ht_p.path, 0))
        problem = HT_ENOSPC;
    if (problem) {
        if (ht_p.file)
            ht_sys_unmap(ht_p.file, size);
        if (ht_p.path[0])
            ht_sys_unlink(ht_p.path);
        ht_p.file = NULL;
        return problem;
    }
    ht_p.file_size = size;
    struct ht_file_section *table = (struct ht_file_section *)(ht_p.file + HT_SECTION_TABLE);
    for (uint32_t i = 0; i < HT_SECTION_COUNT; i++)
        table[i] = (struct ht_file_section){ ht_p.offset[i], sections[i].capacity, sections[i].record_size };
    ht_p.header = (struct ht_file_header *)ht_p.file;
    ht_p.header->file_size = size;
    ht_p.strings = ht_p.file + ht_p.offset[HT_SECTION_STRINGS];
    ht_p.modules = (struct ht_file_modules *)(ht_p.file + ht_p.offset[HT_SECTION_MODULES]);
    ht_p.threads = (struct ht_file_threads *)(ht_p.file + ht_p.offset[HT_SECTION_THREADS]);
    ht_p.nodes = (struct ht_file_nodes *)(ht_p.file + ht_p.offset[HT_SECTION_NODES]);
    ht_p.owners = (struct ht_file_owners *)(ht_p.file + ht_p.offset[HT_SECTION_OWNERS]);
    ht_p.paths = (struct ht_file_paths *)(ht_p.file + ht_p.offset[HT_SECTION_PATHS]);
    ht_p.sizes = (struct ht_file_sizes *)(ht_p.file + ht_p.offset[HT_SECTION_SIZES]);
    ht_p.lifetimes = (struct ht_file_lifetimes *)(ht_p.file + ht_p.offset[HT_SECTION_LIFETIMES]);
    ht_p.mapped_records = (struct ht_file_mapped *)(ht_p.file + ht_p.offset[HT_SECTION_MAPPED]);
    ht_p.timeline = (struct ht_file_timeline *)(ht_p.file + ht_p.offset[HT_SECTION_TIMELINE]);
    return 0;
}
