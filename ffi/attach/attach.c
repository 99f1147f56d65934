/*
 * attach.c: calls a function of the library in a process that runs. A program of its own, because ptrace belongs to one
 * kernel thread, and no script's runtime promises which of its threads makes a call.
 *
 *     heaptap-attach PID LIBRARY FUNCTION MILLISECONDS FILE [there|outside|in|out] < TEXTS
 *
 * LIBRARY is the path by which the process opens it, FILE the same as it is seen from here; TEXTS is given to the function. `there`: only where the library
 * is loaded already; `outside`: and once all threads have been seen outside it. `in`, `out`: no function is called, but what the library has planned for code that
 * runs is put there, or taken away (poke.c). One line on stdout says what came of it, in JSON; src/run/attacher.ts words it.
 *
 * How. A thread is found that is in no code that holds a lock of the C library's which the call takes: the allocator's, the
 * dynamic linker's, that of thread stacks (unsafe_*). It is stopped, its state is put on its own stack beneath the red zone,
 * and it goes on in a stub, with signals blocked, on a stack of the stub's own. The stub opens the library, calls the
 * function, takes everything back and returns to where the thread was, by itself: from the one PTRACE_SETREGS on the process
 * needs nobody. Before it nothing has changed that anybody reads. So this program may be ended at any time.
 *
 * What is written into the process: the stub, where the last page of an executable segment has bytes behind its end, the same bytes each
 * time, so that a thread may be in it still; the stack beneath what is in use. Neither needs a system call of the process's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RED_ZONE 128u
#define PAGE 4096u

static pid_t target;
static int memory = -1; /* /proc/PID/mem */
static struct timespec begun;
static uint64_t limit_us;

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)(t.tv_sec - begun.tv_sec) * 1000000 + (uint64_t)(t.tv_nsec / 1000) - (uint64_t)(begun.tv_nsec / 1000);
}
static int is_late(void) { return now_us() > limit_us; }
static void rest(uint64_t us)
{
    struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    nanosleep(&t, NULL);
}

static void put_text(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        printf(*c < 32 || *c == '"' || *c == '\\' || *c > 126 ? "\\u%04x" : "%c", *c);
    putchar('"');
}

static void let_all_go(void);

/* Ends it: the process is as it was. `why` is a word that src/attach knows. */
__attribute__((noreturn)) static void fail(const char *why, const char *detail)
{
    printf("{\"failed\":\"%s\",\"detail\":", why);
    put_text(detail);
    puts("}");
    let_all_go();
    exit(1);
}

#include "target.c"
#include "threads.c"
#include "stub.c"
#include "filter.c"
#include "safe.c"
#include "call.c"
#include "find.c"
#include "poke.c"

/* One at a time: whoever has the name. It goes with its holder, and leaves no file. */
static void take_turn(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "heaptap-attach-%d", target);
    if (socket_fd < 0)
        return;
    while (bind(socket_fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) != 0) {
        if (errno != EADDRINUSE)
            return;
        if (is_late())
            fail("busy", "");
        rest(1000);
    }
}

/* A thread that is stopped waits for this program, which is to wait for no processor where others compute: a turn comes the sooner the shorter it
 * is (Linux 6.12 and later), and before all others where we may say so. What is refused changes nothing. */
static void hurry(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t turn_ns, unused[2];
    } attributes = { .size = 48, .flags = SCHED_FLAG_KEEP_POLICY, .nice = getpriority(PRIO_PROCESS, 0), .turn_ns = 100000 };
    syscall(SYS_sched_setattr, 0, &attributes, 0);
    setpriority(PRIO_PROCESS, 0, -20);
}

/* Where the function is in the library's file. */
static uint64_t offset_in_file(const char *path, const char *function)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (file < 0 || fstat(file, &stat) != 0)
        fail("library", path);
    uint8_t *bytes = malloc((size_t)stat.st_size + 1);
    if (!bytes || read(file, bytes, (size_t)stat.st_size) != stat.st_size || stat.st_size < 64)
        fail("library", path);
    close(file);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
    uint64_t found = 0, size = (uint64_t)stat.st_size;
    for (int i = 0; i < header->e_shnum && header->e_shoff + (i + 1ull) * sizeof(Elf64_Shdr) <= size; i++) {
        const Elf64_Shdr *s = (const Elf64_Shdr *)(bytes + header->e_shoff) + i;
        if (s->sh_type != SHT_DYNSYM || s->sh_offset + s->sh_size > size)
            continue;
        const Elf64_Shdr *strings = (const Elf64_Shdr *)(bytes + header->e_shoff) + s->sh_link;
        for (uint64_t n = 0; n < s->sh_size / sizeof(Elf64_Sym); n++) {
            const Elf64_Sym *symbol = (const Elf64_Sym *)(bytes + s->sh_offset) + n;
            if (symbol->st_value && !strcmp((const char *)bytes + strings->sh_offset + symbol->st_name, function))
                found = symbol->st_value;
        }
    }
    free(bytes);
    if (!found)
        fail("library", path);
    return found;
}

/* What the library says while a thread is in the middle of a call of it (attached.c). */
#define NOT_YET 4

int main(int count, char **arguments)
{
    clock_gettime(CLOCK_MONOTONIC, &begun);
    if (count < 6) {
        fprintf(stderr, "heaptap-attach: heaptap attach runs this program\n");
        return 2;
    }
    target = atoi(arguments[1]);
    limit_us = strtoull(arguments[4], NULL, 10) * 1000;
    snprintf(library_path, sizeof library_path, "%s", arguments[2]);
    for (ssize_t n; texts_size < sizeof texts && (n = read(0, texts + texts_size, sizeof texts - texts_size)) > 0;)
        texts_size += (size_t)n;
    sigset_t children; /* who waits for a stop is woken by it */
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    signal(SIGCHLD, SIG_DFL); /* it comes not where it is ignored, which is inherited */
    hurry();
    take_turn();
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", target);
    memory = open(name, O_RDWR | O_CLOEXEC);
    if (memory < 0)
        fail(errno == ENOENT ? "gone" : "permission", strerror(errno));
    read_maps();
    function_offset = offset_in_file(arguments[5], arguments[3]);
    read_objects(arguments[3]);
    if (count > 6 && !library_function)
        fail("absent", "");
    if (count > 6 && (!strcmp(arguments[6], "in") || !strcmp(arguments[6], "out")))
        poke_all(!strcmp(arguments[6], "out"));
    int is_last = count > 6 && !strcmp(arguments[6], "outside");
    do {
        called_in = 0;
        if (is_last)
            see_outside();
        make_call();
    } while (is_last && result == NOT_YET && !is_late());
    printf("{\"result\":%d,\"thread\":%d,\"how\":\"%s\",\"looked\":%lu,\"microseconds\":%lu}\n", result, called_in, how, looked_at, stopped_us);
    return 0;
}
