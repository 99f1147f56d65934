/*
 * Code without unwind tables that uses rbp for something else: a pointer into memory just above the
 * thread's stack, which it unmaps between two malloc(100). 4 allocations of 100 bytes in the thread,
 * exit status 0; a walk that trusts rbp, or what it once read through it, ends in SIGSEGV.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STACK = 65536, ABOVE = 8192 };

void without_table(void *above);
__asm__(".text\n"
        ".globl without_table\n"
        "without_table:\n"
        "  push %rbp\n"
        "  push %rbx\n"
        "  sub $8, %rsp\n"
        "  mov %rdi, %rbp\n"
        "  mov $4, %ebx\n"
        "again:\n"
        "  mov $100, %edi\n"
        "  call malloc@PLT\n"
        "  mov $8192, %esi\n"
        "  mov %rbp, %rdi\n"
        "  call munmap@PLT\n"
        "  dec %ebx\n"
        "  jnz again\n"
        "  add $8, %rsp\n"
        "  pop %rbx\n"
        "  pop %rbp\n"
        "  ret\n");

static void *run(void *above)
{
    without_table(above);
    return NULL;
}

int main(void)
{
    char *stack = mmap(NULL, STACK + ABOVE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    if (stack == MAP_FAILED)
        return 1;
    *(long *)(stack + STACK + 8) = 5;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK);
    if (pthread_create(&thread, &attributes, run, stack + STACK))
        return 1;
    pthread_join(thread, NULL);
    return 0;
}
