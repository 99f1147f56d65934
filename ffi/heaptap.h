/*
 * heaptap: declarations of the library, file by file.
 *
 * Data flows  hooks.c -> thread.c -> unwind.c -> path.c -> (the mapped recording)
 *                     -> shadow.c, peak.c -> timeline.c
 * and everything stands on sys.c and process.c. What the program starts goes through exec.c. A script in the
 * same process comes in through api.c, which puts the hooks in (got.c) and reads counters. The library uses no C
 * library: raw system calls, its own look-up of the functions that it wraps, and a few weak imports (process.c, loader.c).
 *
 * Rules for everything reachable from a hook: it allocates nothing, takes no lock that the program
 * could hold, leaves errno alone, and keeps no file descriptor open.
 */
#ifndef HT_HEAPTAP_H
#define HT_HEAPTAP_H

#include <stddef.h>
#include <stdint.h>

#include "arch/x86_64.h"
#include "arch/x86_64_stack.h"
#include "atomic.h"
#include "layout.h"

#define HT_LIKELY(x) __builtin_expect(!!(x), 1)
#define HT_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HT_INLINE static inline __attribute__((always_inline))
#define HT_NOINLINE static __attribute__((noinline))
#define HT_EXPORT __attribute__((visibility("default"), used))
/* Reads other functions' stack frames, which AddressSanitizer takes for a bug. */
#define HT_RAW __attribute__((no_sanitize("address", "undefined", "thread")))
/* A thread's own, at a fixed distance from where its storage begins: where the library was loaded with the program, and wherever the C library has
 * kept room for those that come later. musl has not: there it is asked where that is, which takes twice as long. */
#ifdef HT_LATE
#define HT_THREAD_LOCAL __thread __attribute__((tls_model("global-dynamic")))
#else
#define HT_THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))
#endif
/* A value that the compiler knows nothing of from here on. */
#define HT_OPAQUE(value) __asm__("" : "+r"(value))
#define HT_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define HT_MAX_DEPTH 8192u
#define HT_MAX_BUCKETS (1u << 20)
#define HT_BUCKETS (1u << 18)       /* when nothing is said */
#define HT_BUCKETS_LEAST (1u << 14) /* when that cannot be had */
#define HT_MAX_THREADS 2046u
#define HT_INDEX_LEVELS 3u
#define HT_SAMPLED_PLACES (1u << 18)
#define HT_INTERVAL_LEAST 64u /* bytes; less is as good as every block */
#define HT_INTERVAL_MOST (1ull << 30)
#define HT_INTERVAL_NEVER (1ull << 62)

/* sys.c: every system call. Results are the kernel's: negative is -errno. */
#define HT_FAILED(result) ((unsigned long)(result) > -4096ul)
static void *ht_sys_map(size_t size);          /* private zeroed memory, NULL when there is none */
static void ht_sys_unmap(void *at, size_t size);
static int ht_sys_not_inherited(void *at, size_t size); /* a fork's child does not have it */
static int ht_sys_wiped(void *at, size_t size);         /* a fork's child has zeros there */
static int ht_sys_readable(uint64_t address);           /* whether eight bytes there can be read */
static uint64_t ht_sys_now(int clock);         /* nanoseconds */
static void ht_sys_yield(void);

/*
 * A lock for the slow paths. Never held while anything outside the library runs, and never taken
 * twice by a thread: a nested hook passes through before it gets here. Signals wait while it is held: a
 * handler that leaves by longjmp, or ends the thread, would leave it taken. The bare form is for calls
 * that no handler leaves: those of a script's runtime.
 */
struct ht_lock {
    uint32_t held;
    uint64_t signals; /* which waited before; its holder's */
};
static void ht_lock(struct ht_lock *lock);
static void ht_unlock(struct ht_lock *lock);

/* seccomp.c: system calls that the program has forbidden itself. */
static int ht_is_filtered(void);
static int ht_filter_allows(long n, const long arguments[6]);

/* Whether a system call, or a piece of the recording, is to fail now: in the build for that test alone. */
#ifdef HT_FAULTS
static int ht_fault(long n);
#define HT_FAULT(n) HT_UNLIKELY(ht_fault(n))
#define HT_FAULT_ERROR ht_fault_error
static int ht_fault_room(void);
#define HT_FAULT_ROOM() HT_UNLIKELY(ht_fault_room())
#else
#define HT_FAULT(n) 0
#define HT_FAULT_ERROR 0
#define HT_FAULT_ROOM() 0
#endif

/* eh_frame.c and unwind.c. A rule says how to get from a frame to its caller's, in one word:
 * bits 0..3 kind, 4..19 where fp was saved (8-byte units below the CFA, 0 when it was not), 20..47 CFA offset
 * (signed), 48..63 what stands above the offset in a node's key: the module and what is special of the place. */
enum ht_rule_kind {
    HT_RULE_NONE = 0,     /* nothing known */
    HT_RULE_SP = 1,       /* CFA = sp + offset */
    HT_RULE_FP = 2,       /* CFA = fp + offset */
    HT_RULE_SP_DEREF = 3, /* CFA = word at sp + offset (stack realigned) */
    HT_RULE_FP_DEREF = 4, /* CFA = word at fp + offset */
    HT_RULE_SIGNAL = 5,   /* the caller's registers are in a ucontext */
    HT_RULE_GUESS = 6,    /* no table: a frame record at fp, if there is one */
    HT_RULE_END = 7,      /* outermost frame */
    HT_RULE_ROW = 8,      /* no word can say it: the table is read anew (registers.c) */
};
#define HT_RULE_OFFSET_MAX (1 << 27)
#define HT_RULE_FP_SLOT_MAX 0xfffe
#define HT_RULE_FP_AT_FP 0xffff /* fp was saved where it now points (functions that realign the stack) */
HT_INLINE uint64_t ht_rule(enum ht_rule_kind kind, int64_t offset, uint64_t fp_slot)
{
    return (uint64_t)kind | fp_slot << 4 | ((uint64_t)offset & 0xfffffff) << 20;
}
HT_INLINE enum ht_rule_kind ht_rule_kind(uint64_t rule) { return (enum ht_rule_kind)(rule & 15); }
HT_INLINE int64_t ht_rule_offset(uint64_t rule) { return (int64_t)(rule << 16) >> 36; }
HT_INLINE uint64_t ht_rule_fp_slot(uint64_t rule) { return rule >> 4 & 0xffff; }
#define HT_KEY_OFFSET (~(~0ull << HT_KEY_OFFSET_BITS))
HT_INLINE uint32_t ht_key_module(uint64_t key) { return (uint32_t)(key >> HT_KEY_OFFSET_BITS) & ((1u << HT_KEY_MODULE_BITS) - 1); }

/* code.c */
#define HT_LINKS 6u
static uint64_t ht_code_origin(uint64_t pc);

/* module.c: loaded objects, numbered as their code appears on stacks; 0 is code of no object. */
struct ht_place;
static uint32_t ht_module_at(uint64_t pc, struct ht_place *place);
static uint64_t ht_module_base(uint32_t module);
static void ht_modules_changed(void);

/* path.c */
struct ht_thread;
struct ht_node_memo {
    uint64_t key;
    uint32_t parent, node;
};

/* One stack word that a walk depended on. */
struct ht_word {
    const uint64_t *at;
    uint64_t value;
};

/* A frame of the kept stack; see unwind.c. */
struct ht_frame {
    uint64_t pc, sp, fp;
    uint64_t fp_matters; /* all ones when the way from here out depends on fp, else 0 */
    uint64_t fp_at;      /* where the caller's fp stands; 0 when it is this frame's own, or not known */
    uint32_t node;       /* in the recording, 0 when the table had no room */
    uint32_t words;      /* end of this frame's words; they begin where its caller's end */
    uint32_t fp_passes;  /* the caller has the same fp: it matters when it matters there */
};

/* What counting needs of a call path. */
struct ht_path {
    struct ht_file_paths *record; /* the thread's; NULL while it has no page, or that is not known yet */
    uint32_t bucket;
    uint32_t owner; /* the thread's tag and the bucket, as they stand in a block's word */
};

/* The inner end of a stack that was walked: from its innermost frame to a kept one that it stood on. See unwind.c. */
#define HT_TAIL_BITS 9
#define HT_TAILS (1u << HT_TAIL_BITS)
#define HT_TAIL_WORDS 24u
#define HT_TAIL_LEVELS 6u
struct ht_tail {
    uint64_t key; /* a hash of pc, sp and of as many return addresses as it took to find a place */
    uint64_t pc, sp, fp, fp_matters; /* of its innermost frame; pc 0 when there is none */
    uint64_t reach; /* end of the highest word */
    const struct ht_frame *base; /* where the kept frame stood that it stands on */
    uint64_t base_sp, base_fp;
    uint32_t base_node, generation;
    struct ht_path path;
    uint32_t word_count;
    uint8_t returns[HT_TAIL_LEVELS - 1]; /* which of its words are its frames' return addresses, from the inside: one more, 0 behind the last */
    struct ht_word words[HT_TAIL_WORDS + 1]; /* behind the last one that never agrees */
};
_Static_assert(sizeof(struct ht_tail) == 512, "found by a shift");

/* A frame while it is being walked: what the kept stack will hold of it, and its key. */
#define HT_STEP_WORDS 6u
struct ht_step {
    uint64_t pc, sp, fp, fp_matters, fp_at, key; /* fp_matters: for the way to the caller alone */
    uint32_t fp_passes;
    uint32_t word_count;
    uint32_t guessed; /* the way out was a guess (HT_RULE_GUESS) */
    struct ht_word words[HT_STEP_WORDS];
};

/* All registers of a frame, by DWARF number, and which of them are known: a bit each. registers.c */
struct ht_registers {
    uint64_t value[HT_DWARF_COUNT];
    uint64_t from[HT_DWARF_COUNT]; /* the stack word that holds it, saved by a frame further in; 0 when none does */
    uint32_t known;
    uint32_t interrupted; /* pc is no return address */
};

/* What a thread's next hook finds. */
enum ht_idle {
    HT_BUSY = 0,          /* a hook of this thread is under way (or this is a fork's child) */
    HT_IDLE_COUNTERS = 1, /* to count totals only */
    HT_IDLE_PATHS = 2,    /* to count totals and call paths */
    HT_IDLE_SHARED = 3,   /* to count in the shared records */
    HT_IDLE_OWN = 4,      /* to count frees only: what it allocates is heaptap's own (api.c) */
    HT_IDLE_SAMPLED = 5,  /* to count totals, and to record few blocks or none (sampling.c) */
    HT_IDLE_GENERAL = 6,  /* to count totals and call paths, by the general forms alone (lifetimes.c) */
    HT_IDLE_NEVER = 7,    /* no thread is ever that */
};

/* shadow.c: what is known of a block. */
enum ht_block_kind {
    HT_BLOCK_UNKNOWN = 0,
    HT_BLOCK_UNCOUNTED, /* known, and nobody's: its end is no unknown one */
    HT_BLOCK_COUNTED,
};
struct ht_birth {
    uint64_t time;   /* monotonic clock */
    uint64_t number; /* of the allocation, among the process's; 0 when nothing is known of it */
};
struct ht_block {
    uint64_t size;
    uint32_t bucket, slot;
    enum ht_block_kind kind;
    struct ht_birth born; /* when it was taken out of the shadow, and lifetimes are kept */
};

/* A block that a hook has taken out of the shadow, for the hooks inside its call: who of them ends the block takes it
 * from here (allocators.c). */
struct ht_handed {
    const void *block;
    uint64_t size; /* and what else is known of it but for its birth */
    uint32_t bucket, slot;
    enum ht_block_kind kind;
};

/*
 * A thread's own state: private memory, written by that thread alone, zeroed by the kernel in a
 * fork's child. Nobody else reads it but a thread that takes it over after its end (thread.c).
 */
struct ht_thread {
    uint32_t idle;      /* enum ht_idle */
    uint32_t slot;      /* number of the thread record */
    struct ht_file_threads *counters;
    struct ht_file_paths **pages; /* by call path / HT_PAGE_RECORDS; NULL where it has none yet */
    const void *last;   /* the block that it allocated last */
    int64_t until;      /* bytes to the next block that is recorded, or to something else that is due; sampling.c */
    int64_t beyond;     /* bytes from there to that block */
    const char *last_end; /* where the last block ends, when not all are recorded */
    uint64_t random;    /* state of its random numbers */
    int64_t high, low;  /* levels of its net bytes outside which peak.c wants to know */
    int64_t rise, fall; /* the levels beyond which the process wants to know */
    int64_t sample_high, sample_low; /* and those beyond which a sample is due, while it is the only thread */
    int64_t window;     /* the highest net of its own window, INT64_MAX when it has none */
    int64_t highest;    /* the highest net of all its windows */
    int64_t flushed;    /* how much of its net is in the header's current */
    uint64_t tick_mask; /* the next look at clock and name is due when these bits of its allocations are 0 */
    uint64_t tag;       /* its number as it stands in shadow words */
    uint32_t half_tag;  /* the same in half words, 0 when they have no room for it */
    uint32_t latest;    /* the call path that was found last */
    uint32_t generation; /* of loaded code, under which the stack was kept */
    uint32_t operation; /* the module that stands for what the script says it does in this thread, 0 when it says nothing; unwind.c */
    uint32_t locked;    /* holds the lock of the shared records */
    struct ht_path path;  /* of the kept stack */
    struct ht_frame *top; /* innermost kept frame */
    struct ht_frame *other;  /* the same while those frames have the numbers of another operation, and `top` says that none is kept; else NULL */
    struct ht_frame *frames; /* [0] is a sentinel no stack can match, then outermost first */
    struct ht_word *words;   /* [0] is a sentinel that never agrees, then outermost first */
    struct ht_step *steps;
    struct ht_tail *tails;
    struct ht_node_memo *memo; /* nodes that this thread looked up, see path.c */
    uint64_t stack_low, stack_high; /* pages known to be readable, of the stack that it stands on */
    uint64_t far_low, far_high;     /* the same of another one, during a walk */
    uint64_t relied, relied_now;    /* the innermost word that steps of the kept stack, and of the present walk, rely on; registers.c */
    struct ht_registers registers;  /* of the frame that the present walk last wanted them of; registers.c */
    uint32_t ready;     /* what idle is between hooks */
    uint32_t root;      /* node at which the kept stack ends */
    uint32_t cut_beyond; /* when that is HT_NODE_DEPTH: frames known to lie beyond the cut */
    uint32_t cut_at_page; /* and whether the cut is at a page boundary */
    uint32_t spare_node, spare_bucket; /* taken in a race that another thread won */
    uint32_t tid;
    uint32_t joined; /* the first thread: it flushes like the others */
    uint32_t ended;  /* among the ended ones in `order`, under thread_lock */
    uint32_t crossed; /* whether the present walk has gone on at a lower address */
    uint32_t holds_window, window_slot; /* of the process's windows */
    struct ht_handed handed;
    struct ht_birth handed_born; /* of the block that a reallocation has handed */
    const struct ht_heap *heap; /* of the block whose path is being found, and where it goes; count.c */
    struct ht_empty {           /* a block's place in the shadow when it can go in as it is */
        uint64_t *word;         /* NULL when it cannot */
        uint32_t *half;         /* NULL when the word is its own */
    } to;
    uint32_t pool, label; /* the module that stands for the pool that it has named, and while it counts a block of that */
    const char *pool_name;
    uint32_t own_depth; /* how many calls of heaptap's own script side are under way */
    struct ht_figures figures; /* what the last call of api.c said; the script reads them here */
    struct ht_thread *next; /* of those without a record */
    uint64_t size; /* of the mapping that begins here */
    uint32_t kept; /* the number of its thread, while there is no recording that it has a part in */
};
static struct ht_thread *ht_enter_slow(void);

/* The first line of a thread record, and sums of such lines. */
struct ht_totals {
    uint64_t allocations, bytes, frees, current, reallocations, carried, temporary, failed;
};
_Static_assert(offsetof(struct ht_file_threads, failed) == offsetof(struct ht_totals, failed), "the same fields in the same order");

/* process.c: the process-wide state, zeroed by the kernel in a fork's child. */
enum ht_state { HT_STATE_NEW = 0, HT_STATE_STARTING, HT_STATE_ON, HT_STATE_OFF };
struct ht_process {
    uint32_t state;  /* enum ht_state; NEW in a fork's child, whatever it was before */
    uint32_t mode, depth, buckets, exact_peak, sizes_kept, lifetimes_kept;
    uint32_t installed; /* by a script, in its own process */
    uint32_t generation; /* counts up when code was unloaded */
    /* The mapped recording. Written at the start, constant from then on. */
    uint8_t *file;
    uint64_t file_size;
    struct ht_file_header *header;
    uint8_t *strings;
    struct ht_file_modules *modules;
    struct ht_file_threads *threads;
    struct ht_file_nodes *nodes;
    struct ht_file_owners *owners;
    struct ht_file_paths *paths;
    struct ht_file_timeline *timeline;
    struct ht_file_resident *readings; /* beside `timeline`, record by record; NULL when others look on */
    struct ht_file_sizes *sizes; /* beside `paths`, record by record; used when sizes_kept */
    struct ht_file_lifetimes *lifetimes; /* the same; used when lifetimes_kept */
    struct ht_file_mapped *mapped_records;
    uint32_t capacity[HT_SECTION_COUNT]; /* records */
    uint32_t page_capacity;
    uint64_t offset[HT_SECTION_COUNT];
    uint64_t reserved[HT_SECTION_COUNT]; /* bytes of each section that the file system has given; only grows */
    uint64_t start; /* monotonic clock */
    /* unwind.c */
    struct ht_rule_slot *rules;
    /* path.c */
    uint32_t *index[HT_INDEX_LEVELS];
    uint32_t index_mask[HT_INDEX_LEVELS];
    /* thread.c */
    struct ht_lock shared_lock; /* of the shared thread record and every shared page */
    struct ht_lock thread_lock; /* of starting and taking over threads */
    struct ht_file_paths **shared_pages;
    struct ht_thread *by_slot[HT_MAX_THREADS + 1];
    /* Slots of the threads with a record: first those that may change it still, then those that
     * have ended, whose counters are summed in `ended`. Under thread_lock. */
    uint16_t order[HT_MAX_THREADS];
    uint32_t live_count, thread_count;
    struct ht_totals ended;
    struct ht_thread *shared_threads; /* those without a record, under thread_lock */
    uint32_t probe; /* where the next search for an ended thread begins */
    uint32_t looks; /* at the process's figures */
    int64_t shared_flushed;
    /* module.c */
    struct ht_lock module_lock;
    uint32_t known_count;
    struct ht_known {
        uint64_t low, high;
        uint64_t eh_frame; /* when it has no sorted table; 0 when that was not found */
        uint32_t module, generation;
    } known[4096]; /* which module lies where, since the last unload */
    /* tables.c, jit.c */
    struct ht_lock tables_lock;
    struct ht_jit {
        uint64_t descriptor, seen;
        uint32_t generation;
    } jit[4];
    /* peak.c */
    uint64_t windows_open;
    int64_t windows[64];
    /* timeline.c */
    struct ht_lock timeline_lock;
    uint64_t sample_due, moment_end, reading_due, resident;
    int64_t sample_high, sample_low;
    uint32_t sample_peak; /* number of the peak when the last sample was made */
    /* mappings.c */
    struct ht_lock mapping_lock;
    struct ht_mapped { /* read from outside as it stands here */
        struct ht_mapped_range *ranges;
        uint32_t used, capacity, change;
        struct ht_mapped_range *base; /* where what there is for them begins */
    } mapped;
    /* sampling.c */
    uint64_t interval; /* mean bytes between two recorded blocks, 0 when all are; constant */
    uint64_t seed;
    struct ht_lock sampled_lock;
    struct ht_sampled *sampled; /* a table of `capacity` places: used once, and live */
    uint32_t sampled_capacity, sampled_used, sampled_live;
    uint32_t *sampled_marks;
    uint64_t sampled_bits[HT_SAMPLED_PLACES / 64];
    /* process.c */
    struct ht_lock inherit_lock; /* of beginning and ending what a handler's fork needs */
    uint32_t inheriting;         /* forks by handlers under way */
    /* lifetimes.c: of the process so far, when lifetimes_kept. Any thread adds to it: it has a cache line to itself, but for the path. */
    uint64_t allocations __attribute__((aligned(64)));
    char path[4096]; /* of the recording, "" when it is in memory alone */
} __attribute__((aligned(65536))); /* the kernel zeroes whole pages: nothing else may lie there */

/* real.c: what is to be known of an allocator. */
#define HT_CLOSE 31u
#define HT_CLOSE_LEAST 25u
#define HT_HEAP_CLOSE .close = HT_CLOSE, .least = HT_CLOSE_LEAST
struct ht_heap {
    uint32_t close;           /* HT_CLOSE when its blocks may lie closer than glibc's (shadow.c), else 0 */
    size_t least;             /* of how many bytes a block is at least that has a word to itself: HT_CLOSE_LEAST there, else 0 */
    size_t (*usable)(void *); /* its malloc_usable_size, NULL when it has none */
    uint64_t turned; /* its blocks may lie in others' blocks and begin where those do: the shadow has them with this changed */
};

/* Where neither programs nor the kernel put anything. Nothing reads what lies there. */
#define HT_TURNED (1ull << 45)
static inline void *ht_turned(const struct ht_heap *heap, const void *block) { return block ? (void *)((uint64_t)block ^ heap->turned) : NULL; }

/* real.c: the functions underneath. */
struct ht_real {
#define HT_FUNCTION(result, name, parameters, arguments) result(*name) parameters;
#include "hooks.def"
#undef HT_FUNCTION
};

#endif
