/*
 * program.c: which files the program and its libraries are.
 *
 * The dynamic linker names the program "", and libraries as they were asked for, which may be relative to a folder that
 * is not the present one any more. The kernel knows better: /proc/self/exe is the program, unless that was started by the
 * dynamic linker (`ld.so ./program`); then, and for relative names, it is the file that is mapped at the
 * place in question. Without /proc there is the name that was executed. It may be a script's, or what somebody
 * made up: it is taken when the file says of itself what the mapped one does, or will not be read.
 *
 * `ht_program` is written once, before the program's own code runs and may change its folder.
 */
#include "heaptap.h"

#define HT_SCRIPTS 4 /* interpreters that are scripts themselves, as the kernel counts */

static char ht_program[4096];
static uint32_t ht_program_length;

static int ht_read_at(long fd, uint64_t offset, void *to, size_t size)
{
    return ht_syscall(HT_SYS_PREAD64, fd, (long)to, (long)size, (long)offset, 0, 0) == (long)size;
}

static long ht_open(long folder, const char *path)
{
    return ht_syscall(HT_SYS_OPENAT, folder, (long)path, HT_O_CLOEXEC | HT_O_NONBLOCK, 0, 0, 0);
}

static uint32_t ht_copy(char *to, size_t size, const char *from)
{
    uint32_t length = 0;
    while (length < size - 1 && from[length])
        length++;
    memcpy(to, from, length);
    to[length] = 0;
    return length;
}

/* The interpreter that the first line of a script names, in place; NULL when that is no script's. */
static char *ht_script_interpreter(char *line, size_t length)
{
    if (length < 3 || line[0] != '#' || line[1] != '!')
        return NULL;
    char *at = line + 2, *end = line + length - 1;
    *end = 0;
    while (*at == ' ' || *at == '\t')
        at++;
    for (char *c = at; c < end; c++)
        if (*c == ' ' || *c == '\t' || *c == '\n')
            *c = 0;
    return *at ? at : NULL;
}

/* What a line of /proc/self/maps has: where it begins and ends, four that do not matter here, the path. */
enum { HT_MAPS_LOW, HT_MAPS_HIGH, HT_MAPS_PATH = 6 };

/* The file that is mapped at an address: its path's length, 0 when there is none or the kernel would not say. */
static uint32_t ht_mapped_path(uint64_t address, char path[4096])
{
    char part[512];
    uint64_t bound[2] = { 0, 0 };
    uint32_t field = HT_MAPS_LOW, length = 0;
    int found = 0;
    long n, fd = ht_open(HT_AT_FDCWD, "/proc/self/maps");
    if (HT_FAILED(fd))
        return 0;
    while (!found && (n = ht_syscall(HT_SYS_READ, fd, (long)part, sizeof part, 0, 0, 0)) > 0)
        for (long i = 0; i < n && !found; i++) {
            char c = part[i];
            if (c == '\n') {
                found = address >= bound[0] && address < bound[1];
                path[found ? length : 0] = 0;
                field = length = 0;
                bound[0] = bound[1] = 0;
            } else if (field < HT_MAPS_PATH && (c == ' ' || (c == '-' && field == HT_MAPS_LOW))) {
                field++;
            } else if (field <= HT_MAPS_HIGH) {
                bound[field] = bound[field] << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
            } else if (field == HT_MAPS_PATH && length < 4095 && (length || c != ' ')) {
                path[length++] = c;
            }
        }
    ht_sys_close(fd);
    return found && path[0] == '/' ? (uint32_t)ht_length(path) : 0;
}

/* A path as it is from the root, if it can be said; returns its length. */
static uint32_t ht_absolute(char to[4096], const char *path)
{
    long n = path[0] == '/' ? 0 : ht_syscall(HT_SYS_GETCWD, (long)to, 4096, 0, 0, 0, 0);
    if (n < 2 || to[0] != '/')
        return ht_copy(to, 4096, path);
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    uint32_t length = (uint32_t)n - 1;
    if (length > 1 && length < 4095)
        to[length++] = '/';
    return length + ht_copy(to + length, 4096 - length, path);
}

/* Whether a file is the program that is mapped, as far as it can be read. A script becomes its interpreter, in `path`. */
static int ht_is_program(char path[4096])
{
    union {
        ElfW(Ehdr) elf;
        char line[256];
    } head;
    for (uint32_t i = 0; i <= HT_SCRIPTS; i++) {
        long fd = ht_open(HT_AT_FDCWD, path);
        if (HT_FAILED(fd))
            return fd == -HT_EACCES;
        memset(&head, 0, sizeof head);
        long n = ht_syscall(HT_SYS_PREAD64, fd, (long)&head, sizeof head, 0, 0, 0);
        int same = n >= (long)sizeof head.elf && ht_same_bytes(head.elf.e_ident, ELFMAG, SELFMAG) && head.elf.e_phnum == ht_main_header_count;
        for (uint32_t p = 0; same && p < ht_main_header_count; p++) {
            ElfW(Phdr) h;
            same = ht_read_at(fd, head.elf.e_phoff + p * sizeof h, &h, sizeof h) && ht_same_bytes(&h, &ht_main_headers[p], sizeof h);
        }
        ht_sys_close(fd);
        char *interpreter = same || n <= 0 ? NULL : ht_script_interpreter(head.line, sizeof head.line);
        if (!interpreter)
            return same;
        ht_copy(path, 4096, interpreter);
    }
    return 0;
}

/* Finds the program's path. `executed`: what the kernel was given for it; `linked`: the kernel started the program, and
 * the dynamic linker for it, not the other way round. */
static void ht_program_find(const char *executed, int linked)
{
    if (ht_program_length)
        return;
    long length = linked ? ht_sys_readlink("/proc/self/exe", ht_program, sizeof ht_program - 1) : 0;
    if (HT_FAILED(length) || length == 0)
        length = ht_mapped_path((uint64_t)ht_main_headers, ht_program);
    if (length == 0) {
        length = ht_absolute(ht_program, executed);
        if (!ht_is_program(ht_program))
            length = ht_copy(ht_program, sizeof ht_program, "(program)");
        else
            length = (long)ht_length(ht_program);
    }
    ht_program[length] = 0;
    ht_program_length = (uint32_t)length;
}

/* The path of a loaded object, in `own` unless it lies elsewhere; *size is its length. */
static const char *ht_object_path(const struct ht_object *object, char own[4096], uint64_t *size)
{
    const char *name = object->name ? object->name : "";
    if (!name[0]) {
        *size = ht_program_length;
        return ht_program;
    }
    *size = ht_length(name);
    int folders = 0;
    for (const char *c = name; *c; c++)
        folders |= *c == '/';
    if (name[0] == '/' || !folders)
        return name;
    *size = ht_mapped_path(object->low, own);
    if (!*size)
        *size = ht_absolute(own, name);
    return own;
}
