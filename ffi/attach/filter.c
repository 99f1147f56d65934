/*
 * filter.c: whether the process's filters of system calls (seccomp) let the library in. Each filter that is in force is asked, as the kernel asks
 * it: a call that one answers with the end of the process must never be made.
 */

/* What the dynamic linker, the stub and the library ask the kernel for. */
static const struct wanted {
    int number;
    uint64_t arguments[6];
    int is_needed; /* else an error will do */
} wanted[] = {
    { SYS_rt_sigprocmask, { 2, 0, 0, 8 }, 1 },
    { SYS_mmap, { 0, 262144, 3, 0x22, -1ull }, 1 },
    { SYS_mmap, { 0, 262144, 5, 0x802, 5 }, 1 },
    { SYS_mmap, { 0, 262144, 3, 0x1, 5 }, 1 },
    { SYS_mprotect, { 0, 4096, 1 }, 1 },
    { SYS_munmap, { 0, 4096 }, 1 },
    { SYS_openat, { (uint64_t)-100, 0, O_RDONLY | O_CLOEXEC }, 1 },
    { SYS_openat, { (uint64_t)-100, 0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600 }, 1 },
    { SYS_read, { 5, 0, 832 }, 1 },
    { SYS_pread64, { 5, 0, 832 }, 1 },
    { SYS_fstat, { 5 }, 0 },
    { SYS_newfstatat, { 5, 0, 0, 0x1000 }, 0 },
    { SYS_close, { 5 }, 1 },
    { SYS_ftruncate, { 5, 1 << 20 }, 1 },
    { SYS_madvise, { 0, 4096, 18 }, 1 },
    { SYS_madvise, { 0, 4096, 10 }, 1 },
    { SYS_madvise, { 0, 4096, 15 }, 0 },
    { SYS_madvise, { 0, 4096, 23 }, 0 },
    { SYS_madvise, { 0, 4096, 1 }, 0 },
    { SYS_madvise, { 0, 4096, 4 }, 0 },
    { SYS_madvise, { 0, 4096, 11 }, 0 },
    { SYS_madvise, { 0, 4096, 16 }, 0 },
    { SYS_madvise, { 0, 4096, 19 }, 0 },
    { SYS_rt_sigprocmask, { -1ull, 0, 0, 8 }, 0 },
    { SYS_rt_sigprocmask, { 0, 0, 0, 8 }, 0 },
    { SYS_rt_sigpending, { 0, 8 }, 0 },
    { SYS_rt_sigaction, { 2, 0, 0, 8 }, 0 },
    { SYS_sigaltstack, { 0 }, 0 },
    { SYS_arch_prctl, { 0x5005 }, 0 },
    { SYS_fstatfs, { 5 }, 0 },
    { SYS_fgetxattr, { 5 }, 0 },
    { SYS_access, { 0 }, 0 },
    { SYS_pwrite64, { 5 }, 0 },
    { SYS_writev, { 5 }, 0 },
    { SYS_getuid, { 0 }, 0 },
    { SYS_getgid, { 0 }, 0 },
    { SYS_futex, { 0, 0 }, 0 },
    { SYS_futex, { 0, 1 }, 0 },
    { SYS_futex, { 0, 129 }, 0 },
    { SYS_futex, { 0, 133 }, 0 },
    { SYS_futex, { 0, 128 }, 0 },
    { SYS_getpid, { 0 }, 0 },
    { SYS_getppid, { 0 }, 0 },
    { SYS_gettid, { 0 }, 0 },
    { SYS_tgkill, { 0 }, 0 },
    { SYS_prctl, { 16 }, 0 },
    { SYS_prlimit64, { 0 }, 0 },
    { SYS_readlink, { 0 }, 0 },
    { SYS_getcwd, { 0 }, 0 },
    { SYS_clock_gettime, { 1 }, 0 },
    { SYS_sched_yield, { 0 }, 0 },
    { SYS_unlink, { 0 }, 0 },
    { SYS_statx, { 0 }, 0 },
    { SYS_fallocate, { 5 }, 0 },
    { SYS_brk, { 0 }, 0 },
};

/* What a filter answers; classic BPF as seccomp takes it. */
static uint32_t answer(const struct sock_filter *code, size_t count, const struct wanted *w)
{
    struct seccomp_data data = { .nr = w->number, .arch = AUDIT_ARCH_X86_64 };
    memcpy(data.args, w->arguments, sizeof data.args);
    uint32_t a = 0, x = 0, cells[BPF_MEMWORDS] = { 0 };
    for (size_t i = 0; i < count; i++) {
        const struct sock_filter *f = &code[i];
        uint32_t k = f->k, operand = BPF_SRC(f->code) == BPF_X ? x : k;
        switch (BPF_CLASS(f->code)) {
        case BPF_LD:
        case BPF_LDX: {
            uint32_t value = k;
            if (BPF_MODE(f->code) == BPF_ABS && k + 4 <= sizeof data)
                memcpy(&value, (const uint8_t *)&data + k, 4);
            else if (BPF_MODE(f->code) == BPF_LEN)
                value = sizeof data;
            else if (BPF_MODE(f->code) == BPF_MEM)
                value = cells[k % BPF_MEMWORDS];
            *(BPF_CLASS(f->code) == BPF_LD ? &a : &x) = value;
            break;
        }
        case BPF_ST:
            cells[k % BPF_MEMWORDS] = a;
            break;
        case BPF_STX:
            cells[k % BPF_MEMWORDS] = x;
            break;
        case BPF_ALU:
            switch (BPF_OP(f->code)) {
            case BPF_ADD: a += operand; break;
            case BPF_SUB: a -= operand; break;
            case BPF_MUL: a *= operand; break;
            case BPF_DIV: a = operand ? a / operand : 0; break;
            case BPF_AND: a &= operand; break;
            case BPF_OR: a |= operand; break;
            case BPF_XOR: a ^= operand; break;
            case BPF_LSH: a <<= operand & 31; break;
            case BPF_RSH: a >>= operand & 31; break;
            case BPF_NEG: a = -a; break;
            }
            break;
        case BPF_JMP: {
            int is_so = BPF_OP(f->code) == BPF_JEQ ? a == operand : BPF_OP(f->code) == BPF_JGT ? a > operand : BPF_OP(f->code) == BPF_JGE ? a >= operand : (a & operand) != 0;
            i += BPF_OP(f->code) == BPF_JA ? k : is_so ? f->jt : f->jf;
            break;
        }
        case BPF_RET:
            return BPF_RVAL(f->code) == BPF_A ? a : k;
        case BPF_MISC:
            if (BPF_MISCOP(f->code) == BPF_TAX)
                x = a;
            else
                a = x;
            break;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

static int is_let_through(uint32_t action) { return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG; }

static struct sock_filter filter[BPF_MAXINSNS];

/* Reads a stopped thread's filter of that number: how long it is, 0 behind the last, -1 when this user may not. */
static long read_filter(pid_t tid, unsigned long number)
{
    enum { GET_FILTER = 0x420c };
    long count = syscall(SYS_ptrace, GET_FILTER, tid, number, NULL);
    if (count < 0)
        return errno == ENOENT ? 0 : -1;
    return count <= BPF_MAXINSNS && syscall(SYS_ptrace, GET_FILTER, tid, number, filter) == count ? count : -1;
}

static int is_filtered; /* some thread, as far as was seen before one is stopped */

static void look_for_filters(void)
{
    for (size_t i = 0; i < thread_count; i++)
        is_filtered |= status_of(threads[i]).seccomp != 0;
}

/* Whether a stopped thread may have the kernel go on with the system call that it waited in: it makes one for that, which filters may not know. */
static int may_restart(pid_t tid)
{
    const struct wanted restart = { .number = SYS_restart_syscall };
    long count = 0;
    for (unsigned long n = 0; is_filtered && (count = read_filter(tid, n)) > 0; n++)
        if (!is_let_through(answer(filter, (size_t)count, &restart) & SECCOMP_RET_ACTION_FULL))
            return 0;
    return 1;
}

/* Ends with why when a filter of a stopped thread would not let the library do what it has to. */
static void check_filters(pid_t tid)
{
    long count;
    for (unsigned long n = 0; (count = read_filter(tid, n)) != 0; n++) {
        if (count < 0)
            fail("filters", "");
        for (size_t i = 0; i < COUNT(wanted); i++) {
            uint32_t action = answer(filter, (size_t)count, &wanted[i]) & SECCOMP_RET_ACTION_FULL;
            int is_allowed = is_let_through(action) || (!wanted[i].is_needed && action == SECCOMP_RET_ERRNO);
            char number[16];
            snprintf(number, sizeof number, "%d", wanted[i].number);
            if (!is_allowed)
                fail("forbidden", number);
        }
    }
}

/* The same of all threads: hooks run in each. One that has as many filters as the first has the same, most likely by far: they are inherited. */
static void check_all_filters(pid_t stopped)
{
    struct status first = status_of(stopped);
    if (first.seccomp == 2)
        check_filters(stopped);
    for (size_t i = 0; i < thread_count; i++) {
        pid_t tid = threads[i];
        struct status other = status_of(tid);
        if (other.seccomp == 1)
            fail("strict", "");
        if (tid == stopped || other.seccomp != 2 || (first.seccomp == 2 && other.filters == first.filters))
            continue;
        int was_held = place_of(tid) < held_count;
        if (!was_held && !stop_thread(tid))
            fail("filters", "");
        check_filters(tid);
        if (!was_held)
            let_go(tid);
    }
}
