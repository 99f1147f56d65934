/*
 * A signal handler that allocates after each instruction of a program (the trap flag), and compares its
 * stack with libgcc's: prologues and epilogues, PLT entries, the dynamic linker's lazy binding, setjmp and
 * longjmp, realigned frames, callbacks of the C library, an exception (but for libgcc's own code). Prints how many stacks there
 * were, and how many of them libgcc ended early for want of a table.
 */
#include <algorithm>
#include <alloca.h>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <link.h>
#include <stdexcept>
#include <string>
#include <ucontext.h>
#include <unwind.h>
#include <vector>

extern "C" {
void unwind_check_malloc(void);
extern long unwind_checks, unwind_frames, unwind_beyond;
}

static volatile int sink;

/* libgcc's own code: in its last instructions before a landing pad the table is wrong, and libgcc ends in SIGSEGV. */
static uintptr_t libgcc_low, libgcc_high;
static long in_libgcc;
static int find_libgcc(dl_phdr_info *info, size_t, void *)
{
    uintptr_t low = ~uintptr_t(0), high = 0, inside = reinterpret_cast<uintptr_t>(&_Unwind_Backtrace);
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            low = std::min(low, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            high = std::max(high, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
        }
    if (inside < low || inside >= high)
        return 0;
    libgcc_low = low;
    libgcc_high = high;
    return 1;
}

static void on_trap(int, siginfo_t *, void *context)
{
    auto pc = static_cast<uintptr_t>(static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_RIP]);
    if (pc >= libgcc_low && pc < libgcc_high)
        in_libgcc++;
    else
        unwind_check_malloc();
}

extern "C" void step_from_here(void), step_to_here(void);
__asm__(".text\n"
        "step_from_here:\n.cfi_startproc\npushfq\n.cfi_adjust_cfa_offset 8\norq $0x100, (%rsp)\npopfq\n"
        ".cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n"
        "step_to_here:\n.cfi_startproc\npushfq\n.cfi_adjust_cfa_offset 8\nandq $~0x100, (%rsp)\npopfq\n"
        ".cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\n");

struct Shape {
    virtual ~Shape() = default;
    virtual int go(int) = 0;
};
struct Plain : Shape {
    __attribute__((noinline)) int go(int n) override { return n ? go(n - 1) + 1 : sink; }
};

__attribute__((noinline)) static int aligned_local(int n)
{
    alignas(64) volatile char room[128];
    room[n] = static_cast<char>(n);
    sink = n;
    return room[n] + abs(n);
}

__attribute__((noinline)) static int aligned_variable(int n)
{
    alignas(64) volatile char room[64];
    volatile char *more = static_cast<volatile char *>(alloca(static_cast<size_t>(n) + 16));
    room[0] = more[0] = static_cast<char>(n);
    return room[0] + more[0] + atoi("7");
}

/* Every callee-saved register is in use. */
__attribute__((noinline)) static long many(long a, long b, long c, long d, long e, long f, long g)
{
    long before = a * 3 + b * 5 + c;
    sink = abs(static_cast<int>(before));
    return before + d * 7 + e * 11 + f * 13 + g + a + b + c;
}

__attribute__((noinline)) static int huge(int n)
{
    volatile char room[70000];
    room[n] = room[69999] = 1;
    sink = room[n];
    return n;
}

static jmp_buf back;
#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline)) static void jump(int n)
{
    if (n == 0)
        longjmp(back, 1);
    jump(n - 1);
    sink = n;
}

static int compare(const void *a, const void *b) { return *static_cast<const int *>(a) - *static_cast<const int *>(b); }

__attribute__((noinline)) static void thrower(int n)
{
    std::string words(40, 'x');
    if (n == 0)
        throw std::runtime_error(words);
    thrower(n - 1);
    sink = static_cast<int>(words.size());
}

__attribute__((noinline)) static void catcher()
{
    try {
        thrower(2);
    } catch (const std::exception &e) {
        sink = e.what()[0];
    }
}

__attribute__((noinline)) static void work()
{
    Plain plain;
    Shape *shape = &plain;
    sink = shape->go(3);
    sink = aligned_local(5);
    sink = aligned_variable(20);
    sink = static_cast<int>(many(1, 2, 3, 4, 5, 6, 7));
    sink = huge(3);
    if (!setjmp(back))
        jump(3);
    int numbers[] = { 3, 1, 2 };
    qsort(numbers, 3, sizeof numbers[0], compare);
    std::vector<int> v(5, 1);
    std::sort(v.begin(), v.end(), [](int a, int b) { return a > b; });
    std::string text("a text that is longer than a small one");
    text += std::to_string(sink);
    sink = static_cast<int>(strlen(text.c_str()) + static_cast<size_t>(strcmp(text.c_str(), "b")));
    char formatted[64];
    snprintf(formatted, sizeof formatted, "%d %s", sink, "words");
    sink = dlsym(RTLD_DEFAULT, "qsort") != nullptr;
    raise(SIGUSR1);
}

static void on_signal(int) { unwind_check_malloc(); }

int main()
{
    struct sigaction action = {};
    dl_iterate_phdr(find_libgcc, nullptr);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, nullptr);
    action.sa_flags = 0;
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, nullptr);
    catcher(); /* what libgcc does once */
    unwind_check_malloc();
    step_from_here();
    work();
    step_to_here();
    long plain = unwind_checks;
    step_from_here();
    catcher();
    step_to_here();
    if (plain < 5000 || unwind_checks - plain < 5000) {
        fprintf(stderr, "only %ld and %ld instructions were stepped\n", plain, unwind_checks - plain);
        return 1;
    }
    printf("%ld stacks, %ld frames; %ld beyond libgcc's end, %ld in libgcc left out\n", unwind_checks, unwind_frames, unwind_beyond, in_libgcc);
    return 0;
}
