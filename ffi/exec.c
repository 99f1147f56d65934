/*
 * exec.c: the functions that start programs. A program is given, beside the environment that its caller means it
 * to have, what this process carries (follow.c): this library in front of what LD_PRELOAD names, and its
 * variables where they are missing. So it is recorded also behind `env -i`, a shell that unsets LD_PRELOAD, or one that
 * preloads something else.
 *
 * A call of exec is often a vfork's child's, which runs in its parent's memory on its parent's stack, or comes from a
 * signal handler. Nothing that is shared is written for it, and nothing is allocated: the larger environment, an array
 * of pointers and a few words of text, lies on the stack of the call, gone with it, and with the process image
 * if that is gone. Where the stack has no room, or memory that should be readable is not, the caller's own environment
 * is passed on, and the kernel says what it would have said.
 *
 * What fails is done again with the caller's own environment: errno is what it would have been, and one that is just small
 * enough for the kernel stays that.
 */
#include "heaptap.h"
#include <stdarg.h>

#define HT_E2BIG 7

/* The environment to pass on to such an image, as `environment`, for as long as the function that this stands in goes on. */
#define HT_ENVIRONMENT(given, image)                                                               \
    struct ht_addition addition = ht_addition_to(given, image);                                          \
    char *room[addition.size / sizeof(char *) + 1];                                                \
    char *const *environment = addition.size ? ht_environment_make(&addition, given, room) : given;

/* `call` returns when it has failed. */
#define HT_EXEC(image, noted, given, call)                                                         \
    HT_ENVIRONMENT(given, image)                                                                        \
    struct ht_note note = noted;                                                                   \
    long result = call;                                                                            \
    if (addition.size) {                                                                           \
        environment = given;                                                                       \
        result = call;                                                                             \
    }                                                                                              \
    ht_note_undo(note);

#define HT_OWN_ENVIRONMENT() (&environ ? (char *const *)environ : NULL)

HT_INTERPOSE int HT_HOOK(execve)(const char *path, char *const *arguments, char *const *given)
{
    HT_EXEC(ht_image_at(HT_AT_FDCWD, path), ht_note_path(path, addition.why), given, ht_real.execve(path, arguments, environment))
    return (int)result;
}

HT_INTERPOSE int HT_HOOK(execv)(const char *path, char *const *arguments)
{
    return HT_HOOK(execve)(path, arguments, HT_OWN_ENVIRONMENT());
}

HT_INTERPOSE int HT_HOOK(execvpe)(const char *name, char *const *arguments, char *const *given)
{
    HT_EXEC(ht_image_named(name, NULL, 0), ht_note_name(name, addition.why), given, ht_real.execvpe(name, arguments, environment))
    return (int)result;
}

HT_INTERPOSE int HT_HOOK(execvp)(const char *name, char *const *arguments)
{
    return HT_HOOK(execvpe)(name, arguments, HT_OWN_ENVIRONMENT());
}

HT_INTERPOSE int HT_HOOK(fexecve)(int fd, char *const *arguments, char *const *given)
{
    HT_EXEC(ht_image_at(fd, ""), ht_note_path("", addition.why), given, ht_real.fexecve(fd, arguments, environment))
    return (int)result;
}

/* A C library without it has the system call. */
HT_INTERPOSE int HT_HOOK(execveat)(int folder, const char *path, char *const *arguments, char *const *given, int flags)
{
    return (int)ht_exec_by_number(HT_SYS_EXECVEAT, folder, (long)path, (long)arguments, (long)given, flags, 0);
}

/* The two system calls, by syscall(). */
static long ht_exec_by_number(long n, long a, long b, long c, long d, long e, long f)
{
    int has_folder = n == HT_SYS_EXECVEAT;
    char *const *given = (char *const *)(has_folder ? d : c);
    const char *path = (const char *)(has_folder ? b : a);
    HT_EXEC(ht_image_at(has_folder ? a : HT_AT_FDCWD, path), ht_note_path(path, addition.why), given,
            has_folder ? ht_real.syscall(n, a, b, c, (long)environment, e, f) : ht_real.syscall(n, a, b, (long)environment, d, e, f))
    return result;
}

/* The arguments of a call with as many as it likes, as `arguments`; `rest` stands behind the NULL that ends them. */
#define HT_ARGUMENTS(first)                                                                        \
    va_list rest;                                                                                  \
    size_t count = 0;                                                                              \
    va_start(rest, first);                                                                         \
    for (const char *a = first; a; a = va_arg(rest, const char *))                                 \
        count++;                                                                                   \
    va_end(rest);                                                                                  \
    char *arguments[count + 1];                                                                    \
    va_start(rest, first);                                                                         \
    arguments[0] = (char *)(uintptr_t)first;                                                       \
    for (size_t i = 1; i <= count; i++)                                                            \
        arguments[i] = va_arg(rest, char *);

HT_INTERPOSE int HT_HOOK(execl)(const char *path, const char *first, ...)
{
    HT_ARGUMENTS(first)
    va_end(rest);
    return HT_HOOK(execve)(path, arguments, HT_OWN_ENVIRONMENT());
}

HT_INTERPOSE int HT_HOOK(execlp)(const char *name, const char *first, ...)
{
    HT_ARGUMENTS(first)
    va_end(rest);
    return HT_HOOK(execvpe)(name, arguments, HT_OWN_ENVIRONMENT());
}

HT_INTERPOSE int HT_HOOK(execle)(const char *path, const char *first, ...)
{
    HT_ARGUMENTS(first)
    char *const *given = va_arg(rest, char *const *);
    va_end(rest);
    return HT_HOOK(execve)(path, arguments, given);
}

/* These return in the parent, and say what went wrong themselves. */
#define HT_SPAWN(name, image, note)                                                                       \
    HT_INTERPOSE int HT_HOOK(name)(int *pid, const char *file, const void *actions, const void *attributes, char *const *arguments, char *const *given) \
    {                                                                                              \
        HT_ENVIRONMENT(given, image)                                                               \
        int result = ht_real.name(pid, file, actions, attributes, arguments, environment);         \
        if (result == HT_E2BIG && addition.size)                                                   \
            result = ht_real.name(pid, file, actions, attributes, arguments, given);               \
        if (result == 0)                                                                           \
            note;                                                                                  \
        return result;                                                                             \
    }
HT_SPAWN(posix_spawn, ht_image_at(HT_AT_FDCWD, file), ht_note_path(file, addition.why))
HT_SPAWN(posix_spawnp, ht_image_named(file, NULL, 0), ht_note_name(file, addition.why))

/*
 * system and popen start the shell inside the C library, with the environment of this process. Where that lacks what
 * is ours, their shell is told to become another one that has it: $0, the exit status and the signals are the same.
 */
#define HT_COMMAND_MAX 131072u /* the kernel's limit for an argument, 32 pages */

/* Where text goes that is measured first, and written when there is a place for it. */
struct ht_written {
    char *to; /* NULL to measure */
    size_t length;
};

static void ht_write(struct ht_written *w, const char *text, size_t length)
{
    if (w->to)
        memcpy(w->to + w->length, text, length);
    w->length += length;
}

static void ht_write_quoted(struct ht_written *w, const char *text)
{
    ht_write(w, "'", 1);
    for (; *text; text++)
        ht_write(w, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
    ht_write(w, "'", 1);
}

/* The command behind assignments of what an environment has beyond `given`. */
static struct ht_written ht_command(char *to, const struct ht_addition *a, char *const *environment, const char *command)
{
    struct ht_written w = { to, 0 };
    for (uint32_t i = 0; environment[i]; i++) {
        if (i < a->count && i != a->preload.at && i != a->sanitizer.at)
            continue;
        size_t name = ht_name_length(environment[i]);
        ht_write(&w, environment[i], name);
        ht_write_quoted(&w, environment[i] + name);
        ht_write(&w, " ", 1);
    }
    static const char shell[] = "exec /bin/sh -c ";
    ht_write(&w, shell, sizeof shell - 1);
    ht_write_quoted(&w, command);
    ht_write(&w, " sh", sizeof " sh");
    return w;
}

#define HT_SHELL(command, call)                                                              \
    HT_ENVIRONMENT(HT_OWN_ENVIRONMENT(), 0)                                                           \
    const char *line = command;                                                                    \
    /* A command like an option is one to the shell that the C library starts, and would not be behind ours. */ \
    int is_option = line && (*line == '-' || *line == '+');                                         \
    size_t size = addition.size && line && !is_option ? ht_command(NULL, &addition, environment, line).length : 0; \
    if (size > HT_COMMAND_MAX || !ht_stack_has(size))                                              \
        size = 0;                                                                                  \
    char longer[size + 1];                                                                         \
    if (size)                                                                                      \
        line = ht_command(longer, &addition, environment, line).to;                                \
    return call;

HT_INTERPOSE int HT_HOOK(system)(const char *command) { HT_SHELL(command, ht_real.system(line)) }

HT_INTERPOSE void *HT_HOOK(popen)(const char *command, const char *mode) { HT_SHELL(command, ht_real.popen(line, mode)) }
