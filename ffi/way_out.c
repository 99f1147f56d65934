/*
 * way_out.c: the way out of a frame that no unwind table covers: its code is followed from where it goes on to where it returns.
 *
 * In an object that was compiled without tables, as musl's C library is, that is done through everything. Other code without a table may have been made at
 * run time, with other conventions (V8's functions take their arguments off the stack): there it is followed as long as it goes straight on, which is to the end where
 * the call stood before the epilogue: CPython's perf trampolines, what start files have.
 *
 * On the way it is known how far the stack pointer moves, and which word becomes rbp; the other registers do not matter. All ways are
 * followed that branches and jumps take, and those that come to a return must agree: one that does not has gone on behind a
 * call that never returns. Such calls are known by name where the object exports what they call. A call leaves the stack
 * as it was.
 *
 * What is followed may be where a signal interrupted it: how things stand at the beginning is what they are measured from.
 *
 * A frame that never returns and hands on what it was returned, to exit or pthread_exit, is the outermost: it called main, or a thread's
 * function. One of exit itself and its like is left by what the function has done since it began. Of others that never return nothing is known.
 */
#include "heaptap.h"

#define HT_WAY_PLACES 64u
#define HT_WAY_STEPS 4096u
#define HT_WAY_NEVER_SIZE 256u
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
    uint32_t returns; /* the instruction does */
};

struct ht_ways {
    uint64_t low, high;   /* the object */
    uint64_t readable;    /* the page that was seen to be last */
    uint64_t never[10];   /* functions that do not return */
    uint32_t never_count, place_count, steps;
    uint32_t straight;    /* nothing is followed but what is certain whoever made the code: up to a call, a branch or a jump */
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
    if (w->place_count == HT_WAY_PLACES)
        return;
    w->places[w->place_count] = *from;
    w->places[w->place_count++].at = at;
}

static int ht_way_never_returns(const struct ht_ways *w, uint64_t target)
{
    for (uint32_t i = 0; i < w->never_count; i++)
        if (w->never[i] == target)
            return 1;
    return 0;
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
        way->pushed = way->fp;
        way->pushed_at = way->sp;
        way->has_pushed = 1;
        return 1;
    case HT_STACK_POPS_FP:
        way->fp = way->has_pushed && way->pushed_at == way->sp ? way->pushed : (struct ht_way_fp){ HT_WAY_FP_SAVED, way->sp };
        way->sp += 8;
        return 1;
    case HT_STACK_LEAVES:
    case HT_STACK_FROM_FP:
        if (way->fp.is != HT_WAY_FP_SAME && way->fp.is != HT_WAY_FP_FRAME)
            return 0;
        way->from_fp |= way->fp.is == HT_WAY_FP_SAME;
        way->sp = by + (way->fp.is == HT_WAY_FP_FRAME ? way->fp.at : 0);
        return kind == HT_STACK_FROM_FP || ht_way_step(way, HT_STACK_POPS_FP, 8);
    case HT_STACK_FRAMES:
        way->fp = (struct ht_way_fp){ HT_WAY_FP_FRAME, way->sp + by };
        return 1;
    case HT_STACK_CHANGES_FP:
        way->fp.is = HT_WAY_FP_CHANGED;
        return 1;
    case HT_STACK_UNKNOWN:
        break;
    }
    return 0;
}

/* Whether the call at a place hands on what the one before it returned, to what never returns. */
static int ht_way_hands_on(struct ht_ways *w, uint64_t call)
{
    if (!ht_way_readable(w, call - HT_HANDS_LONGEST - HT_CALL_LONGEST) || !ht_way_never_returns(w, ht_arch_call_target((const uint8_t *)call)))
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
    way->at += c->length;
    if (c->ends || (w->straight && c->kind != HT_CODE_PLAIN && c->kind != HT_CODE_RELATIVE))
        return 0;
    if (c->kind != HT_CODE_CALL)
        return 1;
    w->outermost |= ht_way_hands_on(w, at);
    return !ht_way_never_returns(w, c->target) && ht_way_readable(w, way->at) && !ht_arch_may_begin((const uint8_t *)way->at);
}

/* What the instruction where a way is does to the frame; 0 when that is not known. */
static int ht_way_take(struct ht_ways *w, struct ht_way *way, struct ht_code *c)
{
    int64_t by;
    const uint8_t *code = (const uint8_t *)way->at;
    if (w->steps++ == HT_WAY_STEPS || !ht_way_readable(w, way->at) || !ht_arch_code(code, c))
        return 0;
    enum ht_stack_kind kind = ht_arch_stack(code, &by);
    way->returns = kind == HT_STACK_RETURNS || ht_arch_jumps_away(code);
    return ht_way_step(way, kind, by);
}

/* Follows one way until it ends; 1 when it ends in a return, *way is then how things stand there. */
static int ht_way_follow(struct ht_ways *w, struct ht_way *way)
{
    struct ht_code c;
    do {
        if (!ht_way_take(w, way, &c))
            return 0;
        if (way->returns)
            return 1;
        if (c.kind == HT_CODE_BRANCH || c.kind == HT_CODE_JUMP)
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
    static const char *const names[] = { "exit", "_exit", "_Exit", "quick_exit", "abort", "pthread_exit", "thrd_exit", "__assert_fail", "__stack_chk_fail", "longjmp" };
    for (uint32_t i = 0; i < HT_COUNT(names); i++)
        if ((w->never[w->never_count] = ht_object_place(object, names[i])) != 0)
            w->never_count++;
}

/* Whether an object has no tables for its code: entries for a few functions in assembly do not count. */
static int ht_is_sparse(const struct ht_place *place)
{
    if (!place->high || place->eh_frame)
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
        if (way.at == pc && !way.from_fp && way.sp < 0)
            return ht_rule(HT_RULE_SP, 8 - way.sp, way.has_pushed ? (uint64_t)(8 - way.pushed_at) / 8 : 0);
    }
    return 0;
}

/* Follows code from pc on; of an object, or of what lies around pc. 0 when it does not tell. */
static uint64_t ht_ways_follow(struct ht_ways *w, const struct ht_object *object, uint64_t pc, int straight)
{
    uint64_t rule = 0;
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
    }
    if (rule)
        return rule;
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
