/*
 * image.c: what a file is that is about to be executed, as far as that says whether the dynamic linker will load
 * this library into it; and the note of one for which it will not, in the recording of the process that starts it.
 *
 * The looks are the kernel's: a script leads to its interpreter, four times at most. They are made by the process
 * that calls exec, which may be a vfork's child or in a signal handler: on its stack, with a descriptor that is open
 * for that moment only. What cannot be looked at is taken for what it should be.
 *
 * The note is one word, so that a reader never sees one program's path with another's reason. It stays when the
 * program was started, and is taken back when that has failed.
 */
#include "heaptap.h"

#define HT_AT_EMPTY_PATH 0x1000

/* Where a file is: a path, from a folder when it is relative; without one, the descriptor itself. */
struct ht_image_at {
    long folder;
    const char *path;
};

static int ht_sys_mode(struct ht_image_at at, uint32_t *mode, uint32_t owner[2])
{
    uint32_t statx[64] = { 0 };
    if (HT_FAILED(ht_syscall(HT_SYS_STATX, at.folder, (long)at.path, at.path[0] ? 0 : HT_AT_EMPTY_PATH, 0x7ff, (long)statx, 0)))
        return 0;
    owner[0] = statx[5];
    owner[1] = statx[6];
    *mode = statx[7] & 0xffff;
    return 1;
}

/* Whether the kernel gives a program that has such a mode another user or group than the caller's. */
static int ht_changes_owner(uint32_t mode, const uint32_t owner[2])
{
    enum { SET_USER = 04000, SET_GROUP = 02000, GROUP_EXECUTES = 010 };
    return ((mode & SET_USER) && owner[0] != (uint32_t)ht_syscall(HT_SYS_GETUID, 0, 0, 0, 0, 0, 0))
        || ((mode & SET_GROUP) && (mode & GROUP_EXECUTES) && owner[1] != (uint32_t)ht_syscall(HT_SYS_GETGID, 0, 0, 0, 0, 0, 0));
}

static int ht_has_capabilities(long fd)
{
    return ht_syscall(HT_SYS_FGETXATTR, fd, (long)"security.capability", 0, 0, 0, 0) > 0
        && ht_syscall(HT_SYS_GETUID, 0, 0, 0, 0, 0, 0) != 0;
}

/* The dynamic linker itself, run with a program for its argument: it wants no other. */
static int ht_is_linker(const char *path)
{
    const char *name = ht_base_name(path);
    for (const char *c = name; ht_begins_with(name, "ld") && *c; c++)
        if (ht_begins_with(c, ".so"))
            return 1;
    return 0;
}

/* Why an ELF file will not load this library; 0 when it should. */
static uint32_t ht_image_elf(long fd, const ElfW(Ehdr) *elf, const char *path)
{
    if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != HT_MACHINE)
        return HT_UNFOLLOWED_MACHINE;
    if (ht_has_capabilities(fd))
        return HT_UNFOLLOWED_CAPABILITIES;
    for (uint32_t i = 0; i < elf->e_phnum; i++) {
        ElfW(Phdr) h;
        if (!ht_read_at(fd, elf->e_phoff + i * sizeof h, &h, sizeof h))
            return 0;
        if (h.p_type == PT_INTERP)
            return 0;
    }
    return ht_is_linker(path) ? 0 : HT_UNFOLLOWED_STATIC;
}

/* Why the program that the kernel will make of a file will not load this library; 0 when it should, or is none. */
static uint32_t ht_image_of(struct ht_image_at at)
{
    union {
        ElfW(Ehdr) elf;
        char line[256];
    } head;
    char interpreter[256];
    for (uint32_t i = 0; i <= HT_SCRIPTS; i++) {
        uint32_t mode, owner[2];
        if (!ht_sys_mode(at, &mode, owner) || (mode & 0170000) != 0100000)
            return 0;
        uint32_t unreadable = ht_changes_owner(mode, owner) ? HT_UNFOLLOWED_OWNER : 0;
        long fd = at.path[0] ? ht_open(at.folder, at.path) : at.folder;
        if (HT_FAILED(fd))
            return unreadable;
        memset(&head, 0, sizeof head);
        long length = ht_syscall(HT_SYS_PREAD64, fd, (long)&head, sizeof head, 0, 0, 0);
        int is_elf = length >= (long)sizeof head.elf && ht_same_bytes(head.elf.e_ident, ELFMAG, SELFMAG);
        uint32_t why = is_elf ? unreadable ? unreadable : ht_image_elf(fd, &head.elf, at.path) : 0;
        if (at.path[0])
            ht_sys_close(fd);
        char *next = is_elf || length <= 0 ? NULL : ht_script_interpreter(head.line, sizeof head.line);
        if (!next)
            return why;
        ht_copy(interpreter, sizeof interpreter, next);
        at = (struct ht_image_at){ HT_AT_FDCWD, interpreter };
    }
    return 0;
}

/* The file that execvp and posix_spawnp find for a name: in `found`, of `size`; 0 when they find none. */
static int ht_find_program(const char *name, char *found, size_t size)
{
    enum { EXECUTABLE = 1 };
    struct ht_start now = { .environment = &environ ? environ : NULL };
    const char *folders = ht_variable(&now, "PATH");
    if (!folders)
        folders = "/bin:/usr/bin";
    size_t length = ht_length(name);
    for (const char *at = folders;; at++) {
        const char *end = at;
        while (*end && *end != ':')
            end++;
        size_t folder = (size_t)(end - at);
        if (folder + length + 2 <= size) {
            memcpy(found, at, folder);
            if (folder)
                found[folder++] = '/';
            memcpy(found + folder, name, length + 1);
            if (ht_syscall(HT_SYS_ACCESS, (long)found, EXECUTABLE, 0, 0, 0, 0) == 0)
                return 1;
        }
        if (!*end)
            return 0;
        at = end;
    }
}

/* A note, and what was noted before. */
struct ht_note {
    uint64_t now, before; /* as `unfollowed` of the header, 0 for no note */
};

static struct ht_note ht_note_unfollowed(const char *path, uint32_t why)
{
    struct ht_note note = { 0, 0 };
    uint32_t idle, offset = 0, length = (uint32_t)ht_min(ht_length(path), 4095);
    /* A fork's child begins its recording for it. A vfork's child is in its parent's, in a thread that may be none of that's. */
    int begins = ht_shared_get(&ht_p.state) == HT_STATE_NEW && ht_sys_pid() == ht_own_pid;
    struct ht_thread *t = begins ? ht_begin(&idle) : NULL;
    if (t)
        ht_end(t, idle);
    if (ht_shared_get(&ht_p.state) != HT_STATE_ON)
        return note;
    struct ht_file_header *h = ht_p.header;
    note.before = ht_peek(&h->unfollowed);
    uint32_t known = (uint32_t)(note.before >> 32) & 0xffffff;
    if (known == length && ht_same_bytes(ht_p.strings + (uint32_t)note.before, path, length))
        offset = (uint32_t)note.before;
    else if (ht_peek(&h->strings_used) < ht_p.capacity[HT_SECTION_STRINGS] / 2) /* the rest is for modules */
        length = ht_string_add(path, length, &offset);
    else
        length = 0;
    /* A vfork's child, which is here in its parent's memory, leaves that as it is. */
    uint64_t becomes = ht_sys_pid() == h->pid;
    note.now = offset | (uint64_t)length << 32 | (uint64_t)why << 56 | becomes << 63;
    ht_shared_set(&h->unfollowed, note.now);
    ht_shared_add(&h->unfollowed_count, 1u);
    return note;
}

/* It was not started. */
static void ht_note_undo(struct ht_note note)
{
    if (!note.now)
        return;
    ht_shared_add(&ht_p.header->unfollowed_count, -1u);
    ht_shared_swap(&ht_p.header->unfollowed, &note.now, note.before);
}

/* Whether a path that somebody has given can be read; what is not, the kernel will refuse. */
static int ht_is_path(const char *path)
{
    return ht_carried.library_length && ht_sys_readable((uint64_t)path / HT_PAGE * HT_PAGE);
}

/* Why a file that is to be executed will not load this library; 0 when it should. */
static uint32_t ht_image_at(long folder, const char *path)
{
    return ht_is_path(path) ? ht_image_of((struct ht_image_at){ folder, path }) : 0;
}

/* The same for one that is looked for on the PATH, and notes it when that is wanted: then for `why`. */
HT_NOINLINE uint32_t ht_image_named(const char *name, struct ht_note *note, uint32_t why)
{
    char found[4096];
    if (!ht_is_path(name))
        return 0;
    int is_path = 0;
    for (const char *c = name; *c; c++)
        is_path |= *c == '/';
    if (!is_path && !ht_find_program(name, found, sizeof found))
        return 0;
    if (note)
        *note = ht_note_unfollowed(is_path ? name : found, why);
    return note ? why : ht_image_at(HT_AT_FDCWD, is_path ? name : found);
}

static struct ht_note ht_note_path(const char *path, uint32_t why)
{
    return why ? ht_note_unfollowed(path, why) : (struct ht_note){ 0, 0 };
}

static struct ht_note ht_note_name(const char *name, uint32_t why)
{
    struct ht_note note = { 0, 0 };
    if (why)
        ht_image_named(name, &note, why);
    return note;
}
