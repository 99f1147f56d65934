/*
 * stub.c: the code that runs in the process, and what it shares with this program.
 *
 * The process writes what is marked so of `struct call`, until `done`; this program writes `seen` after it has read that, for which the
 * stub waits up to half a second; it is written while the thread is stopped there: afterwards its stack is the program's. The stub's bytes are the same each time: a thread may be in it still when the next one goes there.
 */
#define STUB_STACK 262144
#define STUB_STATE 16384 /* for XSAVE, at the top of it */

/* On the thread's stack, with the address to go on at above it, and beneath it the texts, and beneath those where it is: there
 * the stub's own frame begins. The offsets stand in the stub too. */
struct call {
    uint64_t frame;    /* the stub's: where the thread's registers are */
    uint64_t mapped;   /* the stub's: its stack, or an error */
    uint64_t all;      /* signals: all but one */
    uint64_t old;      /* those that are to be blocked afterwards */
    uint64_t opener;   /* dlopen; 0 when the library is there already */
    uint64_t path;     /* where the library's path stands */
    uint64_t mode;     /* for dlopen */
    uint64_t handle;   /* the stub's */
    uint64_t function; /* as an address; as an offset in the library when that is opened first */
    uint64_t texts;    /* what the function gets */
    uint64_t result;   /* the stub's: what it gave */
    uint64_t complain; /* dlerror */
    uint64_t complaint; /* the stub's: what that gave */
    uint64_t locate;   /* __errno_location */
    uint64_t place;    /* the stub's: what that gave */
    uint32_t number;   /* the stub's: errno */
    uint32_t done;     /* the stub's: all of the above is there */
    uint32_t seen;
    uint32_t patience; /* 256 cycles each */
    uint64_t caught;   /* signals that are not blocked and have a handler */
    uint64_t pending;  /* the stub's */
    uint64_t action[4]; /* the stub's: of one of them */
    uint32_t interrupted; /* enum interrupted: of the system call that begins anew */
    uint32_t is_musl;     /* its signal 33 cancels a thread, which sees that behind a system call that it interrupts, whatever its action says */
};
_Static_assert(offsetof(struct call, seen) == 128 && offsetof(struct call, action) == 152 && sizeof(struct call) == 192, "as the stub has it");

/* What a system call gives when a signal's handler has run in it: nothing, or EINTR, or that unless the handler was set with SA_RESTART. */
enum interrupted { NOT_INTERRUPTED, INTERRUPTED, INTERRUPTED_ONCE };

extern const uint8_t stub[], stub_out[], stub_end[];
__asm__(".pushsection .rodata\n"
        "stub:\n"
        "pushfq; push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi\n"
        "push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15\n"
        "cld\n"
        "mov 128(%rsp), %rbx; mov %rsp, (%rbx)\n"
        "mov $14, %eax; mov $2, %edi; lea 16(%rbx), %rsi; xor %edx, %edx; mov $8, %r10d; syscall\n" /* rt_sigprocmask */
        "mov $9, %eax; xor %edi, %edi; mov $262144, %esi; mov $3, %edx; mov $0x22, %r10d; mov $-1, %r8; xor %r9d, %r9d; syscall\n" /* mmap */
        "mov %rax, 8(%rbx)\n"
        "cmp $-4096, %rax; jae 2f\n"
        "lea 245760(%rax), %rsp\n"
        "mov $-1, %eax; mov %eax, %edx; xsave64 (%rsp)\n"
        "fninit; push $0x1f80; push $0x1f80; ldmxcsr (%rsp)\n"
        "call *104(%rbx); mov %rax, 112(%rbx); mov (%rax), %eax; mov %eax, 120(%rbx)\n"
        "cmpq $0, 32(%rbx); je 1f\n"
        "mov 40(%rbx), %rdi; mov 48(%rbx), %esi; call *32(%rbx)\n"
        "mov %rax, 56(%rbx); test %rax, %rax; jne 0f\n"
        "call *88(%rbx); mov %rax, 96(%rbx); jmp stub_out\n"
        "0: mov (%rax), %rax; add %rax, 64(%rbx)\n"
        "1: mov 72(%rbx), %rdi; call *64(%rbx); cltq; mov %rax, 80(%rbx)\n"
        "stub_out:\n"
        "mov 112(%rbx), %rax; test %rax, %rax; je 3f; mov 120(%rbx), %ecx; mov %ecx, (%rax)\n"
        "3: mov 8(%rbx), %rdi; lea 245760(%rdi), %rcx; mov $-1, %eax; mov %eax, %edx; xrstor64 (%rcx)\n"
        "mov (%rbx), %rsp\n"
        "mov $11, %eax; mov $262144, %esi; syscall\n" /* munmap */
        "2: movl $1, 124(%rbx)\n"
        "rdtsc; shl $32, %rdx; or %rax, %rdx; mov 132(%rbx), %eax; shl $8, %rax; lea (%rax,%rdx), %r12\n"
        "4: cmpl $0, 128(%rbx); jne 5f; mov $24, %eax; syscall\n" /* sched_yield */
        "rdtsc; shl $32, %rdx; or %rdx, %rax; cmp %r12, %rax; jb 4b\n"
        /* A signal that has come meanwhile is what the system call would have ended of: EINTR, behind it. */
        "5: mov $127, %eax; lea 144(%rbx), %rdi; mov $8, %esi; syscall\n" /* rt_sigpending */
        "mov 144(%rbx), %rax; and 136(%rbx), %rax; je 7f\n"
        "mov 184(%rbx), %ecx; test %ecx, %ecx; je 7f\n"
        "cmp $1, %ecx; je 6f\n"
        "cmpl $0, 188(%rbx); je 8f; bt $32, %rax; jc 6f; 8:\n"
        "bsf %rax, %rdi; inc %edi; mov $13, %eax; xor %esi, %esi; lea 152(%rbx), %rdx; mov $8, %r10d; syscall\n" /* rt_sigaction */
        "testl $0x10000000, 160(%rbx); jne 7f\n"
        "6: mov (%rbx), %rdx; movq $-4, 112(%rdx); addq $2, 192(%rbx)\n"
        "7: mov $14, %eax; mov $2, %edi; lea 24(%rbx), %rsi; xor %edx, %edx; mov $8, %r10d; syscall\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8\n"
        "pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax; popfq\n"
        "mov (%rsp), %rsp; lea 192(%rsp), %rsp\n" /* where the call's structure is, and its size */
        "ret $128\n" /* the red zone */
        "stub_end:\n"
        ".popsection");
#define STUB_SIZE ((size_t)(stub_end - stub))
#define STUB_ROOM 512u
