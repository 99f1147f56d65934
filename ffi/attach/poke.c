/*
 * poke.c: puts jumps into code that the process may be executing (pokes.h), or takes them out again. All threads are stopped for that, none where it would go on
 * in the middle of what is written, nor a signal handler's return. Each jump lies in one page, so that it is there or not whatever
 * happens to this program; and half of them do no harm, in the order that they come.
 */
#include "../pokes.h"

#define STOP_LIMIT 200000u /* microseconds for which the threads are stopped at most, to try again later */

static struct ht_pokes pokes;

static int is_in_poked(uint64_t pc)
{
    for (uint64_t i = 0; i < pokes.count; i++)
        if (pc > pokes.each[i].at && pc < pokes.each[i].at + HT_POKE_SIZE)
            return 1;
    return 0;
}

static int is_clear(pid_t tid)
{
    struct user_regs_struct r;
    return ptrace(PTRACE_GETREGS, tid, NULL, &r) == 0 && !is_in_poked(r.rip) && !has_interrupted(r.rsp, is_in_poked);
}

/* Whether a thread has ended, and is there for its number alone: a main thread that others have outlived. */
static int has_ended(pid_t tid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", target, tid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    const char *state = n > 0 ? strrchr(text, ')') : NULL;
    return !state || state[2] == 'Z' || state[2] == 'X';
}

/* Stops all threads where they may be; 0 when the time is over. Those that are made meanwhile are stopped too: until a look finds none more. */
static int stop_all(void)
{
    for (uint64_t until = now_us() + STOP_LIMIT; now_us() < until;) {
        size_t left = 0;
        read_threads();
        for (size_t i = 0; i < thread_count; i++) {
            size_t place = place_of(threads[i]);
            if (place < held_count && !held[place].asked)
                continue;
            if (has_ended(threads[i]))
                continue;
            ask(threads[i]);
            left++;
        }
        if (left == 0)
            return thread_count < COUNT(threads);
        for (pid_t tid; left > 0 && (tid = stopped_within(1000)) != 0; left--)
            if (!is_clear(tid)) {
                let_go_on(tid);
                ask(tid);
            }
    }
    return 0;
}

static uint64_t poke_those(int ends, int back)
{
    uint64_t done = 0;
    for (uint64_t i = 0; i < pokes.count; i++) {
        struct ht_poke *p = &pokes.each[i];
        const uint8_t *from = back ? p->becomes : p->was, *to = back ? p->was : p->becomes;
        uint8_t now[HT_POKE_SIZE];
        if (!p->at || !p->ends == !!ends || !peek(p->at, now, sizeof now))
            continue;
        /* The object may be gone, and another one in its place. */
        if (!memcmp(now, from, sizeof now))
            poke(p->at, to, sizeof now);
        done += peek(p->at, now, sizeof now) && !memcmp(now, to, sizeof now);
    }
    return done;
}

/* Says how many jumps are in, or out. */
static void poke_all(int back)
{
    uint64_t done = 0;
    if (!pokes_at || !peek(pokes_at, &pokes, sizeof pokes) || pokes.count > HT_POKES)
        fail("absent", "");
    if (pokes.count > 0) {
        int is_stopped = 0;
        for (unsigned round = 0; !is_stopped; round++) {
            if (is_late())
                fail(is_refused ? "permission" : "moment", "");
            look_for_filters();
            uint64_t since = now_us();
            is_stopped = stop_all();
            if (is_stopped)
                done = poke_those(!back, back) + poke_those(back, back);
            let_all_go();
            stopped_us = now_us() - since;
            for (pid_t tid; !is_stopped && (tid = stopped_within(2000)) != 0;)
                let_go(tid);
            if (!is_stopped)
                rest(20000);
        }
    }
    printf("{\"result\":%lu,\"thread\":0,\"how\":\"all\",\"looked\":%u,\"microseconds\":%lu}\n", done, 0u, stopped_us);
    exit(0);
}
