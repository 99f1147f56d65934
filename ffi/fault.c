/*
 * fault.c: the build for the test that everything that can fail does (HT_FAULTS, tools/faults.ts). Not a
 * line of it is in the library that programs get.
 *
 * HEAPTAP_FAULT names the occasions to fail, counted from 1 over the process's life: `7` is the seventh
 * alone, `7-` the seventh and all after it, `s28` every system call of that number, `r7` the seventh time
 * that the recording is asked for room. HEAPTAP_FAULT_ERROR is the errno. How many occasions there were
 * is left in the file that HEAPTAP_FAULT_COUNT names.
 */
#include "heaptap.h"

#ifdef HT_FAULTS
static int ht_fault_error;
static int ht_fault_read;  /* whether the variables were */
static int ht_fault_kind;  /* 0 system calls by count, 's' by number, 'r' room */
static int ht_fault_on;    /* and all later ones */
static long ht_fault_which;
static uint64_t ht_fault_calls, ht_fault_rooms;
static char ht_fault_counts[4096];

static const char *ht_fault_variable(const char *name)
{
    extern void *__libc_stack_end;
    char **v = (char **)__libc_stack_end + 1 + *(long *)__libc_stack_end + 1;
    for (; *v; v++) {
        size_t i = 0;
        while (name[i] && (*v)[i] == name[i])
            i++;
        if (!name[i] && (*v)[i] == '=')
            return *v + i + 1;
    }
    return "";
}

static long ht_fault_number(const char **text)
{
    long n = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        n = n * 10 + (**text - '0');
    return n;
}

static void ht_fault_start(void)
{
    if (ht_fault_read)
        return;
    ht_fault_read = 1;
    const char *text = ht_fault_variable("HEAPTAP_FAULT_ERROR");
    ht_fault_error = (int)ht_fault_number(&text);
    text = ht_fault_variable("HEAPTAP_FAULT_COUNT");
    for (size_t i = 0; i < sizeof ht_fault_counts - 1 && text[i]; i++)
        ht_fault_counts[i] = text[i];
    text = ht_fault_variable("HEAPTAP_FAULT");
    if (*text == 's' || *text == 'r')
        ht_fault_kind = *text++;
    ht_fault_which = ht_fault_number(&text);
    ht_fault_on = *text == '-';
}

static int ht_fault_is_due(uint64_t n) { return n == (uint64_t)ht_fault_which || (ht_fault_on && n > (uint64_t)ht_fault_which && ht_fault_which); }

static int ht_fault(long n)
{
    ht_fault_start();
    uint64_t count = ht_shared_add(&ht_fault_calls, 1ull) + 1;
    if (ht_fault_kind == 's')
        return n == ht_fault_which;
    return ht_fault_kind == 0 && ht_fault_is_due(count);
}

static int ht_fault_room(void)
{
    ht_fault_start();
    uint64_t count = ht_shared_add(&ht_fault_rooms, 1ull) + 1;
    return ht_fault_kind == 'r' && ht_fault_is_due(count);
}

/* At the end, in the clear: both counts, eight bytes each. */
__attribute__((destructor)) static void ht_fault_tell(void)
{
    uint64_t counts[2] = { ht_fault_calls, ht_fault_rooms };
    long fd = ht_fault_counts[0] ? ht_arch_syscall(257, -100, (long)ht_fault_counts, 01101, 0600, 0, 0) : -1;
    if (fd >= 0) {
        ht_arch_syscall(1, fd, (long)counts, sizeof counts, 0, 0, 0);
        ht_arch_syscall(3, fd, 0, 0, 0, 0, 0);
    }
}
#endif
