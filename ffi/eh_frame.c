/*
 * eh_frame.c: from an object's unwind tables to one rule word for one return address.
 *
 * The tables are the compilers' own (System V ABI, DWARF 5 section 6.4 with the .eh_frame changes of
 * the LSB). They are read as the program's exception handling reads them, but nothing here trusts
 * them further than the bounds of the object that they lie in: every pointer is checked against
 * [low, high), every loop ends with the entry's own length.
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

/* What the rows of the table say at one place in the code. */
struct ht_row {
    int64_t cfa_offset;
    int64_t fp_offset;      /* from the CFA, when fp_saved */
    enum ht_rule_kind kind; /* how the CFA is had */
    int fp_saved;
    int fp_at_fp;           /* saved at fp itself, not at fp_offset */
    int no_caller;          /* the return address is undefined: outermost frame */
    int odd;                /* something that a rule word cannot say */
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
    struct ht_cursor c = { (const uint8_t *)at, (const uint8_t *)high, at < low || at + 4 > high };
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

/* CFA expressions that occur at calls: a register's word in memory, `breg N; deref`, which is how a
 * function that realigned its stack finds its way back. */
static void ht_cfa_expression(struct ht_cursor *c, struct ht_row *row)
{
    uint64_t length = ht_take_uleb(c);
    const uint8_t *body = ht_take(c, length);
    row->kind = HT_RULE_NONE;
    if (!body || length < 3)
        return;
    struct ht_cursor e = { body + 1, body + length, 0 };
    int64_t offset = ht_take_sleb(&e);
    if (ht_take_number(&e, 1) != 0x06 || e.bad || e.at != e.end)
        return;
    if (body[0] == 0x70 + HT_DWARF_FP)
        row->kind = HT_RULE_FP_DEREF;
    else if (body[0] == 0x70 + HT_DWARF_SP)
        row->kind = HT_RULE_SP_DEREF;
    row->cfa_offset = offset;
}

static void ht_cfa_register(struct ht_row *row, uint64_t reg)
{
    row->kind = reg == HT_DWARF_SP ? HT_RULE_SP : reg == HT_DWARF_FP ? HT_RULE_FP : HT_RULE_NONE;
}

static void ht_saved_at(struct ht_row *row, const struct ht_cie *cie, uint64_t reg, int64_t offset)
{
    if (reg == HT_DWARF_FP) {
        row->fp_saved = 1;
        row->fp_at_fp = 0;
        row->fp_offset = offset;
    } else if (reg == cie->ra_register && offset != -8) {
        row->odd = 1;
    }
}

static void ht_restored(struct ht_row *row, const struct ht_row *initial, uint64_t reg)
{
    if (reg == HT_DWARF_FP) {
        row->fp_saved = initial->fp_saved;
        row->fp_at_fp = initial->fp_at_fp;
        row->fp_offset = initial->fp_offset;
    }
}

/* Runs a program from `location` up to and including the row that covers pc. */
static void ht_run(struct ht_cursor c, const struct ht_cie *cie, uint64_t location, uint64_t pc, struct ht_row *row)
{
    const struct ht_row initial = *row;
    struct ht_row saved[8];
    uint32_t depth = 0;
    while (!c.bad && c.at < c.end) {
        uint8_t op = (uint8_t)ht_take_number(&c, 1);
        uint64_t low6 = op & 0x3f, reg, advance = 0;
        const uint8_t *body;
        switch (op >> 6) {
        case 1: /* advance_loc */
            advance = low6 * cie->code_align;
            if (location + advance > pc)
                return;
            location += advance;
            continue;
        case 2: /* offset */
            ht_saved_at(row, cie, low6, (int64_t)ht_take_uleb(&c) * cie->data_align);
            continue;
        case 3: /* restore */
            ht_restored(row, &initial, low6);
            continue;
        }
        switch (op) {
        case 0x00: break; /* nop */
        case 0x01: /* set_loc */
            location = ht_take_encoded(&c, cie->pointer_encoding, 0);
            if (location > pc)
                return;
            break;
        case 0x02: case 0x03: case 0x04: /* advance_loc1, 2, 4 */
            advance = ht_take_number(&c, 1u << (op - 2)) * cie->code_align;
            if (location + advance > pc)
                return;
            location += advance;
            break;
        case 0x05: /* offset_extended */
            reg = ht_take_uleb(&c);
            ht_saved_at(row, cie, reg, (int64_t)ht_take_uleb(&c) * cie->data_align);
            break;
        case 0x06: ht_restored(row, &initial, ht_take_uleb(&c)); break; /* restore_extended */
        case 0x07: /* undefined */
            reg = ht_take_uleb(&c);
            if (reg == cie->ra_register)
                row->no_caller = 1;
            break;
        case 0x08: /* same_value */
            if (ht_take_uleb(&c) == HT_DWARF_FP)
                row->fp_saved = 0;
            break;
        case 0x09: /* register */
            reg = ht_take_uleb(&c);
            ht_take_uleb(&c);
            if (reg == HT_DWARF_FP || reg == cie->ra_register)
                row->odd = 1;
            break;
        case 0x0a: /* remember_state */
            if (depth < HT_COUNT(saved))
                saved[depth] = *row;
            depth++;
            break;
        case 0x0b: /* restore_state */
            if (depth == 0 || depth > HT_COUNT(saved)) {
                row->odd = 1;
                return;
            }
            *row = saved[--depth];
            break;
        case 0x0c: /* def_cfa */
            ht_cfa_register(row, ht_take_uleb(&c));
            row->cfa_offset = (int64_t)ht_take_uleb(&c);
            break;
        case 0x0d: ht_cfa_register(row, ht_take_uleb(&c)); break; /* def_cfa_register */
        case 0x0e: row->cfa_offset = (int64_t)ht_take_uleb(&c); break; /* def_cfa_offset */
        case 0x0f: ht_cfa_expression(&c, row); break; /* def_cfa_expression */
        case 0x10: case 0x16: /* expression, val_expression */
            reg = ht_take_uleb(&c);
            advance = ht_take_uleb(&c);
            body = ht_take(&c, advance);
            if (reg == HT_DWARF_FP && op == 0x10 && body && advance == 2 && body[0] == 0x70 + HT_DWARF_FP && body[1] == 0)
                row->fp_saved = row->fp_at_fp = 1;
            else if (reg == HT_DWARF_FP || reg == cie->ra_register)
                row->odd = 1;
            break;
        case 0x11: /* offset_extended_sf */
            reg = ht_take_uleb(&c);
            ht_saved_at(row, cie, reg, ht_take_sleb(&c) * cie->data_align);
            break;
        case 0x12: /* def_cfa_sf */
            ht_cfa_register(row, ht_take_uleb(&c));
            row->cfa_offset = ht_take_sleb(&c) * cie->data_align;
            break;
        case 0x13: row->cfa_offset = ht_take_sleb(&c) * cie->data_align; break; /* def_cfa_offset_sf */
        case 0x14: case 0x15: /* val_offset, val_offset_sf */
            reg = ht_take_uleb(&c);
            ht_take_uleb(&c);
            if (reg == HT_DWARF_FP || reg == cie->ra_register)
                row->odd = 1;
            break;
        case 0x2e: ht_take_uleb(&c); break; /* GNU_args_size */
        case 0x2f: /* GNU_negative_offset_extended */
            reg = ht_take_uleb(&c);
            ht_saved_at(row, cie, reg, -(int64_t)ht_take_uleb(&c) * cie->data_align);
            break;
        default:
            row->odd = 1;
            return;
        }
    }
    row->odd |= c.bad;
}

static uint64_t ht_row_rule(const struct ht_row *row)
{
    if (row->no_caller)
        return ht_rule(HT_RULE_END, 0, 0);
    if (row->odd || row->kind == HT_RULE_NONE || row->cfa_offset >= HT_RULE_OFFSET_MAX || row->cfa_offset < -HT_RULE_OFFSET_MAX)
        return ht_rule(HT_RULE_NONE, 0, 0);
    uint64_t slot = 0;
    if (row->fp_at_fp && row->fp_saved) {
        slot = HT_RULE_FP_AT_FP;
    } else if (row->fp_saved) {
        if (row->fp_offset >= 0 || row->fp_offset % 8 || -row->fp_offset / 8 > HT_RULE_FP_SLOT_MAX)
            return ht_rule(HT_RULE_NONE, 0, 0);
        slot = (uint64_t)(-row->fp_offset / 8);
    }
    return ht_rule(row->kind, row->cfa_offset, slot);
}

/* The FDE that may cover pc: binary search in the sorted table of .eh_frame_hdr. */
static uint64_t ht_find_fde(const void *eh_frame_hdr, uint64_t pc, uint64_t low, uint64_t high)
{
    uint64_t data = (uint64_t)eh_frame_hdr;
    if (data < low || data + 4 > high)
        return 0;
    struct ht_cursor c = { eh_frame_hdr, (const uint8_t *)high, 0 };
    const uint8_t *h = ht_take(&c, 4);
    if (!h || h[0] != 1 || h[3] != 0x3b) /* datarel sdata4 pairs: the one form that linkers write */
        return 0;
    ht_take_encoded(&c, h[1], data);
    uint64_t count = ht_take_encoded(&c, h[2], data);
    if (c.bad || count == 0 || count > (uint64_t)(c.end - c.at) / 8)
        return 0;
    const int32_t *rows = (const int32_t *)c.at;
    int64_t target = (int64_t)(pc - data);
    uint64_t first = 0, last = count;
    while (last - first > 1) {
        uint64_t middle = (first + last) / 2;
        if (rows[2 * middle] <= target)
            first = middle;
        else
            last = middle;
    }
    return rows[2 * first] <= target ? data + (uint64_t)(int64_t)rows[2 * first + 1] : 0;
}

/* The rule for code at pc (an address inside the calling instruction) in the object that spans
 * [low, high). Code that the table does not cover gets HT_RULE_GUESS. */
static uint64_t ht_eh_frame_rule(const void *eh_frame_hdr, uint64_t pc, uint64_t low, uint64_t high)
{
    const uint64_t guess = ht_rule(HT_RULE_GUESS, 0, 0);
    uint64_t fde = ht_find_fde(eh_frame_hdr, pc, low, high);
    if (!fde)
        return guess;
    struct ht_cursor c = ht_entry(fde, low, high);
    uint64_t here = (uint64_t)c.at;
    uint64_t back = ht_take_number(&c, 4);
    struct ht_cie cie;
    if (c.bad || back == 0 || !ht_read_cie(here - back, low, high, &cie))
        return guess;
    uint64_t start = ht_take_encoded(&c, cie.pointer_encoding, 0);
    uint64_t size = ht_take_encoded(&c, cie.pointer_encoding & 15, 0);
    if (c.bad || pc < start || pc - start >= size)
        return guess;
    if (cie.has_augmentation)
        ht_take(&c, ht_take_uleb(&c));
    if (cie.is_signal)
        return ht_rule(HT_RULE_SIGNAL, 0, 0);
    struct ht_row row = { .kind = HT_RULE_NONE };
    ht_run(cie.program, &cie, 0, ~0ull, &row);
    ht_run(c, &cie, start, pc, &row);
    return ht_row_rule(&row);
}
