/*
 * way_out.c: the way out of a frame that no unwind table covers: its code is followed from where it goes on to where it returns.
 *
 * In an object that was compiled without tables, as musl's C library is, that is done through everything. Other code without a table may have been made at
 * run time, with other conventions (V8's functions take their arguments off the stack): there it is followed as long as it goes straight on, which is to the end where
 * the call stood before the epilogue: CPython's perf trampolines, what start files have.
 *
 * On the way it is known how far the stack pointer moves, and which word becomes rbp; the other registers do not matter. All ways are
 * followed that branches and jumps take, and those that come to a return must agree: one that does not has gone on behind a
 * call that never returns. Such calls are known by name, of the object's own and through its slots. A call leaves the stack
 * as it was. Where a way is given up, which may have been the only right one, one that makes no call must say what the others do.
 *
 * What is followed may be where a signal interrupted it: how things stand at the beginning is what they are measured from.
 *
 * A frame that never returns and hands on what it was returned, to exit or pthread_exit, is the outermost: it called main, or a thread's
 * function. One of exit itself and its like is left by what the function has done since it began. Of others that never return nothing is known.
 */
#include "heaptap.h"

#define HT_WAY_PLACES 256u
#define HT_WAY_STEPS 16384u
#define HT_WAY_NEVER_SIZE 256u
#define HT_WAY_LARGEST (4ull << 20) /* of an object: a larger one is a runtime that was stripped of its tables (Deno), whose code has conventions of its own */
#define HT_WAY_SPARSE 16384u /* bytes of an object with one entry of a table or fewer: it has none for its code */

struct ht_way {
    uint64_t at;
    int64_t sp;        /* from the stack pointer, or from rbp, as they were at the beginning */
    uint32_t from_fp;
    struct ht_way_fp {
        enum { HT_WAY_FP_SAME, HT_WAY_FP_SAVED, HT_WAY_FP_FRAME, HT_WAY_FP_CHANGED } is;
        int64_t at; /* where it was saved, or what it is, from the same as sp */
    } fp, pushed;      /* how rbp stands, and how it stood when it was pushed last, by a function that the way goes on in */
    int64_t pushed_at; /* where that is */
    uint32_t has_pushed;
    uint32_t adrift;  /* sp is another number, until it is had from rbp */
    uint32_t calls;   /* something on it, which may never return */
    uint32_t returns; /* the instruction does, or what it jumps away to does */
    uint32_t jumps;   /* it jumps away */
};

struct ht_ways {
    uint64_t low, high;   /* the object */
    uint64_t readable;    /* the page that was seen to be last */
    uint64_t never[10];   /* its own functions that do not return */
    struct ht_symbols symbols;
    uint32_t never_count, place_count, steps;
    uint32_t straight;    /* nothing is followed but what is certain whoever made the code: up to a call, a branch or a jump */
    uint32_t lost;        /* a way was given up: what the others say is believed where one of them makes no call */
    uint32_t outermost;   /* the frame hands on what it was returned to what never returns */
    struct ht_way places[HT_WAY_PLACES]; /* where ways go on; those that were followed stay */
};

static int ht_way_readable(struct ht_ways *w, uint64_t at)
{
    uint64_t last = at + HT_CODE_LONGEST;
    if (at < w->low || last >= w->high)
        return 0;
    if (last / HT_PAGE != w->readable && !ht_sys_readable(last / HT_PAGE * HT_PAGE))
        return 0;
    if (at / HT_PAGE != last / HT_PAGE && !ht_sys_readable(at / HT_PAGE * HT_PAGE))
        return 0;
    w->readable = last / HT_PAGE;
    return 1;
}

/* Goes on at another place later, unless that was there before. */
static void ht_way_add(struct ht_ways *w, const struct ht_way *from, uint64_t at)
{
    for (uint32_t i = 0; i < w->place_count; i++)
        if (w->places[i].at == at)
            return;
    if (w->place_count == HT_WAY_PLACES) {
        w->lost = 1;
        return;
    }
    w->places[w->place_count] = *from;
    w->places[w->place_count++].at = at;
}

static const char *const ht_never_names[] = { "exit", "_exit", "_Exit", "quick_exit", "abort", "pthread_exit", "thrd_exit", "__assert_fail", "__stack_chk_fail", "longjmp",
                                              "siglongjmp", "__longjmp_chk", "__chk_fail", "__fortify_fail", "err", "errx", "verr", "verrx", "__cxa_throw", "__cxa_rethrow",
                                              "_Unwind_Resume", "_ZSt9terminatev" };
#define HT_NEVER_OWN 10u /* that many are looked for in the object itself */

/* Whether the word that a call goes through is bound to a function that does not return, by its name. */
static int ht_way_slot_never(const struct ht_ways *w, uint64_t slot)
{
    for (uint32_t k = 0; slot && k < 2; k++)
        for (uint64_t i = 0; i < w->symbols.relocation_bytes[k] / sizeof(ElfW(Rela)); i++) {
            const ElfW(Rela) *r = &w->symbols.relocations[k][i];
            if (w->symbols.base + r->r_offset != slot)
                continue;
            const char *name = w->symbols.strings + w->symbols.symbols[ELF64_R_SYM(r->r_info)].st_name;
            for (uint32_t n = 0; n < HT_COUNT(ht_never_names); n++)
                if (ht_same_text(name, ht_never_names[n]))
                    return 1;
            return 0;
        }
    return 0;
}

/* Whether the call or the jump at a place goes to what does not return: by itself, or through a PLT's entry. */
static int ht_way_never_returns(struct ht_ways *w, uint64_t at, uint64_t target)
{
    for (uint32_t i = 0; target && i < w->never_count; i++)
        if (w->never[i] == target)
            return 1;
    if (w->straight || !w->symbols.symbols || !w->symbols.strings)
        return 0;
    uint64_t place = target ? target : at;
    return ht_way_readable(w, place) && ht_way_slot_never(w, ht_arch_slot((const uint8_t *)place));
}

/* What an instruction does to the frame; 0 when that cannot be said. */
static int ht_way_step(struct ht_way *way, enum ht_stack_kind kind, int64_t by)
{
    switch (kind) {
    case HT_STACK_SAME:
    case HT_STACK_RETURNS:
        return 1;
    case HT_STACK_MOVES:
        way->sp += by;
        return 1;
    case HT_STACK_PUSHES_FP:
        way->sp -= 8;
        if (way->adrift)
            return 1;
        way->pushed = way->fp;
        way->pushed_at = way->sp;
        way->has_pushed = 1;
        return 1;
    case HT_STACK_POPS_FP:
        if (way->adrift)
            way->fp.is = HT_WAY_FP_CHANGED;
        else
            way->fp = way->has_pushed && way->pushed_at == way->sp ? way->pushed : (struct ht_way_fp){ HT_WAY_FP_SAVED, way->sp };
        way->sp += 8;
        return 1;
    case HT_STACK_LEAVES:
    case HT_STACK_FROM_FP:
        if (way->fp.is != HT_WAY_FP_SAME && way->fp.is != HT_WAY_FP_FRAME)
            return 0;
        if (way->fp.is == HT_WAY_FP_SAME) { /* from here on all is measured from it */
            way->from_fp = 1;
            way->has_pushed = 0;
        }
        way->sp = by + (way->fp.is == HT_WAY_FP_FRAME ? way->fp.at : 0);
        way->adrift = 0;
        return kind == HT_STACK_FROM_FP || ht_way_step(way, HT_STACK_POPS_FP, 8);
    case HT_STACK_FRAMES:
        way->fp = (struct ht_way_fp){ way->adrift ? HT_WAY_FP_CHANGED : HT_WAY_FP_FRAME, way->sp + by };
        return 1;
    case HT_STACK_CHANGES_FP:
        way->fp.is = HT_WAY_FP_CHANGED;
        return 1;
    case HT_STACK_UNKNOWN:
        way->adrift = 1;
        return 1;
    }
    return 0;
}

/* Whether the call at a place hands on what the one before it returned, to what never returns. */
static int ht_way_hands_on(struct ht_ways *w, uint64_t call)
{
    uint64_t target = ht_way_readable(w, call - HT_HANDS_LONGEST - HT_CALL_LONGEST) ? ht_arch_call_target((const uint8_t *)call) : 0;
    if (!target || !ht_way_never_returns(w, call, target))
        return 0;
    for (uint64_t at = call - HT_HANDS_LONGEST; at < call; at++)
        if (ht_arch_hands_result((const uint8_t *)at) == call - at)
            return ht_arch_is_behind_call((const uint8_t *)at);
    return 0;
}

/* Goes to the next instruction. 0 when none follows: behind a call that does not return another function may begin. */
static int ht_way_next(struct ht_ways *w, struct ht_way *way, const struct ht_code *c)
{
    uint64_t at = way->at;
    int through = ht_arch_calls_through((const uint8_t *)at);
    way->at += c->length;
    if (c->ends || (w->straight && (through || (c->kind != HT_CODE_PLAIN && c->kind != HT_CODE_RELATIVE))))
        return 0;
    if (c->kind != HT_CODE_CALL && !through)
        return 1;
    way->calls = 1;
    w->outermost |= ht_way_hands_on(w, at);
    return !ht_way_never_returns(w, at, c->kind == HT_CODE_CALL ? c->target : 0) && ht_way_readable(w, way->at) && !ht_arch_may_begin((const uint8_t *)way->at);
}

/* What the instruction where a way is does to the frame; 0 when that is not known. */
static int ht_way_take(struct ht_ways *w, struct ht_way *way, struct ht_code *c)
{
    int64_t by;
    const uint8_t *code = (const uint8_t *)way->at;
    if (w->steps++ >= HT_WAY_STEPS || !ht_way_readable(w, way->at) || !ht_arch_code(code, c)) {
        w->lost = 1;
        return 0;
    }
    enum ht_stack_kind kind = ht_arch_stack(code, &by);
    way->jumps = (uint32_t)(!w->straight && ht_arch_jumps_away(code));
    way->returns = kind == HT_STACK_RETURNS || way->jumps;
    int known = ht_way_step(way, kind, by);
    w->lost |= !known;
    return known;
}

/* Follows one way until it ends; 1 when it ends in a return, *way is then how things stand there. */
static int ht_way_follow(struct ht_ways *w, struct ht_way *way)
{
    struct ht_code c;
    do {
        if (!ht_way_take(w, way, &c))
            return 0;
        if (way->returns && way->adrift) {
            w->lost = 1;
            return 0;
        }
        if (way->returns)
            return !way->jumps || !ht_way_never_returns(w, way->at, 0);
        if (!w->straight && (c.kind == HT_CODE_BRANCH || c.kind == HT_CODE_JUMP) && !ht_way_never_returns(w, way->at, c.target))
            ht_way_add(w, way, c.target);
    } while (ht_way_next(w, way, &c));
    return 0;
}

/* The rule of a frame that returned at one of its ways' ends; 0 when there is none. */
static uint64_t ht_way_rule(const struct ht_way *way)
{
    int64_t distance = way->sp + 8, slot = way->fp.is == HT_WAY_FP_SAVED ? distance - way->fp.at : 0;
    if (way->fp.is >= HT_WAY_FP_FRAME || distance <= 0 || distance >= HT_RULE_OFFSET_MAX || distance % 8 || slot < 0 || slot / 8 > HT_RULE_FP_SLOT_MAX)
        return 0;
    return ht_rule(way->from_fp ? HT_RULE_FP : HT_RULE_SP, distance, (uint64_t)slot / 8);
}

static void ht_ways_find_never(struct ht_ways *w, const struct ht_object *object)
{
    w->symbols = ht_object_symbols(object);
    for (uint32_t i = 0; i < HT_NEVER_OWN; i++)
        if ((w->never[w->never_count] = ht_object_place(object, ht_never_names[i])) != 0)
            w->never_count++;
}

/* Whether an object has no tables for its code: entries for a few functions in assembly do not count. */
static int ht_is_sparse(const struct ht_place *place)
{
    if (!place->high || place->eh_frame || place->high - place->low > HT_WAY_LARGEST)
        return 0;
    struct ht_sorted s = ht_sorted(place->hdr, place->low, place->high);
    return !s.section && s.count <= (place->high - place->low) / HT_WAY_SPARSE;
}

/* The rule at pc of a function that never returns, from what it has done so far; 0 when pc is in none that is known. */
static uint64_t ht_way_in(struct ht_ways *w, uint64_t pc)
{
    struct ht_code c;
    for (uint32_t i = 0; i < w->never_count; i++) {
        struct ht_way way = { .at = w->never[i] };
        if (pc - way.at >= HT_WAY_NEVER_SIZE)
            continue;
        while (way.at < pc && ht_way_take(w, &way, &c) && ht_way_next(w, &way, &c))
            ;
        if (way.at == pc && !way.from_fp && !way.adrift && way.sp < 0)
            return ht_rule(HT_RULE_SP, 8 - way.sp, way.has_pushed ? (uint64_t)(8 - way.pushed_at) / 8 : 0);
    }
    return 0;
}

/* Follows code from pc on; of an object, or of what lies around pc. 0 when it does not tell. */
static uint64_t ht_ways_follow(struct ht_ways *w, const struct ht_object *object, uint64_t pc, int straight)
{
    uint64_t rule = 0;
    int is_sure = 0; /* a way to it makes no call */
    memset(w, 0, sizeof *w);
    w->low = object ? object->low : pc - HT_PAGE;
    w->high = object ? object->high : pc + HT_PAGE;
    w->straight = (uint32_t)straight;
    if (!straight)
        ht_ways_find_never(w, object);
    int returned = ht_way_readable(w, pc - HT_CALL_LONGEST) && ht_arch_is_behind_call((const uint8_t *)pc);
    w->places[w->place_count++].at = returned ? pc : pc - 1; /* that of an interrupted frame (unwind.c) */
    for (uint32_t i = 0; i < w->place_count; i++) {
        struct ht_way way = w->places[i];
        if (!ht_way_follow(w, &way))
            continue;
        uint64_t said = ht_way_rule(&way);
        if (!said || (rule && rule != said))
            return 0;
        rule = said;
        is_sure |= !way.calls;
    }
    if (rule)
        return w->lost && !is_sure ? 0 : rule;
    int is_outermost = w->outermost || (returned && ht_way_hands_on(w, pc - HT_CALL_SIZE));
    return is_outermost ? ht_rule(HT_RULE_END, 0, 0) : ht_way_in(w, pc);
}

/* The rule of the frame at pc, which no table covers; 0 when its code does not tell. */
HT_NOINLINE uint64_t ht_way_out(const struct ht_place *place, uint64_t pc)
{
    static struct ht_ways ways; /* not on the program's stack, which may be small */
    struct ht_object object;
    int whole = ht_is_sparse(place) && ht_object_in_list(pc - 1, &object);
    ht_lock(&ht_p.tables_lock);
    uint64_t rule = ht_ways_follow(&ways, whole ? &object : NULL, pc, !whole);
    ht_unlock(&ht_p.tables_lock);
    return rule;
}
