/*
 * requests.c: what the program tells of itself, through include/heaptap.h.
 *
 * Each object with that header has a table of function pointers, and a note that says where. They are put in when the object is
 * looked at (discover.c, linked.c), one word at a time: who reads one calls it or does not.
 *
 * Blocks that are told lie in others, malloc's often, and may begin where those do. They are kept in the shadow at an
 * address of their own: the same with one bit changed, where neither programs nor the kernel put anything. Nothing
 * reads what lies there.
 *
 * A block of a pool with a name has the pool for its innermost frame: a module without code (module.c), so that all blocks of
 * it are found together, and each by who took it.
 */
#include "heaptap.h"

/* As include/heaptap.h has it. */
struct ht_requests {
    size_t size;
    void (*allocate)(const void *, size_t);
    void (*release)(const void *);
    void (*move)(const void *, const void *, size_t);
    void (*release_all)(const void *, size_t);
    void (*slab)(const void *);
    void (*pool)(const char *);
    void (*mark)(const char *);
    void (*pause)(int);
};

static const struct ht_heap ht_told = { HT_HEAP_CLOSE, .turned = HT_TURNED };
static void *ht_told_at(const void *block) { return ht_turned(&ht_told, block); }

/* Counts a block for the pool that the thread has named. */
HT_NOINLINE void ht_told_allocation(const void *block, size_t size, struct ht_regs at)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle);
    if (!t)
        return;
    t->label = t->pool;
    if (ht_is_counted(idle))
        ht_count_allocation(t, &ht_told, ht_told_at(block), size, at);
    t->label = 0;
    ht_end(t, idle);
}

static void ht_request_allocate(const void *block, size_t size)
{
    struct ht_regs at = HT_CALLER();
    if (!block)
        return;
    if (ht_self->pool)
        ht_told_allocation(block, size, at);
    else
        ht_note_close(ht_told_at(block), size, at.pc, at.sp, at.fp, &ht_told);
}

static void ht_request_release(const void *block)
{
    if (!block || ht_end_close(ht_told_at(block)))
        return;
    uint32_t idle;
    struct ht_thread *t = ht_is_sampling() ? ht_begin(&idle) : NULL;
    if (!t)
        return ht_end_counted(ht_told_at(block));
    ht_count_end(t, ht_take_block(t, ht_told_at(block)), ht_told_at(block));
    ht_end(t, idle);
}

static void ht_request_move(const void *old, const void *block, size_t size)
{
    uint32_t idle;
    struct ht_regs at = HT_CALLER();
    struct ht_thread *t = old && block ? ht_begin(&idle) : NULL;
    if (!t) {
        ht_request_release(old);
        if (block)
            ht_told_allocation(block, size, at);
        return;
    }
    t->label = t->pool;
    struct ht_resize r = ht_resize_begin(t, idle, &ht_told, ht_told_at(old));
    if (r.known.kind == HT_BLOCK_UNKNOWN)
        r.known.kind = HT_BLOCK_UNCOUNTED;
    ht_resize_end(&r, &ht_told, ht_told_at(old), ht_told_at(block), size, 0, at);
    t->label = 0;
    ht_end(t, idle);
}

static void ht_request_release_all(const void *start, size_t size)
{
    /* Where a word of the shadow says nothing, neither does what it stands for. */
    for (uint64_t at = (uint64_t)ht_told_at(start) / 8 * 8, end = (uint64_t)ht_told_at(start) + size; at < end; at += 8) {
        /* When not all blocks are recorded, those that are end; how many others there are nobody knows. */
        if (ht_is_sampling()) {
            if (ht_is_sampled((void *)at))
                ht_end_counted((void *)at);
            else if (at % 1024 == 0 && !ht_peek(&ht_p.sampled_bits[ht_sampled_place(at) / 64]))
                at += 1024 - 8;
            continue;
        }
        const uint64_t *word = ht_shadow_find((void *)at);
        if (at % HT_GRANULE == 0 && (!word || !ht_peek(word)))
            at += HT_GRANULE - 8;
        else if (ht_shadow_block((void *)at, 0).kind != HT_BLOCK_UNKNOWN)
            ht_end_counted((void *)at);
    }
}

static void ht_request_slab(const void *block)
{
    uint32_t idle;
    struct ht_thread *t = block ? ht_begin(&idle) : NULL;
    if (!t)
        return;
    struct ht_block known = ht_shadow_block(block, 0);
    if (known.kind == HT_BLOCK_COUNTED) {
        const struct ht_heap *heap = ht_heap.close ? &ht_told : &ht_heap;
        known = ht_take_block(t, (void *)(uint64_t)block);
        ht_count_free(t, known, 0);
        ht_count_nothing(t, heap, (void *)(uint64_t)block, known.size); /* its end is no unknown one */
    }
    ht_end(t, idle);
}

static void ht_request_pool(const char *name)
{
    struct ht_thread *t = ht_self;
    uint32_t idle;
    if (name == t->pool_name || (t = ht_begin(&idle)) == NULL)
        return;
    t->pool_name = name;
    t->pool = name && *name && ht_p.mode == HT_MODE_PATHS ? ht_module_named(HT_POOL_PATH, name) : 0;
    ht_end(t, idle);
}

static void ht_request_mark(const char *name)
{
    uint32_t idle;
    struct ht_thread *t = name ? ht_begin(&idle) : NULL;
    if (!t)
        return;
    ht_file_mark(name);
    ht_end(t, idle);
}

static void ht_request_pause(int paused)
{
    uint32_t idle;
    struct ht_thread *t = ht_begin(&idle); /* recording begins here if it has not yet */
    if (!t)
        return;
    ht_pause(paused);
    ht_end(t, idle);
}

static void ht_requests_put(struct ht_requests *requests)
{
#define HT_REQUEST(name)                                                                           \
    if (requests->size >= offsetof(struct ht_requests, name) + sizeof requests->name)              \
        ht_shared_set((uint64_t *)(void *)&requests->name, (uint64_t)(void *)ht_request_##name);
    HT_REQUEST(allocate)
    HT_REQUEST(release)
    HT_REQUEST(move)
    HT_REQUEST(release_all)
    HT_REQUEST(slab)
    HT_REQUEST(pool)
    HT_REQUEST(mark)
    HT_REQUEST(pause)
}

/* Looks for notes of the header in an object. */
static void ht_requests_find(const struct ht_object *object)
{
    for (uint32_t i = 0; i < object->header_count; i++) {
        const ElfW(Phdr) *h = &object->headers[i];
        const uint8_t *at = (const uint8_t *)(object->base + h->p_vaddr), *end = at + h->p_memsz;
        while (h->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) + 16 <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const uint8_t *name = at + sizeof *note, *text = name + ((note->n_namesz + 3u) & ~3u);
            if (note->n_namesz == 8 && note->n_descsz == 8 && note->n_type == 1 && ht_same_bytes(name, "heaptap", 8)) {
                int64_t distance;
                memcpy(&distance, text, sizeof distance);
                uint64_t table = (uint64_t)text + (uint64_t)distance;
                if (ht_lies_in(table, object->low, object->high) && ht_sys_writable((uint64_t *)table))
                    ht_requests_put((struct ht_requests *)table);
            }
            if (text > end || note->n_descsz > (uint64_t)(end - text))
                break;
            at = text + ((note->n_descsz + 3u) & ~3u);
        }
    }
}
