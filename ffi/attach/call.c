/*
 * call.c: has a stopped thread make a call, in the stub, which takes everything back by itself.
 */
/* System calls that fail with EINTR when their thread is stopped, and that the kernel does not begin anew by itself. */
static int fails_by_stop(int number)
{
    switch (number) {
    case EPOLL_WAIT: case EPOLL_PWAIT: case EPOLL_PWAIT2: case SIGTIMEDWAIT: case RECVFROM: case RECVMSG: case ACCEPT: case ACCEPT4: case READ:
    case SYS_semop: case SYS_semtimedop: case SYS_msgrcv: case SYS_msgsnd: case SYS_io_getevents: case SYS_recvmmsg: case SYS_connect: case SYS_sendto:
    case SYS_sendmsg: case SYS_write: case SYS_readv: case SYS_writev: case SYS_preadv: case SYS_pwritev: case SYS_preadv2: case SYS_pwritev2: case SYS_sendmmsg:
    case SYS_io_uring_enter:
        return 1;
    default:
        return 0;
    }
}

static uint64_t deliverable(const struct status *s) { return s->pending & ~s->blocked; }

/*
 * Registers to go on with as if it had not been stopped; *how, what a signal makes of its system call. The kernel does that by itself only
 * for one that it lets go on where it was, but for those that fail by a stop. 0 when a signal is about to come: then it is for the kernel to say.
 */
static int undisturbed(pid_t tid, const struct status *s, struct user_regs_struct *r, enum interrupted *how)
{
    enum { RESTARTSYS = 512, RESTARTNOINTR, RESTARTNOHAND, RESTART_BLOCK = 516 };
    *how = NOT_INTERRUPTED;
    if ((long)r->orig_rax < 0)
        return 1;
    long error = -(long)r->rax;
    if (error == RESTARTNOHAND || error == RESTART_BLOCK || (error == EINTR && patience_of((int)r->orig_rax) == 2))
        *how = INTERRUPTED;
    else if (error == RESTARTSYS || (error == EINTR && fails_by_stop((int)r->orig_rax)))
        *how = INTERRUPTED_ONCE;
    if (*how || error == RESTARTNOINTR) {
        if (deliverable(s))
            return 0;
        r->rip -= 2;
        r->rax = error == RESTART_BLOCK && may_restart(tid) ? RESTART : r->orig_rax;
    }
    r->orig_rax = (unsigned long long)-1;
    return 1;
}

/* Before a thread goes on: what it waited in is not to fail by having been stopped, nor to end it. */
static void mend(pid_t tid)
{
    enum { RESTART_BLOCK = 516 };
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0 || (long)r.orig_rax < 0)
        return;
    int fails = -(long)r.rax == EINTR && fails_by_stop((int)r.orig_rax), ends = -(long)r.rax == RESTART_BLOCK && !may_restart(tid);
    if (!fails && !ends)
        return;
    struct status s = status_of(tid);
    if (deliverable(&s))
        return;
    r.rip -= 2;
    r.rax = r.orig_rax;
    r.orig_rax = (unsigned long long)-1;
    ptrace(PTRACE_SETREGS, tid, NULL, &r);
}

/* The C library changes its user with that in all threads, which it waits for with locks held that opening a library takes: it comes through, and a thread that is in its
 * handler, where alone it is blocked, is not called in. */
static uint64_t setting_user(void) { return 1ull << (is_musl ? 34 - 1 : 33 - 1); }
enum { MUSL_CANCEL = 33 };

static char library_path[PATH_MAX], texts[16384];
static size_t texts_size;
static uint64_t function_offset;

struct placed {
    uint64_t call; /* where the call's structure is */
    uint32_t seccomp; /* the thread's */
    struct user_regs_struct before, entry;
};

/* How far down a thread's stack goes; 0 when it stands on something else: a coroutine's, a signal handler's, of which there may be little. */
static uint64_t stack_room(uint64_t sp, uint64_t fs_base)
{
    const struct mapping *m = mapping_at(sp);
    if (!m || m->rights[1] != 'w')
        return 0;
    int is_own = !strcmp(m->path, "[stack]") || (is_in(m->at, fs_base) && sp < fs_base);
    return is_own ? sp - m->at.low : 0;
}

/* Whether the C library knows a thread: what it calls there stands by that. */
static int has_library_state(uint64_t fs_base)
{
    uint64_t self; /* of the thread's control block: by the ABI of thread-local storage its first word, and glibc's own */
    return fs_base && peek(fs_base + (is_musl ? 0 : 16), &self, sizeof self) && self == fs_base;
}

/* Puts the stub and what it needs where nobody reads; 0 when this is no time or place for that. */
static int place(pid_t tid, struct placed *p, const struct user_regs_struct *at)
{
    struct user_regs_struct r = *at;
    enum interrupted interrupted;
    uint64_t blocked;
    struct status s = status_of(tid);
    if (s.blocked & setting_user())
        return 0;
    if (!has_library_state(r.fs_base) || !undisturbed(tid, &s, &r, &interrupted)
        || ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof blocked, &blocked) != 0)
        return 0;
    uint64_t slot = r.rsp - RED_ZONE - 8, here = slot - sizeof(struct call);
    size_t path_size = library_function ? 0 : strlen(library_path) + 1, size = 8 + path_size + texts_size;
    uint64_t low = (here - size) / 8 * 8;
    if (r.rsp - low + 1024 > stack_room(r.rsp, r.fs_base))
        return 0;
    struct call call = {
        .all = ~setting_user(),
        .opener = library_function ? 0 : opener,
        .path = low + 8,
        .mode = opener_mode,
        .function = library_function ? library_function : function_offset,
        .texts = low + 8 + path_size,
        .complain = complain ? complain : locate, /* gives something that is not NULL, too */
        .locate = locate,
        .patience = 1 << 22,
        .old = blocked,
        .caught = (s.caught | (is_musl ? 1ull << (MUSL_CANCEL - 1) : 0)) & ~blocked, /* whose handler comes with the first one that is sent */
        .interrupted = interrupted,
        .is_musl = (uint32_t)is_musl,
    };
    if (!poke(slot, &r.rip, 8) || !poke(here, &call, sizeof call) || !poke(low, &here, 8) || !poke(call.path, library_path, path_size)
        || !poke(call.texts, texts, texts_size) || !poke(stub_at.low, stub, STUB_SIZE))
        return 0;
    p->call = here;
    p->seccomp = s.seccomp;
    p->before = *at;
    p->entry = r;
    p->entry.rip = stub_at.low;
    p->entry.rsp = low;
    return 1;
}

static int read_call(const struct placed *p, struct call *c) { return peek(p->call, c, sizeof *c); }

/*
 * The time is over. A call that waits for the dynamic linker's first lock has changed nothing yet, and is taken back: the thread goes on behind
 * it; so does one that has not begun. Any other one goes on until it is done.
 */
static int take_back(pid_t tid, const struct placed *p)
{
    struct user_regs_struct r;
    struct call c;
    if (!stop_thread(tid) || ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0 || !read_call(p, &c) || c.done)
        return 0;
    if (!c.frame && r.rip == stub_at.low) {
        ptrace(PTRACE_SETREGS, tid, NULL, &p->before);
        ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof c.old, &c.old);
        return 1;
    }
    if ((int)r.orig_rax != FUTEX || !is_in(linker_data, r.rdi) || c.handle || !c.frame || holds_linker(tid))
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
    struct call c;
    if (is_filtered || p->seccomp)
        check_all_filters(tid);
    if (!read_call(p, &c) || ptrace(PTRACE_SETREGS, tid, NULL, &p->entry) != 0)
        fail("stop", "");
    /* No handler before the stub either. It sets the same by itself, and what is to be afterwards. */
    ptrace(PTRACE_SETSIGMASK, tid, (void *)sizeof c.all, &c.all);
    if (stays)
        ptrace(PTRACE_CONT, tid, NULL, NULL);
    else if (ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0)
        forget(tid);
    uint64_t began = now_us(), until = limit_us > began + 500000 ? limit_us : began + 500000;
    for (;;) {
        if (!read_call(p, &c))
            fail("gone", "");
        if (c.done == 1)
            break;
        if (now_us() > until) {
            take_back(tid, p);
            fail("waits", "");
        }
        if (now_us() - began > 2000)
            rest(now_us() - began > 20000 ? 500 : 20);
        if (!stays)
            settle();
        else if (stopped_within(0) == tid) /* it was told once more that the process is stopped */
            ptrace(PTRACE_CONT, tid, NULL, NULL);
    }
    /* What was read holds while the thread is in the stub; its stack is the program's again when it has waited too long for us. */
    struct user_regs_struct r;
    if (!stop_thread_within(tid, 1000000) || ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0 || !is_in(stub_at, r.rip) || !read_call(p, &c))
        fail("unseen", "");
    char complaint[512] = "";
    if (!library_function && !c.handle && c.complaint) {
        ssize_t n = pread(memory, complaint, sizeof complaint - 1, (off_t)c.complaint);
        complaint[n < 0 ? 0 : n] = 0;
    }
    uint32_t seen = 1;
    poke(p->call + offsetof(struct call, seen), &seen, sizeof seen);
    if (stays) {
        ptrace(PTRACE_CONT, tid, NULL, NULL);
        rest(200);
        stop_thread(tid);
        for (size_t i = held_count; i-- > 0;)
            let_go(held[i].tid);
    } else {
        let_go(tid);
    }
    stopped_us = now_us() - since;
    if (c.mapped > -(uint64_t)PAGE)
        fail("memory", "");
    if (!library_function && !c.handle)
        fail("open", complaint);
    called_in = tid;
    result = (int)c.result;
}
