/*
 * follow.c: what a process leaves to the programs that it starts.
 *
 * They are recorded too when they inherit the environment, and where they do not, exec.c puts back what it
 * lacks: what is carried, this library and its variables as the process was started with them. A program that
 * is given them in that way does not see them: before its own code runs they are taken out of its
 * environment, which is then what its caller meant it to be. With HEAPTAP_FOLLOW=none that is so from the first
 * program on, and nothing is carried.
 *
 * The kernel lays the environment out as an array of pointers that ends with NULL, with the auxiliary
 * vector right behind it, which some programs find by walking there. So the array keeps its length: what
 * becomes free at its end is filled with entries that the vector's readers skip. Such an entry is two
 * pointers, so whoever adds our variables makes their number even (HEAPTAP_EVEN).
 *
 * Everything runs once, in the process's only thread, before anything but the dynamic linker has read the
 * array; what is carried is constant from then on, in every child.
 */
#include "heaptap.h"

enum ht_follow { HT_FOLLOW_ALL = 0, HT_FOLLOW_EXEC, HT_FOLLOW_NONE };

static const char ht_preload[] = "LD_PRELOAD=";
#define HT_PRELOAD_LENGTH (sizeof ht_preload - 1)
/* Says that the program is not to see what it was given; its value, that LD_PRELOAD was there and empty. */
static const char ht_hidden[] = "HEAPTAP_HIDDEN=", ht_hidden_empty[] = "HEAPTAP_HIDDEN=empty", ht_even[] = "HEAPTAP_EVEN=";

/* AddressSanitizer wants to be loaded first, and says so before it ends the program; it works behind us. It reads its options
 * from the kernel's copy, which stays as it is. */
static const char ht_sanitizer[] = "ASAN_OPTIONS=", ht_sanitizer_word[] = "verify_asan_link_order=0";
#define HT_SANITIZER_LENGTH (sizeof ht_sanitizer - 1)

#define HT_CARRIED_MAX 32u
static struct ht_carried {
    size_t library_length; /* 0: nothing is carried */
    const char *library;   /* its path, as the dynamic linker has it */
    uint32_t count;
    const char *variable[HT_CARRIED_MAX]; /* in `text`: the program may write over what the kernel gave it */
    char text[8192];
} ht_carried;

static int ht_own_name_visit(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct ht_object object = ht_object_from(info);
    uint64_t here = (uint64_t)(void *)ht_own_name_visit;
    if (here < object.low || here >= object.high)
        return 0;
    *(const char **)context = info->dlpi_name;
    return 1;
}

static int ht_begins_with(const char *text, const char *with)
{
    while (*with && *text == *with) {
        text++;
        with++;
    }
    return !*with;
}

static int ht_separates(char c) { return c == ':' || c == ' '; }

/* Where a library stands in the text of LD_PRELOAD; NULL where it does not. */
static char *ht_preloaded_at(char *list, const char *name)
{
    size_t length = ht_length(name);
    for (char *at = list; length && *at; at++)
        if ((at == list || ht_separates(at[-1])) && ht_begins_with(at, name) && (!at[length] || ht_separates(at[length])))
            return at;
    return NULL;
}

/* The one that the dynamic linker goes by: the last. */
static char *ht_preload_list(char **environment)
{
    char *list = NULL;
    for (char **v = environment; v && *v; v++)
        if (ht_begins_with(*v, ht_preload))
            list = *v + HT_PRELOAD_LENGTH;
    return list;
}

/* This library's path when it is one of those that LD_PRELOAD names; NULL when it came in another way. */
static const char *ht_preloaded_as(char **environment)
{
    const char *name = NULL;
    char *list = ht_preload_list(environment);
    if (list)
        ht_iterate(ht_own_name_visit, &name);
    return name && ht_preloaded_at(list, name) ? name : NULL;
}

/* Whether a variable is ours alone; takes this library out of one that names others too. */
static int ht_is_ours(char *variable, const char *library, int keep_empty)
{
    if (ht_begins_with(variable, "HEAPTAP_"))
        return 1;
    if (!ht_begins_with(variable, ht_preload))
        return 0;
    char *list = variable + HT_PRELOAD_LENGTH, *at = ht_preloaded_at(list, library);
    if (at) {
        char *rest = at + ht_length(library);
        if (*rest)
            rest++; /* what separates it from the next */
        else if (at > list)
            at--; /* or from the one before */
        while ((*at++ = *rest++))
            ;
    }
    return !*list && !keep_empty; /* without `at`: what a copy of the array has left of it */
}

/* The options of AddressSanitizer without the word that exec.c has added: NULL when they were nothing else. */
static char *ht_sanitizer_clean(char *variable)
{
    static char shorter[4096];
    size_t length = ht_length(variable), word = sizeof ht_sanitizer_word - 1;
    if (length < HT_SANITIZER_LENGTH + word || !ht_same_text(variable + length - word, ht_sanitizer_word))
        return variable;
    if (length == HT_SANITIZER_LENGTH + word)
        return NULL;
    if (length - word > sizeof shorter)
        return variable;
    ht_copy(shorter, length - word, variable); /* but for the colon */
    return shorter;
}

/* Takes our variables out. `before_auxiliary`: the auxiliary vector follows the array. */
static void ht_environment_clean(char **environment, const char *library, int before_auxiliary)
{
    uint32_t ours = 0;
    int keep_empty = 0, hidden = 0;
    char **to = environment, *stays = NULL;
    for (char **v = environment; *v; v++) {
        hidden |= ht_begins_with(*v, ht_hidden);
        keep_empty |= ht_begins_with(*v, ht_hidden_empty);
    }
    for (char **v = environment; *v; v++) {
        char *options = hidden && ht_begins_with(*v, ht_sanitizer) ? ht_sanitizer_clean(*v) : *v;
        if (!options || ht_is_ours(*v, library, keep_empty)) {
            /* Without a number that is even, one of them stays: the one that says most. */
            if (!stays || ht_begins_with(*v, "HEAPTAP_FOLLOW="))
                stays = *v;
            ours++;
        } else {
            *to++ = options;
        }
    }
    if (before_auxiliary && ours % 2) {
        *to++ = stays;
        ours--;
    }
    *to++ = NULL;
    for (; before_auxiliary && ours; ours -= 2, to += 2) {
        to[0] = (char *)(uintptr_t)AT_IGNORE;
        to[1] = NULL;
    }
}

/* Keeps what programs that this process starts are to get. Where that is more than there is room for, or the library's
 * path would mean another file elsewhere, nothing is put back. */
static void ht_carried_keep(char **environment, const char *library)
{
    struct ht_carried *c = &ht_carried;
    size_t used = 0;
    if (library[0] != '/')
        return;
    for (char **v = environment; *v; v++) {
        if (!ht_begins_with(*v, "HEAPTAP_") || ht_begins_with(*v, ht_hidden) || ht_begins_with(*v, ht_even))
            continue;
        size_t length = ht_length(*v) + 1;
        if (c->count == HT_CARRIED_MAX || length > sizeof c->text - used)
            return;
        memcpy(c->text + used, *v, length);
        c->variable[c->count++] = c->text + used;
        used += length;
    }
    c->library = library;
    c->library_length = ht_length(library);
}
