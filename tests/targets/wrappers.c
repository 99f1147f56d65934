/*
 * wrappers WAY [ARGUMENT]: starts itself as a leaf, in the way that is asked for and with an environment that has none of
 * what the process itself was started with. A leaf makes 9 malloc(64) and prints its arguments and environment. What is
 * printed, and the exit status, are the same with a profiler and without. Each `fails` prints errno and goes on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static void *volatile kept;
static char *self, *clean[] = { "A=one", "PATH=/usr/bin:/bin", "B=two words", NULL };

static int leaf(int argc, char **argv)
{
    for (int i = 0; i < 9; i++)
        kept = malloc(64);
    for (int i = 1; i < argc; i++)
        printf("%s ", argv[i]);
    int count = 0;
    for (char **v = environ; v && *v; v++, count++)
        if (strlen(*v) < 200 && count < 12)
            printf("[%s]", *v);
    /* What stands behind the environment is found by those who look there. */
    char **end = environ;
    while (end && *end)
        end++;
    unsigned long *auxiliary = (unsigned long *)(end + 1), page = 0;
    for (; end && auxiliary[0]; auxiliary += 2)
        if (auxiliary[0] == 6)
            page = auxiliary[1];
    printf(" %d variables, pages of %lu\n", count, page);
    return 7;
}

static int status_of(pid_t child)
{
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int expect(const char *what, int status)
{
    if (status != 7)
        printf("%s ended with %d\n", what, status);
    return status != 7;
}

/* A child that clears the environment and calls exec in each way. */
static void replace(const char *way)
{
    char *arguments[] = { "wrappers", "leaf", (char *)way, NULL };
    int fd = open(self, O_RDONLY | O_CLOEXEC);
    if (!strcmp(way, "execve"))
        execve(self, arguments, clean);
    else if (!strcmp(way, "execvpe"))
        execvpe(self, arguments, clean);
    else if (!strcmp(way, "execle"))
        execle(self, "wrappers", "leaf", way, (char *)NULL, clean);
    else if (!strcmp(way, "fexecve"))
        fexecve(fd, arguments, clean);
    else if (!strcmp(way, "execveat"))
        execveat(fd, "", arguments, clean, AT_EMPTY_PATH);
    else if (!strcmp(way, "syscall"))
        syscall(SYS_execve, self, arguments, clean);
    else if (!strcmp(way, "null"))
        execve(self, arguments, NULL);
    else if (!strcmp(way, "twice"))
        execve(self, arguments, (char *[]){ "LD_PRELOAD=libnothere.so", "A=one", "LD_PRELOAD=libm.so.6", NULL });
    else if (!strcmp(way, "list"))
        execve(self, arguments, (char *[]){ "LD_PRELOAD= libm.so.6:libm.so.6 ", "HEAPTAPS=mine", NULL });
    else if (!strcmp(way, "empty"))
        execve(self, arguments, (char *[]){ "A=one", "LD_PRELOAD=", NULL });
    environ = clean;
    if (!strcmp(way, "execv"))
        execv(self, arguments);
    else if (!strcmp(way, "execvp"))
        execvp(self, arguments);
    else if (!strcmp(way, "execl"))
        execl(self, "wrappers", "leaf", way, (char *)NULL);
    else if (!strcmp(way, "execlp"))
        execlp(self, "wrappers", "leaf", way, (char *)NULL);
}

static int every(void)
{
    static const char *ways[] = { "execve", "execv", "execvp", "execvpe", "execl", "execle", "execlp", "fexecve",
                                  "execveat", "syscall", "null", "twice", "list", "empty" };
    int bad = 0;
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        fflush(stdout);
        pid_t child = i % 2 ? fork() : vfork();
        if (child == 0) {
            replace(ways[i]);
            _exit(1);
        }
        environ = environ == clean ? clean : environ;
        bad += expect(ways[i], status_of(child));
    }
    return bad;
}

static int spawned(void)
{
    char *arguments[] = { "wrappers", "leaf", "spawn", NULL }, command[5000], line[200];
    pid_t child;
    int bad = 0;
    bad += posix_spawn(&child, self, NULL, NULL, arguments, clean) != 0 || expect("posix_spawn", status_of(child));
    bad += posix_spawnp(&child, self, NULL, NULL, arguments, clean) != 0 || expect("posix_spawnp", status_of(child));
    snprintf(command, sizeof command, "%s leaf \"it's\" '$HOME' ; echo \"$0 $# $A\"; nosuchprogram 2>&1; %s leaf last", self, self);
    environ = clean;
    int status = system(command);
    bad += expect("system", WEXITSTATUS(status));
    FILE *from = popen(command, "r");
    while (from && fgets(line, sizeof line, from))
        printf("popen: %s", line);
    bad += expect("popen", WEXITSTATUS(pclose(from)));
    printf("%d %d %d\n", system(NULL) != 0, system(""), system("kill -9 $$"));
    return bad;
}

/* The end of a page behind which nothing can be read. */
static char *end_of_memory(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_NONE);
    return page + 4096;
}

static void failed(int result)
{
    printf("%d %d\n", result, errno);
}

/* What fails does so as ever, and the program goes on. */
static int fails(void)
{
    char *arguments[] = { "wrappers", NULL }, folder[] = "/";
    char **cut = (char **)end_of_memory() - 2, *text = end_of_memory() - 24;
    char *wild[] = { "A=one", (char *)8, NULL }, *torn[] = { text, NULL };
    char *const nowhere = (char *)8;
    const char *volatile none = NULL;
    pid_t child = 0;
    cut[0] = cut[1] = "A=one";
    memset(text, 'x', 24);
    memcpy(text, "LD_PRELOAD=", 11);
    static char much[(1 << 17) + 1];
    memset(much, 'x', sizeof much - 1);
    char *large[] = { much, NULL };
    failed(execve("/no/such/program", arguments, clean));
    failed(execve(folder, arguments, clean));
    failed(execv("", arguments));
    failed(execvp("no-such-program", arguments));
    failed(execve(none, arguments, clean));
    failed(execve(self, arguments, &nowhere));
    failed(execve(self, arguments, cut));
    failed(execve(self, arguments, wild));
    failed(execve(self, arguments, torn));
    failed(execve(self, arguments, large));
    failed(execve(self, &nowhere, clean));
    failed(fexecve(-1, arguments, clean));
    failed(execveat(-1, "x", arguments, clean, 0));
    printf("%d\n", posix_spawn(&child, "/no/such/program", NULL, NULL, arguments, clean));
    printf("%d\n", posix_spawnp(&child, "no-such-program", NULL, NULL, arguments, clean));
    printf("%d\n", posix_spawn(&child, self, NULL, NULL, arguments, large));
    printf("%d\n", posix_spawn(&child, self, NULL, NULL, arguments, wild));
    kept = malloc(500);
    return 0;
}

/* An environment of `count` entries that differ. */
static char **many(unsigned count)
{
    char **all = calloc(count + 1, sizeof *all), *text = malloc(count * 16u);
    for (unsigned i = 0; i < count; i++, text += 16) {
        snprintf(text, 16, "V%u=x", i);
        all[i] = text;
    }
    return all;
}

static int by_vfork(char *const *environment, const char *what)
{
    char *arguments[] = { "wrappers", "leaf", (char *)what, NULL };
    pid_t child = vfork();
    if (child == 0) {
        execve(self, arguments, environment);
        _exit(1);
    }
    return expect(what, status_of(child));
}

static void *on_small_stack(void *environment)
{
    return (void *)(long)by_vfork(environment, "small");
}

/* Large environments: on the main stack, which grows for them, and where the stack has no room, which must do no harm. */
static int large(void)
{
    pthread_attr_t small;
    pthread_t thread;
    void *bad;
    char **all = many(60000);
    int sum = by_vfork(all, "large");
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_create(&thread, &small, on_small_stack, all);
    pthread_join(thread, &bad);
    return sum + (bad != NULL);
}

/* The largest environment that the kernel takes is as large as ever. */
static int limit(void)
{
    static char text[1 << 17];
    char *arguments[] = { "wrappers", "quiet", NULL }, *environment[64] = { NULL };
    unsigned low = 0, high = 60u << 16;
    memset(text, 'x', sizeof text - 1);
    while (high - low > 1) {
        unsigned middle = (low + high) / 2, count = 0;
        for (; count < middle >> 16; count++)
            environment[count] = text + sizeof text - 1 - 65000;
        environment[count++] = text + sizeof text - 1 - (middle & 65535);
        environment[count] = NULL;
        pid_t child = fork();
        if (child == 0) {
            execve(self, arguments, environment);
            _exit(errno == E2BIG ? 2 : 1);
        }
        int status = status_of(child);
        if (status != 0 && status != 2)
            return printf("limit: %d\n", status);
        *(status ? &high : &low) = middle;
    }
    printf("limit %u\n", low);
    return 0;
}

static void become_leaf(int signal)
{
    char *arguments[] = { "wrappers", "leaf", "handler", NULL };
    (void)signal;
    execve(self, arguments, clean);
}

/* From a handler that interrupts allocations, on an alternate stack. */
static int handler(void)
{
    int bad = 0;
    for (int round = 0; round < 20; round++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            static char alternate[16384];
            stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
            struct sigaction action = { .sa_handler = become_leaf, .sa_flags = SA_ONSTACK };
            sigaltstack(&stack, NULL);
            sigaction(SIGALRM, &action, NULL);
            ualarm(500 + 100 * (unsigned)round, 0);
            for (;;)
                free(malloc(100));
        }
        bad += expect("handler", status_of(child));
    }
    return bad;
}

static void *start_many(void *unused)
{
    char *arguments[] = { "wrappers", "quiet", NULL };
    (void)unused;
    for (int i = 0; i < 15; i++) {
        for (int n = 0; n < 100; n++)
            free(malloc(10 + (unsigned)n));
        pid_t child = vfork();
        if (child == 0) {
            execve(i % 3 ? self : "/no/such/program", arguments, clean);
            _exit(0);
        }
        if (status_of(child) != 0)
            return "bad";
    }
    return NULL;
}

/* vfork and exec from several threads at once, 15 in each. */
static int threads(void)
{
    pthread_t ids[8];
    void *bad = NULL;
    for (int i = 0; i < 8; i++)
        pthread_create(&ids[i], NULL, start_many, NULL);
    for (int i = 0; i < 8; i++) {
        void *one;
        pthread_join(ids[i], &one);
        bad = one ? one : bad;
    }
    return bad != NULL;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    static char path[4096];
    if (!strcmp(way, "leaf"))
        return leaf(argc, argv);
    if (!strcmp(way, "quiet")) {
        kept = malloc(64);
        return 0;
    }
    self = realpath(argv[0], path);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(way, "every"))
        return every();
    if (!strcmp(way, "spawned"))
        return spawned();
    if (!strcmp(way, "fails"))
        return fails();
    if (!strcmp(way, "large"))
        return large();
    if (!strcmp(way, "limit"))
        return limit();
    if (!strcmp(way, "handler"))
        return handler();
    if (!strcmp(way, "threads"))
        return threads();
    return 2;
}
