/*
 * Random walks through code that no compiler makes, with unwind tables of every kind: each function calls
 * odd_step, which checks the stack (unwind_check.c) and goes on to others. CFA in any register or
 * by an expression, return address moved or in a register, rbp in a register or by an expression, frames of 20 and
 * 200 MiB, stacks that go on further up and further down, alternate signal stacks on both sides, functions made at run
 * time whose tables are registered.
 *
 * unwind_odd SEED STEPS
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void unwind_check_here(void);
extern long unwind_checks, unwind_frames, unwind_beyond;
extern void ht_hook___register_frame(void *), ht_hook___deregister_frame(void *);

#define FUNCTION(name) ".globl " name "\n.type " name ",@function\n" name ":\n.cfi_startproc\n"
#define END(name) ".cfi_endproc\n.size " name ",.-" name "\n"
__asm__(
    ".text\n"
    /* As the dynamic linker's trampolines: CFA by rbx, the stack aligned below it, so much that
     * what is further in stands at the same places for many values of rbx. */
    FUNCTION("odd_rbx") "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx,0\nmov %rsp,%rbx\n.cfi_def_cfa_register %rbx\n"
    "and $-1024,%rsp\nsub $192,%rsp\ncall odd_step\nmov %rbx,%rsp\n.cfi_def_cfa_register %rsp\npop %rbx\n"
    ".cfi_adjust_cfa_offset -8\nret\n" END("odd_rbx")
    FUNCTION("odd_r15") "push %r15\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r15,0\nlea 16(%rsp),%r15\n.cfi_def_cfa %r15,0\n"
    "and $-512,%rsp\ncall odd_step\nlea -16(%r15),%rsp\n.cfi_def_cfa %rsp,16\npop %r15\n.cfi_adjust_cfa_offset -8\nret\n" END("odd_r15")
    /* The return address in r12, its place taken by something else. */
    FUNCTION("odd_ra_register") "pop %rax\n.cfi_adjust_cfa_offset -8\n.cfi_register %rip,%rax\npush %r12\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r12,0\n"
    "mov %rax,%r12\n.cfi_register %rip,%r12\npush $77\n.cfi_adjust_cfa_offset 8\ncall odd_step\nadd $8,%rsp\n.cfi_adjust_cfa_offset -8\n"
    "mov %r12,%rax\n.cfi_register %rip,%rax\npop %r12\n.cfi_adjust_cfa_offset -8\njmp *%rax\n" END("odd_ra_register")
    /* The return address moved further down. */
    FUNCTION("odd_ra_moved") "pop %rax\nsub $56,%rsp\n.cfi_def_cfa_offset 56\nmov %rax,16(%rsp)\n.cfi_offset %rip,-40\n"
    "movq $99,48(%rsp)\nsub $8,%rsp\n.cfi_def_cfa_offset 64\ncall odd_step\nmov 24(%rsp),%rax\nadd $64,%rsp\njmp *%rax\n" END("odd_ra_moved")
    FUNCTION("odd_fp_register") "push %r14\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %r14,0\nmov %rbp,%r14\n.cfi_register %rbp,%r14\n"
    "mov $0x1234,%ebp\ncall odd_step\nmov %r14,%rbp\n.cfi_same_value %rbp\npop %r14\n.cfi_adjust_cfa_offset -8\nret\n" END("odd_fp_register")
    /* rbp at breg7(rsp)+24; the CFA is breg7(rsp)+0, plus_uconst 48. */
    FUNCTION("odd_expressions") "sub $40,%rsp\n.cfi_def_cfa_offset 48\nmov %rbp,24(%rsp)\n.cfi_escape 0x10,6,2,0x77,24\nxor %ebp,%ebp\n"
    ".cfi_escape 0x0f,4,0x77,0,0x23,48\ncall odd_step\nmov 24(%rsp),%rbp\n.cfi_same_value %rbp\nadd $40,%rsp\n.cfi_def_cfa %rsp,8\nret\n" END("odd_expressions")
    /* Remembered ten deep, and twice forgotten before the call. */
    FUNCTION("odd_remembered") "sub $8,%rsp\n.cfi_adjust_cfa_offset 8\n.rept 10\n.cfi_remember_state\n.endr\nnop\n.cfi_def_cfa_offset 512\n"
    "nop\n.cfi_restore_state\n.cfi_restore_state\ncall odd_step\nadd $8,%rsp\n.cfi_adjust_cfa_offset -8\nret\n.cfi_restore_state\nnop\n" END("odd_remembered")
    FUNCTION("odd_20m") "sub $20971528,%rsp\n.cfi_adjust_cfa_offset 20971528\ncall odd_step\nadd $20971528,%rsp\n.cfi_adjust_cfa_offset -20971528\nret\n" END("odd_20m")
    FUNCTION("odd_200m") "sub $209715208,%rsp\n.cfi_adjust_cfa_offset 209715208\ncall odd_step\nadd $209715208,%rsp\n.cfi_adjust_cfa_offset -209715208\nret\n" END("odd_200m")
    /* Onto the stack that rsi ends: the old rsp in a word there. */
    FUNCTION("odd_switch_word") "mov %rsp,%rax\n.cfi_def_cfa_register %rax\nmov %rsi,%rsp\npush %rax\n.cfi_escape 0x0f,5,0x77,0,0x06,0x23,8\n"
    "sub $8,%rsp\n.cfi_escape 0x0f,5,0x77,8,0x06,0x23,8\ncall odd_step\nadd $8,%rsp\npop %rsp\n.cfi_def_cfa %rsp,8\nret\n" END("odd_switch_word")
    /* The same, CFA = the word at rsp+0 as it is: pushed with 8 added. */
    FUNCTION("odd_switch_plain") "lea 8(%rsp),%rax\n.cfi_def_cfa %rax,0\nmov %rsi,%rsp\npush %rax\npush %rax\n.cfi_escape 0x0f,3,0x77,0,0x06\n"
    "call odd_step\npop %rsp\n.cfi_def_cfa %rsp,0\nsub $8,%rsp\n.cfi_def_cfa_offset 8\nret\n" END("odd_switch_plain")
    FUNCTION("odd_switch_rbp") "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbp,0\nmov %rsp,%rbp\n.cfi_def_cfa_register %rbp\nmov %rsi,%rsp\n"
    "call odd_step\nleave\n.cfi_def_cfa %rsp,8\nret\n" END("odd_switch_rbp"));

/* CFA by rbx, which a function further in has saved: rsi, called by one that has not. */
__asm__(
    ".text\n"
    FUNCTION("odd_relied") "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx,0\nmov %rsp,%rbx\n.cfi_def_cfa_register %rbx\n"
    "and $-1024,%rsp\nsub $192,%rsp\ncall odd_between\nmov %rbx,%rsp\n.cfi_def_cfa_register %rsp\npop %rbx\n"
    ".cfi_adjust_cfa_offset -8\nret\n" END("odd_relied")
    FUNCTION("odd_between") "sub $8,%rsp\n.cfi_adjust_cfa_offset 8\ncall *%rsi\nadd $8,%rsp\n.cfi_adjust_cfa_offset -8\nret\n" END("odd_between")
    FUNCTION("odd_saves") "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx,0\nmov $7,%ebx\ncall odd_step\npop %rbx\n"
    ".cfi_adjust_cfa_offset -8\nret\n" END("odd_saves")
    FUNCTION("odd_saves_lower") "sub $80,%rsp\n.cfi_adjust_cfa_offset 80\npush %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbx,0\nmov $7,%ebx\n"
    "call odd_step\npop %rbx\n.cfi_adjust_cfa_offset -8\nadd $80,%rsp\n.cfi_adjust_cfa_offset -80\nret\n" END("odd_saves_lower")
    FUNCTION("odd_saves_not") "sub $8,%rsp\n.cfi_adjust_cfa_offset 8\ncall unwind_check_here\nadd $8,%rsp\n.cfi_adjust_cfa_offset -8\nret\n" END("odd_saves_not"));
void odd_relied(long, void *), odd_saves(long, void *), odd_saves_lower(long, void *), odd_saves_not(long, void *);

typedef void (*odd)(long depth, void *stack);
void odd_rbx(long, void *), odd_r15(long, void *), odd_ra_register(long, void *), odd_ra_moved(long, void *), odd_fp_register(long, void *),
    odd_expressions(long, void *), odd_remembered(long, void *), odd_20m(long, void *), odd_200m(long, void *);
void odd_switch_word(long, void *), odd_switch_plain(long, void *), odd_switch_rbp(long, void *);
static void odd_plain(long, void *), odd_aligned(long, void *), odd_made(long, void *), odd_signalled(long, void *);

static const odd same_stack[] = { odd_rbx, odd_r15, odd_ra_register, odd_ra_moved, odd_fp_register, odd_expressions, odd_remembered,
                                  odd_plain, odd_plain, odd_plain, odd_aligned, odd_made, odd_signalled };
static const odd switching[] = { odd_switch_word, odd_switch_plain, odd_switch_rbp };

enum { LEVELS = 24, AREA = 1 << 18, MADE = 16 };
static char *low_area, *high_area; /* LEVELS stacks on each side of the thread's own */
static int level;                  /* how many have been switched to */
static uint64_t state;
static volatile int sink;

static unsigned pick(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

__attribute__((noinline, used)) void odd_step(long depth)
{
    unwind_check_here();
    for (int i = 0; depth > 0 && i < 2; i++) {
        if (pick(4) == 0 && level < LEVELS) {
            char *area = (pick(2) ? high_area : low_area) + (size_t)level++ * AREA;
            switching[pick(3)](depth - 1 - pick(3), area + AREA - 64);
            level--;
        } else {
            same_stack[pick(sizeof same_stack / sizeof *same_stack)](depth - 1 - pick(3), NULL);
        }
        if (pick(2))
            unwind_check_here();
    }
    sink++;
}

__attribute__((noinline)) static void odd_plain(long depth, void *stack)
{
    (void)stack;
    odd_step(depth);
    sink++;
}

__attribute__((noinline)) static void odd_aligned(long depth, void *stack)
{
    (void)stack;
    _Alignas(64) volatile char room[128];
    room[0] = 1;
    odd_step(depth);
    sink = room[0];
}

/* Functions made at run time, with a table each: push rbx; sub $n,rsp; mov odd_step,rax; call rax; add $n,rsp; pop rbx; ret. */
static struct made {
    uint8_t code[64];
    uint8_t table[128];
} *made;

static void number(uint8_t **at, uint64_t value, int size)
{
    memcpy(*at, &value, (size_t)size);
    *at += size;
}

static void make(struct made *m, uint8_t room)
{
    uint8_t *c = m->code, *t = m->table;
    memcpy(c, "\x53\x48\x81\xec\0\0\0\0\x48\xb8", 10);
    c[4] = room;
    c += 10;
    number(&c, (uint64_t)(void *)odd_step, 8);
    memcpy(c, "\xff\xd0\x90\x48\x81\xc4\0\0\0\0\x5b\xc3", 12);
    c[6] = room;
    c += 12;
    number(&t, 20, 4); /* CIE: version 1, no augmentation, 1, -8, r16; def_cfa rsp+8, r16 at -8 */
    memcpy(t, "\0\0\0\0\1\0\1\x78\x10\x0c\7\x08\x90\1\0\0\0\0\0\0", 20);
    t += 20;
    number(&t, 28, 4);
    number(&t, (uint64_t)(t - m->table), 4);
    number(&t, (uint64_t)m->code, 8);
    number(&t, (uint64_t)(c - m->code), 8);
    memcpy(t, "\x41\x0e\x10\x83\2\x47\x0e\0", 8); /* advance 1, CFA rsp+16, rbx at -16, advance 7, CFA rsp+16+room */
    t[7] = (uint8_t)(16 + room);
    t += 8;
    number(&t, 0, 4);
    ht_hook___register_frame(m->table);
}

static void odd_made(long depth, void *stack)
{
    struct made *m = &made[pick(MADE)];
    ((odd)(void *)m->code)(depth, stack);
    sink++;
}

static void on_signal(int signal)
{
    (void)signal;
    unwind_check_here();
    unwind_check_here();
}

/* On an alternate stack in the low or in the high area, or on this one. */
static void odd_signalled(long depth, void *stack)
{
    (void)stack;
    if (level < LEVELS) {
        stack_t alternate = { .ss_sp = (pick(2) ? high_area : low_area) + (size_t)level * AREA, .ss_size = AREA };
        level++;
        sigaltstack(&alternate, NULL);
        raise(pick(2) ? SIGUSR1 : SIGUSR2);
        alternate.ss_flags = SS_DISABLE;
        sigaltstack(&alternate, NULL);
        level--;
    }
    odd_step(depth);
    sink++;
}

/* Two calls of one place in the stack, from two places in the code: all that an earlier walk has read is there still, in
 * memory that the second call does not write to. */
__attribute__((noinline)) static void odd_sites(int second, odd saves)
{
    volatile char *room = alloca(second ? 96 : 16);
    if (second)
        odd_relied(0, (void *)saves);
    else
        odd_relied(-1, (void *)saves);
    sink += room != NULL;
}

static void *run(void *steps)
{
    static const odd saves[] = { odd_saves, odd_saves_lower, odd_saves_not };
    for (long i = 0; i < (long)steps; i++)
        odd_sites((int)pick(2), saves[pick(3)]);
    for (long i = 0; i < (long)steps; i++) {
        odd_step((long)pick(12));
        /* Another function in the place of one. */
        struct made *m = &made[pick(MADE)];
        ht_hook___deregister_frame(m->table);
        make(m, (uint8_t)(16 * (1 + pick(6))));
    }
    odd_20m(2, NULL);
    odd_200m(2, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    state = argc > 1 ? (uint64_t)atol(argv[1]) : 1;
    long steps = argc > 2 ? atol(argv[2]) : 200;
    printf("seed %lu\n", (unsigned long)state);
    fflush(stdout);
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, NULL);
    size_t own = 1ul << 29, areas = (size_t)LEVELS * AREA;
    low_area = mmap(NULL, own + 2 * areas, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    made = mmap(NULL, MADE * sizeof *made, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (low_area == MAP_FAILED || made == MAP_FAILED)
        return 1;
    high_area = low_area + areas + own;
    for (int i = 0; i < MADE; i++)
        make(&made[i], (uint8_t)(16 * (i % 6 + 1)));
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, low_area + areas, own);
    if (pthread_create(&thread, &attributes, run, (void *)steps))
        return 1;
    pthread_join(thread, NULL);
    if (unwind_beyond) {
        fprintf(stderr, "libgcc ended %ld stacks early\n", unwind_beyond);
        return 1;
    }
    printf("%ld stacks, %ld frames\n", unwind_checks, unwind_frames);
    return 0;
}
