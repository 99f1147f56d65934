/*
 * seccomp.c: which system calls the program lets itself make.
 *
 * A program may tell the kernel to end it at any system call that is not on its list (prctl or seccomp,
 * which hooks.c sees). From then on the library asks each filter first, with the arguments of the call
 * at hand, and goes without what the kernel would not allow: classic BPF over `struct seccomp_data`.
 *
 * Filters are only ever added, as in the kernel: written whole, then published at the head of the list,
 * before the kernel has them. One that the kernel refuses is emptied. They are the program's, and its
 * children's too, so nothing here is wiped in a fork's child. A thread's filter binds the library in all
 * threads: which thread has which is the kernel's secret.
 */
#include "heaptap.h"

/* struct sock_filter and struct sock_fprog */
struct ht_bpf {
    uint16_t code;
    uint8_t if_true, if_false;
    uint32_t k;
};
struct ht_bpf_program {
    uint16_t length;
    const struct ht_bpf *filter;
};

struct ht_filter {
    struct ht_filter *next;
    uint32_t length; /* 0: the kernel has refused it */
    struct ht_bpf program[];
};

#define HT_BPF_MEMORY 16u
#define HT_SECCOMP_ALLOW 0x7fff0000u
#define HT_SECCOMP_LOG 0x7ffc0000u

static struct ht_filter *ht_filters;
static uint32_t ht_strict; /* read, write, exit and sigreturn alone */

static int ht_is_filtered(void) { return ht_peek(&ht_filters) != NULL || ht_peek(&ht_strict); }

/* What an operation of the arithmetic class gives. */
static uint32_t ht_bpf_arithmetic(uint16_t operation, uint32_t a, uint32_t b)
{
    switch (operation) {
    case 0x00: return a + b;
    case 0x10: return a - b;
    case 0x20: return a * b;
    case 0x30: return b ? a / b : 0;
    case 0x40: return a | b;
    case 0x50: return a & b;
    case 0x60: return b < 32 ? a << b : 0;
    case 0x70: return b < 32 ? a >> b : 0;
    case 0x80: return -a;
    case 0xa0: return a ^ b;
    default: return a;
    }
}

static int ht_bpf_holds(uint16_t comparison, uint32_t a, uint32_t b)
{
    switch (comparison) {
    case 0x10: return a == b;
    case 0x20: return a > b;
    case 0x30: return a >= b;
    default: return (a & b) != 0;
    }
}

/* What a filter answers to a call. The kernel has checked it: jumps go forward, and it ends with a return. */
static uint32_t ht_bpf_run(const struct ht_filter *f, const uint32_t data[16])
{
    uint32_t a = 0, x = 0, memory[HT_BPF_MEMORY] = { 0 };
    for (uint32_t i = 0; i < f->length; i++) {
        const struct ht_bpf *in = &f->program[i];
        uint32_t operand = in->code & 0x08 ? x : in->k;
        switch (in->code & 0x07) {
        case 0x00: /* LD: a word of the data, a constant, memory, the data's length */
        case 0x01: /* LDX */ {
            uint32_t mode = in->code & 0xe0, value = in->k;
            if (mode == 0x20)
                value = in->k / 4 < 16 ? data[in->k / 4] : 0;
            else if (mode == 0x60)
                value = memory[in->k % HT_BPF_MEMORY];
            else if (mode == 0x80)
                value = 64;
            *(in->code & 1 ? &x : &a) = value;
            break;
        }
        case 0x02: /* ST */
        case 0x03: /* STX */
            memory[in->k % HT_BPF_MEMORY] = in->code & 1 ? x : a;
            break;
        case 0x04: /* ALU */
            a = ht_bpf_arithmetic(in->code & 0xf0, a, operand);
            break;
        case 0x05: /* JMP */
            if ((in->code & 0xf0) == 0)
                i += in->k;
            else
                i += ht_bpf_holds(in->code & 0xf0, a, operand) ? in->if_true : in->if_false;
            break;
        case 0x06: /* RET */
            return in->code & 0x10 ? a : in->k;
        default: /* MISC */
            if (in->code & 0x80)
                a = x;
            else
                x = a;
        }
    }
    return f->length ? 0 : HT_SECCOMP_ALLOW;
}

/* Whether a filter and those before it allow a call of the library's. */
static int ht_filter_allows_in(const struct ht_filter *f, long n, const long arguments[6])
{
    uint64_t here = (uint64_t)(void *)ht_filter_allows_in;
    uint32_t data[16] = { (uint32_t)n, HT_AUDIT_ARCH, (uint32_t)here, (uint32_t)(here >> 32) };
    for (uint32_t i = 0; i < 6; i++) {
        data[4 + 2 * i] = (uint32_t)arguments[i];
        data[5 + 2 * i] = (uint32_t)((uint64_t)arguments[i] >> 32);
    }
    for (; f; f = f->next) {
        uint32_t action = ht_bpf_run(f, data) & 0xffff0000u;
        if (action != HT_SECCOMP_ALLOW && action != HT_SECCOMP_LOG)
            return 0;
    }
    return 1;
}

static int ht_filter_allows(long n, const long arguments[6])
{
    return !ht_peek(&ht_strict) && ht_filter_allows_in(ht_shared_get(&ht_filters), n, arguments);
}

/* A copy of a filter that the program is about to give to the kernel; NULL when it cannot be read or kept. */
static struct ht_filter *ht_filter_copy(const struct ht_bpf_program *from)
{
    if (!ht_sys_readable((uint64_t)from) || !ht_sys_readable((uint64_t)from + 8) || from->length == 0)
        return NULL;
    uint64_t size = from->length * sizeof(struct ht_bpf), at = (uint64_t)from->filter;
    for (uint64_t page = at / HT_PAGE * HT_PAGE; page < at + size; page += HT_PAGE)
        if (!ht_sys_readable(page))
            return NULL;
    struct ht_filter *f = ht_sys_map(sizeof *f + size);
    if (!f)
        return NULL;
    f->length = from->length;
    for (uint32_t i = 0; i < from->length; i++)
        f->program[i] = from->filter[i];
    return f;
}

static void ht_filter_add(struct ht_filter *f)
{
    f->next = ht_peek(&ht_filters);
    while (!ht_shared_swap(&ht_filters, &f->next, f)) { }
}
