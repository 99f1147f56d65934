/*
 * safe.c: where a thread may be stopped to make a call.
 *
 * Not in the allocator, nor in the dynamic linker, nor in what holds a lock that these take. Its own code may be in a call of
 * theirs only where they call it. What is seen of that is the code that it is in, the locks that are the dynamic linker's, and the words on
 * its stack.
 */
/* Code that a thread may not be in. Of what holds a lock and calls others' code meanwhile, no frame may be on its stack either. */
enum unsafe { ALLOCATOR = 1, LINKER = 2, HOLDER = 4 };
static struct {
    struct range at;
    enum unsafe kind;
} unsafe[256];
static size_t unsafe_count;
static struct range linker_data;
static struct range stub_at;
static uint64_t from_handler; /* where signal handlers return to */
static uint64_t opener, complain, locate, opener_mode = 2; /* RTLD_NOW */
static uint64_t library_function; /* of one that is loaded already */
static struct range library_code;
static uint64_t pokes_at; /* pokes.h */

static void add_unsafe(uint64_t low, uint64_t high, enum unsafe kind)
{
    if (low && high > low && unsafe_count < COUNT(unsafe)) {
        unsafe[unsafe_count].at = (struct range){ low, high };
        unsafe[unsafe_count++].kind = kind;
    }
}

static const char *const ALLOCATING[] = { "malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign", "valloc", "pvalloc",
    "malloc_trim", "malloc_usable_size", "mallinfo", "mallinfo2", "malloc_stats", "mallopt", "malloc_info" };
/* Those that hold the lock of thread stacks, the dynamic linker's or all locks while they run, and code that ends a process. */
static const char *const HOLDING[] = { "pthread_create", "pthread_exit", "pthread_getattr_np", "pthread_detach", "pthread_join", "pthread_setname_np", "fork", "_Fork",
    "vfork", "posix_spawn", "posix_spawnp", "system", "popen", "dlopen", "dlclose", "dlsym", "dlvsym", "dlmopen", "dladdr", "dladdr1", "dlinfo", "dlerror",
    "dl_iterate_phdr", "_dl_find_object", "exit", "quick_exit", "_exit", "execve", "setuid", "setgid", "seteuid", "setegid", "setreuid", "setregid",
    "setresuid", "setresgid", "setgroups", "__libc_freeres", "clone" };
/* What stands before the first public function of glibc's allocator, and behind its last: 17 and 1 KB in 2.36. */
#define BEFORE 0xc000u
#define BEHIND 0x2000u

/* musl is one object: C library, dynamic linker and allocator. Of its allocator these are public, and may jump to what is not. */
static const char *const MUSL_ALLOCATING[] = { "malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign", "malloc_usable_size", "reallocarray" };

static int is_musl_allocating(const struct object *o, const Elf64_Sym *s)
{
    for (size_t i = 0; i < COUNT(MUSL_ALLOCATING); i++)
        if (!strcmp(o->string + s->st_name, MUSL_ALLOCATING[i]))
            return 1;
    return 0;
}

/* Around each of these, up to the public functions on both sides that are none of them. */
static void add_musl_allocator(struct object *o)
{
    for (size_t i = 0; i < COUNT(MUSL_ALLOCATING); i++) {
        uint64_t at = symbol_in(o, MUSL_ALLOCATING[i]), end = symbol_end;
        struct range r = o->code;
        for (size_t n = 0; at && n < o->symbol_count; n++) {
            const Elf64_Sym *s = &o->symbol[n];
            uint64_t low = o->base + s->st_value, high = low + s->st_size;
            if (s->st_shndx == SHN_UNDEF || s->st_name >= o->strings_size || !is_in(o->code, low) || is_musl_allocating(o, s))
                continue;
            r.low = high <= at && high > r.low ? high : r.low;
            r.high = low >= end && low < r.high ? low : r.high;
        }
        add_unsafe(at ? r.low : 0, r.high, ALLOCATOR);
    }
}

static int allocator_range(struct object *o, struct range *r)
{
    *r = (struct range){ UINT64_MAX, 0 };
    for (size_t i = 0; i < COUNT(ALLOCATING); i++) {
        uint64_t at = symbol_in(o, ALLOCATING[i]);
        if (at && is_in(o->code, at)) {
            r->low = at < r->low ? at : r->low;
            r->high = symbol_end > r->high ? symbol_end : r->high;
        }
    }
    return r->high > 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* `mov $rt_sigreturn, %rax; syscall`: glibc's, whose address stands above each handler's frame. */
static void find_handlers_end(struct range code)
{
    static const uint8_t text[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
    size_t size = code.high - code.low;
    uint8_t *bytes = malloc(size);
    const uint8_t *found = bytes && peek(code.low, bytes, size) ? memmem(bytes, size, text, sizeof text) : NULL;
    from_handler = found ? code.low + (uint64_t)(found - bytes) : 0;
    free(bytes);
}

/* Whether another version's stub is there: a thread may be in it. */
static int has_other_stub(uint64_t at)
{
    uint8_t bytes[STUB_ROOM];
    return peek(at, bytes, STUB_SIZE) && !memcmp(bytes, stub, 8) && memcmp(bytes, stub, STUB_SIZE);
}

static int precise = 1; /* whether it is known where the allocator's code is */
static int is_musl;
static struct range libc_code;

/* The C library: where a thread may hold what the call takes, and the functions that the stub calls. */
static void read_libc(struct object *o)
{
    struct range r;
    libc_code = o->code;
    is_musl = symbol_in(o, "__freadahead") != 0; /* an extension that it alone has */
    if (is_musl)
        add_musl_allocator(o);
    else if (allocator_range(o, &r))
        add_unsafe(r.low - BEFORE, r.high + BEHIND, ALLOCATOR);
    for (size_t n = 0; n < COUNT(HOLDING); n++) {
        uint64_t at = symbol_in(o, HOLDING[n]);
        if (at)
            add_unsafe(at, symbol_end, HOLDER);
    }
    uint64_t found = symbol_in(o, "dlopen");
    if (found || (!opener && (found = symbol_in(o, "__libc_dlopen_mode")) && (opener_mode = 0x80000002)))
        opener = found;
    complain = (found = symbol_in(o, "dlerror")) ? found : complain;
    locate = symbol_in(o, "__errno_location");
    find_handlers_end(o->code);
}

static void read_objects(const char *function)
{
    struct object o;
    for (size_t i = 0; i < map_count; i++) {
        const struct mapping *m = &maps[i];
        if (m->offset != 0 || m->inode == 0 || m->rights[0] != 'r' || !read_object(m->at.low, &o))
            continue;
        const char *name = base_name(m->path);
        int is_libc = !strncmp(name, "libc.so", 7) || !strncmp(name, "libc-2.", 7) || !strncmp(name, "ld-musl-", 8) || !strncmp(name, "libc.musl-", 10);
        int is_linker = !strncmp(name, "ld-linux", 8) || !strncmp(name, "ld-2.", 5);
        /* A place for the stub: bytes of the last page that are of no segment. */
        uint64_t room = (o.code_end + 15) / 16 * 16, end = (o.code_end + PAGE - 1) / PAGE * PAGE;
        const struct mapping *last = mapping_at(room);
        if (!stub_at.low && o.code_end && end - room >= STUB_ROOM && last && last->rights[2] == 'x' && last->inode == m->inode
            && !has_other_stub(room))
            stub_at = (struct range){ room, room + STUB_ROOM };
        if (is_linker) {
            add_unsafe(o.code.low, o.code.high, LINKER);
            linker_data = o.data;
        } else if (is_libc) {
            /* Where it is mapped to be read, as tools do, it is none. (Names of functions that have hooks may lead to those.) */
            const struct mapping *code = mapping_at(symbol_in(&o, "__errno_location"));
            if (code && code->rights[2] == 'x' && code->inode == m->inode)
                read_libc(&o);
        } else if (!strncmp(name, "libdl.so", 8) || !strncmp(name, "libdl-2.", 8)) {
            uint64_t found = symbol_in(&o, "dlopen");
            if (found)
                opener = found, opener_mode = 2;
            complain = (found = symbol_in(&o, "dlerror")) ? found : complain;
            add_unsafe(o.code.low, o.code.high, LINKER);
        } else if (!strncmp(name, "libheaptap", 10)) {
            add_unsafe(o.code.low, o.code.high, ALLOCATOR);
            library_code = o.code;
            /* Mapped, and not ready, it is in the middle of being opened. */
            uint32_t is_ready = 0;
            uint64_t ready = symbol_in(&o, "heaptap_ready"), known = symbol_in(&o, function);
            peek(ready, &is_ready, sizeof is_ready);
            library_function = is_ready ? known : 0;
            pokes_at = symbol_in(&o, "heaptap_pokes");
            if (!known || !ready)
                fail("version", m->path);
        } else if (symbol_in(&o, "malloc") && symbol_in(&o, "free")) {
            /* Another allocator: a library of its own, or a part of the program's. Where that ends is not known. */
            int is_whole = strncmp(name, "lib", 3) == 0 && strstr(name, ".so") && o.code.high - o.code.low < 4 << 20;
            if (is_whole)
                add_unsafe(o.code.low, o.code.high, ALLOCATOR);
            else
                precise = 0;
        }
        free(o.symbol);
        free(o.string);
    }
    if (!opener || !locate)
        fail("libc", "");
    if (!stub_at.low)
        fail("room", "");
}

/* Whether an address on a stack is one to return to: a call stands before it. */
static int is_return(uint64_t at)
{
    uint8_t b[8];
    if (!peek(at - 7, b, 7))
        return 0;
    if (b[2] == 0xe8)
        return 1;
    for (int length = 2; length <= 7; length++)
        if (b[7 - length] == 0xff && (b[8 - length] >> 3 & 7) == 2)
            return 1;
    return 0;
}

/* Which kinds of unsafe code an address is in. */
static unsigned unsafe_kinds(uint64_t at)
{
    unsigned kinds = is_in(stub_at, at) ? HOLDER : 0; /* somebody else's call is under way */
    for (size_t i = 0; i < unsafe_count; i++)
        if (is_in(unsafe[i].at, at))
            kinds |= unsafe[i].kind;
    return kinds;
}

#define LOOKED 65536u

/* Whether what stands there is the kernel's frame of a handler, whole: what was interrupted was code, further out on the same stack. */
#define HANDLER_WORDS 25u
static int is_handler_frame(const uint64_t *word, uint64_t at)
{
    enum { SP = 21, PC = 22, CS = 24 }; /* behind the address to return to: flags, link, stack, then the registers */
    const struct mapping *m = mapping_at(word[PC]);
    return (word[CS] & 0xffff) == 0x33 && m && m->rights[2] == 'x' && mapping_at(word[SP]) && word[SP] != at;
}

/* Whether a handler's frame on a stack is of one that has interrupted the library: the thread goes back there. */
static int interrupted_library(uint64_t sp)
{
    static uint64_t words[LOOKED / 8];
    const struct mapping *m = mapping_at(sp);
    size_t size = m ? m->at.high - sp : 0;
    size = (size < LOOKED ? size : LOOKED) / 8 * 8;
    if (!from_handler || size == 0 || !peek(sp, words, size))
        return 0;
    for (size_t i = 0; i + HANDLER_WORDS < size / 8; i++)
        if (words[i] == from_handler && is_in(library_code, words[i + 22]))
            return 1;
    return 0;
}

/*
 * Whether a stack, from sp outwards, may have a frame of such code. What looks like one may have been left there by calls long
 * ago: so it is asked for as little as needed. In a signal handler every word counts, as it may have interrupted any code.
 */
static int has_frame(uint64_t sp, unsigned kinds)
{
    static uint64_t words[LOOKED / 8];
    const struct mapping *m = mapping_at(sp);
    uint64_t top = m ? m->at.high : (sp / PAGE + 1) * PAGE;
    size_t size = (top - sp < LOOKED ? top - sp : LOOKED) / 8 * 8;
    sp = (sp + 7) / 8 * 8;
    if (!peek(sp, words, size)) {
        size = ((sp / PAGE + 1) * PAGE - sp) / 8 * 8;
        if (!peek(sp, words, size))
            return 1;
    }
    int in_handler = 0;
    for (size_t i = 0; i + HANDLER_WORDS < size / 8 && from_handler; i++)
        in_handler |= words[i] == from_handler && is_handler_frame(words + i, sp + 8 * i);
    if (in_handler)
        kinds = ALLOCATOR | LINKER | HOLDER;
    for (size_t i = 0; i < size / 8; i++)
        if (unsafe_kinds(words[i]) & kinds && (in_handler || is_return(words[i])))
            return 1;
    return 0;
}


/* Whether the kernel would put a thread out of a sequence that it must run on one processor (rseq): resumed elsewhere it must begin anew. */
static int is_in_sequence(pid_t tid, uint64_t pc)
{
    struct {
        uint64_t pointer;
        uint32_t size, signature, flags, pad;
    } configuration;
    uint64_t section, bounds[3];
    enum { GET_RSEQ = 0x420f };
    if (syscall(SYS_ptrace, GET_RSEQ, tid, sizeof configuration, &configuration) <= 0 || !configuration.pointer)
        return 0;
    if (!peek(configuration.pointer + 8, &section, sizeof section) || !section)
        return 0;
    return !peek(section, bounds, sizeof bounds) || pc - bounds[1] < bounds[2];
}

/* The number that the process itself knows a thread by: asked before that is stopped, and not again. */
static uint32_t own_number(pid_t tid)
{
    static struct {
        pid_t tid;
        uint32_t number;
    } known[1024];
    size_t place = (size_t)tid % COUNT(known);
    if (known[place].tid != tid) {
        known[place].tid = tid;
        known[place].number = status_of(tid).number;
    }
    return known[place].number;
}

/* Whether a thread holds a lock of the dynamic linker's: each is a recursive mutex in that one's data, and knows its holder. */
static int holds_linker(pid_t tid)
{
    enum { RECURSIVE = 1 };
    uint32_t words[4096], number = own_number(tid);
    uint64_t at = (linker_data.low + 7) / 8 * 8;
    size_t size = linker_data.high > at ? linker_data.high - at : 0;
    size = (size < sizeof words ? size : sizeof words) / 8 * 8;
    if (size == 0 || !peek(at, words, size))
        return 0;
    for (size_t i = 0; i + 5 <= size / 4; i += 2)
        if (words[i] != 0 && words[i + 1] != 0 && words[i + 2] == number && words[i + 4] == RECURSIVE)
            return 1;
    return 0;
}

/*
 * Of musl's dynamic linker nothing is looked at but the functions that hold its lock (HOLDING): what is in it has been called by one.
 *
 * Whether a thread may be called in, that stands there and waits in a system call, or RUNNING. The C library's own code is one only where it
 * waits; of waits only that for a lock, a read and a sleep may be the allocator's. Others' code is called by the
 * dynamic linker (constructors), which then holds its lock, by fork and exit, and in signal handlers; none of what fork and exit call
 * waits long.
 */
static int is_safe(pid_t tid, uint64_t pc, uint64_t sp, int number)
{
    int patience = number == RUNNING ? 0 : patience_of(number);
    const struct mapping *m = mapping_at(pc);
    if (unsafe_kinds(pc) || !m || m->rights[2] != 'x' || (is_in(libc_code, pc) && !patience) || (!precise && patience < 2))
        return 0;
    /* musl's allocator neither sleeps nor reads. What calls of it have left on the stack is no reason then. */
    unsigned kinds = patience > 1 ? 0 : patience == 1 && (!is_musl || number == FUTEX) ? ALLOCATOR | HOLDER : HOLDER;
    return !has_frame(sp, kinds) && !holds_linker(tid);
}
