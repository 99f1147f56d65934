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

#include "fault.c"
#include "seccomp.c"
#include "sys.c"
#include "elf.c"
#include "loader.c"
#include "real.c"
#include "file.c"
#include "eh_frame.c"
#include "tables.c"
#include "jit.c"
#include "module.c"
#include "shadow.c"
#include "peak.c"
#include "path.c"
#include "registers.c"
#include "unwind.c"
#include "thread.c"
#include "follow.c"
#include "match.c"
#include "count.c"
#include "process.c"
#include "hooks.c"
#include "got.c"
#include "api.c"
#ifdef HT_TEST
#include "check.c"
#endif
