/*
 * malloc(100) in code of three kinds: `registered`, made at run time with an unwind table that is registered, without a
 * frame pointer; `guessed`, without a table, with a frame pointer, and a jump on its way out; `moved`, whose CFA is in rbx. Each is called by a
 * function of its own, call_registered and so on, which main calls. Then the table is taken back. Exits with 0.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern void __register_frame(void *), __deregister_frame(void *);

static volatile int sink;
static void *volatile kept;

__attribute__((noinline)) void allocate(void)
{
    kept = malloc(100);
    sink++;
}

void guessed(void), moved(void);
__asm__(".text\n"
        /* Not followed by the way out, which would tell it. */
        "guessed: push %rbp\n mov %rsp,%rbp\n sub $32,%rsp\n call allocate\n jmp 1f\n 1: leave\n ret\n"
        "moved: .cfi_startproc\n push %rbx\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset %rbx,0\n mov %rsp,%rbx\n .cfi_def_cfa_register %rbx\n"
        " and $-64,%rsp\n sub $128,%rsp\n call allocate\n mov %rbx,%rsp\n .cfi_def_cfa_register %rsp\n pop %rbx\n .cfi_adjust_cfa_offset -8\n"
        " ret\n .cfi_endproc\n");

static uint8_t *page;

static uint8_t *put(uint8_t *at, const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return at + n;
}

/* push rbx; sub $32,rsp; mov allocate,rax; call rax; nop; add $32,rsp; pop rbx; ret */
static uint8_t *make(void)
{
    uint64_t callee = (uint64_t)(void *)allocate, start = (uint64_t)page, size = 26;
    uint32_t back = 28;
    uint8_t *c = put(page, "\x53\x48\x83\xec\x20\x48\xb8", 7), *table = page + 64, *t;
    c = put(c, &callee, 8);
    put(c, "\xff\xd0\x90\x48\x83\xc4\x20\x5b\xc3", 9);
    t = put(table, "\x14\0\0\0\0\0\0\0\1\0\1\x78\x10\x0c\7\x08\x90\1\0\0\0\0\0\0", 24);
    t = put(t, "\x1c\0\0\0", 4);
    t = put(t, &back, 4);
    t = put(t, &start, 8);
    t = put(t, &size, 8);
    put(t, "\x41\x0e\x10\x83\2\x44\x0e\x30\0\0\0\0", 12);
    return table;
}

__attribute__((noinline)) static void call_registered(void)
{
    ((void (*)(void))(void *)page)();
    sink++;
}

__attribute__((noinline)) static void call_guessed(void)
{
    guessed();
    sink++;
}

__attribute__((noinline)) static void call_moved(void)
{
    moved();
    sink++;
}

int main(void)
{
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 1;
    uint8_t *table = make();
    __register_frame(table);
    for (volatile int i = 0; i < 3; i = i + 1) {
        call_registered();
        call_guessed();
        call_moved();
    }
    __deregister_frame(table);
    return 0;
}
