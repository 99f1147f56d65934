/*
 * attached.c: recording that begins in a process that runs already, and ends before that does. Called by attach/attach.c, in a thread
 * that it has stopped where it held no lock of the C library's.
 *
 * It begins as for a script (api.c). It ends in two steps, between which the caller waits:
 *
 *   heaptap_detach    every slot and name leads to the real function again, and a hook that is called nevertheless, through a pointer that
 *                     the program has copied, passes through (ht_unwanted). A call that is under way goes on with the recording.
 *   heaptap_release   no code leads here (HT_STILL_LED), and no thread is in a call from before that any more (HT_LETTING_GO): what
 *                     the recording has in memory is given back.
 *
 * What the code of allocators is to begin with that are linked into what is loaded is planned at the beginning (pokes.h). The
 * caller puts it in while all threads are stopped, says so (heaptap_linked), and takes it out again between those two steps.
 *
 * All are given the number of the run whose recording is meant, or an empty text. Then it can begin anew. What stays is the library, and a page for each
 * thread that it knew (thread.c).
 */
#include "heaptap.h"

/* What leads to a hook leads to the real function again. */
static void ht_got_put_back(struct ht_patch *patch)
{
    for (uint32_t i = 0; i < patch->redirects.count; i++) {
        struct ht_redirect *r = &patch->redirects.all[i];
        *r = (struct ht_redirect){ r->name, r->hook, r->real, 0 };
    }
    ht_iterate(ht_patch_visit, patch);
    patch->redirects.count = 0;
}

/* Takes the hooks out again: those of the process's allocator, and those of others' libraries (discover.c). */
static void ht_got_restore(void)
{
    struct ht_patch patch = { .redirects = ht_redirects(HT_ALSO_MAPPING), .write = 1 };
    ht_got_put_back(&patch);
    for (uint32_t k = 0; k <= HT_ALLOCATORS; k++)
        for (uint32_t i = 0; i < ht_wrappings[k].count; i++) {
            const struct ht_wrap *w = &ht_wrappings[k].wraps[i];
            patch.redirects.all[patch.redirects.count++] = (struct ht_redirect){ w->name, w->real, w->hook, 0 };
            if (patch.redirects.count == HT_COUNT(patch.redirects.all) || i + 1 == ht_wrappings[k].count)
                ht_got_put_back(&patch);
        }
    ht_own_set(&ht_names_redirected, 0u);
}

enum ht_attached { HT_ATTACHED = 0, HT_LETTING_GO = 4, HT_NOT_ATTACHED = 5, HT_STILL_LED = 6 };

/* Whether it is attached to, and the recording is the one that the caller means: of a run, by its number, or any. Another one may have begun since. */
static int ht_is_meant(const char *run)
{
    return ht_config.attached && (!*run || ht_run_number(run) == ht_p.header->run);
}

/* Whether a thread counts something, or has a lock. Of one that is marked and has ended nobody will come back. */
static int ht_is_anyone_inside(void)
{
    for (uint32_t i = 0; i < ht_p.live_count; i++) {
        const struct ht_thread *t = ht_thread_in_order(i);
        if (ht_shared_get(&t->idle) == HT_BUSY && !ht_sys_thread_gone(t->tid))
            return 1;
    }
    for (const struct ht_thread *t = ht_p.shared_threads; t; t = t->next)
        if (ht_shared_get(&t->idle) == HT_BUSY && !ht_sys_thread_gone(t->tid))
            return 1;
    return 0;
}

/* No thread will look at its own in the recording any more, once it has been seen outside again. */
static int ht_counters_left;

/* Hooks look at their thread's counters before and after they call the real function, which may take long. */
static void ht_leave_counters(void)
{
    for (uint32_t i = 0; i < ht_p.thread_count; i++)
        ht_shared_set(&ht_thread_in_order(i)->counters, &ht_no_counters);
    for (struct ht_thread *t = ht_p.shared_threads; t; t = t->next)
        ht_shared_set(&t->counters, &ht_no_counters);
    ht_counters_left = 1;
}

/*
 * The caller has seen each thread outside this library's code since heaptap_detach, and calls again when it is told to, after
 * another look. One that is elsewhere in the middle of a call, in a function of the allocator's or the kernel, has marked itself
 * busy when it needs anything of the recording after that.
 */
HT_EXPORT int heaptap_release(const char *run)
{
    ht_lock(&ht_install_lock);
    int result = HT_ATTACHED;
    if (!ht_unwanted || !ht_is_meant(run)) {
        result = HT_NOT_ATTACHED;
    } else if (ht_is_any_poked()) {
        result = HT_STILL_LED; /* code leads here still: hooks look at what they count in before they know that nobody wants it */
    } else if (ht_is_anyone_inside()) {
        result = HT_LETTING_GO;
    } else if (!ht_counters_left) {
        ht_leave_counters();
        result = HT_LETTING_GO;
    } else {
        ht_process_release();
        memset(&ht_config, 0, sizeof ht_config);
        ht_counters_left = 0;
    }
    ht_unlock(&ht_install_lock);
    return result;
}

static int ht_detach(const char *run)
{
    if (ht_shared_get(&ht_p.state) != HT_STATE_ON || !ht_is_meant(run))
        return HT_NOT_ATTACHED;
    if (ht_unwanted)
        return HT_LETTING_GO;
    ht_got_restore();
    ht_shared_set(&ht_unwanted, 1u);
    for (uint32_t i = 0; i < HT_COUNT(ht_hot); i++)
        ht_own_set(&ht_hot[i], (uint32_t)HT_IDLE_NEVER);
    ht_shared_set(&ht_p.header->wall_time, ht_sys_now(HT_CLOCK_MONOTONIC) - ht_p.start);
    ht_shared_set(&ht_p.header->attached, (uint32_t)HT_ATTACHED_AND_LEFT);
    return HT_ATTACHED;
}

HT_EXPORT int heaptap_detach(const char *run)
{
    ht_lock(&ht_install_lock);
    int result = ht_detach(run);
    ht_unlock(&ht_install_lock);
    return result;
}

/* Whoever attaches has put in what was planned for the code of allocators. */
HT_EXPORT int heaptap_linked(const char *run)
{
    ht_lock(&ht_install_lock);
    int result = ht_shared_get(&ht_p.state) == HT_STATE_ON && ht_is_meant(run) && !ht_unwanted ? HT_ATTACHED : HT_NOT_ATTACHED;
    if (result == HT_ATTACHED)
        ht_link_running_done();
    ht_unlock(&ht_install_lock);
    return result;
}

/* Variables as an environment has them, one behind the other, an empty one last. */
static void ht_variables_set(const char *texts)
{
    static char kept[16384];
    static char *variables[64];
    uint32_t count = 0;
    char *at = kept;
    for (const char *text = texts; *text && count + 1 < HT_COUNT(variables); text += ht_length(text) + 1) {
        if (ht_length(text) + 1 > (size_t)(kept + sizeof kept - at))
            break;
        variables[count++] = at;
        at += ht_copy(at, (size_t)(kept + sizeof kept - at), text) + 1;
    }
    variables[count] = NULL;
    ht_config.variables = variables;
}

/* Notes the allocators that whoever attaches has found linked in: lines as linked.c writes them. Whether there are any. */
static int ht_linked_told(void)
{
    static char line[4096];
    int any = 0;
    const char *at = ht_variable(&(struct ht_start){ .environment = ht_config.variables }, "HEAPTAP_LINKED");
    for (uint32_t length; at && *at; at += length) {
        for (length = 0; at[length] && at[length] != '\n' && length < sizeof line - 2; length++)
            line[length] = at[length];
        line[length++] = '\n';
        line[length] = 0;
        if (at[length - 1] != '\n')
            break;
        ht_linked_add(line, length);
        any = 1;
    }
    return any;
}

static int ht_attach(const char *texts)
{
    uint32_t slots[2], state = ht_shared_get(&ht_p.state);
    if (state == HT_STATE_ON)
        return ht_config.attached && ht_unwanted ? HT_LETTING_GO : HT_JOINED;
    /* One that nobody wanted a recording of: a fork's child, a program that was left out. */
    if (state == HT_STATE_OFF && !ht_p.file)
        memset(&ht_p, 0, sizeof ht_p);
    else if (state != HT_STATE_NEW)
        return HT_SWITCHED_OFF;
    memset(&ht_config, 0, sizeof ht_config);
    ht_config.attached = HT_ATTACHED_NOW;
    ht_variables_set(texts);
    ht_linked_length = 0; /* of an earlier look */
    int are_linked = ht_linked_told();
    ht_own_pid = ht_sys_pid();
    int result = ht_install_new(slots);
    if (result == HT_INSTALLED && are_linked)
        ht_link_running();
    return result;
}

/* Begins to record; `texts` are variables as HEAPTAP_OUT. Returns HT_ATTACHED, ht_installed, HT_LETTING_GO or -errno. */
HT_EXPORT int heaptap_attach(const char *texts)
{
    ht_lock(&ht_install_lock);
    int result = ht_attach(texts);
    ht_unlock(&ht_install_lock);
    return result;
}
