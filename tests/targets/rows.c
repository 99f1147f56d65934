/*
 * 1,000 times each of A and B: H, a function with a frame pointer, F, whose CFA is found by a word in memory and which uses rbp for itself
 * once it is saved, leaf, malloc(100) and free. So 1,000 blocks of 100 bytes by A and as many by B, and every stack is whole.
 */
#include <stdlib.h>

void *volatile sink;
__attribute__((noinline)) void leaf(void)
{
    sink = malloc(100);
    free(sink);
}

/* push rbp; the CFA is where the word at the stack's top says, and 16 bytes on. */
void F(void);
__asm__(".text\n.globl F\n.type F, @function\nF:\n.cfi_startproc\n"
        "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_offset %rbp, -16\n"
        "mov %rsp, %rax\nsub $32, %rsp\n.cfi_adjust_cfa_offset 32\nmov %rax, (%rsp)\n.cfi_escape 0x0f, 5, 0x77, 0x00, 0x06, 0x23, 0x10\n"
        "mov $1, %ebp\ncall leaf\n"
        ".cfi_def_cfa %rsp, 48\nadd $32, %rsp\n.cfi_adjust_cfa_offset -32\npop %rbp\n.cfi_adjust_cfa_offset -8\nret\n"
        ".cfi_endproc\n.size F, .-F\n");

__attribute__((noinline, optimize("O0", "no-omit-frame-pointer"))) void H(int n)
{
    volatile char room[64];
    room[0] = (char)n;
    F();
}
__attribute__((noinline)) void A(void)
{
    H(1);
    __asm__ volatile("");
}
__attribute__((noinline)) void B(void)
{
    H(2);
    __asm__ volatile("");
}

int main(void)
{
    for (int i = 0; i < 1000; i++) {
        A();
        B();
    }
    return 0;
}
