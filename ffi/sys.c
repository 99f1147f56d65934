/* sys.c: every system call of the library, and the few memory functions that compilers expect. */
#include "heaptap.h"

#define HT_PROT_READ 1
#define HT_PROT_WRITE 2
#define HT_PROT_EXEC 4
#define HT_PROT_RW (HT_PROT_READ | HT_PROT_WRITE)
#define HT_MAP_SHARED 1
#define HT_MAP_PRIVATE 2
#define HT_MAP_FIXED 0x10
#define HT_MAP_ANONYMOUS 0x20
#define HT_MAP_NORESERVE 0x4000
#define HT_MAP_POPULATE 0x8000
#define HT_MAP_FIXED_NOREPLACE 0x100000
#define HT_MADV_RANDOM 1
#define HT_MADV_DONTNEED 4
#define HT_MADV_DONTFORK 10
#define HT_MADV_DOFORK 11
#define HT_MADV_NOHUGEPAGE 15
#define HT_MADV_DONTDUMP 16
#define HT_MADV_WIPEONFORK 18
#define HT_MADV_KEEPONFORK 19
#define HT_MADV_POPULATE_WRITE 23
#define HT_AT_FDCWD (-100)
#define HT_O_WRONLY 1
#define HT_O_RDWR 2
#define HT_O_CREAT 0100
#define HT_O_EXCL 0200
#define HT_O_APPEND 02000
#define HT_O_NOFOLLOW 0400000
#define HT_O_NONBLOCK 04000
#define HT_O_CLOEXEC 02000000
#define HT_EPERM 1
#define HT_EACCES 13
#define HT_EFAULT 14
#define HT_EEXIST 17
#define HT_EFBIG 27
#define HT_ENOSPC 28
#define HT_ENOSYS 38
#define HT_ENOMEM 12
#define HT_EINVAL 22
#define HT_ESRCH 3
#define HT_FUTEX_WAIT_PRIVATE (0 | 128)
#define HT_FUTEX_WAKE_PRIVATE (1 | 128)
#define HT_FUTEX_WAKE_OP_PRIVATE (5 | 128)
#define HT_FUTEX_OP_ADD_0 (1 << 28)
#define HT_RLIMIT_FSIZE 1
#define HT_RLIMIT_AS 9
#define HT_CLOCK_REALTIME 0
#define HT_CLOCK_MONOTONIC 1

#ifdef HT_TEST
#include <string.h>
#else
/* Compilers turn loops and struct copies into calls of these; these loops too, were it not for the empty instruction
 * that they cannot look into. Hidden: the program never sees them. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((char *)to)[i] = ((const char *)from)[i];
        HT_OPAQUE(i);
    }
    return to;
}

void *memset(void *to, int c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((char *)to)[i] = (char)c;
        HT_OPAQUE(i);
    }
    return to;
}
#endif

/* Every system call: what the program has forbidden itself is not made (seccomp.c), and fails. */
static long ht_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    if (HT_UNLIKELY(ht_is_filtered()) && !ht_filter_allows(n, (const long[6]){ a, b, c, d, e, f }))
        return -HT_EPERM;
    if (HT_FAULT(n))
        return -HT_FAULT_ERROR;
    return ht_arch_syscall(n, a, b, c, d, e, f);
}

static int ht_same_bytes(const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const char *)a)[i] != ((const char *)b)[i])
            return 0;
    return 1;
}

static size_t ht_length(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static int ht_same_text(const char *a, const char *b)
{
    size_t n = ht_length(a);
    return n == ht_length(b) && ht_same_bytes(a, b, n);
}

/* Where memory of the library's is asked for next: far below what there was at first, one behind the other. Else it would come to lie in the hole that
 * a program makes between two calls, to map something there itself: over ours then. Shared by all threads, each of which takes its part by adding to
 * it; 0 until the first has been mapped. A place that is taken meanwhile the kernel passes over. */
static uint64_t ht_sys_place;
#define HT_PLACE_APART (1ull << 36)

/* Private memory. Without huge pages: the tables are sparse, and one touched word must not cost
 * two megabytes. */
static void *ht_sys_map(size_t size)
{
    uint64_t place = ht_shared_get(&ht_sys_place);
    if (place)
        place = ht_shared_add(&ht_sys_place, (size + HT_PAGE - 1) & ~(HT_PAGE - 1ull));
    long at = ht_syscall(HT_SYS_MMAP, (long)place, (long)size, HT_PROT_RW, HT_MAP_PRIVATE | HT_MAP_ANONYMOUS | HT_MAP_NORESERVE, -1, 0);
    if (HT_FAILED(at))
        return NULL;
    if (!place && (uint64_t)at > 2 * HT_PLACE_APART)
        ht_shared_set(&ht_sys_place, (uint64_t)at - HT_PLACE_APART);
    ht_syscall(HT_SYS_MADVISE, at, (long)size, HT_MADV_NOHUGEPAGE, 0, 0, 0);
    ht_syscall(HT_SYS_MADVISE, at, (long)size, HT_MADV_DONTDUMP, 0, 0, 0);
    return (void *)at;
}

static void ht_sys_unmap(void *at, size_t size) { ht_syscall(HT_SYS_MUNMAP, (long)at, (long)size, 0, 0, 0, 0); }

static int ht_sys_not_inherited(void *at, size_t size)
{
    return ht_syscall(HT_SYS_MADVISE, (long)at, (long)size, HT_MADV_DONTFORK, 0, 0, 0) == 0;
}

static int ht_sys_wiped(void *at, size_t size)
{
    return ht_syscall(HT_SYS_MADVISE, (long)at, (long)size, HT_MADV_WIPEONFORK, 0, 0, 0) == 0;
}

/* Counts while this thread starts or holds a lock. A signal handler there passes through without a look at
 * anything that the lock may be of: signals wait meanwhile, but not those that a faulting instruction raises,
 * which anybody may send, and none where the program has forbidden the call. */
static HT_THREAD_LOCAL uint32_t ht_inside;

/* All signals wait from here on but those that a faulting instruction raises. Returns which waited before,
 * HT_SIGNALS_UNKNOWN when the kernel would not say: then none was changed. */
#define HT_SIGNALS_UNKNOWN (~0ull) /* no mask is that: two signals cannot be blocked */
static uint64_t ht_sys_block_signals(void)
{
    static const uint8_t faults[] = { 4, 5, 7, 8, 11, 31 };
    uint64_t most = ~0ull, before = 0;
    for (uint32_t i = 0; i < HT_COUNT(faults); i++)
        most &= ~(1ull << (faults[i] - 1));
    long result = ht_syscall(HT_SYS_RT_SIGPROCMASK, 0 /* SIG_BLOCK */, (long)&most, (long)&before, sizeof most, 0, 0);
    return HT_FAILED(result) ? HT_SIGNALS_UNKNOWN : before;
}

static void ht_sys_restore_signals(uint64_t before)
{
    if (before == HT_SIGNALS_UNKNOWN)
        return;
    /* It has just worked; whatever keeps it from working now must not leave the program deaf. Filters are not asked:
     * one that another thread has given itself since does not bind this one. */
    for (uint32_t tries = 0; tries < 2; tries++)
        if (!HT_FAULT(HT_SYS_RT_SIGPROCMASK)
            && !HT_FAILED(ht_arch_syscall(HT_SYS_RT_SIGPROCMASK, 2 /* SIG_SETMASK */, (long)&before, 0, sizeof before, 0, 0)))
            return;
}

/* What the two above set, or, for the moment, that a child has a copy of its own. */
static void ht_sys_inherit(void *at, size_t size, long advice)
{
    if (at)
        ht_syscall(HT_SYS_MADVISE, (long)at, (long)size, advice, 0, 0, 0);
}

/* Puts zeroed memory of this process's own in the place of what is mapped there. */
static void ht_sys_replace(void *at, size_t size)
{
    ht_syscall(HT_SYS_MMAP, (long)at, (long)size, HT_PROT_RW, HT_MAP_PRIVATE | HT_MAP_ANONYMOUS | HT_MAP_NORESERVE | HT_MAP_FIXED, -1, 0);
}

/* The kernel copies the set before it looks at `how`: EINVAL says that the copy went well. */
static long ht_sys_look(uint64_t address) { return ht_syscall(HT_SYS_RT_SIGPROCMASK, -1, (long)address, 0, 8, 0, 0); }
static int ht_sys_readable(uint64_t address) { return ht_sys_look(address) == -HT_EINVAL; }
static int ht_sys_faults(uint64_t address) { return ht_sys_look(address) == -HT_EFAULT; }

/* Whether a word can be stored to: the kernel adds 0 to it, atomically, or says that it may not.
 * Nobody waits at either address. */
static int ht_sys_writable(uint64_t *at)
{
    uint32_t nobody = 0;
    return ht_syscall(HT_SYS_FUTEX, (long)&nobody, HT_FUTEX_WAKE_OP_PRIVATE, 0, 0, (long)at, HT_FUTEX_OP_ADD_0) >= 0;
}

/* Whether the kernel keeps return addresses elsewhere too, and compares. */
static int ht_sys_shadow_stack(void)
{
    uint64_t features = 0;
    ht_syscall(HT_SYS_ARCH_PRCTL, 0x5005 /* ARCH_SHSTK_STATUS */, (long)&features, 0, 0, 0, 0);
    return features & 1;
}

/* Sets the protection of the pages of [low, high). */
static int ht_sys_protect(uint64_t low, uint64_t high, long protection)
{
    uint64_t page = low / HT_PAGE * HT_PAGE;
    return ht_syscall(HT_SYS_MPROTECT, (long)page, (long)(high - page), protection, 0, 0, 0) == 0;
}

/* Gives pages of private memory back; they read as zeros, those of a file as that has them. */
static void ht_sys_discard(void *at, size_t size) { ht_syscall(HT_SYS_MADVISE, (long)at, (long)size, HT_MADV_DONTNEED, 0, 0, 0); }

/* Hooks that leave all registers as they were are in use: what they call of others is called with the vector registers put by. For
 * good. 2 when the processor stores them by itself. */
static uint32_t ht_keeps;

static void ht_keeps_start(void)
{
    if (!ht_peek(&ht_keeps))
        ht_own_set(&ht_keeps, ht_arch_has_xsave() ? 2u : 1u);
}

/* The clock without a system call, when the kernel offers one (real.c finds it). A call into the
 * kernel costs a hot loop far more than its own time: predictors start anew. */
static int (*ht_vdso_clock)(int, int64_t[2]);

/* Makes a function that makes a call so. Not inlined: it has a large frame. */
#define HT_KEEPING(type, name, parameters, call)                                                   \
    HT_NOINLINE type name parameters                                                               \
    {                                                                                              \
        struct ht_vectors vectors;                                                                 \
        int xsave = ht_peek(&ht_keeps) == 2;                                                       \
        ht_arch_vectors_save(&vectors, xsave);                                                     \
        type result = call;                                                                        \
        ht_arch_vectors_load(&vectors, xsave);                                                     \
        return result;                                                                             \
    }
HT_KEEPING(int, ht_clock_keeping, (int clock, int64_t now[2]), ht_vdso_clock(clock, now))

/* 0 when the program has forbidden itself to ask. The kernel's own code may ask too, or read a counter of
 * the processor that a program under strict seccomp is ended for. */
static uint64_t ht_sys_now(int clock)
{
    int64_t now[2] = { 0, 0 };
    if (HT_UNLIKELY(ht_is_filtered()) && !ht_filter_allows(HT_SYS_CLOCK_GETTIME, (const long[6]){ clock, (long)now, 0, 0, 0, 0 }))
        return 0;
    if (!ht_vdso_clock || (HT_UNLIKELY(ht_peek(&ht_keeps)) ? ht_clock_keeping(clock, now) : ht_vdso_clock(clock, now)) != 0)
        ht_syscall(HT_SYS_CLOCK_GETTIME, clock, (long)now, 0, 0, 0, 0);
    return (uint64_t)now[0] * 1000000000u + (uint64_t)now[1];
}

static void ht_sys_yield(void) { ht_syscall(HT_SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0); }

static uint32_t ht_sys_pid(void) { return (uint32_t)ht_syscall(HT_SYS_GETPID, 0, 0, 0, 0, 0, 0); }
static uint32_t ht_sys_parent(void) { return (uint32_t)ht_syscall(HT_SYS_GETPPID, 0, 0, 0, 0, 0, 0); }
static uint32_t ht_sys_tid(void) { return (uint32_t)ht_syscall(HT_SYS_GETTID, 0, 0, 0, 0, 0, 0); }

static int ht_sys_thread_gone(uint32_t tid)
{
    return ht_syscall(HT_SYS_TGKILL, ht_sys_pid(), tid, 0, 0, 0, 0) == -HT_ESRCH;
}

static void ht_sys_thread_name(char name[16])
{
    ht_syscall(HT_SYS_PRCTL, 16 /* PR_GET_NAME */, (long)name, 0, 0, 0, 0);
}

/* Bytes that a file of this process may have (beyond, the kernel would send SIGXFSZ), or its address space; all ones when
 * there is no limit. */
static uint64_t ht_sys_limit(int which)
{
    uint64_t limit[2] = { ~0ull, ~0ull };
    ht_syscall(HT_SYS_PRLIMIT64, 0, which, 0, (long)limit, 0, 0);
    return limit[0];
}

static long ht_sys_readlink(const char *path, char *to, size_t size)
{
    return ht_syscall(HT_SYS_READLINK, (long)path, (long)to, (long)size, 0, 0, 0);
}

static long ht_sys_create(const char *path)
{
    return ht_syscall(HT_SYS_OPENAT, HT_AT_FDCWD, (long)path,
                      HT_O_RDWR | HT_O_CREAT | HT_O_EXCL | HT_O_NOFOLLOW | HT_O_CLOEXEC, 0600, 0, 0);
}

static long ht_sys_truncate(long fd, uint64_t size) { return ht_syscall(HT_SYS_FTRUNCATE, fd, (long)size, 0, 0, 0, 0); }
static void ht_sys_close(long fd) { ht_syscall(HT_SYS_CLOSE, fd, 0, 0, 0, 0, 0); }
static void ht_sys_unlink(const char *path) { ht_syscall(HT_SYS_UNLINK, (long)path, 0, 0, 0, 0, 0); }

/* The resident set in bytes; 0 when the kernel does not tell. The descriptor is there for this moment only. */
static uint64_t ht_sys_resident(void)
{
    char text[128] = { 0 };
    long fd = ht_syscall(HT_SYS_OPENAT, HT_AT_FDCWD, (long)"/proc/self/statm", HT_O_CLOEXEC, 0, 0, 0);
    if (HT_FAILED(fd))
        return 0;
    ht_syscall(HT_SYS_PREAD64, fd, (long)text, sizeof text - 1, 0, 0, 0);
    ht_sys_close(fd);
    const char *c = text;
    while (*c && *c != ' ')
        c++;
    uint64_t pages = 0;
    for (c += *c == ' '; *c >= '0' && *c <= '9'; c++)
        pages = pages * 10 + (uint64_t)(*c - '0');
    return pages * HT_PAGE;
}

static void *ht_sys_map_file(long fd, uint64_t size)
{
    long at = ht_syscall(HT_SYS_MMAP, 0, (long)size, HT_PROT_RW, HT_MAP_SHARED, fd, 0);
    if (HT_FAILED(at))
        return NULL;
    /* No read-ahead: the file is holes, and each touched page would bring megabytes of zeros along. */
    ht_syscall(HT_SYS_MADVISE, at, (long)size, HT_MADV_RANDOM, 0, 0, 0);
    return (void *)at;
}

/* Makes the file system give room for a part of a mapped file now, so that no later store meets a
 * full disk, which would be a SIGBUS in the program. Returns 1 when the room is there. Without a
 * path it is private memory, which needs no asking. */
static int ht_sys_reserve(uint8_t *at, size_t size, const char *path, uint64_t offset)
{
    if (!*path)
        return 1;
    long result = ht_syscall(HT_SYS_MADVISE, (long)at, (long)size, HT_MADV_POPULATE_WRITE, 0, 0, 0);
    if (result != -HT_EINVAL)
        return result == 0;
    /* Linux before 5.14. The descriptor is there for this moment only. */
    long fd = ht_syscall(HT_SYS_OPENAT, HT_AT_FDCWD, (long)path, HT_O_RDWR | HT_O_NOFOLLOW | HT_O_CLOEXEC, 0, 0, 0);
    if (HT_FAILED(fd))
        return 0;
    result = ht_syscall(HT_SYS_FALLOCATE, fd, 0, (long)offset, (long)size, 0, 0);
    ht_sys_close(fd);
    return result == 0;
}

/* A thread of a higher priority must not keep the holder from going on: after some tries it sleeps. Not for
 * ever: the program may not let us wake it. */
static void ht_lock_bare(struct ht_lock *lock)
{
    for (uint32_t tries = 0; tries < 64; tries++) {
        uint32_t is_free = 0;
        if (ht_peek(&lock->held) == 0 && ht_shared_swap(&lock->held, &is_free, 1))
            return;
    }
    const int64_t ten_milliseconds[2] = { 0, 10000000 };
    while (ht_shared_exchange(&lock->held, 2u) != 0)
        if (ht_syscall(HT_SYS_FUTEX, (long)&lock->held, HT_FUTEX_WAIT_PRIVATE, 2, (long)ten_milliseconds, 0, 0) == -HT_EPERM)
            ht_sys_yield();
}

static void ht_unlock_bare(struct ht_lock *lock)
{
    if (ht_shared_exchange(&lock->held, 0u) == 2)
        ht_syscall(HT_SYS_FUTEX, (long)&lock->held, HT_FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

static void ht_lock(struct ht_lock *lock)
{
    uint64_t before = ht_sys_block_signals();
    ht_inside++;
    ht_lock_bare(lock);
    lock->signals = before;
}

static int ht_try_lock(struct ht_lock *lock)
{
    uint32_t is_free = 0;
    uint64_t before = ht_sys_block_signals();
    int taken = ht_peek(&lock->held) == 0 && ht_shared_swap(&lock->held, &is_free, 1);
    if (taken) {
        ht_inside++;
        lock->signals = before;
    } else {
        ht_sys_restore_signals(before);
    }
    return taken;
}

static void ht_unlock(struct ht_lock *lock)
{
    uint64_t before = lock->signals;
    ht_unlock_bare(lock);
    ht_inside--;
    ht_sys_restore_signals(before);
}

/* Where the stack of the first thread began, as the kernel made it; 0 when it does not tell. */
static uint64_t ht_sys_stack_start(void)
{
    enum { PLACE = 28 - 2 }; /* behind the name, which may have any character in it */
    char text[1024];
    long fd = ht_syscall(HT_SYS_OPENAT, HT_AT_FDCWD, (long)"/proc/self/stat", HT_O_CLOEXEC, 0, 0, 0);
    if (HT_FAILED(fd))
        return 0;
    long n = ht_syscall(HT_SYS_READ, fd, (long)text, sizeof text - 1, 0, 0, 0), at = n;
    ht_sys_close(fd);
    while (at > 0 && text[at - 1] != ')')
        at--;
    if (HT_FAILED(n) || at == 0)
        return 0;
    uint64_t value = 0;
    for (uint32_t place = 0; at < n && place <= PLACE; at++) {
        if (text[at] == ' ')
            place++, value = place <= PLACE ? 0 : value;
        else
            value = value * 10 + (uint64_t)(text[at] - '0');
    }
    return ht_sys_readable(value) ? value : 0;
}
