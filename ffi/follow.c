/*
 * follow.c: what a process leaves to the programs that it starts.
 *
 * They are recorded too when they inherit the environment. With HEAPTAP_FOLLOW=none the first program
 * takes this library and its variables out of its environment before its own code runs: what it starts
 * finds an environment as without us.
 *
 * The kernel lays the environment out as an array of pointers that ends with NULL, with the auxiliary
 * vector right behind it, which some programs find by walking there. So the array keeps its length: what
 * becomes free at its end is filled with entries that the vector's readers skip.
 *
 * Runs once, in the process's only thread, before anything but the dynamic linker has read the array.
 */
#include "heaptap.h"

enum ht_follow { HT_FOLLOW_ALL = 0, HT_FOLLOW_EXEC, HT_FOLLOW_NONE };

static const char ht_preload[] = "LD_PRELOAD=";
#define HT_PRELOAD_LENGTH (sizeof ht_preload - 1)

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

static int ht_separates(char c) { return c == ':' || c == ' '; }

/* Where this library stands in the text of LD_PRELOAD; NULL when it came in another way. */
static char *ht_preloaded_at(char *list, size_t *length)
{
    const char *name = NULL;
    ht_iterate(ht_own_name_visit, &name);
    if (!name)
        return NULL;
    *length = ht_length(name);
    for (char *at = list; *at; at++)
        if ((at == list || ht_separates(at[-1])) && ht_same_bytes(at, name, *length) && (!at[*length] || ht_separates(at[*length])))
            return at;
    return NULL;
}

static char *ht_preload_list(char **environment)
{
    for (char **v = environment; v && *v; v++)
        if (ht_same_bytes(*v, ht_preload, HT_PRELOAD_LENGTH))
            return *v + HT_PRELOAD_LENGTH;
    return NULL;
}

/* Whether this library is one of those that LD_PRELOAD names. */
static int ht_is_preloaded(char **environment)
{
    size_t length;
    char *list = ht_preload_list(environment);
    return list && ht_preloaded_at(list, &length);
}

/* Whether a variable is ours alone; takes this library out of one that names others too. */
static int ht_is_ours(char *variable)
{
    if (ht_same_bytes(variable, "HEAPTAP_", 8))
        return 1;
    if (!ht_same_bytes(variable, ht_preload, HT_PRELOAD_LENGTH))
        return 0;
    size_t length;
    char *list = variable + HT_PRELOAD_LENGTH, *at = ht_preloaded_at(list, &length);
    if (!at)
        return !*list; /* what a copy of the array has left of it */
    char *rest = at + length;
    if (*rest)
        rest++; /* what separates it from the next */
    else if (at > list)
        at--; /* or from the one before */
    while ((*at++ = *rest++))
        ;
    return !*list;
}

/* Takes our variables out. `before_auxiliary`: the auxiliary vector follows the array. */
static void ht_environment_clean(char **environment, int before_auxiliary)
{
    uint32_t ours = 0;
    char **to = environment, *follow = NULL;
    for (char **v = environment; *v; v++) {
        if (ht_is_ours(*v)) {
            if (ht_same_bytes(*v, "HEAPTAP_FOLLOW=", 15))
                follow = *v;
            ours++;
        } else {
            *to++ = *v;
        }
    }
    /* An entry of the vector is two words: of an odd number of variables this one stays. */
    if (before_auxiliary && ours % 2 && follow) {
        *to++ = follow;
        ours--;
    }
    *to++ = NULL;
    for (; before_auxiliary && ours; ours -= 2, to += 2) {
        to[0] = (char *)(uintptr_t)AT_IGNORE;
        to[1] = NULL;
    }
}
