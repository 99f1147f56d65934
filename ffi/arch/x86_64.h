/*
 * x86-64: everything in the library that depends on the CPU.
 *
 * A port brings its own file with the same names: system calls, DWARF register numbers, where the
 * return address lies, how a signal frame looks, how far addresses reach.
 */
#ifndef HT_ARCH_H
#define HT_ARCH_H

#include <stdint.h>

#define HT_MACHINE 62 /* EM_X86_64 */
#define HT_AUDIT_ARCH 0xc000003eu /* as seccomp filters see it */
/* User addresses are below 2^47; what lies above cannot be a heap block here. */
#define HT_ADDRESS_BITS 47
#define HT_PAGE 4096u

/* DWARF register numbers, from the psABI. */
#define HT_DWARF_FP 6
#define HT_DWARF_SP 7
#define HT_DWARF_PC 16
#define HT_DWARF_COUNT 17

/* The caller's state at the call of a hook. Read from the hook's own frame record, which the
 * builtin makes the compiler set up whatever its flags are: saved rbp, then the return address. */
struct ht_regs {
    uint64_t pc; /* return address */
    uint64_t sp; /* stack pointer once the call has returned */
    uint64_t fp; /* rbp */
};

#define HT_CALLER()                                                                                \
    ({                                                                                             \
        const uint64_t *frame_ = __builtin_frame_address(0);                                       \
        (struct ht_regs){ frame_[1], (uint64_t)(frame_ + 2), frame_[0] };                          \
    })

/* Relocations that store a symbol's address: a pointer in data, the two kinds of table slots. */
#define HT_RELOCATION_IS_POINTER(type) ((type) == 1 || (type) == 6 || (type) == 7)

/* Below the CFA lies the return address. */
#define HT_RA_SLOT(cfa) ((cfa) - 8)

/* A signal frame: the kernel leaves a ucontext at the CFA's place. Offsets of its registers. */
#define HT_SIGNAL_FP (40 + 10 * 8)
#define HT_SIGNAL_SP (40 + 15 * 8)
#define HT_SIGNAL_PC (40 + 16 * 8)
/* The same of all registers, in DWARF's order: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 to r15, rip. */
static const uint8_t ht_signal_offsets[HT_DWARF_COUNT]
    = { 144, 136, 152, 128, 112, 104, 120, 160, 40, 48, 56, 64, 72, 80, 88, 96, 168 };
_Static_assert(HT_SIGNAL_FP == 120 && HT_SIGNAL_SP == 160 && HT_SIGNAL_PC == 168, "the same places");

/* Whether a signal handler returns to this code: mov $15,%eax or %rax (rt_sigreturn), syscall. */
#define HT_TRAMPOLINE_SIZE 9
static inline int ht_arch_is_trampoline(const uint8_t *code)
{
    static const uint8_t wide[] = { 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5 }, narrow[] = { 0xb8, 15, 0, 0, 0, 0x0f, 5 };
    uint32_t same = 0, same_narrow = 0;
    while (same < sizeof wide && code[same] == wide[same])
        same++;
    while (same_narrow < sizeof narrow && code[same_narrow] == narrow[same_narrow])
        same_narrow++;
    return same == sizeof wide || same_narrow == sizeof narrow;
}

/* The registers here that a call leaves alone, by DWARF number; returns which they are, a bit each. */
static inline __attribute__((always_inline)) uint32_t ht_arch_registers(uint64_t value[HT_DWARF_COUNT])
{
    __asm__ volatile("movq %%rbx, 24(%0)\n\tmovq %%rbp, 48(%0)\n\tmovq %%rsp, 56(%0)\n\tmovq %%r12, 96(%0)\n\t"
                     "movq %%r13, 104(%0)\n\tmovq %%r14, 112(%0)\n\tmovq %%r15, 120(%0)\n\t"
                     "leaq 1f(%%rip), %%rax\n1:\tmovq %%rax, 128(%0)"
                     :
                     : "c"(value)
                     : "rax", "memory");
    return 1u << 3 | 1u << 6 | 1u << 7 | 15u << 12 | 1u << 16;
}

static inline long ht_arch_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* The bits of the double that a number is. The one place where a vector register is used: in a call
 * from a script, where the ABI lets it change, never in a hook. A compiler that is told to leave vector
 * registers alone (-mgeneral-regs-only) will not hear that one changes. */
#ifdef __SSE2__
#define HT_CHANGES_XMM0 "xmm0"
#else
#define HT_CHANGES_XMM0
#endif
static inline uint64_t ht_arch_double(int64_t n)
{
    uint64_t bits;
    __asm__("cvtsi2sdq %1, %%xmm0\n\tmovq %%xmm0, %0" : "=r"(bits) : "r"(n) : HT_CHANGES_XMM0);
    return bits;
}

#define HT_VDSO_CLOCK "__vdso_clock_gettime"

enum ht_syscall_number {
    HT_SYS_READ = 0,
    HT_SYS_CLOSE = 3,
    HT_SYS_MMAP = 9,
    HT_SYS_MPROTECT = 10,
    HT_SYS_MUNMAP = 11,
    HT_SYS_BRK = 12,
    HT_SYS_RT_SIGPROCMASK = 14,
    HT_SYS_PREAD64 = 17,
    HT_SYS_PWRITE64 = 18,
    HT_SYS_WRITEV = 20,
    HT_SYS_ACCESS = 21,
    HT_SYS_SCHED_YIELD = 24,
    HT_SYS_MADVISE = 28,
    HT_SYS_GETPID = 39,
    HT_SYS_CLONE = 56,
    HT_SYS_FORK = 57,
    HT_SYS_EXECVE = 59,
    HT_SYS_FTRUNCATE = 77,
    HT_SYS_GETCWD = 79,
    HT_SYS_UNLINK = 87,
    HT_SYS_READLINK = 89,
    HT_SYS_GETUID = 102,
    HT_SYS_GETGID = 104,
    HT_SYS_GETPPID = 110,
    HT_SYS_SIGALTSTACK = 131,
    HT_SYS_FSTATFS = 138,
    HT_SYS_PRCTL = 157,
    HT_SYS_ARCH_PRCTL = 158,
    HT_SYS_GETTID = 186,
    HT_SYS_FGETXATTR = 193,
    HT_SYS_FUTEX = 202,
    HT_SYS_CLOCK_GETTIME = 228,
    HT_SYS_TGKILL = 234,
    HT_SYS_OPENAT = 257,
    HT_SYS_FALLOCATE = 285,
    HT_SYS_PRLIMIT64 = 302,
    HT_SYS_SECCOMP = 317,
    HT_SYS_EXECVEAT = 322,
    HT_SYS_STATX = 332,
    HT_SYS_CLONE3 = 435,
};

/*
 * Whether libffi's way out stands behind a call: lea 0x18(%rbp),%rsp; mov (%rbp),%rcx; mov 8(%rbp),%rdi; mov 0x10(%rbp),%rbp, and jumps that nobody can
 * follow. Its tables were stripped in some runtimes (Deno). `code` has 16 bytes.
 */
#define HT_LIBFFI_DISTANCE (0x18 + 8) /* from rbp to the CFA */
#define HT_LIBFFI_FP_SLOT 2
static inline int ht_arch_is_libffi(const uint8_t *code)
{
    static const uint8_t way[16] = { 0x48, 0x8d, 0x65, 0x18, 0x48, 0x8b, 0x4d, 0, 0x48, 0x8b, 0x7d, 8, 0x48, 0x8b, 0x6d, 0x10 };
    uint32_t same = 0;
    while (same < sizeof way && code[same] == way[same])
        same++;
    return same == sizeof way;
}

/*
 * Hooks that are alike (allocators.c), in two forms, one behind the other. The first says in the sixth parameter's register which
 * route is its own and jumps to the way that the route names; the stack is its caller's all the while. The second says so on the stack.
 */
#define HT_ROUTE_SIZE 40
#define HT_ROUTE_WAY 8
#define HT_STUB_ALIGNMENT 16
#define HT_STUBS_BEGIN(sets)                                                                       \
    ".pushsection .text\n.p2align 4\n.hidden ht_stubs\n.globl ht_stubs\n.type ht_stubs,@function\nht_stubs:\n.cfi_startproc\n"        \
    ".set ht_route_number, 0\n.rept " HT_NUMBER_TEXT(sets) "\n"
#define HT_STUB_NEXT                                                                               \
    ".p2align 4\nleaq ht_routes+40*ht_route_number(%rip), %r9\njmp *8(%r9)\n"                       \
    ".p2align 4\npushq $ht_route_number\n.cfi_adjust_cfa_offset 8\njmp ht_keeping_hook\n.cfi_adjust_cfa_offset -8\n"                      \
    ".set ht_route_number, ht_route_number+1\n"
#define HT_STUBS_END ".endr\n.cfi_endproc\n.size ht_stubs, .-ht_stubs\n.popsection\n"

/*
 * Compilers know what a function that they have seen leaves alone, and that it wants no aligned stack, where all that it calls is in
 * sight too. So this keeps every general register, and gives the stack 16 bytes' alignment. (Vector registers are
 * used by nothing here, but by what is called of others: ht_vectors.)
 */
struct ht_kept_registers {
    uint64_t parameters[6]; /* rdi, rsi, rdx, rcx, r8, r9 */
    uint64_t r10, r11, result;
};
#define HT_KEEP                                                                                    \
    ".pushsection .text\n.p2align 4\n.type ht_keeping_hook,@function\nht_keeping_hook:\n.cfi_startproc\n.cfi_def_cfa_offset 16\n"                   \
    "pushq %rbp\n.cfi_def_cfa_offset 24\n.cfi_offset %rbp, -24\nmovq %rsp, %rbp\n.cfi_def_cfa_register %rbp\nandq $-16, %rsp\n"    \
    "subq $80, %rsp\nmovq %rdi, (%rsp)\nmovq %rsi, 8(%rsp)\nmovq %rdx, 16(%rsp)\nmovq %rcx, 24(%rsp)\nmovq %r8, 32(%rsp)\n"       \
    "movq %r9, 40(%rsp)\nmovq %r10, 48(%rsp)\nmovq %r11, 56(%rsp)\nmovq %rax, 64(%rsp)\nmovq %rsp, %rdi\nmovq %rbp, %rsi\ncall ht_keep_go\n"           \
    "movq (%rsp), %rdi\nmovq 8(%rsp), %rsi\nmovq 16(%rsp), %rdx\nmovq 24(%rsp), %rcx\nmovq 32(%rsp), %r8\nmovq 40(%rsp), %r9\n"   \
    "movq 48(%rsp), %r10\nmovq 56(%rsp), %r11\nmovq 64(%rsp), %rax\nmovq %rbp, %rsp\npopq %rbp\n.cfi_def_cfa %rsp, 16\n.cfi_restore %rbp\n" \
    "leaq 8(%rsp), %rsp\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n.size ht_keeping_hook, .-ht_keeping_hook\n.popsection\n"
/* The vector registers, as the processor stores what of them is in use. */
struct ht_vectors {
    uint8_t area[2816] __attribute__((aligned(64)));
};
enum { HT_VECTOR_PARTS = 0xe6 }; /* of 16, 32 and 64 bytes, and masks */
static inline int ht_arch_has_xsave(void)
{
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 27 & 1;
}
static inline void ht_arch_vectors_save(struct ht_vectors *v, int xsave)
{
    for (uint32_t i = 512; i < 576; i += 8)
        *(uint64_t *)(v->area + i) = 0;
    if (xsave)
        __asm__ volatile("xsave64 %0" : "=m"(*v) : "a"(HT_VECTOR_PARTS), "d"(0) : "memory");
    else
        __asm__ volatile("fxsave64 %0" : "=m"(*v) : : "memory");
}
static inline void ht_arch_vectors_load(const struct ht_vectors *v, int xsave)
{
    if (xsave)
        __asm__ volatile("xrstor64 %0" : : "m"(*v), "a"(HT_VECTOR_PARTS), "d"(0) : "memory");
    else
        __asm__ volatile("fxrstor64 %0" : : "m"(*v) : "memory");
}

#define HT_NUMBER_TEXT(x) HT_NUMBER_TEXT_OF(x)
#define HT_NUMBER_TEXT_OF(x) #x

#endif
