/*
 * poke.c: puts jumps into code that the process may be executing (pokes.h), or takes them out again. All threads are stopped for that, none where it would go on
 * in the middle of what is written, now or when a signal's handler returns: no word of their stacks leads there. What cannot be seen is not
 * clear. Each jump lies in one page, so that it is there or not whatever happens to this program; and half of them do no harm, in the order that
 * they come. Of an object all are put in, or none.
 */
#include "../pokes.h"

static struct ht_pokes pokes;
/* For which threads were stopped, in all; of that, where all stood and one not where it was to. */
static uint64_t held_us, unclear_us;
/* How far the last try came. */
static enum { NOT_TRIED, TRIED, STOOD } reached;

/*
 * Microseconds for which all are stopped at once, the first time; how many times that later, where threads wait so long for a processor that they
 * do not come to stop; and for how many times as long as they were stopped they then go on. How many times the first it is tried in all where they
 * do stop, and one is not clear, which may be so for good; and how long one may be put in where none could be stopped at all.
 */
#define STOP_LIMIT(threads) (10000u + 100u * (threads))
#define STOP_MOST 8u
#define GO_ON 10u
#define UNCLEAR_MOST 16u
#define IDLE_LIMIT 3000000u
#define STACK_LIMIT (4u << 20) /* bytes of a stack that are looked at; of one that is deeper it is not known */
#define STACKS 4u /* that a thread may be on at once: its own, and those of signal handlers */

static int read_pokes(void) { return pokes_at && peek(pokes_at, &pokes, sizeof pokes) && pokes.count <= HT_POKES; }

static int is_in_poked(uint64_t pc)
{
    for (uint64_t i = 0; i < pokes.count; i++)
        if (pokes.each[i].at && pc > pokes.each[i].at && pc < pokes.each[i].at + HT_POKE_SIZE)
            return 1;
    return 0;
}

/* Whether nothing on the stacks from sp outwards leads into what is written: calls stand in none of it, so that what does is where a handler returns to. */
static int is_stack_clear(uint64_t sp, unsigned stacks)
{
    static uint64_t words[8192];
    const struct mapping *m = mapping_at(sp);
    if (!m || stacks == 0 || m->at.high - sp > STACK_LIMIT)
        return 0;
    for (uint64_t at = (sp + 7) / 8 * 8; at < m->at.high;) {
        size_t count = (m->at.high - at) / 8 < COUNT(words) ? (m->at.high - at) / 8 : COUNT(words);
        if (!peek(at, words, count * 8))
            return 0;
        for (size_t i = 0; i < count; i++)
            if (is_in_poked(words[i]))
                return 0;
        /* A handler's stack of its own: what it interrupted is on another. */
        for (size_t i = 0; i + HANDLER_WORDS < count; i++)
            if (is_handler_frame(words + i, at + 8 * i) && mapping_at(words[i + 21]) != m && !is_stack_clear(words[i + 21], stacks - 1))
                return 0;
        /* A frame may lie across the end of a part. */
        at += 8 * (count == COUNT(words) && at + 8 * count < m->at.high ? count - HANDLER_WORDS : count);
    }
    return 1;
}

static int is_clear(pid_t tid)
{
    struct user_regs_struct r;
    return ptrace(PTRACE_GETREGS, tid, NULL, &r) == 0 && !is_in_poked(r.rip) && is_stack_clear(r.rsp, STACKS);
}

/* Whether a child of the process has the same memory, and is not stopped with it. (One of vfork is waited for by a thread that cannot be stopped.) */
static int is_memory_shared(void)
{
    enum { KCMP_VM = 1 };
    char text[4096];
    for (size_t i = 0; i < thread_count; i++) {
        read_text(text, sizeof text, "task/%d/children", threads[i]);
        for (char *at = text, *end; *at; at = end + strspn(end, " ")) {
            pid_t child = (pid_t)strtol(at, &end, 10);
            if (end == at)
                break;
            if (syscall(SYS_kcmp, target, child, KCMP_VM, 0, 0) == 0)
                return 1;
        }
    }
    return 0;
}

/*
 * Stops all threads where they may be; 0 when the time is over, or one cannot be. Those that are made meanwhile are stopped too: until a look finds
 * none more. One that cannot stop now, deep in the kernel or held by others, is seen before any is stopped.
 */
static int stop_all(uint64_t limit)
{
    reached = NOT_TRIED;
    read_threads();
    for (size_t i = 0; i < thread_count; i++) {
        char state = state_of(threads[i]);
        if (state == 'D' || state == 't')
            return 0;
    }
    if (thread_count == COUNT(threads) || is_memory_shared())
        return 0;
    reached = TRIED;
    for (uint64_t until = now_us() + limit; now_us() < until && !is_refused;) {
        size_t left = 0;
        read_threads();
        for (size_t i = 0; i < thread_count && now_us() < until; i++) {
            size_t place = place_of(threads[i]);
            if ((place < held_count && !held[place].asked) || has_ended(state_of(threads[i])))
                continue;
            ask(threads[i]);
            left++;
        }
        if (left == 0) {
            reached = STOOD;
            /* What was unloaded meanwhile is no place any more. */
            if (!read_pokes())
                return 0;
            read_maps();
            /* One that ended without a word is waited for no more. */
            for (size_t i = 0; i < held_count && now_us() < until; i++)
                if (!is_clear(held[i].tid) && !has_ended(state_of(held[i].tid))) {
                    pid_t tid = held[i].tid;
                    let_go_on(tid);
                    rest(20);
                    ask(tid);
                    left++;
                }
            if (left == 0)
                return now_us() < until;
        }
        while (left > 0 && now_us() < until && stopped_within(1000) != 0)
            left--;
    }
    return 0;
}

/* Whether all of an object's places have what they are to have, before or after. */
static int is_whole(uint64_t object, int back)
{
    for (uint64_t i = 0; i < pokes.count; i++) {
        const struct ht_poke *p = &pokes.each[i];
        uint8_t now[HT_POKE_SIZE];
        if (p->at && p->object == object && (!peek(p->at, now, sizeof now) || (memcmp(now, p->becomes, sizeof now) && memcmp(now, p->was, sizeof now))))
            return back; /* taken out what is there still */
    }
    return 1;
}

static uint64_t poke_those(int ends, int back)
{
    uint64_t done = 0;
    for (uint64_t i = 0; i < pokes.count; i++) {
        struct ht_poke *p = &pokes.each[i];
        const uint8_t *from = back ? p->becomes : p->was, *to = back ? p->was : p->becomes;
        uint8_t now[HT_POKE_SIZE];
        if (!p->at || !p->ends == !!ends || !is_whole(p->object, back) || !peek(p->at, now, sizeof now))
            continue;
        if (!memcmp(now, from, sizeof now))
            poke(p->at, to, sizeof now);
        done += peek(p->at, now, sizeof now) && !memcmp(now, to, sizeof now);
    }
    return done;
}

/* Whether there is anything to do. */
static int is_any_to_poke(int back)
{
    for (uint64_t i = 0; i < pokes.count; i++) {
        const struct ht_poke *p = &pokes.each[i];
        uint8_t now[HT_POKE_SIZE];
        if (p->at && peek(p->at, now, sizeof now) && !memcmp(now, back ? p->becomes : p->was, sizeof now))
            return 1;
    }
    return 0;
}

/* Lets all threads run for so long, those too that come to stop only now. */
static void go_on(uint64_t us)
{
    uint64_t until = now_us() + us < limit_us ? now_us() + us : limit_us;
    for (uint64_t now; (now = now_us()) < until;) {
        pid_t tid = stopped_within(until - now);
        if (tid)
            let_go(tid);
        else if ((now = now_us()) < until)
            rest(until - now); /* there is none to wait for */
    }
}

/* Says how many jumps are in, or out. */
static void poke_all(int back)
{
    uint64_t done = 0;
    if (!read_pokes())
        fail("absent", "");
    read_threads();
    uint64_t first = STOP_LIMIT(thread_count), limit = first;
    for (int is_stopped = !is_any_to_poke(back); !is_stopped; limit = limit < STOP_MOST * first ? 2 * limit : limit) {
        if (is_late() || unclear_us > UNCLEAR_MOST * first || is_refused || (!back && held_us == 0 && now_us() > IDLE_LIMIT))
            fail(is_refused ? "permission" : "moment", "");
        look_for_filters();
        uint64_t since = now_us();
        is_stopped = stop_all(limit);
        if (is_stopped)
            done = poke_those(!back, back) + poke_those(back, back);
        let_all_go();
        uint64_t took = now_us() - since;
        held_us += reached == NOT_TRIED ? 0 : took;
        unclear_us += reached == STOOD ? took : 0;
        if (!is_stopped)
            go_on(20000 + GO_ON * took);
    }
    printf("{\"result\":%lu,\"thread\":0,\"how\":\"all\",\"looked\":0,\"microseconds\":%lu}\n", done, held_us);
    exit(0);
}
