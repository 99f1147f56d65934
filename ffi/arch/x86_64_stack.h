/*
 * x86-64: what instructions do to a frame, as far as it takes to follow code to where it returns (way_out.c).
 */
#ifndef HT_ARCH_STACK_H
#define HT_ARCH_STACK_H

#include "x86_64_code.h"

/* What an instruction does to the stack pointer and to rbp, as far as a way out of a frame goes. */
enum ht_stack_kind {
    HT_STACK_SAME,
    HT_STACK_MOVES,    /* sp moves by `by` */
    HT_STACK_PUSHES_FP,
    HT_STACK_POPS_FP,  /* rbp is what stands at sp, which moves by a word */
    HT_STACK_FROM_FP,  /* sp is rbp and `by` */
    HT_STACK_LEAVES,   /* sp is rbp, then rbp is popped */
    HT_STACK_FRAMES,   /* rbp is sp and `by` */
    HT_STACK_RETURNS,
    HT_STACK_CHANGES_FP, /* rbp is another number */
    HT_STACK_UNKNOWN,
};

/* Whether a general register, by its number of four bits, is what an instruction of the first two maps writes. Of bytes only whole registers'
 * lowest ones count. `operand`: the byte behind the opcode; `r`, `b`: fourth bits of the registers that it names. */
static inline int ht_code_writes(uint32_t map, uint32_t op, uint32_t operand, uint32_t r, uint32_t b, uint32_t has_prefix, uint32_t reg)
{
    uint32_t kind = operand >> 3 & 7, is_register = operand >> 6 == 3;
    int named = (kind | r << 3) == reg, other = is_register && ((operand & 7) | b << 3) == reg, inside = ((op & 7) | b << 3) == reg;
    int is_byte = map == 0 && !(op & 1) && (op < 0x40 || op == 0x80 || op == 0x86 || op == 0x88 || op == 0x8a || op == 0xc0 || op == 0xc6 || op == 0xd0 || op == 0xd2 || op == 0xf6 || op == 0xfe);
    if (is_byte && !has_prefix)
        return 0;
    if (map == 0) {
        if (op < 0x38)
            return (op & 7) < 2 ? other : (op & 7) < 4 ? named : 0;
        if (ht_code_in(op, 0x80, 0x83))
            return kind != 7 && other;
        if (ht_code_in(op, 0x86, 0x87))
            return named || other;
        if (ht_code_in(op, 0x88, 0x89) || ht_code_in(op, 0xc0, 0xc1) || ht_code_in(op, 0xc6, 0xc7) || ht_code_in(op, 0xd0, 0xd3))
            return other;
        if (ht_code_in(op, 0x90, 0x97) || ht_code_in(op, 0xb0, 0xbf))
            return inside;
        if (ht_code_in(op, 0xf6, 0xf7))
            return ht_code_in(kind, 2, 3) && other;
        return op == 0x63 || op == 0x69 || op == 0x6b || ht_code_in(op, 0x8a, 0x8b) || op == 0x8d ? named : op >= 0xfe && kind < 2 && other;
    }
    if (ht_code_in(op, 0x40, 0x4f) || op == 0xaf || ht_code_in(op, 0xb6, 0xb8) || ht_code_in(op, 0xbc, 0xbf) || op == 0x50 || ht_code_in(op, 0x2c, 0x2d) || op == 0xc5 || op == 0xd7)
        return named;
    if (ht_code_in(op, 0xc0, 0xc1))
        return named || other;
    if (ht_code_in(op, 0xc8, 0xcf))
        return inside;
    return other && (op == 0x7e || ht_code_in(op, 0x90, 0x9f) || ht_code_in(op, 0xa4, 0xa5) || ht_code_in(op, 0xab, 0xad) || ht_code_in(op, 0xb0, 0xb3) || op == 0xba || op == 0xbb || op == 0xc7);
}

/* `code` is an instruction that ht_arch_code knows. */
static inline enum ht_stack_kind ht_arch_stack(const uint8_t *code, int64_t *by)
{
    enum { SP = 4, FP = 5 };
    uint32_t at = 0, prefix = 0, map = 0, narrow = 0, short_address = 0, repeats = 0;
    for (; code[at] == 0x66 || code[at] == 0x67 || code[at] == 0xf0 || code[at] == 0xf2 || code[at] == 0xf3 || (code[at] & 0xe7) == 0x26 || code[at] == 0x64 || code[at] == 0x65; at++) {
        narrow |= code[at] == 0x66;
        short_address |= code[at] == 0x67;
        repeats |= code[at] == 0xf3;
    }
    if ((code[at] & 0xf0) == 0x40)
        prefix = code[at++];
    uint32_t op = code[at++], wide = prefix & 8, r = prefix >> 2 & 1, x = prefix >> 1 & 1, b = prefix & 1;
    *by = 0;
    if (op == 0xc4 && (code[at] & 31) > 1 && code[at + 2] >= 0xf0) {
        /* The few of the vectors' encodings that write a general register; inverted bits name it. */
        uint32_t reg = (code[at + 3] >> 3 & 7) | (~code[at] >> 7 & 1) << 3, other = ~code[at + 1] >> 3 & 15, mulx = code[at + 2] == 0xf6;
        uint32_t to = (code[at] & 31) == 2 && code[at + 2] == 0xf3 ? other : reg;
        return to == SP || (mulx && other == SP) ? HT_STACK_UNKNOWN : to == FP || (mulx && other == FP) ? HT_STACK_CHANGES_FP : HT_STACK_SAME;
    }
    if (op == 0xc4 || op == 0xc5 || op == 0x62)
        return HT_STACK_SAME;
    if (op == 0x0f) {
        map = code[at] == 0x38 || code[at] == 0x3a ? 2 : 1;
        op = code[at++];
        if (map == 2)
            return code[at] >= 0xf0 ? HT_STACK_UNKNOWN : HT_STACK_SAME;
    }
    int pushes = map == 0 ? ht_code_in(op, 0x50, 0x5f) || op == 0x68 || op == 0x6a || op == 0x9c || op == 0x9d || op == 0x8f || (op == 0xff && (code[at] >> 3 & 7) == 6)
                          : op == 0xa0 || op == 0xa1 || op == 0xa8 || op == 0xa9;
    if (narrow && (pushes || (map == 0 && (op == 0xc3 || op == 0xc9))))
        return HT_STACK_UNKNOWN;
    uint32_t operand = code[at], kind = operand >> 3 & 7;
    if (map == 0 && ht_code_in(op, 0x50, 0x5f)) {
        *by = op < 0x58 ? -8 : 8;
        if (op == 0x58 + SP && !b)
            return HT_STACK_UNKNOWN;
        return b ? HT_STACK_MOVES : op == 0x50 + FP ? HT_STACK_PUSHES_FP : op == 0x58 + FP ? HT_STACK_POPS_FP : HT_STACK_MOVES;
    }
    if (pushes) {
        uint32_t popped = op == 0x8f && operand >> 6 == 3 ? (operand & 7) | b << 3 : 16;
        *by = op == 0x9d || op == 0x8f || op == 0xa1 || op == 0xa9 ? 8 : -8;
        return popped == SP ? HT_STACK_UNKNOWN : popped == FP ? HT_STACK_POPS_FP : HT_STACK_MOVES;
    }
    if (map == 0 && op == 0xc9)
        return HT_STACK_LEAVES;
    if (map == 0 && op == 0xc3)
        return HT_STACK_RETURNS;
    if (map == 0 && wide && (op == 0x83 || op == 0x81) && operand >> 6 == 3 && (operand & 7) == SP && !b && (kind == 0 || kind == 5)) {
        int64_t n = op == 0x83 ? (int8_t)code[at + 1] : (int32_t)(code[at + 1] | code[at + 2] << 8 | code[at + 3] << 16 | (uint32_t)code[at + 4] << 24);
        *by = kind == 0 ? n : -n;
        return HT_STACK_MOVES;
    }
    if (map == 0 && wide && op == 0x8d && kind == SP && !r) {
        /* lea n(%rsp),%rsp; lea n(%rbp),%rsp */
        uint32_t of_sp = (operand & 7) == 4 && code[at + 1] == 0x24 && !b, of_fp = (operand & 7) == FP && !b, size = operand >> 6;
        const uint8_t *n = code + at + 1 + of_sp;
        if ((!of_sp && !of_fp) || x || short_address || (size != 1 && size != 2))
            return HT_STACK_UNKNOWN;
        *by = size == 1 ? (int8_t)n[0] : (int32_t)(n[0] | n[1] << 8 | n[2] << 16 | (uint32_t)n[3] << 24);
        return of_sp ? HT_STACK_MOVES : HT_STACK_FROM_FP;
    }
    if (map == 0 && wide && !r && !b && ((op == 0x89 && operand == 0xec) || (op == 0x8b && operand == 0xe5))) /* mov %rbp,%rsp */
        return HT_STACK_FROM_FP;
    if (map == 0 && wide && !r && !b && ((op == 0x89 && operand == 0xe5) || (op == 0x8b && operand == 0xec))) /* mov %rsp,%rbp */
        return HT_STACK_FRAMES;
    if (map == 1 && op == 0x7e && repeats) /* to a vector */
        return HT_STACK_SAME;
    if (ht_code_has_operand(map, op) || map == 1 || ht_code_in(op, 0x90, 0x97) || ht_code_in(op, 0xb0, 0xbf)) {
        if (ht_code_writes(map, op, operand, r, b, prefix != 0, SP))
            return HT_STACK_UNKNOWN;
        if (ht_code_writes(map, op, operand, r, b, prefix != 0, FP))
            return HT_STACK_CHANGES_FP;
    }
    /* enter, far returns, system calls that return elsewhere, ret with a number */
    return map == 0 && (op == 0xc8 || op == 0xc2 || ht_code_in(op, 0xca, 0xcb) || op == 0xcf) ? HT_STACK_UNKNOWN : HT_STACK_SAME;
}

/* Whether a function may begin here: what fills up until one does, the mark of a landing, a push, a frame that is made. */
static inline int ht_arch_may_begin(const uint8_t *code)
{
    uint32_t at = (code[0] & 0xf0) == 0x40;
    return ht_arch_filling(code) || ht_arch_is_landing(code) || ht_code_in(code[at], 0x50, 0x57)
        || (code[0] == 0x48 && (code[1] == 0x83 || code[1] == 0x81) && code[2] == 0xec);
}

/* Where an instruction goes on behind the prefixes that a linker puts before jumps and calls through a word beside the code. */
static inline uint32_t ht_code_behind_prefixes(const uint8_t *code)
{
    uint32_t at = 0;
    while (at < 3 && (code[at] == 0xf2 || code[at] == 0x3e || code[at] == 0x48))
        at++;
    return at;
}

/* A jump through a word beside the code, as one to another object's function is. */
static inline int ht_arch_jumps_away(const uint8_t *code)
{
    uint32_t at = ht_code_behind_prefixes(code);
    return code[at] == 0xff && code[at + 1] == 0x25;
}

/* Whether it is a call through a register or memory. */
static inline int ht_arch_calls_through(const uint8_t *code)
{
    uint32_t at = 0;
    while (at < 4 && (code[at] == 0xf2 || code[at] == 0x3e || code[at] == 0x2e || code[at] == 0x66 || (code[at] & 0xf0) == 0x40))
        at++;
    return code[at] == 0xff && (code[at + 1] >> 3 & 7) == 2;
}

/* Whether a call stands before a place in the code: with a distance, or through a register or memory. */
#define HT_CALL_LONGEST 8
static inline int ht_arch_is_behind_call(const uint8_t *code)
{
    struct ht_code c;
    if (code[-5] == 0xe8)
        return 1;
    for (int length = 2; length <= HT_CALL_LONGEST; length++)
        if (ht_arch_calls_through(code - length) && ht_arch_code(code - length, &c) && c.length == (uint32_t)length)
            return 1;
    return 0;
}

/* The word that a jump or a call through memory beside the code takes its address from, in an instruction or where a PLT's entry has it; 0 when there is
 * none. `code` has 16 bytes. */
static inline uint64_t ht_arch_slot(const uint8_t *code)
{
    struct ht_code c;
    uint32_t at = ht_arch_is_landing(code) ? 4 : 0;
    at += ht_code_behind_prefixes(code + at);
    if (code[at] != 0xff || (code[at + 1] != 0x25 && code[at + 1] != 0x15) || !ht_arch_code(code + at, &c))
        return 0;
    return c.target;
}

/* Where a call with a distance goes; 0 when the instruction is none. */
#define HT_CALL_SIZE 5u
static inline uint64_t ht_arch_call_target(const uint8_t *code)
{
    struct ht_code c;
    return code[0] == 0xe8 && ht_arch_code(code, &c) ? c.target : 0;
}

/* The size of what makes a call's result the next one's argument, 0 when that does not stand there: mov %eax,%edi, movslq %eax,%rdi. */
#define HT_HANDS_LONGEST 5u
static inline uint32_t ht_arch_hands_result(const uint8_t *code)
{
    static const struct {
        uint8_t size, code[HT_HANDS_LONGEST];
    } ways[] = { { 2, { 0x89, 0xc7 } }, { 3, { 0x48, 0x89, 0xc7 } }, { 3, { 0x48, 0x63, 0xf8 } }, { 5, { 0x48, 0x98, 0x48, 0x89, 0xc7 } } };
    for (uint32_t i = 0, same; i < sizeof ways / sizeof *ways; i++) {
        for (same = 0; same < ways[i].size && code[same] == ways[i].code[same]; same++)
            ;
        if (same == ways[i].size)
            return same;
    }
    return 0;
}

#endif
