/*
 * code.c: makes functions begin with a jump to hooks, for calls that go through no slot and no symbol.
 *
 * The first instructions of the function move to memory near it, with a jump to what follows them behind: calling that is
 * calling the function as it was. In their place comes a jump of HT_JUMP_SIZE bytes.
 *
 * Nobody may be executing those bytes meanwhile. So this is for objects whose code nobody has called yet: at the start, before
 * any constructor but this library's, and when the dynamic linker has mapped an object and not yet run anything
 * of it. The pages stay executable all the while, so that what lies beside goes on; a kernel or a filter that forbids pages
 * that are both written and executed refuses before anything has changed.
 *
 * A function is left as it was when its first instructions are not known or cannot be moved, when something in it jumps in
 * between them, or when it is too short.
 */
#include "heaptap.h"
#include "pokes.h"

/* Jumps for code that may be running, which whoever attaches puts in (attached.c). */
HT_EXPORT struct ht_pokes heaptap_pokes;
_Static_assert(HT_POKE_SIZE == HT_JUMP_SIZE, "what is put there is a jump");

/* What is to be done to one function. */
struct ht_detour {
    uint64_t at, size; /* the function, its bytes 0 when not known */
    uint64_t hook;
    uint64_t from;   /* where the jump goes: behind the mark of a place that may be jumped to */
    uint32_t moved;  /* bytes of the instructions that move */
    int ends;        /* it ends blocks */
    uint8_t *before; /* what calls the function as it was */
};

enum ht_refusal {
    HT_REFUSAL_NONE = 0,
    HT_REFUSAL_CODE = 1,      /* a function's first instructions */
    HT_REFUSAL_ROOM = 2,      /* no memory near the object */
    HT_REFUSAL_PROTECTED = 3, /* its pages cannot be written */
    HT_REFUSAL_SETS = 4,      /* too many allocators at once */
    HT_REFUSAL_NAMES = HT_LINKED_NAMELESS, /* its names were stripped */
    HT_REFUSAL_COPIES = 6,    /* the compiler has made copies of a function */
    HT_REFUSAL_RUNS = HT_LINKED_RUNS, /* somebody may be executing it: whoever attaches has found it (attached.c) */
};

/* Whether nothing in the function jumps to between the instructions that move. */
static int ht_detour_is_whole(const struct ht_detour *d)
{
    struct ht_code c;
    for (uint64_t at = d->at; at < d->at + d->size; at += c.length) {
        if (!ht_arch_code((const uint8_t *)at, &c))
            return 0;
        if (c.distance_size && c.kind != HT_CODE_RELATIVE && c.target > d->from && c.target < d->from + HT_JUMP_SIZE)
            return 0;
    }
    return 1;
}

/* Finds what has to move; 0 when it cannot, or not in code that may be running. */
static int ht_detour_plan(struct ht_detour *d, int runs)
{
    struct ht_code c;
    d->from = d->at + (ht_arch_is_landing((const uint8_t *)d->at) ? 4 : 0);
    uint64_t end = d->from + HT_JUMP_SIZE, at = d->from;
    for (c.ends = 0; at < end && !c.ends; at += c.length)
        if (!ht_arch_code((const uint8_t *)at, &c) || c.kind == HT_CODE_BOUND || at >= d->at + d->size
            || (c.kind == HT_CODE_CALL && (runs || ht_sys_shadow_stack()))) /* somebody may be about to return behind it */
            return 0;
    if (runs && d->from / HT_PAGE != (end - 1) / HT_PAGE)
        return 0;
    d->moved = (uint32_t)(at - d->from);
    for (uint32_t filling; at < end; at += filling)
        if ((filling = ht_arch_filling((const uint8_t *)at)) == 0)
            return 0;
    return ht_detour_is_whole(d);
}

/*
 * What is made for a function, in memory near its object: where its jump goes, its first instructions, and where those were,
 * for stacks of signal handlers that come meanwhile. Written before anything jumps there, constant from then on.
 */
struct ht_slot {
    uint8_t stub[HT_STUB_SIZE];
    uint8_t moved[HT_MOVED_SIZE];
    uint64_t from;
    struct {
        uint8_t to, from; /* where an instruction begins, here and there */
    } places[HT_JUMP_SIZE + 1];
    uint8_t place_count, padding[11];
};
_Static_assert(sizeof(struct ht_slot) % 16 == 0, "code is fetched by 16 bytes");

/* Memory that belongs to an object with detours. Under ht_loaded.lock; walks read it, of objects whose code they are in. */
static struct ht_link {
    uint64_t object; /* where that begins; 0 when this is free */
    struct ht_slot *slots;
    uint64_t size;
    const uint64_t *map; /* of linked.c */
    uint64_t map_size;
} ht_links[HT_LINKS];

/* Where an interrupted function would be if its first instructions had not moved. */
HT_RAW static uint64_t ht_code_origin(uint64_t pc)
{
    for (uint32_t i = 0; i < HT_LINKS; i++) {
        uint64_t away = pc - (uint64_t)ht_links[i].slots;
        if (!ht_links[i].object || away >= ht_links[i].size)
            continue;
        const struct ht_slot *slot = &ht_links[i].slots[away / sizeof *slot];
        uint64_t inside = away % sizeof *slot, from = 0;
        for (uint32_t k = 0; k < slot->place_count; k++)
            if (inside >= HT_STUB_SIZE + (uint64_t)slot->places[k].to)
                from = slot->places[k].from;
        return slot->from + from;
    }
    return pc;
}

/* Writes what calls the function as it was. Returns 0 when that cannot be. */
static int ht_detour_move(struct ht_detour *d, struct ht_slot *slot)
{
    struct ht_code c = { .ends = 0 };
    uint8_t *to = slot->moved;
    uint32_t size = 0;
    slot->from = d->from;
    slot->place_count = 0;
    for (uint32_t at = 0; at < d->moved; at += c.length) {
        const uint8_t *from = (const uint8_t *)d->from + at;
        ht_arch_code(from, &c);
        slot->places[slot->place_count].to = (uint8_t)size;
        slot->places[slot->place_count++].from = (uint8_t)at;
        uint32_t length = size + 2 * HT_CODE_LONGEST + HT_JUMP_SIZE <= HT_MOVED_SIZE ? ht_arch_move(from, &c, to + size) : 0;
        if (length == 0)
            return 0;
        size += length;
    }
    if (!c.ends) {
        if (!ht_code_reaches((uint64_t)to + size + HT_JUMP_SIZE, d->from + d->moved))
            return 0;
        ht_arch_jump(to + size, (uint64_t)to + size, d->from + d->moved);
        slot->places[slot->place_count].to = (uint8_t)size;
        slot->places[slot->place_count++].from = (uint8_t)d->moved;
    }
    d->before = to;
    return 1;
}

#define HT_NEAR (1ull << 31)

/* Memory from which a jump reaches all of [low, high): below it when that can be, because a program's own heap grows behind it. */
static uint8_t *ht_map_near(uint64_t low, uint64_t high, uint64_t size)
{
    uint64_t reach = HT_NEAR - size > high - low ? HT_NEAR - size - (high - low) : 0, step = 16 * HT_PAGE;
    for (uint32_t up = 0; up < 2; up++)
        for (uint64_t away = step; away < reach; away += away / 16 / step * step + step) {
            uint64_t want = (up ? high + away : low - size - away) / step * step;
            if (!up && (want >= low || want < step))
                break;
            long at = ht_syscall(HT_SYS_MMAP, (long)want, (long)size, HT_PROT_RW, HT_MAP_PRIVATE | HT_MAP_ANONYMOUS | HT_MAP_FIXED_NOREPLACE, -1, 0);
            if (at == (long)want)
                return (uint8_t *)want;
            /* A kernel that does not know the flag takes the place for a wish. */
            if (!HT_FAILED(at))
                ht_sys_unmap((void *)at, size);
        }
    return NULL;
}

/* An object is gone, and its code with it. */
static void ht_link_free(struct ht_link *link)
{
    for (uint64_t i = 0; i < heaptap_pokes.count; i++)
        if (heaptap_pokes.each[i].object == link->object)
            ht_shared_set(&heaptap_pokes.each[i].at, 0ull);
    link->object = 0;
    ht_sys_unmap(link->slots, link->size);
    if (link->map)
        ht_sys_unmap((void *)(uint64_t)link->map, link->map_size);
    link->map = NULL;
}

static int ht_detour_memory_done(uint8_t *memory, uint64_t size)
{
    if (ht_syscall(HT_SYS_MPROTECT, (long)memory, (long)size, HT_PROT_READ | HT_PROT_EXEC, 0, 0, 0) == 0)
        return 1;
    ht_sys_unmap(memory, size);
    return 0;
}

/*
 * Makes what the functions of one object will need: `detours` that ht_detour_plan accepts. Nothing of the object has
 * changed yet when this returns.
 */
static enum ht_refusal ht_detours_prepare(const struct ht_object *object, struct ht_detour *detours, uint32_t count, struct ht_link **made)
{
    uint64_t size = (count * sizeof(struct ht_slot) + HT_PAGE - 1) / HT_PAGE * HT_PAGE;
    struct ht_link *link = NULL;
    for (uint32_t i = 0; i < HT_LINKS; i++)
        if (!ht_links[i].object)
            link = &ht_links[i];
    if (!link)
        return HT_REFUSAL_SETS;
    struct ht_slot *slots = (struct ht_slot *)ht_map_near(object->low, object->high, size);
    if (!slots)
        return HT_REFUSAL_ROOM;
    for (uint32_t i = 0; i < count; i++) {
        ht_arch_stub(slots[i].stub, detours[i].hook);
        if (!ht_detour_move(&detours[i], &slots[i])) {
            ht_sys_unmap(slots, size);
            return HT_REFUSAL_CODE;
        }
    }
    if (!ht_detour_memory_done((uint8_t *)slots, size))
        return HT_REFUSAL_PROTECTED;
    *link = (struct ht_link){ .object = object->low, .slots = slots, .size = size };
    *made = link;
    return HT_REFUSAL_NONE;
}

/* The pages of a few bytes of code are writable from here on, until they are `ht_code_protect`ed again. */
static int ht_code_write(const struct ht_object *object, uint64_t at, uint64_t size)
{
    return ht_sys_protect(at, at + size, ht_protection(object, at) | HT_PROT_WRITE);
}

static void ht_code_protect(const struct ht_object *object, uint64_t at, uint64_t size)
{
    ht_sys_protect(at, at + size, ht_protection(object, at));
}

/* From here on the functions lead to their hooks: all, or none. What lies between them is not touched. */
static enum ht_refusal ht_detours_make(const struct ht_object *object, const struct ht_detour *detours, uint32_t count)
{
    uint32_t open = 0;
    while (open < count && ht_code_write(object, detours[open].from, HT_JUMP_SIZE))
        open++;
    for (uint32_t i = 0; i < count && open == count; i++)
        ht_arch_jump((uint8_t *)detours[i].from, detours[i].from, (uint64_t)detours[i].before - HT_STUB_SIZE);
    for (uint32_t i = 0; i < open; i++)
        ht_code_protect(object, detours[i].from, HT_JUMP_SIZE);
    return open == count ? HT_REFUSAL_NONE : HT_REFUSAL_PROTECTED;
}

/* Notes the same jumps for whoever has all threads stopped: all, or none. */
static enum ht_refusal ht_detours_plan(const struct ht_object *object, const struct ht_detour *detours, uint32_t count)
{
    uint64_t used = heaptap_pokes.count;
    if (count > HT_POKES - used)
        return HT_REFUSAL_SETS;
    for (uint32_t i = 0; i < count; i++) {
        struct ht_poke *p = &heaptap_pokes.each[used + i];
        p->at = detours[i].from;
        p->object = object->low;
        p->ends = (uint64_t)detours[i].ends;
        memcpy(p->was, (const void *)detours[i].from, HT_JUMP_SIZE);
        ht_arch_jump(p->becomes, detours[i].from, (uint64_t)detours[i].before - HT_STUB_SIZE);
    }
    ht_shared_set(&heaptap_pokes.count, used + count);
    return HT_REFUSAL_NONE;
}

/*
 * Makes a function that does nothing call `hook`, while others may be calling it: it is one instruction, which is replaced by
 * one store. What lies behind it up to the next function is filling, and is executed by nobody.
 */
static int ht_code_call(const struct ht_object *object, uint64_t function, void *hook)
{
    uint8_t *code = (uint8_t *)function, jump[HT_WORD_OF_CODE];
    uint32_t fits = ht_arch_empty(code);
    if (!fits)
        return 0;
    uint8_t *memory = ht_map_near(object->low, object->high, HT_PAGE);
    if (!memory)
        return 0;
    ht_arch_stub(memory, (uint64_t)hook);
    if (!ht_detour_memory_done(memory, HT_PAGE) || !ht_code_write(object, function, 2 * HT_WORD_OF_CODE))
        return 0;
    uint64_t *words = (uint64_t *)function;
    for (uint32_t i = fits; i-- > 0;) {
        memcpy(jump, &words[i], sizeof jump);
        ht_arch_empty_jump(jump, fits, i, (uint64_t)&words[i], (uint64_t)memory);
        uint64_t word;
        memcpy(&word, jump, sizeof word);
        ht_shared_set(&words[i], word);
    }
    ht_code_protect(object, function, 2 * HT_WORD_OF_CODE);
    return 1;
}
