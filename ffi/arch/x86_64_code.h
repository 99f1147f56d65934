/*
 * x86-64: instructions, as far as it takes to move the first ones of a function elsewhere: how long each is, and what in it
 * depends on where it lies. From the opcode maps of the processor manuals; what is not in them is not decoded.
 */
#ifndef HT_ARCH_CODE_H
#define HT_ARCH_CODE_H

#include <stdint.h>

enum ht_code_kind {
    HT_CODE_PLAIN,
    HT_CODE_RELATIVE, /* it names memory by its distance */
    HT_CODE_JUMP,
    HT_CODE_BRANCH, /* a jump on a condition */
    HT_CODE_CALL,
    HT_CODE_BOUND, /* it stays where it is: a jump without a longer form, a call through memory */
};

struct ht_code {
    uint32_t length;
    enum ht_code_kind kind;
    uint32_t ends; /* nothing runs on behind it */
    uint32_t distance_at, distance_size; /* where in it the distance stands */
    uint32_t condition;
    uint64_t target; /* of a distance */
};

#define HT_JUMP_SIZE 5u
#define HT_STUB_SIZE 16u /* a jump to anywhere */
#define HT_MOVED_SIZE 64u /* instructions of a jump's size and one more, in their longest forms, and the jump back */
#define HT_CODE_LONGEST 15u

static inline int ht_code_in(uint32_t op, uint32_t first, uint32_t last) { return op >= first && op <= last; }

static inline int ht_code_is_none(uint32_t map, uint32_t op)
{
    if (map == 0)
        return (op < 0x40 && (op & 7) >= 6) || ht_code_in(op, 0x60, 0x62) || op == 0x82 || op == 0x9a || op == 0xce || ht_code_in(op, 0xd4, 0xd6)
            || op == 0xea;
    return map == 1 ? op == 0x04 || op == 0x0a || op == 0x0c || op == 0x0f || ht_code_in(op, 0x24, 0x27) || op == 0x36 || op == 0x39
                          || ht_code_in(op, 0x3b, 0x3f) || ht_code_in(op, 0xa6, 0xa7)
                    : map > 6 || map == 4;
}

static inline int ht_code_has_operand(uint32_t map, uint32_t op)
{
    if (map == 0)
        return (op < 0x40 && (op & 7) < 4) || op == 0x63 || op == 0x69 || op == 0x6b || ht_code_in(op, 0x80, 0x8f) || ht_code_in(op, 0xc0, 0xc1)
            || ht_code_in(op, 0xc6, 0xc7) || ht_code_in(op, 0xd0, 0xd3) || ht_code_in(op, 0xd8, 0xdf) || ht_code_in(op, 0xf6, 0xf7) || op >= 0xfe;
    return map != 1
        || !(ht_code_in(op, 0x05, 0x09) || op == 0x0b || op == 0x0e || ht_code_in(op, 0x30, 0x37) || op == 0x77 || ht_code_in(op, 0x80, 0x8f)
             || ht_code_in(op, 0xa0, 0xa2) || ht_code_in(op, 0xa8, 0xaa) || ht_code_in(op, 0xc8, 0xcf));
}

/* Bytes of the constant at the end. `whole`: what one of the operand's size has; `kind`: bits of the operand that say more. */
static inline uint32_t ht_code_constant(uint32_t map, uint32_t op, uint32_t whole, int wide, int short_address, uint32_t kind)
{
    if (map == 1)
        return ht_code_in(op, 0x70, 0x73) || op == 0xa4 || op == 0xac || op == 0xba || op == 0xc2 || ht_code_in(op, 0xc4, 0xc6) ? 1
            : ht_code_in(op, 0x80, 0x8f)                                                                                       ? 4
                                                                                                                                 : 0;
    if (map != 0)
        return map == 3;
    if (op < 0x40)
        return (op & 7) == 4 ? 1 : (op & 7) == 5 ? whole : 0;
    switch (op) {
    case 0x68: case 0x69: case 0x81: case 0xa9: case 0xc7: return whole;
    case 0x6a: case 0x6b: case 0x80: case 0x83: case 0xa8: case 0xc0: case 0xc1: case 0xc6: case 0xcd: case 0xeb: return 1;
    case 0xa0: case 0xa1: case 0xa2: case 0xa3: return short_address ? 4 : 8;
    case 0xc2: case 0xca: return 2;
    case 0xc8: return 3;
    case 0xe8: case 0xe9: return 4;
    case 0xf6: return kind < 2;
    case 0xf7: return kind < 2 ? whole : 0;
    default:
        return ht_code_in(op, 0x70, 0x7f) || ht_code_in(op, 0xb0, 0xb7) || ht_code_in(op, 0xe0, 0xe7) ? 1
            : ht_code_in(op, 0xb8, 0xbf)                                                              ? (wide ? 8 : whole)
                                                                                                        : 0;
    }
}

/* What the instruction at `code` is; 0 when it is none that is known. It is at most HT_CODE_LONGEST bytes. */
static inline int ht_arch_code(const uint8_t *code, struct ht_code *said)
{
    uint32_t at = 0, map = 0, op, narrow = 0, wide = 0, short_address = 0;
    *said = (struct ht_code){ 0 };
    for (;; at++) {
        uint32_t b = code[at];
        if (at > 10)
            return 0;
        if (b == 0x66)
            narrow = 1;
        else if (b == 0x67)
            short_address = 1;
        else if (b != 0xf0 && b != 0xf2 && b != 0xf3 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 && b != 0x65)
            break;
    }
    if ((code[at] & 0xf0) == 0x40)
        wide = code[at++] & 8;
    op = code[at++];
    int vector = op == 0xc4 || op == 0xc5 || op == 0x62;
    if (op == 0xc5) {
        map = 1;
        op = code[at + 1];
        at += 2;
    } else if (op == 0xc4 || op == 0x62) {
        uint32_t more = op == 0x62;
        map = code[at] & (more ? 7u : 31u);
        op = code[at + 2 + more];
        at += 3 + more;
        if (map == 0)
            return 0;
    } else if (op == 0x0f) {
        map = code[at] == 0x38 ? 2 : code[at] == 0x3a ? 3 : 1;
        at += map > 1;
        op = code[at++];
    }
    if (ht_code_is_none(map, op))
        return 0;
    uint32_t kind = 0;
    if (ht_code_has_operand(map, op)) {
        uint32_t operand = code[at++], mode = operand >> 6, base = operand & 7, size = mode == 1 ? 1 : mode == 2 ? 4 : 0;
        kind = operand >> 3 & 7;
        if (mode != 3 && base == 4) {
            base = code[at++] & 7;
            size = mode == 0 && base == 5 ? 4 : size;
        } else if (mode == 0 && base == 5) {
            size = 4;
            said->kind = short_address ? HT_CODE_BOUND : HT_CODE_RELATIVE;
            said->distance_at = at;
            said->distance_size = 4;
        }
        at += size;
    }
    uint32_t constant = ht_code_constant(map, op, narrow && !wide ? 2 : 4, wide != 0, short_address != 0, kind);
    if (!vector && ((map == 0 && (ht_code_in(op, 0x70, 0x7f) || ht_code_in(op, 0xe0, 0xe3) || op == 0xe8 || op == 0xe9 || op == 0xeb))
                    || (map == 1 && ht_code_in(op, 0x80, 0x8f)))) {
        said->kind = op == 0xe8 ? HT_CODE_CALL : op == 0xe9 || op == 0xeb ? HT_CODE_JUMP : map == 0 && op >= 0xe0 ? HT_CODE_BOUND : HT_CODE_BRANCH;
        said->ends = said->kind == HT_CODE_JUMP;
        said->condition = op & 15;
        said->distance_at = at;
        said->distance_size = constant;
    } else if (!vector && map == 0 && op == 0xff && (kind == 2 || kind == 3)) {
        said->kind = HT_CODE_BOUND;
    } else if (!vector && ((map == 0 && (op == 0xc2 || op == 0xc3 || op == 0xf4 || op == 0xcc || (op == 0xff && (kind == 4 || kind == 5)))) || (map == 1 && op == 0x0b))) {
        said->ends = 1;
    } else if (!vector && map == 0 && op == 0xc7 && kind == 7) {
        return 0; /* a transaction begins, with a distance to where it goes on after its end */
    }
    said->length = at + constant;
    if (said->length > HT_CODE_LONGEST)
        return 0;
    if (said->distance_size) {
        int64_t distance = 0;
        for (uint32_t i = 0; i < said->distance_size; i++)
            distance |= (int64_t)code[said->distance_at + i] << 8 * i;
        distance = said->distance_size == 1 ? (int8_t)distance : (int32_t)distance;
        said->target = (uint64_t)code + said->length + (uint64_t)distance;
    }
    return 1;
}

static inline int ht_code_reaches(uint64_t from, uint64_t to) { return (int64_t)(to - from) == (int32_t)(to - from); }

static inline void ht_code_put(uint8_t *at, uint64_t value, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* A jump, with its distance. */
static inline void ht_arch_jump(uint8_t code[HT_JUMP_SIZE], uint64_t at, uint64_t to)
{
    code[0] = 0xe9;
    ht_code_put(code + 1, to - (at + HT_JUMP_SIZE), 4);
}

/* A jump to anywhere: through the word behind it. */
static inline void ht_arch_stub(uint8_t code[HT_STUB_SIZE], uint64_t to)
{
    static const uint8_t through[] = { 0xff, 0x25, 2, 0, 0, 0, 0xcc, 0xcc };
    for (uint32_t i = 0; i < sizeof through; i++)
        code[i] = through[i];
    ht_code_put(code + sizeof through, to, 8);
}

static inline int ht_arch_is_landing(const uint8_t *code) { return code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa; }

/* Whether a byte behind a function's end fills up until the next one's place: breakpoints, or the no-operations of many bytes
 * that begin so. */
static inline uint32_t ht_arch_filling(const uint8_t *code)
{
    struct ht_code c;
    if (code[0] == 0xcc || code[0] == 0x90)
        return 1;
    uint32_t i = 0;
    while (i < 8 && (code[i] == 0x66 || code[i] == 0x2e))
        i++;
    return ((code[i] == 0x0f && code[i + 1] == 0x1f) || (i > 0 && code[i] == 0x90)) && ht_arch_code(code, &c) ? c.length : 0;
}

/*
 * Writes what the instruction at `from` does to `to`, as if it stood where it stands. Returns the bytes that it took, 0 when
 * that cannot be. A call becomes what leaves the same return address.
 */
static inline uint32_t ht_arch_move(const uint8_t *from, const struct ht_code *c, uint8_t *to)
{
    uint64_t at = (uint64_t)to;
    switch (c->kind) {
    case HT_CODE_PLAIN:
    case HT_CODE_RELATIVE:
        for (uint32_t i = 0; i < c->length; i++)
            to[i] = from[i];
        if (c->kind == HT_CODE_RELATIVE) {
            if (!ht_code_reaches(at + c->length, c->target))
                return 0;
            ht_code_put(to + c->distance_at, c->target - (at + c->length), 4);
        }
        return c->length;
    case HT_CODE_JUMP:
        if (!ht_code_reaches(at + HT_JUMP_SIZE, c->target))
            return 0;
        ht_arch_jump(to, at, c->target);
        return HT_JUMP_SIZE;
    case HT_CODE_BRANCH:
        if (!ht_code_reaches(at + 6, c->target))
            return 0;
        to[0] = 0x0f;
        to[1] = (uint8_t)(0x80 | c->condition);
        ht_code_put(to + 2, c->target - (at + 6), 4);
        return 6;
    case HT_CODE_CALL: {
        /* lea -8(%rsp),%rsp; movl $low,(%rsp); movl $high,4(%rsp): no flag changes. */
        static const uint8_t down[] = { 0x48, 0x8d, 0x64, 0x24, 0xf8, 0xc7, 0x04, 0x24 }, high[] = { 0xc7, 0x44, 0x24, 0x04 };
        uint64_t back = (uint64_t)from + c->length;
        uint32_t n = 0;
        for (uint32_t i = 0; i < sizeof down; i++)
            to[n++] = down[i];
        ht_code_put(to + n, back, 4);
        n += 4;
        for (uint32_t i = 0; i < sizeof high; i++)
            to[n++] = high[i];
        ht_code_put(to + n, back >> 32, 4);
        n += 4;
        if (!ht_code_reaches(at + n + HT_JUMP_SIZE, c->target))
            return 0;
        ht_arch_jump(to + n, at + n, c->target);
        return n + HT_JUMP_SIZE;
    }
    case HT_CODE_BOUND:
        break;
    }
    return 0;
}

/*
 * A function that does nothing, at a place that is a multiple of 16: how many of its words change when it is to jump, from
 * the last to the first; 0 when it is not one that can. Either it returns at once, and a jump fits in its first word, or
 * it begins with the mark of a landing, and a short jump leads over what is left of the first word to the second.
 */
#define HT_WORD_OF_CODE 8u
static inline uint32_t ht_arch_empty(const uint8_t *code)
{
    uint32_t start = ht_arch_is_landing(code) ? 4 : 0, at = start + 1;
    if ((uint64_t)code % 16 != 0 || code[start] != 0xc3)
        return 0;
    for (uint32_t filling; at < 2 * HT_WORD_OF_CODE; at += filling)
        if ((filling = ht_arch_filling(code + at)) == 0)
            return 0;
    return start ? 2 : 1;
}

/* Changes one of those words, which lies at `at` and is number `word`. */
static inline void ht_arch_empty_jump(uint8_t bytes[HT_WORD_OF_CODE], uint32_t words, uint32_t word, uint64_t at, uint64_t to)
{
    if (word == words - 1) {
        ht_arch_jump(bytes, at, to);
    } else {
        bytes[4] = 0xeb;
        bytes[5] = 2;
    }
}

#endif
