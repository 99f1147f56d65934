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

/* Ends with why when a filter of a stopped thread would not let the library do what it has to. */
static void check_filters(pid_t tid)
{
    enum { GET_FILTER = 0x420c };
    static struct sock_filter code[BPF_MAXINSNS];
    for (unsigned long n = 0; n < 64; n++) {
        long count = syscall(SYS_ptrace, GET_FILTER, tid, n, NULL);
        if (count < 0 && errno == ENOENT)
            return; /* behind the last */
        if (count < 0 || count > BPF_MAXINSNS || syscall(SYS_ptrace, GET_FILTER, tid, n, code) != count)
            fail("filters", "");
        for (size_t i = 0; i < COUNT(wanted); i++) {
            uint32_t action = answer(code, (size_t)count, &wanted[i]) & SECCOMP_RET_ACTION_FULL;
            int is_allowed = action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || (!wanted[i].is_needed && action == SECCOMP_RET_ERRNO);
            char number[16];
            snprintf(number, sizeof number, "%d", wanted[i].number);
            if (!is_allowed)
                fail("forbidden", number);
        }
    }
}
