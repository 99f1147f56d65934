/*
 * addition.c: what the environment of a program that is started lacks of ours, and the larger one that has it.
 *
 * Only read, and by care: what a program passes to exec may be anything, and the kernel's answer to that is not a fault. What
 * is made lies on the stack of the call (exec.c), if the kernel says that this has room: the answer for a place that may be
 * a vfork's child, a signal handler, or both. Nothing here is written but the caller's own room.
 */
#include "heaptap.h"

#define HT_MARGIN 1024u /* of stack, for the calls underneath */

/* A variable that gets more than it has. */
struct ht_amended {
    uint32_t at;       /* which entry of what was given it is; as many as there are to add it, more to leave it */
    const char *value; /* what it has, "" for nothing */
};

/* What is to be added to an environment. */
struct ht_addition {
    size_t size;        /* bytes that the whole takes; 0 when nothing is to be added */
    uint32_t count;     /* entries in what was given */
    struct ht_amended preload, sanitizer;
    uint32_t missing;   /* bit per carried variable */
    const char *hidden; /* to say that the program is not to see what is ours, NULL when it may */
    int odd;            /* one more variable makes their number even */
    uint32_t why;       /* what keeps this library out of the program all the same, 0 for nothing */
};

/* Reads text that may not be there, a page at a time; once it was not, `faulted` stays. */
struct ht_reader {
    uint64_t page;
    int faulted;
};

static int ht_can_read(struct ht_reader *reader, const void *at)
{
    uint64_t page = (uint64_t)at / HT_PAGE;
    if (page == reader->page && page)
        return !reader->faulted;
    reader->page = page;
    reader->faulted |= !page || !ht_sys_readable(page * HT_PAGE);
    return !reader->faulted;
}

static int ht_read_begins(struct ht_reader *reader, const char *text, const char *with)
{
    for (; *with; text++, with++)
        if (!ht_can_read(reader, text) || *text != *with)
            return 0;
    return 1;
}

/* Length of the name of a variable, its `=` included. */
static size_t ht_name_length(const char *variable)
{
    size_t n = 0;
    while (variable[n] && variable[n] != '=')
        n++;
    return n + (variable[n] == '=');
}

static int ht_read_is_named(struct ht_reader *reader, const char *text, const char *variable)
{
    for (size_t i = 0, length = ht_name_length(variable); i < length; i++)
        if (!ht_can_read(reader, text + i) || text[i] != variable[i])
            return 0;
    return 1;
}

/* Whether there are so many bytes of stack below the caller: on the alternate stack of a signal handler its bounds say so,
 * elsewhere the kernel, which lets the main thread's grow by being asked. */
static int ht_stack_has(size_t size)
{
    struct {
        uint64_t low;
        uint32_t flags, pad;
        uint64_t size;
    } alternate = { 0, 0, 0, 0 };
    uint64_t sp = (uint64_t)__builtin_frame_address(0);
    if (size + HT_MARGIN >= sp)
        return 0;
    ht_syscall(HT_SYS_SIGALTSTACK, 0, (long)&alternate, 0, 0, 0, 0);
    if (sp - alternate.low < alternate.size)
        return sp - alternate.low > size + HT_MARGIN;
    uint64_t to = (sp - size - HT_MARGIN) / HT_PAGE;
    for (uint64_t page = sp / HT_PAGE; page-- > to;)
        if (!ht_sys_readable(page * HT_PAGE))
            return 0;
    return 1;
}

/* Not the compiler's, which may be a call of its library. */
static uint32_t ht_bits(uint32_t n)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32; i++)
        bits += n >> i & 1;
    return bits;
}

/* The entries, at most, of the larger environment and what ends it. */
static uint32_t ht_addition_words(const struct ht_addition *a) { return a->count + ht_bits(a->missing) + 5; }

/* Whether a value has a word; it ends where memory does. */
static int ht_read_has(struct ht_reader *reader, const char *value, const char *word)
{
    int has = 0;
    for (; ht_can_read(reader, value) && *value; value++)
        has |= *value == *word && ht_read_begins(reader, value, word);
    return has;
}

/* What a program's environment says of us: into `a`; in `ours` how many variables, in *marked whether one of them is the
 * one that hides them. 0 when it cannot be read. */
static int ht_addition_look(struct ht_addition *a, char *const *given, uint32_t *ours, int *marked)
{
    struct ht_reader array = { 0, 0 }, text = { 0, 0 };
    uint32_t seen = 0, last = UINT32_MAX, first = UINT32_MAX;
    int is_told = 0;
    for (; given && ht_can_read(&array, &given[a->count]) && given[a->count] && !text.faulted; a->count++) {
        const char *v = given[a->count];
        if (ht_read_begins(&text, v, ht_preload))
            last = a->count;
        if (first == UINT32_MAX && ht_read_begins(&text, v, ht_sanitizer))
            first = a->count;
        if (!ht_read_begins(&text, v, "HEAPTAP_"))
            continue;
        ++*ours;
        *marked |= ht_read_begins(&text, v, ht_hidden);
        for (uint32_t i = 0; i < ht_carried.count; i++)
            if (ht_read_is_named(&text, v, ht_carried.variable[i]))
                seen |= 1u << i;
    }
    if (!array.faulted && !text.faulted) {
        a->preload = (struct ht_amended){ ht_min(last, a->count), last < a->count ? given[last] + HT_PRELOAD_LENGTH : "" };
        a->sanitizer = (struct ht_amended){ ht_min(first, a->count), first < a->count ? given[first] + HT_SANITIZER_LENGTH : "" };
        ht_read_has(&text, a->preload.value, ":"); /* all of it can be read */
        is_told = ht_read_has(&text, a->sanitizer.value, ht_sanitizer_word);
    }
    if (is_told)
        a->sanitizer.at = a->count + 1;
    a->missing = ~seen & (uint32_t)((1ull << ht_carried.count) - 1);
    return !array.faulted && !text.faulted;
}

static struct ht_addition ht_addition_to(char *const *given, uint32_t image)
{
    enum { READABLE = 4 };
    struct ht_addition a = { .why = image };
    const struct ht_carried *c = &ht_carried;
    uint32_t ours = 0;
    int marked = 0;
    /* Another machine's dynamic linker would complain of this library. */
    if (!c->library_length || image == HT_UNFOLLOWED_MACHINE || !ht_addition_look(&a, given, &ours, &marked))
        return a;
    const char *list = a.preload.value, *at = ht_preloaded_at((char *)(uintptr_t)list, c->library);
    /* A library that this user may not read would only be complained about. */
    if ((at == list && !a.missing) || ht_syscall(HT_SYS_ACCESS, (long)c->library, READABLE, 0, 0, 0, 0) != 0)
        return a;
    if (!at && !marked)
        a.hidden = a.preload.at < a.count && !*list ? ht_hidden_empty : ht_hidden;
    if (at == list)
        a.preload.at = a.sanitizer.at = a.count + 1;
    /* An LD_PRELOAD that names nothing else goes with the others. */
    ours += ht_bits(a.missing) + (a.hidden != NULL) + (!*list && a.hidden != ht_hidden_empty) + (a.sanitizer.at == a.count);
    a.odd = (a.hidden || marked) && ours % 2;
    a.size = ht_addition_words(&a) * sizeof(char *) + HT_PRELOAD_LENGTH + c->library_length + ht_length(list) + 2
        + HT_SANITIZER_LENGTH + ht_length(a.sanitizer.value) + sizeof ht_sanitizer_word + 1;
    if (!ht_stack_has(a.size)) {
        a.size = 0;
        a.why = image ? image : HT_UNFOLLOWED_ROOM;
    }
    return a;
}

/* Writes `name`, then one value and another with a colon between, where both are something. Returns where that ends. */
static char *ht_variable_make(char *to, const char *name, const char *one, const char *other)
{
    const char *parts[] = { name, one, *one && *other ? ":" : "", other };
    for (uint32_t i = 0; i < HT_COUNT(parts); i++) {
        size_t length = ht_length(parts[i]);
        memcpy(to, parts[i], length);
        to += length;
    }
    *to = 0;
    return to + 1;
}

/* Writes the larger environment to `room`, which has a->size bytes. */
static char **ht_environment_make(const struct ht_addition *a, char *const *given, char **room)
{
    char **to = room, *preload = (char *)(room + ht_addition_words(a));
    char *sanitizer = ht_variable_make(preload, ht_preload, ht_carried.library, a->preload.value);
    ht_variable_make(sanitizer, ht_sanitizer, a->sanitizer.value, ht_sanitizer_word);
    for (uint32_t i = 0; i < a->count && given[i]; i++)
        *to++ = i == a->preload.at ? preload : i == a->sanitizer.at ? sanitizer : given[i];
    if (a->preload.at == a->count)
        *to++ = preload;
    if (a->sanitizer.at == a->count)
        *to++ = sanitizer;
    for (uint32_t i = 0; i < ht_carried.count; i++)
        if (a->missing >> i & 1)
            *to++ = (char *)(uintptr_t)ht_carried.variable[i];
    if (a->hidden)
        *to++ = (char *)(uintptr_t)a->hidden;
    if (a->odd)
        *to++ = (char *)(uintptr_t)ht_even;
    *to = NULL;
    return room;
}
