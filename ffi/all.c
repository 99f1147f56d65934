/*
 * all.c: the library as one translation unit, so that everything but the hooks is static and the
 * hot path is one function. Compiled by src/native/build.ts.
 */
#define _GNU_SOURCE
#include "heaptap.h"

static struct ht_process ht_p;
static struct ht_real ht_real;

static int ht_file_reserve(uint32_t section, uint64_t bytes);
static size_t ht_round_up(size_t n, size_t to);
static int ht_process_start(void);
static void ht_untracked(void);
static void ht_pause(int pause);
static void ht_names_redirect(void);
static long ht_exec_by_number(long n, long a, long b, long c, long d, long e, long f);
static void ht_discover(void);
static void ht_linked_say(void);
static void ht_link_unloaded(void);
static void ht_pause_look(void);
static void ht_mappings_release(void);
static void ht_sample_moved(int64_t level);
static void ht_sample_alone(struct ht_thread *t, int64_t net);
struct ht_object;
static void ht_requests_find(const struct ht_object *object);
static const char *ht_allocator_name(void);
static void ht_discover_opened(int opens);
static void ht_discover_forked(void);

#include "fault.c"
#include "seccomp.c"
#include "sys.c"
#include "elf.c"
#include "loader.c"
#include "program.c"
#include "real.c"
#include "in_use.c"
#include "file.c"
#include "glimpse.c"
#include "eh_frame.c"
#include "tables.c"
#include "jit.c"
#include "module.c"
#include "sampling.c"
#include "shadow.c"
#include "peak.c"
#include "timeline.c"
#include "path.c"
#include "registers.c"
#include "way_out.c"
#include "unwind.c"
#include "thread.c"
#include "follow.c"
#include "match.c"
#include "lifetimes.c"
#include "count.c"
#include "process.c"
#include "hooks.c"
#include "image.c"
#include "addition.c"
#include "exec.c"
#include "got.c"
#include "code.c"
#include "symtab.c"
#include "allocators.c"
#include "discover.c"
#include "linked.c"
#include "mappings.c"
#include "requests.c"
#include "api.c"
#include "attached.c"
#ifdef HT_TEST
#include "check.c"
#endif
