/*
 * threads.c: the process's threads: where they are, and stopping them and letting them go.
 */

/* Reads a file of the process's in /proc as text: its first bytes, as many as there is room for. 0 when there is none, or nothing in it. */
__attribute__((format(printf, 3, 4))) static int read_text(char *text, size_t size, const char *name, ...)
{
    char path[96];
    va_list numbers;
    int used = snprintf(path, sizeof path, "/proc/%d/", target);
    va_start(numbers, name);
    vsnprintf(path + used, sizeof path - (size_t)used, name, numbers);
    va_end(numbers);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, text, size - 1);
    if (file >= 0)
        close(file);
    text[n < 0 ? 0 : n] = 0;
    return n > 0;
}

enum { RUNNING = -1 };
/* Where a thread is, without stopping it: the number of its system call, or RUNNING. */
static int system_call(pid_t tid, uint64_t *sp, uint64_t *pc)
{
    char text[256];
    int number;
    if (read_text(text, sizeof text, "task/%d/syscall", tid) && sscanf(text, "%d %*x %*x %*x %*x %*x %*x %lx %lx", &number, sp, pc) == 3 && number >= 0)
        return number;
    return RUNNING;
}

enum { READ = 0, POLL = 7, SELECT = 23, PAUSE = 34, NANOSLEEP = 35, ACCEPT = 43, RECVFROM = 45, RECVMSG = 47, WAIT4 = 61, SIGSUSPEND = 130,
    SIGTIMEDWAIT = 128, FUTEX = 202, CLOCK_NANOSLEEP = 230, EPOLL_WAIT = 232, WAITID = 247, PSELECT = 270, PPOLL = 271, EPOLL_PWAIT = 281,
    ACCEPT4 = 288, EPOLL_PWAIT2 = 441, RESTART = 219 };

/* How good it is to be stopped in: 3, nothing is to be seen of it; 2, it begins anew with its whole time; 1, a lock may be waited for; 0, not known. */
static int patience_of(int number)
{
    switch (number) {
    case POLL: case SELECT: case PAUSE: case ACCEPT: case ACCEPT4: case RECVFROM: case RECVMSG: case WAIT4: case WAITID: case SIGSUSPEND: case PSELECT:
    case PPOLL: case RESTART:
        return 3;
    case EPOLL_WAIT: case EPOLL_PWAIT: case EPOLL_PWAIT2: case SIGTIMEDWAIT:
        return 2;
    case FUTEX: case NANOSLEEP: case CLOCK_NANOSLEEP: case READ:
        return 1;
    default:
        return 0;
    }
}

static pid_t threads[16384];
static size_t thread_count;

static void read_threads(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", target);
    DIR *folder = opendir(path);
    if (!folder)
        fail("gone", "");
    thread_count = 0;
    for (struct dirent *e; (e = readdir(folder)) && thread_count < COUNT(threads);)
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            threads[thread_count++] = atoi(e->d_name);
    closedir(folder);
}

/* Those that are traced from here, and whether they have been asked to stop. They go on by themselves when this program ends. */
static struct {
    pid_t tid;
    int asked;
} held[16384];
static size_t held_count;
static int is_refused;

/* Where a thread was that has such a number: it is there still, most often. */
static uint16_t places[65536];

static size_t place_of(pid_t tid)
{
    size_t i = places[(uint32_t)tid % COUNT(places)];
    if (i < held_count && held[i].tid == tid)
        return i;
    for (i = 0; i < held_count && held[i].tid != tid; i++)
        ;
    places[(uint32_t)tid % COUNT(places)] = (uint16_t)i;
    return i;
}

static void forget(pid_t tid)
{
    size_t i = place_of(tid);
    if (i < held_count) {
        held[i] = held[--held_count];
        places[(uint32_t)held[i].tid % COUNT(places)] = (uint16_t)i;
    }
}

/* What a thread does, as the kernel writes it: R, S, D, T, t, Z, X; 0 when it is gone. */
static char state_of(pid_t tid)
{
    char text[512];
    read_text(text, sizeof text, "task/%d/stat", tid);
    const char *state = strrchr(text, ')');
    return state && state[1] ? state[2] : 0;
}
static int has_ended(char state) { return state == 0 || state == 'Z' || state == 'X'; }

/* Asks a thread to stop: it does when it runs, or at once when it waits, unless it is deep in the kernel. */
static void ask(pid_t tid)
{
    size_t i = place_of(tid);
    if (i == held_count) {
        if (held_count == COUNT(held) || ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
            /* Of one that is ending that is the error too. */
            is_refused |= errno == EPERM && !has_ended(state_of(tid));
            return;
        }
        held[held_count++].tid = tid;
        held[i].asked = 0;
    }
    if (!held[i].asked && ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0)
        held[i].asked = 1;
}

static void mend(pid_t tid);

static void let_go(pid_t tid)
{
    mend(tid);
    if (ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0)
        forget(tid);
}

static void let_go_on(pid_t tid)
{
    mend(tid);
    ptrace(PTRACE_CONT, tid, NULL, NULL);
}

/* Whether it is a thread of this process: numbers are used again. */
static int is_ours(pid_t tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d", target, tid);
    return access(path, F_OK) == 0;
}

/* Those that stand. The others go on when this program ends. */
static void let_all_go(void)
{
    for (size_t i = held_count; i-- > 0;)
        if (!held[i].asked)
            let_go(held[i].tid);
}

/* A thread that was asked and has stopped; 0 when none has for so long. Signals of its own, which come to one before that, it gets. */
static pid_t stopped_within(uint64_t us)
{
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    for (uint64_t until = now_us() + us; held_count > 0;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);
        if (tid < 0)
            return 0;
        if (tid == 0) {
            uint64_t now = now_us();
            if (now >= until)
                return 0;
            struct timespec left = { (time_t)((until - now) / 1000000), (long)((until - now) % 1000000) * 1000 };
            sigtimedwait(&children, NULL, &left);
        } else if (!WIFSTOPPED(status)) {
            forget(tid);
        } else if (status >> 16 == PTRACE_EVENT_STOP) {
            size_t i = place_of(tid);
            if (i < held_count)
                held[i].asked = 0;
            return tid;
        } else {
            ptrace(PTRACE_CONT, tid, NULL, (void *)(long)(status >> 16 ? 0 : WSTOPSIG(status)));
        }
    }
    return 0;
}

/* Lets those go that have stopped too late to be of use. */
static void settle(void)
{
    for (pid_t tid; (tid = stopped_within(0)) != 0;)
        let_go(tid);
}

/* Stops one thread; whether it has. Others that stop meanwhile are let go. */
static int stop_thread_within(pid_t tid, unsigned us)
{
    ask(tid);
    for (uint64_t until = now_us() + us; place_of(tid) < held_count && now_us() < until;) {
        pid_t stopped = stopped_within(5000);
        if (stopped == tid)
            return 1;
        if (stopped)
            let_go(stopped);
    }
    return 0;
}
static int stop_thread(pid_t tid) { return stop_thread_within(tid, 20000); }

/* What the kernel says of a thread: its signals, its filters of system calls, the number that the process itself knows it by. Asked at
 * once: that takes as long as each of them alone, and a thread that is stopped waits for it. */
struct status {
    uint64_t pending, blocked, caught;
    uint32_t seccomp, filters, number;
};

static const char *field_of(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? at + strlen(name) : "";
}

static struct status status_of(pid_t tid)
{
    char text[4096];
    struct status s = { .number = (uint32_t)tid };
    read_text(text, sizeof text, "task/%d/status", tid);
    s.pending = strtoull(field_of(text, "\nSigPnd:"), NULL, 16) | strtoull(field_of(text, "\nShdPnd:"), NULL, 16);
    s.blocked = strtoull(field_of(text, "\nSigBlk:"), NULL, 16);
    s.caught = strtoull(field_of(text, "\nSigCgt:"), NULL, 16);
    s.seccomp = (uint32_t)strtoul(field_of(text, "\nSeccomp:"), NULL, 10);
    s.filters = (uint32_t)strtoul(field_of(text, "\nSeccomp_filters:"), NULL, 10);
    /* The last of a line's numbers, one for each namespace. */
    const char *at = field_of(text, "\nNSpid:");
    for (char *end; *at && *at != '\n'; at = end + strspn(end, "\t ")) {
        uint32_t number = (uint32_t)strtoul(at, &end, 10);
        if (end == at)
            break;
        s.number = number;
    }
    return s;
}

static int is_process_stopped(void)
{
    char state = state_of(target);
    if (!state)
        fail("gone", "");
    return state == 'T';
}
