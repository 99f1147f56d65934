/*
 * process.c: start-up, and the start-up of a fork's child.
 *
 * Recording starts at the first call of any hook, which is often before any constructor has run.
 * States: NEW -> STARTING (one thread, the others pass through) -> ON, or OFF for good.
 *
 * After fork the kernel gives the child zeros where ht_p, the shadow's first level and the threads'
 * states are, and nothing where the recording and the other tables are. So a child can't write to
 * its parent's file; its first call finds NEW and starts a recording of its own. A vfork child
 * shares everything and counts as its parent.
 *
 * Outside that: the real functions (real.c) and the configuration, the same for every child.
 */
#include "heaptap.h"

extern void *__libc_stack_end __attribute__((weak)); /* where the kernel put argc, argv, environment */
extern char **environ __attribute__((weak));

/* What the environment and the command line said at the first start. Kept for the children: a program
 * may have written its title over both by the time it forks. */
static struct ht_config {
    int read;
    uint32_t buckets; /* 0 when nothing was said */
    uint64_t interval, seed;
    uint32_t depth, mode, exact_peak, sizes, lifetimes, follow, paused, rejected;
    uint64_t run;
    int off;
    int installed; /* by a script, for this process and none of its children; or from outside */
    int attached;  /* from outside (attached.c) */
    char **variables; /* what stands in for the environment then */
    int used;      /* a recording was made or tried */
    char pattern[4096], program[256];
    uint32_t command_length;
    char command[16384]; /* arguments, separated by zero bytes */
} ht_config;

/* The program's command line and environment, as the kernel laid them out. */
struct ht_start {
    char **arguments, **environment;
    const char *path; /* what was executed, as the caller wrote it */
    int linked;       /* the kernel started the program itself, not the dynamic linker with its name */
};

/* The same from the environment, where nobody has put another one in its place: the arguments stand before it, and their number before those; all
 * that they point to is behind it. */
static const uint64_t *ht_before_environment(void)
{
    const uint64_t *at = &environ && environ ? (const uint64_t *)(const void *)environ - 1 : NULL;
    if (!at || !ht_sys_readable((uint64_t)at) || *at != 0)
        return NULL;
    uint64_t count = 0;
    while (ht_sys_readable((uint64_t)(at - 1)) && *(at - 1) != count && *(at - 1) > (uint64_t)at)
        at--, count++;
    return ht_sys_readable((uint64_t)(at - 1)) && *(at - 1) == count && count ? at - 1 : NULL;
}

/* Where the kernel put the number of arguments, and what else it gave the program behind it. glibc tells; elsewhere the kernel does.
 * musl's dynamic linker, started with the program's name, has put the number of the program's own in the place of its last one. */
static const uint64_t *ht_stack_start(void)
{
    static const uint64_t *start;
    if (&__libc_stack_end && __libc_stack_end)
        return __libc_stack_end;
    const uint64_t *found = start ? start : (const uint64_t *)ht_sys_stack_start();
    if (!found)
        return start = ht_before_environment();
    uint64_t slots = 0;
    while (!start && found[slots + 1])
        slots++;
    /* It is as many as slots are behind it, which no address is. */
    for (uint64_t i = 1; !start && i <= slots; i++)
        if (found[i] == slots - i) {
            found += i;
            break;
        }
    return start = found;
}

static int ht_first_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size, (void)context;
    ht_main_headers = info->dlpi_phdr;
    ht_main_header_count = info->dlpi_phnum;
    return 1;
}

static struct ht_start ht_start_of_program(void)
{
    struct ht_start start = { NULL, &environ ? environ : NULL, "", 1 };
    const uint64_t *stack = ht_stack_start();
    int is_first = !ht_main_header_count;
    if (stack) {
        long count = (long)*stack;
        start.arguments = (char **)(uint64_t)stack + 1;
        char **end = start.arguments + count + 1;
        /* Before the C library has started `environ` may be anything; a script may have changed it. */
        if (!ht_config.installed || !start.environment)
            start.environment = end;
        while (*end)
            end++;
        for (const ElfW(auxv_t) *a = (const ElfW(auxv_t) *)(end + 1); a->a_type != AT_NULL; a++) {
            if (a->a_type == AT_PHDR && is_first)
                ht_main_headers = (const ElfW(Phdr) *)a->a_un.a_val;
            if (a->a_type == AT_PHNUM && is_first)
                ht_main_header_count = (uint32_t)a->a_un.a_val;
            if (a->a_type == AT_EXECFN)
                start.path = (const char *)a->a_un.a_val;
            if (a->a_type == AT_BASE)
                start.linked = a->a_un.a_val != 0;
        }
    }
    /* musl's dynamic linker leaves its own there when it was started with the program's name; and it may be that nobody tells. */
    if (!ht_main_header_count || (is_first && !start.linked))
        ht_iterate(ht_first_visit, NULL);
    if (ht_config.attached)
        start.environment = ht_config.variables;
    return start;
}

static const char *ht_variable(const struct ht_start *start, const char *name)
{
    size_t length = ht_length(name);
    for (char **v = start->environment; v && *v; v++)
        if (ht_same_bytes(*v, name, length) && (*v)[length] == '=')
            return *v + length + 1;
    return NULL;
}

/* A decimal number in [low, high]; `fallback` and a bit in *rejected when the text is anything else. */
static uint32_t ht_number(const char *text, uint32_t low, uint32_t high, uint32_t fallback, uint32_t *rejected, uint32_t bit)
{
    uint64_t n = 0;
    const char *c = text;
    for (; c && *c >= '0' && *c <= '9' && n <= high; c++)
        n = n * 10 + (uint64_t)(*c - '0');
    if (!text || !*text)
        return fallback;
    if (*c || n < low || n > high) {
        *rejected |= bit;
        return fallback;
    }
    return (uint32_t)n;
}

/* The number of a run; 0 of a text that is none. */
static uint64_t ht_run_number(const char *text)
{
    uint64_t run = 0;
    for (; text && *text >= '0' && *text <= '9'; text++)
        run = run * 10 + (uint64_t)(*text - '0');
    return run;
}

/* A number of bytes in [low, high], or 0, with a unit as options have them: k M G for 1,000 and more, Ki Mi Gi for 1,024, a B behind or
 * none. 0 and a bit in *rejected when the text is anything else. */
static uint64_t ht_size(const char *text, uint64_t low, uint64_t high, uint32_t *rejected, uint32_t bit)
{
    uint64_t n = 0, unit = 1;
    const char *c = text ? text : "";
    for (; *c >= '0' && *c <= '9' && n < ~0ull / 10 - 1; c++)
        n = n * 10 + (uint64_t)(*c - '0');
    const char *digits = c;
    char letter = *c | 32;
    uint32_t power = letter == 'k' ? 1 : letter == 'm' ? 2 : letter == 'g' ? 3 : 0;
    c += power > 0;
    int is_binary = power && (*c | 32) == 'i';
    c += is_binary;
    c += (*c | 32) == 'b';
    for (uint32_t i = 0; i < power; i++)
        unit *= is_binary ? 1024 : 1000;
    if (!text || !*text)
        return 0;
    if (digits == text || *c || (n && (n > high / unit || n * unit < low))) {
        *rejected |= bit;
        return 0;
    }
    return n * unit;
}

/* Reads one of up to three words: its number. */
static uint32_t ht_word_choice(const char *text, const char *const words[3], uint32_t fallback, uint32_t *rejected, uint32_t bit)
{
    if (!text || !*text)
        return fallback;
    for (uint32_t i = 0; i < 3 && words[i]; i++)
        if (ht_same_text(text, words[i]))
            return i;
    *rejected |= bit;
    return fallback;
}


static const char *ht_base_name(const char *path)
{
    const char *base = path;
    for (; *path; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

/* Whether HEAPTAP_ONLY leaves this program out. */
static int ht_is_left_out(const struct ht_start *start, struct ht_config *c)
{
    /* Not on the program's stack, which may be small; one thread is here. */
    static struct ht_match match;
    const char *only = ht_variable(start, "HEAPTAP_ONLY");
    if (!only || !*only)
        return 0;
    if (!ht_match_compile(&match, only)) {
        c->rejected |= HT_REJECTED_ONLY;
        return 0;
    }
    return !ht_match_run(&match, ht_program);
}

static void ht_config_read(void)
{
    struct ht_config *c = &ht_config;
    if (c->read)
        return;
    c->read = 1;
    struct ht_start start = ht_start_of_program();
    ht_program_find(start.path, start.linked);
    uint32_t buckets = ht_number(ht_variable(&start, "HEAPTAP_BUCKETS"), 64, HT_MAX_BUCKETS, 0, &c->rejected, HT_REJECTED_BUCKETS);
    for (c->buckets = buckets ? 64 : 0; c->buckets < buckets;)
        c->buckets *= 2;
    c->depth = ht_number(ht_variable(&start, "HEAPTAP_DEPTH"), 4, HT_MAX_DEPTH, 128, &c->rejected, HT_REJECTED_DEPTH);
    c->mode = ht_word_choice(ht_variable(&start, "HEAPTAP_MODE"), (const char *[3]){ "counters", "paths", "totals" }, HT_MODE_PATHS, &c->rejected, HT_REJECTED_MODE);
    c->interval = ht_size(ht_variable(&start, "HEAPTAP_SAMPLE"), HT_INTERVAL_LEAST, HT_INTERVAL_MOST, &c->rejected, HT_REJECTED_SAMPLE);
    c->seed = ht_size(ht_variable(&start, "HEAPTAP_SEED"), 0, ~0ull, &c->rejected, 0);
    c->exact_peak = ht_word_choice(ht_variable(&start, "HEAPTAP_PEAK"), (const char *[3]){ "batched", "exact" }, 0, &c->rejected, HT_REJECTED_PEAK);
    c->sizes = ht_word_choice(ht_variable(&start, "HEAPTAP_SIZES"), (const char *[3]){ "off", "on" }, 0, &c->rejected, HT_REJECTED_SIZES);
    c->lifetimes = ht_word_choice(ht_variable(&start, "HEAPTAP_LIFETIMES"), (const char *[3]){ "off", "on" }, 0, &c->rejected, HT_REJECTED_LIFETIMES);
    c->paused = ht_word_choice(ht_variable(&start, "HEAPTAP_PAUSED"), (const char *[3]){ "off", "on" }, 0, &c->rejected, HT_REJECTED_PAUSED);
    c->follow = ht_word_choice(ht_variable(&start, "HEAPTAP_FOLLOW"), (const char *[3]){ "all", "exec", "none" }, HT_FOLLOW_ALL, &c->rejected, HT_REJECTED_FOLLOW);
    c->run = ht_run_number(ht_variable(&start, "HEAPTAP_RUN"));
    const char *pattern = ht_variable(&start, "HEAPTAP_OUT");
    c->off = (pattern && !*pattern) || (!c->installed && ht_is_left_out(&start, c));
    ht_copy(c->pattern, sizeof c->pattern, pattern ? pattern : "");
    ht_copy(c->program, sizeof c->program, start.arguments && start.arguments[0] ? ht_base_name(start.arguments[0]) : "program");
    uint32_t name_only = ht_word_choice(ht_variable(&start, "HEAPTAP_COMMAND"), (const char *[3]){ "whole", "name" }, 0, &c->rejected, HT_REJECTED_COMMAND);
    for (char **a = start.arguments; a && *a && c->command_length < sizeof c->command - 1 && !(name_only && c->command_length); a++)
        c->command_length += ht_copy(c->command + c->command_length, sizeof c->command - c->command_length, *a) + 1;
    const char *library = ht_preloaded_as(start.environment);
    if (!library)
        return;
    if (c->follow != HT_FOLLOW_NONE && !(pattern && !*pattern))
        ht_carried_keep(start.environment, library);
    if (c->follow == HT_FOLLOW_NONE || ht_variable(&start, "HEAPTAP_HIDDEN")) {
        if (&environ && environ && environ != start.environment)
            ht_environment_clean(environ, library, 0);
        ht_environment_clean(start.environment, library, 1);
    }
}

static int ht_started; /* the program's own code may have run: code that leads to hooks is not changed any more (linked.c) */
static uint32_t ht_own_pid; /* of the process that this memory is of: a vfork's child has another */

/* Set when the dynamic linker is done with this library: whoever attaches calls nothing in it before. */
HT_EXPORT uint32_t heaptap_ready;

/* A program may start others before it allocates, and by vfork, when nothing may be found out any more. */
__attribute__((constructor)) static void ht_start_early(void)
{
    ht_shared_set(&heaptap_ready, 1u);
    ht_iterate_find();
    struct ht_start start = ht_start_of_program();
    if (!ht_preloaded_as(start.environment))
        return;
    ht_own_pid = ht_sys_pid();
    ht_config_read();
    ht_discover(); /* others' constructors may allocate before they call malloc */
    ht_started = 1;
}

/* The namespace that process numbers are of, by its number; 0 where that cannot be had. */
static uint32_t ht_pid_namespace(void)
{
    char text[32] = ""; /* pid:[4026531836] */
    ht_sys_readlink("/proc/self/ns/pid", text, sizeof text - 1);
    const char *c = text;
    while (*c && (*c < '0' || *c > '9'))
        c++;
    return (uint32_t)ht_run_number(c);
}

#define HT_UNWANTED (-1) /* nobody wants a recording of this process */

/* Makes the recording. Returns 0, what ht_file_start said, or HT_UNWANTED. */
static int ht_process_open(void)
{
    ht_config_read();
    const struct ht_config *c = &ht_config;
    /* `used`: this is a fork's child. That of a process whose script installed the hooks records nothing. */
    /* What a script installs into has been looked at (api.c). Another C library has another dynamic linker, of which less
     * is known than names need. Two versions that are preloaded would each record all of a process, and one name two files. */
    if (c->off || (!c->installed && (ht_is_second || (!ht_is_glibc && !ht_is_musl))) || (c->used && ((c->installed && !c->attached) || c->follow != HT_FOLLOW_ALL)))
        return HT_UNWANTED;
    int forked = c->used;
    ht_config.used = 1;
    /* What the recording takes of an address space that is limited the program would miss. */
    ht_p.buckets = c->buckets ? c->buckets : ht_sys_limit(HT_RLIMIT_AS) == ~0ull ? HT_BUCKETS : HT_BUCKETS / 4;
    ht_p.depth = c->depth;
    ht_p.mode = c->mode;
    ht_p.exact_peak = c->exact_peak;
    ht_p.installed = c->installed;
    ht_p.interval = c->mode == HT_MODE_PATHS ? c->interval : c->mode == HT_MODE_TOTALS ? HT_INTERVAL_NEVER : 0;
    ht_p.seed = c->seed;
    if (ht_p.interval) {
        ht_p.sampled_marks = ht_sys_map(HT_SAMPLED_PLACES * sizeof *ht_p.sampled_marks);
        if (!ht_p.sampled_marks || !ht_sys_not_inherited(ht_p.sampled_marks, HT_SAMPLED_PLACES * sizeof *ht_p.sampled_marks))
            return HT_ENOMEM;
    }
    int knows_all = !ht_p.interval && c->mode == HT_MODE_PATHS;
    if (c->sizes && knows_all)
        ht_p.sizes_kept = ht_heap.usable ? HT_SIZES_SLACK : HT_SIZES_REQUESTS;
    ht_p.lifetimes_kept = c->lifetimes && knows_all;
    int in_memory = c->installed && !c->pattern[0];
    int problem = ht_file_start(c->pattern[0] ? c->pattern : NULL, c->program, in_memory);
    /* Files may be limited too. A table that nobody has asked for is a smaller one then. */
    while (problem == HT_EFBIG && !c->buckets && ht_p.buckets > HT_BUCKETS_LEAST) {
        ht_p.buckets /= 2;
        problem = ht_file_start(c->pattern[0] ? c->pattern : NULL, c->program, in_memory);
    }
    if (problem)
        return problem;
    if (!ht_path_start() || !ht_unwind_start())
        return HT_ENOMEM;

    struct ht_file_header *h = ht_p.header;
    ht_p.start = ht_sys_now(HT_CLOCK_MONOTONIC);
    h->version = HT_VERSION;
    h->byte_order = HT_BYTE_ORDER;
    h->header_size = HT_HEADER_SIZE;
    h->section_count = HT_SECTION_COUNT;
    h->start_time = ht_sys_now(HT_CLOCK_REALTIME);
    h->image = ht_p.start;
    h->shadow = ht_p.interval ? 0 : (uint64_t)(void *)ht_leaves;
    h->attached = (uint32_t)c->attached;
    h->mappings = ht_p.installed && !c->attached ? 0 : (uint64_t)(void *)&ht_p.mapped;
    if (ht_p.installed && !c->attached && !c->run)
        ht_p.readings = (struct ht_file_resident *)(ht_p.file + ht_p.offset[HT_SECTION_RESIDENT]);
    h->pid = ht_sys_pid();
    h->pid_namespace = ht_pid_namespace();
    h->parent_pid = ht_sys_parent();
    h->machine = HT_MACHINE;
    h->mode = ht_p.mode;
    h->interval = c->mode == HT_MODE_PATHS ? ht_p.interval : 0;
    h->buckets = ht_p.buckets;
    h->depth = ht_p.depth;
    h->sizes = ht_p.sizes_kept;
    h->lifetimes = ht_p.lifetimes_kept;
    h->rejected = c->rejected;
    h->forked = (uint32_t)forked;
    h->run = c->run;
    h->peak_batch = ht_p.exact_peak ? 0 : HT_PEAK_BATCH;
    h->modules_used = 1;
    h->threads_used = HT_SLOT_FIRST;
    size_t shared = ht_bucket_pages() * sizeof *ht_p.shared_pages;
    ht_p.shared_pages = ht_sys_map(shared);
    if (!ht_p.shared_pages || !ht_sys_not_inherited(ht_p.shared_pages, shared)
        || !ht_file_reserve(HT_SECTION_THREADS, sizeof *ht_p.threads) || !ht_file_reserve(HT_SECTION_MODULES, sizeof *ht_p.modules)
        || !ht_file_reserve(HT_SECTION_NODES, HT_NODE_FIRST * sizeof *ht_p.nodes))
        return HT_ENOSPC;
    ht_p.shared_pages[0] = ht_page_take(HT_THREAD_SHARED, 0);
    if (!ht_p.shared_pages[0])
        return HT_ENOSPC;
    h->threads_used = HT_SLOT_FIRST;
    h->executable_length = ht_string_add(ht_program, ht_program_length, &h->executable);
    if (c->command_length > 0)
        h->command_length = ht_string_add(c->command, c->command_length - 1, &h->command);
    const char *allocator = ht_allocator_name();
    h->allocator_length = ht_string_add(allocator, ht_length(allocator), &h->allocator);
    ht_linked_say();
    h->in_use_before = c->attached ? ht_in_use() : 0;
    static const uint8_t magic[] = HT_MAGIC;
    uint64_t word;
    memcpy(&word, magic, sizeof word);
    ht_shared_set((uint64_t *)(void *)h->magic, word);
    return 0;
}

/*
 * A fork by a signal handler that has interrupted a hook of its thread. Its child returns into that hook
 * too, which has to find what it works on: the child gets copies of everything, and memory of its own in the
 * place of the recording. There it counts for nobody and is not recorded.
 *
 * Several threads may be at it at once (`inheriting`): the first begins, the last ends. An ordinary fork of
 * another thread does not wait for that, because it may hold locks of the C library that a handler's thread
 * waits for. Its child may have inherited too; it sees that by the state, which is otherwise zeroed. For a fork
 * that falls in the middle of a change, what is kept first and zeroed last is the state, and the way to the
 * shadow's leaves is there only while they are.
 */
static void ht_fork_inherit(int everything)
{
    long wiped = everything ? HT_MADV_KEEPONFORK : HT_MADV_WIPEONFORK, gone = everything ? HT_MADV_DOFORK : HT_MADV_DONTFORK;
    if (everything)
        ht_sys_inherit(&ht_p, sizeof ht_p, wiped);
    else
        ht_sys_inherit(ht_leaves, sizeof ht_leaves, wiped);
    ht_sys_inherit(ht_p.file, ht_p.file_size, gone);
    for (uint32_t level = 0; level < HT_INDEX_LEVELS; level++)
        ht_sys_inherit(ht_p.index[level], (ht_p.index_mask[level] + 1ull) * sizeof(uint32_t), gone);
    ht_sys_inherit(ht_p.rules, HT_RULES_SIZE, gone);
    if (ht_p.interval) {
        ht_sys_inherit(ht_p.sampled_marks, HT_SAMPLED_PLACES * sizeof *ht_p.sampled_marks, gone);
        ht_lock(&ht_p.sampled_lock); /* another thread may make the table anew */
        ht_sys_inherit(ht_p.sampled, ht_p.sampled_capacity * sizeof *ht_p.sampled, gone);
        ht_unlock(&ht_p.sampled_lock);
    }
    ht_sys_inherit(ht_p.shared_pages, ht_bucket_pages() * sizeof *ht_p.shared_pages, gone);
    for (uint64_t i = 0; i < HT_LEAVES; i++)
        ht_leaf_inherit(ht_shared_get(&ht_leaves[i]), gone);
    for (uint32_t slot = 0; slot <= HT_MAX_THREADS; slot++)
        if (ht_p.by_slot[slot])
            ht_sys_inherit(ht_p.by_slot[slot], ht_p.by_slot[slot]->size, wiped);
    for (struct ht_thread *t = ht_p.shared_threads; t; t = t->next)
        ht_sys_inherit(t, t->size, wiped);
    if (everything)
        ht_sys_inherit(ht_leaves, sizeof ht_leaves, wiped);
    else
        ht_sys_inherit(&ht_p, sizeof ht_p, wiped);
}

static void ht_fork_inside_begin(void)
{
    ht_lock(&ht_p.inherit_lock);
    ht_p.inheriting++;
    ht_fork_inherit(1); /* what has come since another began, too */
    ht_unlock(&ht_p.inherit_lock);
}

/* After any fork, in both processes; `inside` is what ht_fork_begin (hooks.c) said. */
static void ht_fork_end(int inside, long child)
{
    if (child != 0) {
        if (!inside)
            return;
        ht_lock(&ht_p.inherit_lock);
        if (--ht_p.inheriting == 0)
            ht_fork_inherit(0);
        ht_unlock(&ht_p.inherit_lock);
        if (child > 0 && ht_config.follow == HT_FOLLOW_ALL && ht_p.header)
            ht_shared_add(&ht_p.header->lost_children, 1u);
        return;
    }
    ht_own_pid = ht_sys_pid();
    if (ht_shared_get(&ht_p.state) != HT_STATE_ON)
        return;
    /* It is the parent's file still. */
    if (!inside && ht_config.follow == HT_FOLLOW_ALL && ht_sys_readable((uint64_t)ht_p.file))
        ht_shared_add(&ht_p.header->lost_children, 1u);
    ht_sys_replace(ht_p.file, ht_p.file_size);
    ht_unwanted = 1;
    /* The interrupted hook has none of those that are not here. */
    for (uint64_t i = 0; i < HT_LEAVES; i++)
        if (ht_leaves[i])
            ht_leaves[i] = ht_leaf_inherited(ht_leaves[i]);
    /* Nor is a table of samples that one has made since, or the ranges that are mapped. */
    if (ht_p.sampled_capacity && !ht_sys_readable((uint64_t)ht_p.sampled))
        ht_p.sampled_capacity = ht_p.sampled_used = ht_p.sampled_live = 0;
    if (ht_p.mapped.capacity && !ht_sys_readable((uint64_t)ht_p.mapped.base)) {
        ht_p.mapped.base = ht_p.mapped.ranges = NULL;
        ht_p.mapped.capacity = ht_p.mapped.used = 0;
    }
    /* Their holders are not here. */
    struct ht_lock *locks[] = { &ht_p.shared_lock, &ht_p.thread_lock, &ht_p.module_lock, &ht_p.timeline_lock, &ht_p.inherit_lock,
                                &ht_p.tables_lock, &ht_p.sampled_lock, &ht_p.mapping_lock };
    for (uint32_t i = 0; i < HT_COUNT(locks); i++)
        ht_shared_set(&locks[i]->held, 0u);
    ht_shared_set(&ht_p.state, HT_STATE_OFF);
}

/*
 * The program is about to forbid itself system calls (hooks.c). When those that recording goes on with are
 * among them, it takes ahead what room they would have given: of the file, of the shadow beside what is
 * used, and of what is known to be stack. What goes beyond is counted as untracked, or not kept.
 */
struct ht_confined {
    struct ht_filter *filter;
    int strict;
};

static int ht_is_confined_by(const struct ht_confined *c)
{
    const struct {
        long n, arguments[6];
    } wanted[] = {
        { HT_SYS_MMAP, { 0, HT_LEAF_SIZE, HT_PROT_RW, HT_MAP_PRIVATE | HT_MAP_ANONYMOUS | HT_MAP_NORESERVE, -1, 0 } },
        { HT_SYS_MADVISE, { (long)ht_p.file, HT_PAGE, HT_MADV_POPULATE_WRITE, 0, 0, 0 } },
        { HT_SYS_RT_SIGPROCMASK, { -1, (long)c, 0, 8, 0, 0 } },
    };
    for (uint32_t i = 0; i < HT_COUNT(wanted); i++)
        if (c->strict || !ht_filter_allows_in(c->filter, wanted[i].n, wanted[i].arguments))
            return 1;
    return 0;
}

#define HT_AHEAD (1ull << 20) /* bytes of each section */
#define HT_STACK_AHEAD (8ull << 20)

static void ht_provide(struct ht_thread *t, struct ht_regs at)
{
    const struct ht_file_section *table = (const struct ht_file_section *)(ht_p.file + HT_SECTION_TABLE);
    for (uint32_t i = 0; i < HT_SECTION_COUNT; i++)
        ht_file_reserve(i, ht_min(ht_peek(&ht_p.reserved[i]) + HT_AHEAD, (uint64_t)table[i].capacity * table[i].record_size));
    /* Downwards and upwards, so that what has just been made makes no more. */
    for (uint64_t i = HT_LEAVES - 1; i > 0; i--)
        if (ht_shared_get(&ht_leaves[i - 1]) && !ht_shared_get(&ht_leaves[i]))
            ht_leaf_map(i);
    for (uint64_t i = 1; i < HT_LEAVES; i++)
        if (ht_shared_get(&ht_leaves[i]) && !ht_shared_get(&ht_leaves[i - 1]))
            ht_leaf_map(i - 1);
    ht_stack_enter(t, at.sp);
    while (t->stack_high - t->stack_low < HT_STACK_AHEAD && ht_sys_readable(t->stack_high))
        t->stack_high += HT_PAGE;
}

static struct ht_confined ht_confine(const struct ht_bpf_program *program, int strict)
{
    uint32_t idle;
    struct ht_confined c = { NULL, 0 };
    if (!program && !strict)
        return c;
    /* A vfork child confines itself, not its parent, whose memory this is. (Where getpid was or is refused, its error
     * is no process's number.) The kernel will refuse what it says is not readable; when it is our look that is refused,
     * the worst is assumed. */
    uint32_t here = ht_sys_pid(), recorded = ht_p.header ? ht_p.header->pid : here;
    if ((here != recorded && here <= INT32_MAX && recorded <= INT32_MAX) || (program && ht_sys_faults((uint64_t)program)))
        return c;
    /* Recording begins here if it has not yet. The filter binds also what cannot be recorded. */
    struct ht_thread *t = ht_begin(&idle);
    if (program)
        c.filter = ht_filter_copy(program);
    c.strict = !c.filter;
    if (t && ht_is_confined_by(&c))
        ht_provide(t, HT_CALLER());
    if (c.filter)
        ht_filter_add(c.filter);
    else
        ht_shared_add(&ht_strict, 1u);
    if (t)
        ht_end(t, idle);
    return c;
}

static void ht_confine_done(struct ht_confined c, int done)
{
    if (done)
        return;
    if (c.filter)
        ht_shared_set(&c.filter->length, 0u);
    else if (c.strict)
        ht_shared_add(&ht_strict, -1u);
}

/* Starts recording, or decides that this process is not recorded. Called by one thread; returns why
 * not: an errno, or HT_UNWANTED. */
static int ht_process_start(void)
{
    uint32_t state = HT_STATE_NEW;
    if (!ht_shared_swap(&ht_p.state, &state, HT_STATE_STARTING))
        return HT_UNWANTED;
    ht_real_find();
    /* A fork's child has what its parent found, and must not ask the dynamic linker: another thread may have held its lock
     * at the fork, for good. */
    int is_child = ht_config.used;
    if (is_child)
        ht_discover_forked();
    int problem = HT_ENOSYS; /* a kernel without MADV_WIPEONFORK */
    if (ht_sys_wiped(&ht_p, sizeof ht_p) && ht_sys_wiped(ht_leaves, sizeof ht_leaves))
        problem = ht_process_open();
    ht_unwanted = problem == HT_UNWANTED;
    /* A fork's child begins as its parent was. That of a script, which paused itself, is not recorded. */
    ht_pause(is_child ? (int)ht_paused : (int)ht_config.paused);
    if (!problem && !ht_config.installed && !is_child) {
        ht_names_redirect();
        ht_discover();
    }
    ht_shared_set(&ht_p.state, problem ? HT_STATE_OFF : HT_STATE_ON);
    return problem;
}

/*
 * When a program ends is noted: what is live then has lived so long. One that ends without an allocation is told from one that was
 * not recorded: its recording is empty. A fork's child that does nothing has none.
 */
__attribute__((destructor)) static void ht_start_late(void)
{
    if (ht_shared_get(&ht_p.state) == HT_STATE_ON)
        ht_shared_set(&ht_p.header->finished, ht_max(ht_sys_now(HT_CLOCK_MONOTONIC), ht_p.start) - ht_p.start);
    struct ht_start start = ht_start_of_program();
    if (ht_config.used || !ht_preloaded_as(start.environment))
        return;
    uint64_t signals = ht_sys_block_signals();
    ht_inside++;
    ht_process_start();
    ht_inside--;
    ht_sys_restore_signals(signals);
}

static uint32_t ht_recordings; /* that have been given back */

/* Gives back what a recording has in memory. No hook uses any of it: none has been called yet, or none is any more. */
static void ht_process_release(void)
{
    const struct {
        void *at;
        uint64_t size;
    } maps[] = {
        { ht_p.file, ht_p.file_size },
        { ht_p.rules, HT_RULES_SIZE },
        { ht_p.shared_pages, ht_bucket_pages() * sizeof *ht_p.shared_pages },
        { ht_p.sampled_marks, HT_SAMPLED_PLACES * sizeof *ht_p.sampled_marks },
        { ht_p.sampled, ht_p.sampled_capacity * sizeof *ht_p.sampled },
    };
    ht_own_add(&ht_recordings, 1u);
    ht_leaves_release(); /* first: by these a block's end would be counted */
    for (uint32_t i = 0; i < HT_COUNT(maps); i++)
        if (maps[i].at)
            ht_sys_unmap(maps[i].at, maps[i].size);
    for (uint32_t level = 0; level < HT_INDEX_LEVELS; level++)
        if (ht_p.index[level])
            ht_sys_unmap(ht_p.index[level], (ht_p.index_mask[level] + 1ull) * sizeof(uint32_t));
    ht_mappings_release();
    ht_threads_release();
    memset(&ht_p, 0, sizeof ht_p);
}

/* Takes back what a failed start has made, before any hook is called: the next one finds all as new. */
static void ht_process_undo(void)
{
    if (ht_p.file && ht_p.path[0])
        ht_sys_unlink(ht_p.path);
    ht_process_release();
}
