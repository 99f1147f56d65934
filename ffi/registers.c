/*
 * registers.c: steps by rows that no rule word can say: the CFA in any register or by an expression,
 * the return address moved or in a register, fp in another register, a stack pointer of its own.
 *
 * Such a step reads its row anew each time. Where sp, fp and pc are enough for it, which is so for
 * nearly all (PLT entries, code that has switched stacks), it depends on them and on the words that it has
 * read, and is kept like any other. The words are kept last first: the compare reads them
 * from the end, so each is read only when those that its address came from are as they were.
 *
 * Where it needs another register, that is had by walking from here, with all registers, from this
 * library's own frames outwards; t->registers is where that walk has got to, and goes on from there at the
 * next such frame of the same stack. The register's value is then in a word that a frame further in has
 * saved, and the step depends on that word, and on the frames as far in as the one that it belongs to: t->relied is the
 * lowest such word, and a walk that meets a kept frame further out than that does not take over from there. Where
 * no word holds it (no frame has saved it yet), or the stack was switched on the way, the step keeps a word that
 * never agrees, and is made anew in every walk.
 *
 * Everything is read with the kernel asked (ht_stack_readable), unless it is known stack.
 */
#include "heaptap.h"

static int ht_stack_readable(struct ht_thread *t, uint64_t address);
static uint64_t ht_rule_at(uint64_t pc);
HT_INLINE uint64_t ht_load(uint64_t address);

/* What a frame's way out came to. */
enum ht_reached {
    HT_REACHED_NONE = 0,
    HT_REACHED_OUT = 1,    /* the caller, further out on this stack, or far up */
    HT_REACHED_ACROSS = 2, /* the caller, further down: on another stack */
    HT_REACHED_MISSING = 3 /* registers.c alone: a register that is not known */
};
static enum ht_reached ht_step(struct ht_thread *t, struct ht_step *s, struct ht_regs *caller, uint32_t *root);

/* A word that never agrees. Frames hold it in place of what they read when that must not be read again
 * without asking the kernel, or does not tell whether the way out is the same. */
static const uint64_t ht_disagree = 1;

/* In place of a frame pointer that could not be read: no CFA. */
#define HT_FP_NONE 1u

static void ht_step_disagrees(struct ht_step *s)
{
    s->words[0] = (struct ht_word){ &ht_disagree, 0 };
    s->word_count = 1;
    s->fp_at = 0;
    s->fp_passes = 0;
}

/* Of what a step reads: for whom, and where it is kept (NULL: nowhere). */
struct ht_reading {
    struct ht_thread *t;
    struct ht_step *step;
    int too_many, missing;
    uint32_t used; /* registers that were asked for, a bit each */
};

static void ht_reading_keep(struct ht_reading *reading, uint64_t address, uint64_t value)
{
    struct ht_step *s = reading->step;
    if (s->word_count < HT_STEP_WORDS)
        s->words[s->word_count++] = (struct ht_word){ (const uint64_t *)address, value };
    else
        reading->too_many = 1;
}

static int ht_read(struct ht_reading *reading, uint64_t address, uint64_t *value)
{
    if (address % 8 ? !ht_sys_readable(address) : !ht_stack_readable(reading->t, address))
        return 0;
    *value = ht_load(address);
    if (reading->step)
        ht_reading_keep(reading, address, *value);
    return 1;
}

static int ht_register(struct ht_reading *reading, const struct ht_registers *r, uint64_t reg, uint64_t *value)
{
    if (reg >= HT_DWARF_COUNT || !(r->known >> reg & 1)) {
        reading->missing = 1;
        return 0;
    }
    reading->used |= 1u << reg;
    *value = r->value[reg];
    return 1;
}

/* DWARF expressions, of the operators that unwind tables may have. */
enum {
    HT_OP_ADDR = 0x03, HT_OP_DEREF = 0x06, HT_OP_CONST1U = 0x08, HT_OP_CONST8S = 0x0f, HT_OP_CONSTU = 0x10, HT_OP_CONSTS = 0x11,
    HT_OP_DUP = 0x12, HT_OP_DROP = 0x13, HT_OP_OVER = 0x14, HT_OP_PICK = 0x15, HT_OP_SWAP = 0x16, HT_OP_ROT = 0x17,
    HT_OP_ABS = 0x19, HT_OP_AND = 0x1a, HT_OP_DIV = 0x1b, HT_OP_MINUS = 0x1c, HT_OP_MOD = 0x1d, HT_OP_MUL = 0x1e, HT_OP_NEG = 0x1f,
    HT_OP_NOT = 0x20, HT_OP_OR = 0x21, HT_OP_PLUS = 0x22, HT_OP_PLUS_UCONST = 0x23, HT_OP_SHL = 0x24, HT_OP_SHR = 0x25,
    HT_OP_SHRA = 0x26, HT_OP_XOR = 0x27, HT_OP_BRA = 0x28, HT_OP_EQ = 0x29, HT_OP_GE = 0x2a, HT_OP_GT = 0x2b, HT_OP_LE = 0x2c,
    HT_OP_LT = 0x2d, HT_OP_NE = 0x2e, HT_OP_SKIP = 0x2f, HT_OP_LIT0 = 0x30, HT_OP_REG0 = 0x50, HT_OP_BREG0 = 0x70, HT_OP_REGX = 0x90,
    HT_OP_BREGX = 0x92, HT_OP_DEREF_SIZE = 0x94, HT_OP_NOP = 0x96,
};

static int ht_operate(uint8_t op, uint64_t a, uint64_t b, uint64_t *result)
{
    int64_t x = (int64_t)a, y = (int64_t)b;
    switch (op) {
    case HT_OP_AND: *result = a & b; return 1;
    case HT_OP_DIV: *result = y == 0 || y == -1 ? 0 - a : (uint64_t)(x / y); return y != 0;
    case HT_OP_MINUS: *result = a - b; return 1;
    case HT_OP_MOD: *result = b ? a % b : 0; return b != 0;
    case HT_OP_MUL: *result = a * b; return 1;
    case HT_OP_OR: *result = a | b; return 1;
    case HT_OP_PLUS: *result = a + b; return 1;
    case HT_OP_SHL: *result = b < 64 ? a << b : 0; return 1;
    case HT_OP_SHR: *result = b < 64 ? a >> b : 0; return 1;
    case HT_OP_SHRA: *result = (uint64_t)(x >> (b < 64 ? b : 63)); return 1;
    case HT_OP_XOR: *result = a ^ b; return 1;
    case HT_OP_EQ: *result = x == y; return 1;
    case HT_OP_GE: *result = x >= y; return 1;
    case HT_OP_GT: *result = x > y; return 1;
    case HT_OP_LE: *result = x <= y; return 1;
    case HT_OP_LT: *result = x < y; return 1;
    case HT_OP_NE: *result = x != y; return 1;
    }
    return 0;
}

/* What an expression comes to. `first` is what stands on its stack at the beginning, NULL for nothing. */
static int ht_evaluate(struct ht_reading *reading, int64_t expression, const struct ht_registers *r, const uint64_t *first, uint64_t *result)
{
    struct ht_cursor c = ht_expression(expression);
    const uint8_t *start = c.at;
    uint64_t stack[24], value, kept;
    uint32_t n = 0;
    int64_t by;
    if (first)
        stack[n++] = *first;
    for (uint32_t i = 0; c.at < c.end; i++) {
        uint8_t op = (uint8_t)ht_take_number(&c, 1);
        /* Room for one more, and no endless loop. */
        if (n >= HT_COUNT(stack) || i >= 1000)
            return 0;
        if (op >= HT_OP_LIT0 && op < HT_OP_REG0) {
            stack[n++] = op - HT_OP_LIT0;
        } else if ((op >= HT_OP_REG0 && op < HT_OP_BREG0) || op == HT_OP_REGX) {
            if (!ht_register(reading, r, op == HT_OP_REGX ? ht_take_uleb(&c) : op - (uint64_t)HT_OP_REG0, &stack[n++]))
                return 0;
        } else if ((op >= HT_OP_BREG0 && op < HT_OP_REGX) || op == HT_OP_BREGX) {
            if (!ht_register(reading, r, op == HT_OP_BREGX ? ht_take_uleb(&c) : op - (uint64_t)HT_OP_BREG0, &value))
                return 0;
            stack[n++] = value + (uint64_t)ht_take_sleb(&c);
        } else if (op >= HT_OP_CONST1U && op <= HT_OP_CONST8S) { /* 1, 2, 4, 8 bytes, each without and with sign */
            uint32_t size = 1u << ((op - HT_OP_CONST1U) / 2), shift = 64 - 8 * size;
            value = ht_take_number(&c, size) << shift;
            stack[n++] = (op - HT_OP_CONST1U) % 2 ? (uint64_t)((int64_t)value >> shift) : value >> shift;
        } else {
            uint32_t least = op == HT_OP_ADDR || op == HT_OP_CONSTU || op == HT_OP_CONSTS || op == HT_OP_SKIP || op == HT_OP_NOP ? 0
                : op == HT_OP_ROT ? 3
                : op == HT_OP_OVER || op == HT_OP_SWAP || (op >= HT_OP_AND && op <= HT_OP_XOR && op != HT_OP_NEG && op != HT_OP_NOT && op != HT_OP_PLUS_UCONST)
                    || (op >= HT_OP_EQ && op <= HT_OP_NE) ? 2
                : 1;
            if (n < least)
                return 0;
            switch (op) {
            case HT_OP_ADDR: stack[n++] = ht_take_number(&c, 8); break;
            case HT_OP_CONSTU: stack[n++] = ht_take_uleb(&c); break;
            case HT_OP_CONSTS: stack[n++] = (uint64_t)ht_take_sleb(&c); break;
            case HT_OP_DUP: stack[n] = stack[n - 1]; n++; break;
            case HT_OP_DROP: n--; break;
            case HT_OP_OVER: stack[n] = stack[n - 2]; n++; break;
            case HT_OP_PICK:
                value = ht_take_number(&c, 1);
                if (value >= n)
                    return 0;
                stack[n] = stack[n - 1 - value];
                n++;
                break;
            case HT_OP_SWAP: kept = stack[n - 1]; stack[n - 1] = stack[n - 2]; stack[n - 2] = kept; break;
            case HT_OP_ROT: kept = stack[n - 1]; stack[n - 1] = stack[n - 2]; stack[n - 2] = stack[n - 3]; stack[n - 3] = kept; break;
            case HT_OP_DEREF: case HT_OP_DEREF_SIZE: {
                uint64_t size = op == HT_OP_DEREF ? 8 : ht_take_number(&c, 1);
                if (size == 0 || size > 8 || !ht_read(reading, stack[n - 1], &value))
                    return 0;
                stack[n - 1] = size < 8 ? value & ((1ull << 8 * size) - 1) : value;
                break;
            }
            case HT_OP_ABS: if ((int64_t)stack[n - 1] < 0) stack[n - 1] = 0 - stack[n - 1]; break;
            case HT_OP_NEG: stack[n - 1] = 0 - stack[n - 1]; break;
            case HT_OP_NOT: stack[n - 1] = ~stack[n - 1]; break;
            case HT_OP_PLUS_UCONST: stack[n - 1] += ht_take_uleb(&c); break;
            case HT_OP_SKIP: case HT_OP_BRA:
                by = (int16_t)ht_take_number(&c, 2);
                if (op == HT_OP_BRA && stack[--n] == 0)
                    break;
                if (c.bad || by < start - c.at || by > c.end - c.at)
                    return 0;
                c.at += by;
                break;
            case HT_OP_NOP: break;
            default:
                if (least != 2 || !ht_operate(op, stack[n - 2], stack[n - 1], &value))
                    return 0;
                stack[--n - 1] = value;
            }
        }
        if (c.bad)
            return 0;
    }
    if (n == 0)
        return 0;
    *result = stack[n - 1];
    return 1;
}

/* The caller's value of a register, and the word that holds it. */
static int ht_register_of_caller(struct ht_reading *reading, const struct ht_row *row, const struct ht_registers *r, uint64_t cfa, uint32_t reg, uint64_t *value, uint64_t *from)
{
    int64_t said = row->value[reg];
    *from = 0;
    switch (row->how[reg]) {
    case HT_HOW_AT:
        *from = cfa + (uint64_t)said;
        return ht_read(reading, *from, value);
    case HT_HOW_OFFSET:
        *value = cfa + (uint64_t)said;
        return 1;
    case HT_HOW_REGISTER:
        if (!ht_register(reading, r, (uint64_t)said, value))
            return 0;
        *from = r->from[said];
        return 1;
    case HT_HOW_AT_EXPRESSION:
        return ht_evaluate(reading, said, r, &cfa, from) && ht_read(reading, *from, value);
    case HT_HOW_EXPRESSION:
        return ht_evaluate(reading, said, r, &cfa, value);
    }
    /* As it is: the stack pointer is then the CFA, and no return address is the place itself. */
    if (reg == HT_DWARF_SP) {
        *value = cfa;
        return 1;
    }
    *from = r->from[reg];
    return reg != row->pc_register && ht_register(reading, r, reg, value);
}

/* Without these there is no way on. */
#define HT_NEEDED_REGISTERS (1u << HT_DWARF_PC | 1u << HT_DWARF_SP)
#define HT_FRAME_REGISTERS (1u << HT_DWARF_PC | 1u << HT_DWARF_SP | 1u << HT_DWARF_FP)

/* From a frame's registers to its caller's, those in `wanted`; sp and pc have to be had. In the last
 * instructions of a function that realigned its stack the table may name a place for fp where none is any more. */
static enum ht_reached ht_row_step(struct ht_reading *reading, const struct ht_row *row, const struct ht_registers *r, uint32_t wanted, struct ht_registers *caller)
{
    uint64_t cfa;
    caller->known = 0;
    reading->missing = 0;
    reading->used = 0;
    int found = row->bad ? 0
        : row->cfa_register == HT_CFA_EXPRESSION ? ht_evaluate(reading, row->cfa, r, NULL, &cfa)
        : ht_register(reading, r, row->cfa_register, &cfa);
    if (!found)
        return reading->missing ? HT_REACHED_MISSING : HT_REACHED_NONE;
    if (row->cfa_register != HT_CFA_EXPRESSION)
        cfa += (uint64_t)row->cfa;
    for (uint32_t reg = 0; reg < HT_DWARF_COUNT; reg++) {
        int needed = HT_NEEDED_REGISTERS >> reg & 1;
        if (!((wanted | HT_FRAME_REGISTERS) >> reg & 1))
            continue;
        reading->missing = 0;
        if (ht_register_of_caller(reading, row, r, cfa, reg == HT_DWARF_PC ? row->pc_register : reg, &caller->value[reg], &caller->from[reg])) {
            caller->known |= 1u << reg;
            /* Saved by this frame outside of itself: then its address does not tell which frame it belongs to. */
            if (row->how[reg] != HT_HOW_SAME && row->how[reg] != HT_HOW_REGISTER && (caller->from[reg] < r->value[HT_DWARF_SP] || caller->from[reg] >= cfa))
                caller->from[reg] = 0;
        }
        else if (needed || (reading->missing && !wanted))
            return reading->missing ? HT_REACHED_MISSING : HT_REACHED_NONE;
    }
    return caller->value[HT_DWARF_SP] > r->value[HT_DWARF_SP] ? HT_REACHED_OUT : HT_REACHED_ACROSS;
}

/* The same for a frame of whatever kind, on the way out from here. */
static int ht_registers_out(struct ht_thread *t, struct ht_registers *r)
{
    struct ht_reading reading = { .t = t };
    struct ht_row row;
    uint64_t pc = r->value[HT_DWARF_PC] + (r->interrupted ? 1 : 0);
    struct ht_place place = ht_place_at(pc - 1);
    struct ht_registers caller = { .known = 0, .interrupted = 0 };
    if (ht_row_at(&place, pc - 1, &row) && !row.is_signal) {
        if (ht_row_step(&reading, &row, r, ~0u, &caller) == HT_REACHED_MISSING)
            return 0;
    } else {
        struct ht_step s = { .pc = pc, .sp = r->value[HT_DWARF_SP], .fp = r->known >> HT_DWARF_FP & 1 ? r->value[HT_DWARF_FP] : HT_FP_NONE };
        struct ht_regs out;
        uint32_t root;
        if (ht_rule_kind(ht_rule_at(pc)) == HT_RULE_SIGNAL) {
            for (uint32_t reg = 0; reg < HT_DWARF_COUNT; reg++) {
                caller.from[reg] = s.sp + ht_signal_offsets[reg];
                if (!ht_read(&reading, caller.from[reg], &caller.value[reg]))
                    return 0;
            }
            caller.value[HT_DWARF_PC] = ht_code_origin(caller.value[HT_DWARF_PC]);
            caller.known = (1u << HT_DWARF_COUNT) - 1;
            caller.interrupted = 1;
        } else if (row.is_signal) {
            if (ht_row_step(&reading, &row, r, ~0u, &caller) == HT_REACHED_MISSING)
                return 0;
            caller.interrupted = 1;
        } else if (ht_step(t, &s, &out, &root)) {
            caller.value[HT_DWARF_PC] = out.pc;
            caller.value[HT_DWARF_SP] = out.sp;
            caller.value[HT_DWARF_FP] = out.fp;
            caller.known = HT_FRAME_REGISTERS;
        }
    }
    *r = caller;
    return (caller.known & HT_NEEDED_REGISTERS) == HT_NEEDED_REGISTERS;
}

/* Brings t->registers to a frame. */
HT_NOINLINE int ht_registers_at(struct ht_thread *t, uint64_t pc, uint64_t sp)
{
    struct ht_registers *r = &t->registers;
    if (!r->known) {
        memset(r, 0, sizeof *r);
        r->known = ht_arch_registers(r->value);
    }
    for (uint32_t i = 0; i < HT_MAX_DEPTH; i++) {
        if (r->value[HT_DWARF_SP] == sp && r->value[HT_DWARF_PC] + (r->interrupted ? 1 : 0) == pc)
            return 1;
        if (!ht_registers_out(t, r))
            break;
    }
    r->known = 0;
    return 0;
}

/* What a step depends on that has used registers beyond the frame's own. 0 when no words tell. */
static int ht_registers_rely(struct ht_reading *reading, uint32_t used)
{
    struct ht_thread *t = reading->t;
    uint64_t sp = t->registers.value[HT_DWARF_SP];
    for (uint32_t reg = 0; reg < HT_DWARF_COUNT; reg++) {
        uint64_t from = t->registers.from[reg];
        if (!(used & ~HT_FRAME_REGISTERS & 1u << reg))
            continue;
        /* Further in, on this stretch of the stack: between where the walk began and this frame. */
        if (t->crossed || from < t->steps[0].sp || from >= sp || from % 8)
            return 0;
        ht_reading_keep(reading, from, t->registers.value[reg]);
        t->relied_now = ht_min(t->relied_now, from);
    }
    return 1;
}

/* A step by its row (HT_RULE_ROW). */
HT_NOINLINE enum ht_reached ht_step_row(struct ht_thread *t, struct ht_step *s, struct ht_regs *caller)
{
    struct ht_row row;
    struct ht_place place = ht_place_at(s->pc - 1);
    if (!ht_row_at(&place, s->pc - 1, &row))
        return HT_REACHED_NONE;
    struct ht_reading reading = { .t = t, .step = s };
    int interrupted = s > t->steps && (s[-1].key >> HT_KEY_SIGNAL_BIT & 1);
    struct ht_registers here = { .known = HT_FRAME_REGISTERS }, out;
    here.value[HT_DWARF_PC] = s->pc - (interrupted ? 1 : 0);
    here.value[HT_DWARF_SP] = s->sp;
    here.value[HT_DWARF_FP] = s->fp;
    enum ht_reached reached = ht_row_step(&reading, &row, &here, 0, &out);
    int by_walk = reached == HT_REACHED_MISSING;
    int certain = 1;
    if (by_walk) {
        if (!ht_registers_at(t, s->pc, s->sp))
            return HT_REACHED_NONE;
        /* First for its caller alone, which tells what that takes; then for all registers. */
        s->word_count = 0;
        reached = ht_row_step(&reading, &row, &t->registers, 0, &out);
        certain = ht_registers_rely(&reading, reading.used);
        reading.step = NULL;
        if (reached == HT_REACHED_MISSING || ht_row_step(&reading, &row, &t->registers, ~0u, &out) == HT_REACHED_MISSING) {
            ht_step_disagrees(s);
            return HT_REACHED_NONE;
        }
        t->registers = out;
        t->registers.interrupted = row.is_signal;
    }
    int has_fp = reached && (out.known >> HT_DWARF_FP & 1);
    if (!certain || reading.too_many || !has_fp)
        ht_step_disagrees(s);
    for (uint32_t i = 0; i < s->word_count / 2; i++) {
        struct ht_word word = s->words[i];
        s->words[i] = s->words[s->word_count - 1 - i];
        s->words[s->word_count - 1 - i] = word;
    }
    if (reached) {
        caller->pc = out.value[HT_DWARF_PC];
        caller->sp = out.value[HT_DWARF_SP];
        caller->fp = has_fp ? out.value[HT_DWARF_FP] : HT_FP_NONE;
    }
    return reached;
}
