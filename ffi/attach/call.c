/*
 * call.c: has a stopped thread make a call, in the stub, which takes everything back by itself.
 */
/* Registers to go on with as if it had not been stopped. The kernel does that by itself only for one that it lets go on where it was. */
static struct user_regs_struct undisturbed(pid_t tid, struct user_regs_struct r)
{
    enum { RESTARTSYS = 512, RESTARTNOINTR, RESTARTNOHAND, RESTART_BLOCK = 516 };
    if ((long)r.orig_rax < 0)
        return r;
    long error = -(long)r.rax;
    int again = error == RESTARTSYS || error == RESTARTNOINTR || error == RESTARTNOHAND;
    /* It would end so of our stop alone; a signal that waits may be what it is to end of. */
    if (error == EINTR && !((bits_of(tid, "SigPnd") | bits_of(tid, "ShdPnd")) & ~bits_of(tid, "SigBlk")))
        again = patience_of((int)r.orig_rax) == 2;
    if (again || error == RESTART_BLOCK) {
        r.rip -= 2;
        r.rax = again ? r.orig_rax : RESTART;
    }
    r.orig_rax = (unsigned long long)-1;
    return r;
}


static char library_path[PATH_MAX], texts[16384];
static size_t texts_size;
static uint64_t function_offset;

struct placed {
    uint64_t call; /* where the call's structure is */
    struct user_regs_struct entry;
};

/* How far down a thread's stack goes; 0 when it stands on something else, a coroutine's perhaps, of which there may be little. */
static uint64_t stack_room(uint64_t sp, uint64_t fs_base)
{
    const struct mapping *m = mapping_at(sp);
    if (!m || m->rights[1] != 'w')
        return 0;
    int is_own = !strcmp(m->path, "[stack]") || (is_in(m->at, fs_base) && sp < fs_base);
    uint64_t room = sp - m->at.low;
    return is_own || room < 2048 ? room : 2048;
}

/* Puts the stub and what it needs where nobody reads; 0 when the stack has no room. */
static int place(struct placed *p, const struct user_regs_struct *at)
{
    struct user_regs_struct r = *at;
    uint64_t slot = r.rsp - RED_ZONE - 8, here = slot - sizeof(struct call);
    size_t path_size = library_function ? 0 : strlen(library_path) + 1, size = 8 + path_size + texts_size;
    uint64_t low = (here - size) / 8 * 8;
    if (r.rsp - low + 1024 > stack_room(r.rsp, r.fs_base))
        return 0;
    struct call call = {
        .all = ~0ull,
        .opener = library_function ? 0 : opener,
        .path = low + 8,
        .mode = opener_mode,
        .function = library_function ? library_function : function_offset,
        .texts = low + 8 + path_size,
        .complain = complain ? complain : locate, /* gives something that is not NULL, too */
        .locate = locate,
        .patience = 3000000,
    };
    if (!poke(slot, &r.rip, 8) || !poke(here, &call, sizeof call) || !poke(low, &here, 8) || !poke(call.path, library_path, path_size)
        || !poke(call.texts, texts, texts_size) || !poke(stub_at.low, stub, STUB_SIZE))
        return 0;
    p->call = here;
    p->entry = r;
    p->entry.rip = stub_at.low;
    p->entry.rsp = low;
    return 1;
}

static int read_call(const struct placed *p, struct call *c) { return peek(p->call, c, sizeof *c); }

/*
 * The time is over. A call that waits for the dynamic linker's lock has changed nothing yet, and is taken back: the thread goes on behind
 * it. Any other one goes on until it is done.
 */
static int take_back(pid_t tid, const struct placed *p)
{
    struct user_regs_struct r;
    struct call c;
    if (!stop_thread(tid) || ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0 || !read_call(p, &c) || c.done)
        return 0;
    if ((int)r.orig_rax != FUTEX || !is_in(linker_data, r.rdi) || c.handle || !c.frame)
        return 0;
    r.rip = stub_at.low + (uint64_t)(stub_out - stub);
    r.rbx = p->call;
    r.orig_rax = (unsigned long long)-1;
    ptrace(PTRACE_SETREGS, tid, NULL, &r);
    return 1;
}

static const char *how = "";
static uint64_t looked_at, stopped_us;
static pid_t called_in; /* the thread that has made the call; 0 while none has */

static int result;

/* Has a stopped thread make the call. `stays`: the process is stopped as a whole, and the thread is to be so again. */
static void call_in(pid_t tid, struct placed *p, int stays, uint64_t since)
{
    if (bits_of(tid, "Seccomp") == 2)
        check_filters(tid);
    if (ptrace(PTRACE_SETREGS, tid, NULL, &p->entry) != 0)
        fail("stop", "");
    if (stays)
        let_go_on(tid);
    else
        let_go(tid);
    struct call c;
    uint64_t began = now_us(), until = limit_us > began + 500000 ? limit_us : began + 500000;
    for (int late = 0;;) {
        if (!read_call(p, &c))
            fail("gone", "");
        if (c.done == 1)
            break;
        if (!late && now_us() > until) {
            late = 1;
            if (!take_back(tid, p))
                fail("waits", "");
            let_go(tid);
        }
        if (now_us() - began > 2000)
            rest(now_us() - began > 20000 ? 500 : 20);
        if (!stays)
            settle();
        else if (stopped_within(0) == tid) /* it was told once more that the process is stopped */
            let_go_on(tid);
    }
    char complaint[512] = "";
    if (!library_function && !c.handle && c.complaint) {
        ssize_t n = pread(memory, complaint, sizeof complaint - 1, (off_t)c.complaint);
        complaint[n < 0 ? 0 : n] = 0;
    }
    uint32_t seen = 1;
    poke(p->call + offsetof(struct call, seen), &seen, sizeof seen);
    stopped_us = now_us() - since;
    if (stays) {
        rest(200);
        stop_thread(tid);
        for (size_t i = held_count; i-- > 0;)
            let_go(held[i].tid);
    }
    if (c.mapped > -(uint64_t)PAGE)
        fail("memory", "");
    if (!library_function && !c.handle)
        fail("open", complaint);
    called_in = tid;
    result = (int)c.result;
}
