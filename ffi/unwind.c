/*
 * unwind.c: the call path of the present stack, exactly, without walking it again.
 *
 * Rules. What the unwind tables say of a return address is worked out once and kept as one word in
 * a process-wide cache, four slots to a set. A slot's key is the address and the generation of
 * loaded code; key and rule are two words, so a writer first takes the slot (HT_RULE_BUSY), then
 * writes the rule, then the key; a reader looks at the key again after the rule. A full set replaces.
 *
 * The kept stack. Each thread keeps the frames of its last walk, outermost first. A frame is (pc,
 * sp, fp) of the caller at the call; the next frame out is a function of that and of the stack words
 * that the frame's rule reads: the return address, a saved fp. Those words are kept with their
 * addresses. So when a new walk, from the innermost frame out, meets a kept frame with the same (pc,
 * sp, fp), and all words further out still hold what they held, then every frame further out is the
 * same: not likely, certain. In a loop that allocates that is the whole stack, and a walk is a run
 * of compares. Where a word differs the walk goes on from its frame with rules.
 *
 * Compilers keep anything in fp. So it is compared only where the way out depends on it: by a frame that finds its CFA by it, with
 * all frames further in that pass it on unchanged. A saved fp that the caller has no use for is no word that the walk
 * depends on, and may change.
 *
 * Tails. A program that allocates at several places in no order comes back to stacks whose inner end differs from the kept one, and
 * that it had before. So a walk that ended at a kept frame leaves what lies between as a tail: the innermost frame, its words,
 * the frame that it stood on, the call path. When a stack begins as a tail does, all its words hold, and the frame is
 * kept still, with the same way out, all of whose words hold too, then it is the same stack. The kept one stays. Tails are
 * only of words between the innermost frame and the end of the stack that is known to be readable. They are in a table by a hash of
 * the innermost frame; one that is not it says where the next return address stands, with which the next place is
 * looked at. What is read so only says where to look.
 *
 * A step that no rule word can say may depend on frames further in (registers.c): then t->relied keeps a walk from taking
 * over further out than those.
 *
 * The compares read the words from the inside out and stop at the first that differs: each reads
 * what an ordinary walk would read next, so they are as safe as one.
 *
 * Reads. A CFA is never trusted: a page beyond the part of this stack that is known to be readable
 * is asked of the kernel first. It grows from frame to frame, but where code has switched stacks: then it may
 * be anywhere but at a frame that this walk has come by. Kept frames stand in stretches of growing sp.
 *
 * Guesses. Code without a table is left as its instructions tell (way_out.c); where they do not, by its frame pointer. That may be wrong, so its frame says so in
 * its key (HT_KEY_GUESS_BIT), and a reader does not take such a stack for whole.
 *
 * The cut. Of a deeper stack than HEAPTAP_DEPTH the innermost frames are kept, and the cut must be
 * a function of the stack alone, or recursion would fill the table with shifted copies of itself:
 * it is where, past half the depth, the stack first crosses a page. ht_cut_holds checks that for a
 * kept stack; when it fails the walk is made anew.
 */
#include "heaptap.h"

#define HT_RULE_SETS 8192u
#define HT_RULE_WAYS 4u
#define HT_RULE_BUSY (1ull << 63)
#define HT_GUESS_SPAN (1u << 20)

struct ht_rule_slot {
    uint64_t key; /* pc, generation above the address bits, HT_RULE_BUSY while it is written */
    uint64_t rule;
};

#define HT_RULES_SIZE (HT_RULE_SETS * HT_RULE_WAYS * sizeof(struct ht_rule_slot))

static int ht_unwind_start(void)
{
    ht_p.rules = ht_sys_map(HT_RULES_SIZE);
    return ht_p.rules && ht_sys_not_inherited(ht_p.rules, HT_RULES_SIZE);
}

HT_NOINLINE uint64_t ht_rule_make(uint64_t pc)
{
    struct ht_place place;
    struct ht_row row;
    /* The call may be a function's last instruction: look up an address inside it. */
    uint64_t special = 0, rule = ht_rule(HT_RULE_GUESS, 0, 0), module = ht_module_at(pc - 1, &place);
    const uint8_t *code = (const uint8_t *)pc;
    int found = ht_row_at(&place, pc - 1, &row);
    int readable = found || (ht_sys_readable(pc) && ht_sys_readable(pc + 8));
    if (found)
        rule = ht_row_rule(&row);
    if (readable && (!found || row.is_signal) && ht_arch_is_trampoline(code))
        rule = ht_rule(HT_RULE_SIGNAL, 0, 0);
    if (readable && !found && ht_rule_kind(rule) == HT_RULE_GUESS) {
        uint64_t followed = ht_arch_is_libffi(code) ? ht_rule(HT_RULE_FP, HT_LIBFFI_DISTANCE, HT_LIBFFI_FP_SLOT) : ht_way_out(&place, pc);
        if (followed)
            rule = followed;
    }
    if (ht_rule_kind(rule) == HT_RULE_SIGNAL || (found && row.is_signal))
        special |= 1ull << HT_KEY_SIGNAL_BIT;
    if (ht_rule_kind(rule) == HT_RULE_GUESS)
        special |= 1ull << HT_KEY_GUESS_BIT;
    return rule | module << HT_KEY_OFFSET_BITS | special;
}

static uint64_t ht_rule_at(uint64_t pc)
{
    uint64_t key = pc | (uint64_t)(ht_peek(&ht_p.generation) & 0x7fff) << 48;
    struct ht_rule_slot *set = &ht_p.rules[(uint32_t)(pc * 0x9e3779b97f4a7c15ull >> 40) % HT_RULE_SETS * HT_RULE_WAYS];
    struct ht_rule_slot *victim = &set[pc % HT_RULE_WAYS];
    for (uint32_t i = 0; i < HT_RULE_WAYS; i++) {
        uint64_t held = ht_shared_get(&set[i].key);
        if (held == key) {
            uint64_t rule = ht_shared_get(&set[i].rule);
            if (ht_shared_get(&set[i].key) == key)
                return rule;
        }
        if (held == 0) {
            victim = &set[i];
            break;
        }
    }
    uint64_t rule = ht_rule_make(pc);
    uint64_t old = ht_shared_get(&victim->key);
    if (!(old & HT_RULE_BUSY) && ht_shared_swap(&victim->key, &old, HT_RULE_BUSY)) {
        ht_shared_set(&victim->rule, rule);
        ht_shared_set(&victim->key, key);
    }
    return rule;
}

/* Whether eight bytes of the stack at `address` can be read. */
static int ht_stack_readable(struct ht_thread *t, uint64_t address)
{
    if (address >= t->stack_low && address + 8 <= t->stack_high)
        return 1;
    uint64_t page = address & ~(uint64_t)(HT_PAGE - 1);
    if (address % 8 || address < HT_PAGE || address >> HT_ADDRESS_BITS)
        return 0;
    /* Next to the known part: that grows. */
    if (address >= t->stack_high && page - t->stack_high < 64 * HT_PAGE) {
        while (t->stack_high <= page && ht_sys_readable(t->stack_high))
            t->stack_high += HT_PAGE;
        if (address < t->stack_high)
            return 1;
    }
    /* Far from it, beyond a huge frame or on another stack: what is found out holds for this walk. */
    if (address >= t->far_low && address + 8 <= t->far_high)
        return 1;
    if (!ht_sys_readable(page))
        return 0;
    if (page != t->far_high)
        t->far_low = page;
    t->far_high = page + HT_PAGE;
    return 1;
}

/* Makes the page that the thread now stands on part of the known stack. When the stack is another
 * one, or has grown by much, what was known is forgotten: it may be gone. */
static void ht_stack_enter(struct ht_thread *t, uint64_t sp)
{
    uint64_t page = sp & ~(uint64_t)(HT_PAGE - 1);
    if (sp >= t->stack_low && sp < t->stack_high)
        return;
    uint64_t p = page;
    if (sp < t->stack_low && t->stack_low - page <= 64 * HT_PAGE)
        while (p < t->stack_low && ht_sys_readable(p))
            p += HT_PAGE;
    if (p != t->stack_low || p == page)
        t->stack_high = page + HT_PAGE;
    t->stack_low = page;
}

HT_INLINE HT_RAW uint64_t ht_load(uint64_t address) { return *(const volatile uint64_t *)address; }

/* Reads a stack word for a step and keeps it there. 0 when it cannot be read. */
static int ht_step_read(struct ht_thread *t, struct ht_step *s, uint64_t address, uint64_t *value)
{
    if (!ht_stack_readable(t, address))
        return 0;
    *value = ht_load(address);
    s->words[s->word_count++] = (struct ht_word){ (const uint64_t *)address, *value };
    return 1;
}

static uint64_t ht_key(uint64_t pc, uint64_t rule)
{
    return ((pc - ht_module_base(ht_key_module(rule))) & HT_KEY_OFFSET) | (rule & ~HT_KEY_OFFSET);
}

/* The caller of a frame whose CFA is known. */
HT_INLINE enum ht_reached ht_step_from_cfa(struct ht_thread *t, struct ht_step *s, uint64_t cfa, uint64_t fp_slot, int through_fp, struct ht_regs *caller)
{
    if (cfa % 8 || !ht_step_read(t, s, HT_RA_SLOT(cfa), &caller->pc))
        return HT_REACHED_NONE;
    caller->sp = cfa;
    caller->fp = s->fp;
    if (fp_slot == HT_RULE_FP_AT_FP)
        through_fp = 1;
    if (fp_slot) {
        uint64_t fp_at = fp_slot == HT_RULE_FP_AT_FP ? s->fp : cfa - 8 * fp_slot;
        if (!through_fp)
            s->fp_matters = 0;
        s->fp_at = fp_at;
        if (!ht_step_read(t, s, fp_at, &caller->fp)) {
            /* Interrupted where fp is restored already, which the table does not say: not needed, most often. */
            caller->fp = HT_FP_NONE;
            ht_step_disagrees(s);
        }
    } else {
        s->fp_passes = !through_fp;
    }
    return cfa > s->sp ? HT_REACHED_OUT : HT_REACHED_ACROSS;
}

/* The CFA is a word in memory. It is kept last: the compare, from the end, reads no place that it
 * leads to before it. */
static enum ht_reached ht_step_from_word(struct ht_thread *t, struct ht_step *s, uint64_t at, uint64_t fp_slot, int through_fp, struct ht_regs *caller)
{
    uint64_t cfa;
    if (!ht_step_read(t, s, at, &cfa))
        return HT_REACHED_NONE;
    enum ht_reached reached = ht_step_from_cfa(t, s, cfa, fp_slot, through_fp, caller);
    struct ht_word first = s->words[0];
    s->words[0] = s->words[s->word_count - 1];
    s->words[s->word_count - 1] = first;
    return reached;
}

/* Three words of the ucontext; the interrupted code may be on another stack. One is added to its pc,
 * which is no return address, so that "one less" names the instruction. */
static enum ht_reached ht_step_from_signal(struct ht_thread *t, struct ht_step *s, struct ht_regs *caller)
{
    if (!ht_step_read(t, s, s->sp + HT_SIGNAL_PC, &caller->pc) || !ht_step_read(t, s, s->sp + HT_SIGNAL_SP, &caller->sp)
        || !ht_step_read(t, s, s->sp + HT_SIGNAL_FP, &caller->fp))
        return HT_REACHED_NONE;
    s->fp_at = s->sp + HT_SIGNAL_FP;
    caller->pc = ht_code_origin(caller->pc) + 1;
    if (!ht_sys_readable(caller->sp))
        return HT_REACHED_NONE;
    return caller->sp > s->sp ? HT_REACHED_OUT : HT_REACHED_ACROSS;
}

/* From a frame to its caller: fills in what the step depends on and gives the caller's registers.
 * Returns HT_REACHED_NONE and sets *root when there is none. */
static enum ht_reached ht_step(struct ht_thread *t, struct ht_step *s, struct ht_regs *caller, uint32_t *root)
{
    uint64_t rule = ht_rule_at(s->pc);
    int64_t offset = ht_rule_offset(rule);
    uint64_t fp_slot = ht_rule_fp_slot(rule);
    enum ht_reached reached = HT_REACHED_NONE;

    s->key = ht_key(s->pc, rule);
    s->fp_matters = ~0ull;
    s->fp_at = 0;
    s->fp_passes = 0;
    s->word_count = 0;
    s->guessed = ht_rule_kind(rule) == HT_RULE_GUESS;
    *root = HT_NODE_LOST;
    switch (ht_rule_kind(rule)) {
    case HT_RULE_END:
        s->fp_matters = 0;
        *root = HT_NODE_ROOT;
        return HT_REACHED_NONE;
    case HT_RULE_NONE:
        s->fp_matters = 0;
        return HT_REACHED_NONE;
    case HT_RULE_SP:
        reached = ht_step_from_cfa(t, s, s->sp + (uint64_t)offset, fp_slot, 0, caller);
        break;
    case HT_RULE_FP:
        reached = ht_step_from_cfa(t, s, s->fp + (uint64_t)offset, fp_slot, 1, caller);
        break;
    case HT_RULE_SP_DEREF:
        reached = ht_step_from_word(t, s, s->sp + (uint64_t)offset, fp_slot, 0, caller);
        break;
    case HT_RULE_FP_DEREF:
        reached = ht_step_from_word(t, s, s->fp + (uint64_t)offset, fp_slot, 1, caller);
        break;
    case HT_RULE_SIGNAL:
        return ht_step_from_signal(t, s, caller);
    case HT_RULE_ROW:
        reached = ht_step_row(t, s, caller);
        caller->pc += s->key >> HT_KEY_SIGNAL_BIT & 1;
        break;
    case HT_RULE_GUESS:
        if (s->fp == 0) { /* how the ABI marks the outermost frame */
            *root = HT_NODE_ROOT;
            return HT_REACHED_NONE;
        }
        /* A frame record further away is none: the first function of a coroutine has no table
         * either, and fp is still that of whoever made it. */
        if (s->fp - s->sp > HT_GUESS_SPAN)
            return HT_REACHED_NONE;
        reached = ht_step_from_cfa(t, s, s->fp + 16, 2, 1, caller);
        /* A guess that gives a place on the stack for code was a wrong one. */
        if (reached != HT_REACHED_OUT || (caller->pc >= t->stack_low && caller->pc < t->stack_high))
            return HT_REACHED_NONE;
        break;
    }
    if (reached && (caller->pc < HT_PAGE || caller->pc >> HT_ADDRESS_BITS)) {
        *root = caller->pc == 0 ? HT_NODE_ROOT : HT_NODE_LOST;
        return HT_REACHED_NONE;
    }
    return reached;
}

/*
 * The commonest step by itself: the CFA is at a distance from sp, all is on the known stack, and the caller is code. 0 when it is
 * another one, and nothing was changed but *s.
 */
HT_INLINE HT_RAW int ht_step_plain(const struct ht_thread *t, struct ht_step *s, struct ht_regs *at)
{
    uint64_t rule = ht_rule_at(s->pc), fp_slot = ht_rule_fp_slot(rule), cfa = s->sp + (uint64_t)ht_rule_offset(rule), ra = HT_RA_SLOT(cfa);
    uint64_t fp_at = cfa - 8 * fp_slot;
    if (ht_rule_kind(rule) != HT_RULE_SP || fp_slot == HT_RULE_FP_AT_FP || s->sp < t->stack_low || cfa <= s->sp || cfa % 8 || cfa > t->stack_high || fp_at < t->stack_low)
        return 0;
    uint64_t pc = ht_load(ra);
    if (pc < HT_PAGE || pc >> HT_ADDRESS_BITS)
        return 0;
    s->key = ht_key(s->pc, rule);
    s->guessed = 0;
    s->words[0] = (struct ht_word){ (const uint64_t *)ra, pc };
    s->word_count = 1;
    if (fp_slot) {
        at->fp = ht_load(fp_at);
        s->words[1] = (struct ht_word){ (const uint64_t *)fp_at, at->fp };
        s->word_count = 2;
        s->fp_matters = 0;
        s->fp_at = fp_at;
        s->fp_passes = 0;
    } else {
        s->fp_matters = ~0ull;
        s->fp_at = 0;
        s->fp_passes = 1;
    }
    at->pc = pc;
    at->sp = cfa;
    return 1;
}

/* What a step has read elsewhere than on the stack that the thread stands on may be gone by the next walk, which then has to
 * ask the kernel again. */
static void ht_step_settle(const struct ht_thread *t, struct ht_step *s)
{
    for (uint32_t i = 0; i < s->word_count; i++)
        if (s->words[i].at != &ht_disagree && (uint64_t)s->words[i].at - t->stack_low >= t->stack_high - t->stack_low) {
            ht_step_disagrees(s);
            return;
        }
}

/* Compares kept words from `end` outwards; returns the first that differs: t->words, the sentinel,
 * when none does. */
HT_INLINE HT_RAW const struct ht_word *ht_words_differ(const struct ht_thread *t, uint32_t end)
{
    const struct ht_word *w = t->words + end;
    /* By fours, in place of a step each; the sentinel stops it wherever it stands among them. */
    for (;; w -= 4) {
#define HT_DIFFERS(i) (*(const volatile uint64_t *)w[-(i)].at != w[-(i)].value)
        if (HT_DIFFERS(1))
            return w - 1;
        if (HT_DIFFERS(2))
            return w - 2;
        if (HT_DIFFERS(3))
            return w - 3;
        if (HT_DIFFERS(4))
            return w - 4;
#undef HT_DIFFERS
    }
}

HT_INLINE int ht_frame_is(const struct ht_frame *f, uint64_t pc, uint64_t sp, uint64_t fp)
{
    return f->sp == sp && f->pc == pc && ((f->fp ^ fp) & f->fp_matters) == 0;
}

/* Frames of a walk that got lost, from the first guess on: that may be no stack at all. */
static void ht_forget_guesses(struct ht_thread *t, uint32_t first, uint32_t steps, uint64_t stack_high)
{
    for (uint32_t i = first; i < steps; i++)
        ht_step_disagrees(&t->steps[i]);
    if (t->stack_high > stack_high && stack_high > t->stack_low)
        t->stack_high = stack_high;
}

static uint32_t ht_kept(const struct ht_thread *t) { return (uint32_t)(t->top - t->frames); }

/* sp of the i-th frame from the inside, over fresh steps and then kept frames. */
static uint64_t ht_sp_from_leaf(const struct ht_thread *t, uint32_t steps, uint32_t kept, uint32_t i)
{
    return i < steps ? t->steps[i].sp : t->frames[kept - (i - steps)].sp;
}

static int ht_crosses_page(uint64_t a, uint64_t b) { return a / HT_PAGE != b / HT_PAGE; }

/* Whether the stack of `steps` fresh frames on `kept` old ones ends where a walk of it from scratch
 * would end. */
static int ht_cut_holds(const struct ht_thread *t, uint32_t steps, uint32_t kept)
{
    uint32_t total = steps + kept, depth = ht_p.depth;
    if (total > depth)
        return 0;
    if (t->root != HT_NODE_DEPTH)
        return 1;
    if (total < depth / 2 || total + t->cut_beyond <= depth || (!t->cut_at_page && total != depth))
        return 0;
    for (uint32_t i = depth / 2; i < total; i++)
        if (ht_crosses_page(ht_sp_from_leaf(t, steps, kept, i - 1), ht_sp_from_leaf(t, steps, kept, i)))
            return 0;
    return 1;
}

static uint64_t ht_frame_key(const struct ht_frame *f)
{
    return f->node ? ht_p.nodes[f->node].key : ht_key(f->pc, ht_rule_at(f->pc));
}

/* Which of a step's words is at an address; their count when none is. */
static uint32_t ht_step_word(const struct ht_step *s, uint64_t at)
{
    uint32_t i = 0;
    while (i < s->word_count && (uint64_t)s->words[i].at != at)
        i++;
    return i;
}

/* Copies a kept frame to the fresh steps. *fp is that of the frame, which the kept one need not have, and becomes its caller's: a
 * saved one that nobody depended on is a word again, compared last in its frame. */
HT_RAW static void ht_step_from_kept(struct ht_thread *t, uint32_t frame, struct ht_step *s, uint64_t *fp)
{
    const struct ht_frame *f = &t->frames[frame];
    uint32_t first = f[-1].words, own = f->words - first;
    *s = (struct ht_step){ .pc = f->pc, .sp = f->sp, .fp = *fp, .fp_matters = f->fp_matters, .fp_at = f->fp_at, .key = ht_frame_key(f),
                           .fp_passes = f->fp_passes, .word_count = own };
    for (uint32_t i = 0; i < own; i++)
        s->words[i] = t->words[first + i];
    if (!f->fp_at) {
        /* By a row that says more than a rule word (registers.c): the words that it has read are the same, and so is what it came to. */
        if (!f->fp_passes)
            *fp = f[-1].fp;
        return;
    }
    *fp = ht_load(f->fp_at);
    if (ht_step_word(s, f->fp_at) < own)
        return;
    for (uint32_t i = own; i > 0; i--)
        s->words[i] = s->words[i - 1];
    s->words[0] = (struct ht_word){ (const uint64_t *)f->fp_at, *fp };
    s->word_count++;
}

/* Where to go on among the kept frames when the stack goes on at a lower address, for the n-th time in this walk:
 * they stand in stretches of growing addresses. A wrong answer costs time. */
static uint32_t ht_kept_across(const struct ht_thread *t, uint64_t sp, uint32_t n)
{
    uint32_t kept = ht_kept(t), k;
    for (k = kept; k > 0 && t->frames[k].sp != sp; k--)
        ;
    if (k > 0)
        return k;
    for (k = kept; k > 1 && n > 0; k--)
        n -= t->frames[k - 1].sp < t->frames[k].sp;
    return n > 0 ? 0 : k;
}

static int ht_has_stepped(const struct ht_thread *t, uint32_t steps, struct ht_regs at)
{
    while (steps > 0 && (t->steps[steps - 1].sp != at.sp || t->steps[steps - 1].pc != at.pc))
        steps--;
    return steps > 0;
}

/* Walks until the stack ends, the depth is reached or a kept frame takes over. Returns the number
 * of fresh steps; *kept is how many kept frames stand below them. */
static uint32_t ht_walk_steps(struct ht_thread *t, struct ht_regs at, uint32_t *kept, uint32_t *root)
{
    uint32_t steps = 0, depth = ht_p.depth, k = *kept;
    /* The first step that was a guess, and how far the stack was known before it. */
    uint32_t guess = depth, crossings = 0;
    uint64_t known = 0;
    t->registers.known = 0;
    t->far_low = t->far_high = 0;
    t->relied_now = ~0ull;
    t->crossed = 0;
    while (steps < depth) {
        while (t->frames[k].sp < at.sp)
            k--;
        /* Steps further out may rely on frames further in than this. */
        if (k && at.sp <= t->relied && ht_frame_is(&t->frames[k], at.pc, at.sp, at.fp)) {
            const struct ht_word *differs = ht_words_differ(t, t->frames[k].words);
            if (differs == t->words) {
                *kept = k;
                return steps;
            }
            if (t->relied != ~0ull) {
                t->relied = 0;
                continue;
            }
            /* Frames inside the one that read the word are as they were; that one steps anew. */
            uint32_t word = (uint32_t)(differs - t->words);
            for (; t->frames[k - 1].words > word && steps + 1 < depth; k--)
                ht_step_from_kept(t, k, &t->steps[steps++], &at.fp);
            at = (struct ht_regs){ t->frames[k].pc, t->frames[k].sp, at.fp };
            k--;
        }
        struct ht_step *s = &t->steps[steps++];
        s->pc = at.pc;
        s->sp = at.sp;
        s->fp = at.fp;
        if (HT_LIKELY(ht_step_plain(t, s, &at)))
            continue;
        if (guess == depth)
            known = t->stack_high;
        enum ht_reached reached = ht_step(t, s, &at, root);
        ht_step_settle(t, s);
        if (s->guessed && guess == depth)
            guess = steps - 1;
        if (reached != HT_REACHED_OUT) {
            /* Another stack: no frame of this walk again, and not what fp says after a guess. */
            if (reached == HT_REACHED_ACROSS && guess == depth && !ht_has_stepped(t, steps, at)) {
                k = ht_kept_across(t, at.sp, ++crossings);
                t->crossed = 1;
                continue;
            }
            /* A zero that a guess has read is no proof of a stack's end. */
            if (*root == HT_NODE_LOST || (guess < depth && s->word_count > 0))
                ht_forget_guesses(t, guess < steps ? guess : steps - 1, steps, known);
            *kept = 0;
            return steps;
        }
    }
    *root = HT_NODE_DEPTH;
    *kept = 0;
    return steps;
}

/* Where a stack that is deeper than the limit is cut. */
static uint32_t ht_cut(struct ht_thread *t, uint32_t steps)
{
    uint32_t cut = steps / 2;
    while (cut < steps && !ht_crosses_page(t->steps[cut - 1].sp, t->steps[cut].sp))
        cut++;
    t->cut_at_page = cut < steps;
    t->cut_beyond = steps - cut + 1;
    return cut;
}

static void ht_keep(struct ht_thread *t, const struct ht_step *s, uint32_t node)
{
    struct ht_frame *f = ++t->top;
    uint32_t words = f[-1].words;
    uint64_t there = f[-1].fp_matters; /* to the caller */
    if (HT_LIKELY(!s->fp_at && s->word_count == 1)) {
        t->words[words++] = s->words[0];
    } else {
        uint32_t idle = s->fp_at && !there ? ht_step_word(s, s->fp_at) : s->word_count;
        for (uint32_t i = 0; i < s->word_count; i++)
            if (i != idle)
                t->words[words++] = s->words[i];
    }
    *f = (struct ht_frame){ s->pc, s->sp, s->fp, s->fp_passes ? there : s->fp_matters, s->fp_at, node, words, s->fp_passes };
}

/* The call path of the kept stack, or what is left of it when the table is full (path.c). */
static uint32_t ht_kept_bucket(struct ht_thread *t)
{
    uint32_t node = t->top->node;
    uint32_t bucket = node ? ht_node_bucket(t, node, HT_USE_STACK) : 0;
    for (enum ht_use use = HT_USE_STACK; !bucket && use-- > HT_USE_ONE;) {
        uint32_t frames = use == HT_USE_FEW ? (uint32_t)ht_min(HT_FALLBACK_FRAMES, ht_kept(t)) : 1;
        node = HT_NODE_FULL;
        for (uint32_t i = frames; node && i-- > 0;)
            node = ht_node_intern(t, node, ht_frame_key(t->top - i), use);
        bucket = node ? ht_node_bucket(t, node, use) : 0;
    }
    return bucket ? bucket : HT_PATH_NONE;
}

/* The tail of a key: in the key's place, or the one beside it; NULL when there is none. */
HT_INLINE struct ht_tail *ht_tail_at(const struct ht_thread *t, uint64_t key)
{
    uint64_t place = key >> (64 - HT_TAIL_BITS);
    if (HT_LIKELY(t->tails[place].key == key))
        return &t->tails[place];
    return t->tails[place ^ 1].key == key ? &t->tails[place ^ 1] : NULL;
}
HT_INLINE uint64_t ht_tail_key(uint64_t pc, uint64_t sp) { return (pc ^ sp << 20 ^ sp >> 3) * 0x9e3779b97f4a7c15ull; }
HT_INLINE uint64_t ht_tail_next(uint64_t key, uint64_t address) { return (key ^ address) * 0xbf58476d1ce4e5b9ull; }

/* The first word of a sequence that differs: one behind its last at the latest, which never agrees. */
HT_INLINE HT_RAW const struct ht_word *ht_tail_differs(const struct ht_word *w)
{
    while (*(const volatile uint64_t *)w->at == w->value)
        w++;
    return w;
}

/* Whether a tail may be that of a stack with this innermost frame: then its words can be read. */
HT_INLINE int ht_tail_begins(const struct ht_thread *t, const struct ht_tail *tail, uint64_t pc, uint64_t sp)
{
    return tail->pc == pc && tail->sp == sp && tail->generation == ht_peek(&ht_p.generation) && sp >= t->stack_low && tail->reach <= t->stack_high
        && t->relied == ~0ull;
}

/* Whether it is, when its fp and words are as they were: the way of the frame it stands on is the same when its node is, and code has not
 * changed since. */
HT_INLINE HT_RAW int ht_tail_holds(const struct ht_thread *t, const struct ht_tail *tail)
{
    const struct ht_frame *base = tail->base;
    return base <= t->top && base->sp == tail->base_sp && base->node == tail->base_node && ((base->fp ^ tail->base_fp) & base->fp_matters) == 0
        && ht_words_differ(t, base->words) == t->words;
}

HT_INLINE int ht_tail_fp(const struct ht_tail *tail, uint64_t fp) { return ((tail->fp ^ fp) & tail->fp_matters) == 0; }

/*
 * The key of the next place where a stack's tail may be that has this one's innermost frame: by a return address that is where
 * this one has it too, as all words further in, on which that depends, are the same up to `differs`. 0 when there is none.
 */
HT_RAW static uint64_t ht_tail_farther(const struct ht_tail *tail, uint32_t level, const struct ht_word *differs, uint64_t key)
{
    uint32_t word = level < HT_TAIL_LEVELS - 1 ? tail->returns[level] : 0;
    if (word == 0 || differs < tail->words + word - 1)
        return 0;
    return ht_tail_next(key, ht_load((uint64_t)tail->words[word - 1].at));
}

/* The call path of a stack that ends as one did that was walked before; NULL when it is not known. */
HT_RAW static struct ht_path *ht_tail_find(const struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t fp)
{
    uint64_t key = ht_tail_key(pc, sp);
    for (uint32_t level = 0; key; level++) {
        struct ht_tail *tail = ht_tail_at(t, key);
        if (!tail || !ht_tail_begins(t, tail, pc, sp) || !ht_tail_fp(tail, fp))
            return NULL;
        const struct ht_word *differs = ht_tail_differs(tail->words);
        if (differs == tail->words + tail->word_count && ht_tail_holds(t, tail))
            return &tail->path;
        key = ht_tail_farther(tail, level, differs, key);
    }
    return NULL;
}

/* The same, of the first place where it may be alone. */
HT_INLINE HT_RAW struct ht_path *ht_tail_first(const struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t fp)
{
    uint64_t key = ht_tail_key(pc, sp);
    struct ht_tail *tail = &t->tails[key >> (64 - HT_TAIL_BITS)];
    return HT_LIKELY(tail->key == key && ht_tail_begins(t, tail, pc, sp) && ht_tail_fp(tail, fp)
            && ht_tail_differs(tail->words) == tail->words + tail->word_count && ht_tail_holds(t, tail)) ? &tail->path : NULL;
}

/* Where a tail of the innermost kept frames goes: behind those that others with the same one have. One with the same words is replaced. */
HT_RAW static struct ht_tail *ht_tail_place(const struct ht_thread *t, uint32_t count, uint64_t *key)
{
    const struct ht_frame *top = t->top;
    *key = ht_tail_key(top->pc, top->sp);
    for (uint32_t level = 0;; level++) {
        struct ht_tail *tail = ht_tail_at(t, *key);
        if (!tail) {
            /* In an empty place, or else its own. */
            uint64_t place = *key >> (64 - HT_TAIL_BITS);
            return &t->tails[t->tails[place].pc && !t->tails[place ^ 1].pc ? place ^ 1 : place];
        }
        if (!ht_tail_begins(t, tail, top->pc, top->sp) || !ht_tail_fp(tail, top->fp))
            return tail;
        const struct ht_word *differs = ht_tail_differs(tail->words);
        uint64_t next = ht_tail_farther(tail, level, differs, *key);
        if (!next || (tail->word_count == count && differs == tail->words + count))
            return tail;
        *key = next;
    }
}

/* Keeps the frames above number `base` as a tail, when they can be one. A stack that is cut has another path at each depth. */
static void ht_tail_keep(struct ht_thread *t, uint32_t base)
{
    const struct ht_frame *f = &t->frames[base], *top = t->top;
    uint32_t count = top->words - f->words;
    if (base == 0 || top == f || f->node == 0 || top->node == 0 || t->path.bucket == HT_PATH_NONE || count > HT_TAIL_WORDS
        || t->root == HT_NODE_DEPTH || t->relied != ~0ull)
        return;
    uint64_t key;
    struct ht_tail *tail = ht_tail_place(t, count, &key);
    ht_own_set(&tail->pc, 0ull);
    ht_signal_fence();
    tail->reach = top->sp;
    for (uint32_t i = 0; i < count; i++) {
        struct ht_word word = t->words[top->words - 1 - i];
        uint64_t at = (uint64_t)word.at;
        if (at < top->sp || at + 8 > t->stack_high)
            return;
        tail->words[i] = word;
        tail->reach = ht_max(tail->reach, at + 8);
    }
    for (uint32_t i = 0, word = 0; i < HT_TAIL_LEVELS - 1; i++) {
        uint64_t at = top - i > f ? HT_RA_SLOT(top[-1 - (int)i].sp) : 0;
        while (word < count && (uint64_t)tail->words[word].at != at)
            word++;
        tail->returns[i] = word < count ? (uint8_t)(word + 1) : 0;
    }
    tail->key = key;
    tail->sp = top->sp;
    tail->fp = top->fp;
    tail->fp_matters = top->fp_matters;
    tail->base = f;
    tail->base_sp = f->sp;
    tail->base_fp = f->fp;
    tail->base_node = f->node;
    tail->path = t->path;
    tail->generation = t->generation;
    tail->word_count = count;
    tail->words[count] = (struct ht_word){ (const uint64_t *)&tail->words[count].at, 0 };
    ht_signal_fence();
    ht_own_set(&tail->pc, top->pc);
}

/*
 * The node below which the outermost frame of a stack is. What a script does in a thread (api.c) stands between the root and that
 * frame, so that paths of one operation are another's no part of. The thread alone changes it; the kept stack stays what it
 * is, and what of it is still there gets other numbers at the next walk, which needs words and keys alone.
 */
static uint32_t ht_outermost(struct ht_thread *t)
{
    return HT_UNLIKELY(t->operation) ? ht_node_intern(t, t->root, (uint64_t)t->operation << HT_KEY_OFFSET_BITS, HT_USE_STACK) : t->root;
}

static void ht_relabel(struct ht_thread *t)
{
    uint32_t node = ht_kept(t) ? ht_outermost(t) : 0;
    for (struct ht_frame *f = t->frames + 1; f <= t->top; f++) {
        uint64_t key = ht_frame_key(f);
        node = node ? ht_node_intern(t, node, key, HT_USE_STACK) : 0;
        f->node = node;
    }
}

/* From here on the thread does something else. */
static void ht_operation_set(struct ht_thread *t, uint32_t operation)
{
    if (t->operation == operation)
        return;
    t->operation = operation;
    if (t->other)
        return;
    t->other = t->top;
    t->top = t->frames; /* no stack is the kept one, and no tail has a frame to stand on */
}

HT_NOINLINE struct ht_path *ht_walk(struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t fp)
{
    uint32_t generation = ht_shared_get(&ht_p.generation);
    struct ht_frame *other = t->other;
    if (HT_UNLIKELY(other)) {
        t->top = other;
        t->other = NULL;
    }
    if (t->generation != generation) {
        t->generation = generation;
        t->top = t->frames;
    }
    ht_stack_enter(t, sp);
    uint32_t kept = ht_kept(t), root = 0;
    uint32_t steps = ht_walk_steps(t, (struct ht_regs){ pc, sp, fp }, &kept, &root);
    if (kept && !ht_cut_holds(t, steps, kept)) {
        kept = 0;
        t->top = t->frames;
        steps = ht_walk_steps(t, (struct ht_regs){ pc, sp, fp }, &kept, &root);
    }
    if (!kept) {
        t->root = root;
        if (root == HT_NODE_DEPTH)
            steps = ht_cut(t, steps);
    }
    t->relied = kept ? ht_min(t->relied, t->relied_now) : t->relied_now;
    t->top = t->frames + kept;
    if (HT_UNLIKELY(other))
        ht_relabel(t);
    uint32_t node = kept ? t->top->node : ht_outermost(t);
    for (uint32_t i = steps; i-- > 0;) {
        node = node ? ht_node_intern(t, node, t->steps[i].key, HT_USE_STACK) : 0;
        ht_keep(t, &t->steps[i], node);
    }
    uint32_t bucket = ht_kept_bucket(t);
    t->path = (struct ht_path){ ht_record_known(t, bucket), bucket, ht_shadow_owner(bucket, t->tag) };
    ht_tail_keep(t, kept);
    return &t->path;
}

#ifdef HT_COMPARE
/* A build that walks from the innermost frame to the last beside each shortcut, and ends the program when that is another path. */
static void ht_path_compare(struct ht_thread *t, const struct ht_path *path, struct ht_regs at)
{
    struct ht_path said = *path;
    t->top = t->frames;
    if (ht_walk(t, at.pc, at.sp, at.fp)->bucket != said.bucket || (said.record && said.record != ht_record_known(t, said.bucket))
        || said.owner != ht_shadow_owner(said.bucket, t->tag))
        __builtin_trap();
}
#else
#define ht_path_compare(t, path, at) ((void)(at))
#endif

/* The call path of a stack that is not the kept one. */
static struct ht_path *ht_path_of(struct ht_thread *t, uint64_t pc, uint64_t sp, uint64_t fp)
{
    struct ht_path *path = ht_tail_find(t, pc, sp, fp);
    if (path)
        ht_path_compare(t, path, ((struct ht_regs){ pc, sp, fp }));
    else
        path = ht_walk(t, pc, sp, fp);
    if (HT_UNLIKELY(!path->record))
        path->record = ht_record_known(t, path->bucket);
    return path;
}

/* Whether the present stack is the kept one, whose call path is t->path. */
HT_INLINE int ht_stack_is_kept(const struct ht_thread *t, struct ht_regs at)
{
    return ht_frame_is(t->top, at.pc, at.sp, at.fp) && t->generation == ht_peek(&ht_p.generation)
        && ht_words_differ(t, t->top->words) == t->words;
}
