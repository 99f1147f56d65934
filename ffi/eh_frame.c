/*
 * eh_frame.c: from an unwind table to its row for one return address, and from that to one rule word.
 *
 * The tables are the compilers' own (System V ABI, DWARF 5 section 6.4 with the .eh_frame changes of
 * the LSB). They are read as the program's exception handling reads them, but nothing here trusts
 * them further than the bounds of what they lie in: every pointer is checked against
 * [low, high), every loop ends with the entry's own length.
 *
 * A row says of every register where its value for the caller is. Nearly all rows fit a word, and
 * those that do not get HT_RULE_ROW: the row is made again at each such frame (registers.c). No
 * state is kept for `remember_state`: what stands between it and its `restore_state` is left out where both
 * are before the place that is asked for, and counts where only the first is.
 */
#include "heaptap.h"

/* Pointer encodings (DW_EH_PE_*). */
#define HT_PE_OMIT 0xff
#define HT_PE_PCREL 0x10
#define HT_PE_DATAREL 0x30

struct ht_cursor {
    const uint8_t *at, *end;
    int bad; /* something lay outside; results are 0 from then on */
};

static const uint8_t *ht_take(struct ht_cursor *c, uint64_t n)
{
    if (c->bad || n > (uint64_t)(c->end - c->at)) {
        c->bad = 1;
        c->at = c->end;
        return NULL;
    }
    c->at += n;
    return c->at - n;
}

static uint64_t ht_take_number(struct ht_cursor *c, uint32_t size)
{
    const uint8_t *p = ht_take(c, size);
    uint64_t value = 0;
    for (uint32_t i = 0; p && i < size; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

static uint64_t ht_take_leb(struct ht_cursor *c, int is_signed)
{
    uint64_t value = 0;
    for (uint32_t shift = 0;; shift += 7) {
        uint64_t byte = ht_take_number(c, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (is_signed && shift + 7 < 64 && (byte & 0x40))
            value |= ~0ull << (shift + 7);
        return value;
    }
}

static uint64_t ht_take_uleb(struct ht_cursor *c) { return ht_take_leb(c, 0); }
static int64_t ht_take_sleb(struct ht_cursor *c) { return (int64_t)ht_take_leb(c, 1); }

static uint64_t ht_take_encoded(struct ht_cursor *c, uint8_t encoding, uint64_t data)
{
    uint64_t here = (uint64_t)c->at, value;
    if (encoding == HT_PE_OMIT)
        return 0;
    switch (encoding & 15) {
    case 0: case 4: case 12: value = ht_take_number(c, 8); break;
    case 1: value = ht_take_uleb(c); break;
    case 2: value = ht_take_number(c, 2); break;
    case 3: value = ht_take_number(c, 4); break;
    case 9: value = (uint64_t)ht_take_sleb(c); break;
    case 10: value = (uint64_t)(int16_t)ht_take_number(c, 2); break;
    case 11: value = (uint64_t)(int32_t)ht_take_number(c, 4); break;
    default: c->bad = 1; return 0;
    }
    if (value && (encoding & 0x70) == HT_PE_PCREL)
        value += here;
    if (value && (encoding & 0x70) == HT_PE_DATAREL)
        value += data;
    return value; /* DW_EH_PE_indirect is for personality routines, whose value nobody wants */
}

enum ht_how {
    HT_HOW_SAME,          /* as it is here */
    HT_HOW_UNDEFINED,
    HT_HOW_AT,            /* in memory, at an offset from the CFA */
    HT_HOW_OFFSET,        /* an offset from the CFA itself */
    HT_HOW_REGISTER,      /* in another register */
    HT_HOW_AT_EXPRESSION, /* in memory, where an expression says */
    HT_HOW_EXPRESSION,    /* what an expression says */
};

/* What the table says at one place in the code: how the CFA and the caller's registers are had. An
 * expression stands as the address of its length. */
#define HT_CFA_NONE 0xff
#define HT_CFA_EXPRESSION 0xfe
struct ht_row {
    int64_t cfa; /* offset from its register, or the expression */
    int64_t value[HT_DWARF_COUNT];
    uint8_t cfa_register; /* or one of the above */
    uint8_t pc_register;  /* which of them is the return address */
    uint8_t is_signal;
    uint8_t bad; /* it says something that is not understood */
    uint8_t how[HT_DWARF_COUNT];
};

struct ht_cie {
    uint64_t code_align;
    int64_t data_align;
    uint64_t ra_register;
    uint8_t pointer_encoding;
    int is_signal, has_augmentation;
    struct ht_cursor program;
};

/* An entry's extent: behind its length field. */
static struct ht_cursor ht_entry(uint64_t at, uint64_t low, uint64_t high)
{
    struct ht_cursor c = { (const uint8_t *)at, (const uint8_t *)high, at < low || high < 4 || at > high - 4 };
    if (c.bad)
        return c;
    uint64_t length = ht_take_number(&c, 4);
    if (length == 0xffffffff)
        length = ht_take_number(&c, 8);
    if (length > (uint64_t)(c.end - c.at))
        c.bad = 1;
    else
        c.end = c.at + length;
    return c;
}

static int ht_read_cie(uint64_t at, uint64_t low, uint64_t high, struct ht_cie *cie)
{
    struct ht_cursor c = ht_entry(at, low, high);
    if (ht_take_number(&c, 4) != 0 || c.bad)
        return 0;
    uint8_t version = (uint8_t)ht_take_number(&c, 1);
    const char *augmentation = (const char *)c.at;
    while (!c.bad && ht_take_number(&c, 1))
        ;
    if (c.bad)
        return 0;
    if (version == 4)
        ht_take(&c, 2);
    cie->code_align = ht_take_uleb(&c);
    cie->data_align = ht_take_sleb(&c);
    cie->ra_register = version == 1 ? ht_take_number(&c, 1) : ht_take_uleb(&c);
    cie->pointer_encoding = 0;
    cie->is_signal = 0;
    cie->has_augmentation = augmentation[0] == 'z';
    if (cie->has_augmentation) {
        uint64_t length = ht_take_uleb(&c);
        const uint8_t *body = ht_take(&c, length);
        struct ht_cursor a = { body, body ? body + length : NULL, !body };
        for (const char *f = augmentation + 1; *f && !a.bad; f++) {
            if (*f == 'R') {
                cie->pointer_encoding = (uint8_t)ht_take_number(&a, 1);
            } else if (*f == 'P') {
                uint8_t encoding = (uint8_t)ht_take_number(&a, 1);
                ht_take_encoded(&a, encoding, 0);
            } else if (*f == 'L') {
                ht_take(&a, 1);
            } else if (*f == 'S') {
                cie->is_signal = 1;
            } else if (*f != 'B' && *f != 'G') {
                break;
            }
        }
    } else if (augmentation[0]) {
        return 0;
    }
    cie->program = c;
    return !c.bad;
}

/* One instruction of a table's program. */
enum ht_does {
    HT_DOES_NOTHING, /* but that the location may have moved */
    HT_DOES_RULE,
    HT_DOES_RESTORE,
    HT_DOES_CFA,
    HT_DOES_CFA_REGISTER,
    HT_DOES_CFA_OFFSET,
    HT_DOES_REMEMBER,
    HT_DOES_RECALL,
    HT_DOES_UNKNOWN,
};
struct ht_instruction {
    enum ht_does does;
    enum ht_how how;
    uint64_t reg;
    int64_t value;
};

static int64_t ht_take_expression(struct ht_cursor *c)
{
    int64_t at = (int64_t)c->at;
    ht_take(c, ht_take_uleb(c));
    return at;
}

static struct ht_instruction ht_saved(uint64_t reg, enum ht_how how, int64_t value)
{
    return (struct ht_instruction){ HT_DOES_RULE, how, reg, value };
}

static struct ht_instruction ht_decode(struct ht_cursor *c, const struct ht_cie *cie, uint64_t *location)
{
    uint8_t op = (uint8_t)ht_take_number(c, 1);
    uint64_t low6 = op & 0x3f, reg;
    int64_t data = cie->data_align;
    struct ht_instruction in = { .does = HT_DOES_NOTHING };
    switch (op >> 6) {
    case 1: *location += low6 * cie->code_align; return in;
    case 2: return ht_saved(low6, HT_HOW_AT, (int64_t)ht_take_uleb(c) * data);
    case 3: in.does = HT_DOES_RESTORE; in.reg = low6; return in;
    }
    switch (op) {
    case 0x00: break;
    case 0x01: *location = ht_take_encoded(c, cie->pointer_encoding, 0); break;
    case 0x02: case 0x03: case 0x04: *location += ht_take_number(c, 1u << (op - 2)) * cie->code_align; break;
    case 0x05: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_AT, (int64_t)ht_take_uleb(c) * data);
    case 0x06: in.does = HT_DOES_RESTORE; in.reg = ht_take_uleb(c); break;
    case 0x07: return ht_saved(ht_take_uleb(c), HT_HOW_UNDEFINED, 0);
    case 0x08: return ht_saved(ht_take_uleb(c), HT_HOW_SAME, 0);
    case 0x09: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_REGISTER, (int64_t)ht_take_uleb(c));
    case 0x0a: in.does = HT_DOES_REMEMBER; break;
    case 0x0b: in.does = HT_DOES_RECALL; break;
    case 0x0c: in.does = HT_DOES_CFA; in.reg = ht_take_uleb(c); in.value = (int64_t)ht_take_uleb(c); break;
    case 0x0d: in.does = HT_DOES_CFA_REGISTER; in.reg = ht_take_uleb(c); break;
    case 0x0e: in.does = HT_DOES_CFA_OFFSET; in.value = (int64_t)ht_take_uleb(c); break;
    case 0x0f: in.does = HT_DOES_CFA; in.reg = HT_CFA_EXPRESSION; in.value = ht_take_expression(c); break;
    case 0x10: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_AT_EXPRESSION, ht_take_expression(c));
    case 0x11: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_AT, ht_take_sleb(c) * data);
    case 0x12: in.does = HT_DOES_CFA; in.reg = ht_take_uleb(c); in.value = ht_take_sleb(c) * data; break;
    case 0x13: in.does = HT_DOES_CFA_OFFSET; in.value = ht_take_sleb(c) * data; break;
    case 0x14: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_OFFSET, (int64_t)ht_take_uleb(c) * data);
    case 0x15: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_OFFSET, ht_take_sleb(c) * data);
    case 0x16: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_EXPRESSION, ht_take_expression(c));
    case 0x2e: ht_take_uleb(c); break; /* GNU_args_size */
    case 0x2f: reg = ht_take_uleb(c); return ht_saved(reg, HT_HOW_AT, -(int64_t)ht_take_uleb(c) * data);
    default: in.does = HT_DOES_UNKNOWN;
    }
    return in;
}

/* Behind a remember_state: goes on behind its restore_state, when that stands before pc too. */
static void ht_pass_remembered(struct ht_cursor *c, const struct ht_cie *cie, uint64_t *location, uint64_t pc)
{
    struct ht_cursor ahead = *c;
    uint64_t there = *location;
    for (uint32_t nested = 1; nested > 0;) {
        struct ht_instruction in = ht_decode(&ahead, cie, &there);
        if (ahead.bad || there > pc || in.does == HT_DOES_UNKNOWN)
            return;
        nested += in.does == HT_DOES_REMEMBER;
        nested -= in.does == HT_DOES_RECALL;
    }
    *c = ahead;
    *location = there;
}

/* Runs a program from `location` up to and including the row that covers pc. */
static void ht_run(struct ht_cursor c, const struct ht_cie *cie, uint64_t location, uint64_t pc, const struct ht_row *initial, struct ht_row *row)
{
    while (!row->bad && c.at < c.end) {
        struct ht_instruction in = ht_decode(&c, cie, &location);
        if (c.bad) {
            row->bad = 1;
            return;
        }
        if (location > pc)
            return;
        switch (in.does) {
        case HT_DOES_NOTHING:
            break;
        case HT_DOES_RULE:
            if (in.reg < HT_DWARF_COUNT) {
                row->how[in.reg] = (uint8_t)in.how;
                row->value[in.reg] = in.value;
            }
            break;
        case HT_DOES_RESTORE:
            if (in.reg < HT_DWARF_COUNT) {
                row->how[in.reg] = initial->how[in.reg];
                row->value[in.reg] = initial->value[in.reg];
            }
            break;
        case HT_DOES_CFA:
        case HT_DOES_CFA_REGISTER:
            row->cfa_register = in.reg < HT_DWARF_COUNT || in.reg == HT_CFA_EXPRESSION ? (uint8_t)in.reg : HT_CFA_NONE;
            if (in.does == HT_DOES_CFA)
                row->cfa = in.value;
            break;
        case HT_DOES_CFA_OFFSET:
            row->cfa = in.value;
            break;
        case HT_DOES_REMEMBER:
            ht_pass_remembered(&c, cie, &location, pc);
            break;
        case HT_DOES_RECALL: /* of nothing remembered */
        case HT_DOES_UNKNOWN:
            row->bad = 1;
            break;
        }
    }
}

/* An expression of a row. It was within its entry when that was read. */
static struct ht_cursor ht_expression(int64_t at)
{
    struct ht_cursor c = { (const uint8_t *)at, (const uint8_t *)at + 10, 0 };
    uint64_t length = ht_take_uleb(&c);
    c.end = c.at + length;
    return c;
}

/* Whether an expression is the address in a register and an offset; 1 more when the word there is meant. */
static uint32_t ht_expression_is_simple(int64_t at, uint64_t *reg, int64_t *offset)
{
    struct ht_cursor c = ht_expression(at);
    *reg = ht_take_number(&c, 1) - 0x70; /* DW_OP_breg0 */
    *offset = ht_take_sleb(&c);
    if (c.bad || *reg >= 32)
        return 0;
    if (c.at == c.end)
        return 1;
    return ht_take_number(&c, 1) == 0x06 && c.at == c.end ? 2 : 0; /* DW_OP_deref */
}

static enum ht_rule_kind ht_row_cfa(const struct ht_row *row, int64_t *offset)
{
    uint64_t reg = row->cfa_register;
    *offset = row->cfa;
    uint32_t simple = reg == HT_CFA_EXPRESSION ? ht_expression_is_simple(row->cfa, &reg, offset) : 1;
    if (*offset >= HT_RULE_OFFSET_MAX || *offset < -HT_RULE_OFFSET_MAX)
        return HT_RULE_ROW;
    if (simple == 1)
        return reg == HT_DWARF_SP && *offset > 0 ? HT_RULE_SP : reg == HT_DWARF_FP ? HT_RULE_FP : HT_RULE_ROW;
    if (simple == 2)
        return reg == HT_DWARF_SP ? HT_RULE_SP_DEREF : reg == HT_DWARF_FP ? HT_RULE_FP_DEREF : HT_RULE_ROW;
    return HT_RULE_ROW;
}

/* Where fp was saved, as a word has it; -1 when a word cannot say it. */
static int64_t ht_row_fp(const struct ht_row *row)
{
    int64_t value = row->value[HT_DWARF_FP], offset;
    uint64_t reg;
    switch (row->how[HT_DWARF_FP]) {
    case HT_HOW_SAME: case HT_HOW_UNDEFINED:
        return 0;
    case HT_HOW_AT:
        return value >= 0 || value % 8 || -value / 8 > HT_RULE_FP_SLOT_MAX ? -1 : -value / 8;
    case HT_HOW_AT_EXPRESSION: /* how a function that realigned its stack finds its way back */
        return ht_expression_is_simple(value, &reg, &offset) == 1 && reg == HT_DWARF_FP && offset == 0 ? HT_RULE_FP_AT_FP : -1;
    default:
        return -1;
    }
}

static uint64_t ht_row_rule(const struct ht_row *row)
{
    if (row->bad || row->cfa_register == HT_CFA_NONE)
        return ht_rule(HT_RULE_NONE, 0, 0);
    if (row->how[row->pc_register] == HT_HOW_UNDEFINED)
        return ht_rule(HT_RULE_END, 0, 0);
    int64_t offset, slot = ht_row_fp(row);
    enum ht_rule_kind kind = ht_row_cfa(row, &offset);
    int moved = row->pc_register != HT_DWARF_PC || row->how[HT_DWARF_PC] != HT_HOW_AT || row->value[HT_DWARF_PC] != -8
        || row->how[HT_DWARF_SP] != HT_HOW_SAME;
    if (kind == HT_RULE_ROW || slot < 0 || moved || row->is_signal)
        return ht_rule(HT_RULE_ROW, 0, 0);
    return ht_rule(kind, offset, (uint64_t)slot);
}

/* What is said of a place by the entry at `fde`, in a table within [low, high). Returns 0 when that does not
 * cover the place. */
static int ht_row_of(uint64_t fde, uint64_t low, uint64_t high, uint64_t pc, struct ht_row *row)
{
    struct ht_cursor c = ht_entry(fde, low, high);
    uint64_t here = (uint64_t)c.at;
    uint64_t back = ht_take_number(&c, 4);
    struct ht_cie cie;
    if (c.bad || back == 0 || !ht_read_cie(here - back, low, high, &cie))
        return 0;
    uint64_t start = ht_take_encoded(&c, cie.pointer_encoding, 0);
    uint64_t size = ht_take_encoded(&c, cie.pointer_encoding & 15, 0);
    if (c.bad || pc < start || pc - start >= size)
        return 0;
    if (cie.has_augmentation)
        ht_take(&c, ht_take_uleb(&c));
    struct ht_row initial;
    memset(&initial, 0, sizeof initial);
    initial.cfa_register = HT_CFA_NONE;
    initial.pc_register = cie.ra_register < HT_DWARF_COUNT ? (uint8_t)cie.ra_register : 0;
    initial.bad = cie.ra_register >= HT_DWARF_COUNT || c.bad;
    initial.is_signal = (uint8_t)cie.is_signal;
    ht_run(cie.program, &cie, 0, ~0ull, &initial, &initial);
    *row = initial;
    ht_run(c, &cie, start, pc, &initial, row);
    return 1;
}

/* Bytes of an encoded number that always has as many; 0 for one that has not. */
static uint32_t ht_encoded_size(uint8_t encoding)
{
    static const uint8_t sizes[16] = { 8, 0, 2, 4, 8, 0, 0, 0, 0, 0, 2, 4, 8 };
    return encoding == HT_PE_OMIT ? 0 : sizes[encoding & 15];
}

/* The sorted table of .eh_frame_hdr: rows of two numbers each, by the place in the code. */
struct ht_sorted {
    struct ht_cursor rows;
    uint8_t encoding;
    uint32_t size;    /* of one number; 0 when there is no such table */
    uint64_t count;
    uint64_t section; /* where to search one by one then, 0 when that is not known */
};

static struct ht_sorted ht_sorted(uint64_t hdr, uint64_t low, uint64_t high)
{
    struct ht_sorted s = { .size = 0 };
    if (hdr < low || hdr + 4 > high)
        return s;
    struct ht_cursor c = { (const uint8_t *)hdr, (const uint8_t *)high, 0 };
    const uint8_t *h = ht_take(&c, 4);
    if (!h || h[0] != 1)
        return s;
    uint64_t frames = ht_take_encoded(&c, h[1], hdr), count = ht_take_encoded(&c, h[2], hdr);
    uint32_t size = ht_encoded_size(h[3]);
    if (c.bad || h[2] == HT_PE_OMIT || size == 0 || count == 0)
        s.section = frames;
    else if (count <= (uint64_t)(c.end - c.at) / (2 * size))
        s = (struct ht_sorted){ c, h[3], size, count, 0 };
    return s;
}

/* The entry that may cover pc, by binary search. 0 when there is none; *section is where to search one by one when there is no such
 * table, else 0. */
static uint64_t ht_find_sorted(uint64_t hdr, uint64_t low, uint64_t high, uint64_t pc, uint64_t *section)
{
    struct ht_sorted s = ht_sorted(hdr, low, high);
    *section = s.section;
    if (s.size == 0)
        return 0;
    uint64_t first = 0, last = s.count;
    while (last - first > 1) {
        uint64_t middle = (first + last) / 2;
        struct ht_cursor row = { s.rows.at + middle * 2 * s.size, s.rows.end, 0 };
        if (ht_take_encoded(&row, s.encoding, hdr) <= pc)
            first = middle;
        else
            last = middle;
    }
    struct ht_cursor row = { s.rows.at + first * 2 * s.size, s.rows.end, 0 };
    return ht_take_encoded(&row, s.encoding, hdr) <= pc ? ht_take_encoded(&row, s.encoding, hdr) : 0;
}
