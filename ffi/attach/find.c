/*
 * find.c: finds a thread that may make the call, and has it made.
 */
static int stands_safe(pid_t tid, const struct user_regs_struct *r)
{
    return !is_in_sequence(tid, r->rip) && is_safe(tid, r->rip, r->rsp, (long)r->orig_rax >= 0 ? (int)r->orig_rax : RUNNING);
}

/* Has a stopped thread make the call when it stands where it may. */
static int try_stopped(pid_t tid, uint64_t since)
{
    struct user_regs_struct r;
    struct placed p;
    looked_at++;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0 || unsafe_kinds(r.rip))
        return 0;
    if (r.cs != 0x33)
        fail("bits", "");
    if (stands_safe(tid, &r) && is_ours(tid) && place(tid, &p, &r)) {
        how = (long)r.orig_rax >= 0 ? "waiting" : "running";
        call_in(tid, &p, 0, since);
        return 1;
    }
    return 0;
}

/* Those that wait where nothing is to be seen of a stop come first: looked at while they wait. */
static int try_waiting(void)
{
    for (int least = 3; least >= 1; least--)
        for (size_t i = 0; i < thread_count; i++) {
            uint64_t sp, pc, since = now_us();
            int number = system_call(threads[i], &sp, &pc);
            if (number == RUNNING || patience_of(number) != least || !is_safe(threads[i], pc, sp, number)
                || !stop_thread_within(threads[i], 300000)) /* on a busy machine it has to get a processor first */
                continue;
            if (try_stopped(threads[i], since))
                return 1;
            let_go(threads[i]);
        }
    return 0;
}

/*
 * Some of those that run, each looked at when it stops: on a busy machine that is when it runs the next time. One that is hardly ever
 * anywhere but in the dynamic linker, or the allocator, takes hundreds of looks, of which most end at the first one.
 */
#define AT_ONCE 8u
#define LOOKS 64u
static int try_running(void)
{
    static size_t next;
    for (size_t n = 0; n < thread_count && held_count < AT_ONCE; n++) {
        uint64_t sp, pc;
        pid_t tid = threads[next++ % thread_count];
        if (system_call(tid, &sp, &pc) == RUNNING)
            ask(tid);
    }
    for (unsigned n = 0; n < LOOKS; n++) {
        uint64_t since = now_us();
        pid_t tid = stopped_within(2000);
        if (tid == 0)
            break;
        if (try_stopped(tid, since))
            return 1;
        if (n + AT_ONCE >= LOOKS) {
            let_go(tid);
        } else {
            let_go_on(tid);
            ask(tid);
        }
    }
    return 0;
}

/* The process is stopped. Threads in the middle of something go on until they are not, and all are stopped again: nobody is told. */
static void try_stopped_process(void)
{
    static struct user_regs_struct r;
    for (size_t i = 0; i < thread_count; i++)
        if (!stop_thread(threads[i]))
            return;
    pid_t chosen = 0;
    struct placed p;
    how = "stopped";
    for (int are_safe = 0; !are_safe && !is_late();) {
        are_safe = 1;
        chosen = 0;
        for (size_t i = 0; i < thread_count; i++) {
            pid_t tid = threads[i];
            looked_at++;
            if (place_of(tid) == held_count || ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0)
                continue;
            if (stands_safe(tid, &r)) {
                chosen = tid;
            } else {
                are_safe = 0;
                let_go_on(tid);
                rest(50);
                stop_thread(tid);
            }
        }
    }
    if (chosen && ptrace(PTRACE_GETREGS, chosen, NULL, &r) == 0) {
        if (place(chosen, &p, &r))
            call_in(chosen, &p, 1, now_us());
    }
    while (held_count > 0)
        let_go(held[held_count - 1].tid);
}

/*
 * Sees each thread outside the library's own code once: it knows by itself who is in a call of it and elsewhere. Those that run are
 * stopped for that, all as they come.
 */
static void see_outside(void)
{
    static pid_t seen[COUNT(threads)];
    size_t seen_count = 0, left = 1;
    while (left > 0) {
        read_threads();
        if (is_late() || thread_count == COUNT(threads))
            fail("inside", "");
        left = 0;
        for (size_t i = 0; i < thread_count; i++) {
            size_t n = 0;
            while (n < seen_count && seen[n] != threads[i])
                n++;
            if (n < seen_count)
                continue;
            uint64_t sp, pc;
            if (system_call(threads[i], &sp, &pc) != RUNNING && !is_in(library_code, pc) && !interrupted_library(sp)) {
                seen[seen_count++] = threads[i];
                continue;
            }
            left++;
            ask(threads[i]);
        }
        int is_stopped = is_process_stopped();
        for (pid_t tid; (tid = stopped_within(1000)) != 0; let_go(tid)) {
            struct user_regs_struct r;
            if (ptrace(PTRACE_GETREGS, tid, NULL, &r) != 0)
                continue;
            if (!is_in(library_code, r.rip) && !interrupted_library(r.rsp)) {
                if (seen_count < COUNT(seen))
                    seen[seen_count++] = tid;
            } else if (is_stopped) { /* it would stay there */
                let_go_on(tid);
                rest(50);
                stop_thread(tid);
            }
        }
    }
}


/* Finds a thread that can make the call, and has it made. */
static void make_call(void)
{
    for (unsigned round = 0; !is_late(); round++) {
        read_threads();
        if (round % 16 == 0)
            look_for_filters();
        if (is_process_stopped()) {
            try_stopped_process();
            if (called_in)
                return;
            continue;
        }
        if (try_waiting() || try_running())
            return;
        if (round % 16 == 15)
            read_maps();
        rest(round < 16 ? 100 + round * 37 % 200 : 10);
    }
    fail(is_refused ? "permission" : "moment", "");
}
