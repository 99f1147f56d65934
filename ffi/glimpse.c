/*
 * glimpse.c: looking through much of an object's code or constants, where they are mapped, without more of it being resident afterwards than was: else
 * a large program's resident set would be several times what it is without us.
 *
 * It goes part by part. The kernel says which pages are there before one is looked at, and which afterwards; those that came, and are the
 * file's still, are given back. What somebody has written to is no file's page any more, and stays. Where the kernel does not say, all stays.
 */
#include "heaptap.h"

#define HT_GLIMPSE 1048576ull
#define HT_AROUND 65536ull /* so much the kernel maps around a page that is touched, as far as that is aligned */
#define HT_GLIMPSE_PAGES (uint32_t)(HT_GLIMPSE / HT_PAGE)

/* What /proc/self/pagemap says of a page: it is there; it is in swap; it is a file's. */
#define HT_PAGE_PRESENT (1ull << 63)
#define HT_PAGE_SWAPPED (1ull << 62)
#define HT_PAGE_OF_FILE (1ull << 61)

/* One that is under way; too large for a program's stack. */
struct ht_glimpse {
    long pagemap;
    uint64_t low, high; /* the pages of the part; equal where nothing is known of them */
    uint64_t before[HT_GLIMPSE_PAGES], after[HT_GLIMPSE_PAGES];
};

static void ht_glimpse_begin(struct ht_glimpse *g) { g->pagemap = ht_open(HT_AT_FDCWD, "/proc/self/pagemap"); }

static void ht_glimpse_end(struct ht_glimpse *g)
{
    if (g->pagemap >= 0)
        ht_sys_close(g->pagemap);
}

static int ht_glimpse_ask(const struct ht_glimpse *g, uint64_t *pages)
{
    return ht_read_at(g->pagemap, g->low / HT_PAGE * sizeof *pages, pages, (g->high - g->low) / HT_PAGE * sizeof *pages);
}

/* Before the part from `at` on of what ends at `end` is looked at: where it ends. */
static uint64_t ht_glimpse_part(struct ht_glimpse *g, uint64_t at, uint64_t end)
{
    uint64_t stop = ht_min(end, (at + HT_GLIMPSE) & ~(HT_AROUND - 1));
    g->low = at & ~(HT_PAGE - 1ull);
    g->high = (stop + HT_PAGE - 1) & ~(HT_PAGE - 1ull);
    if (g->pagemap < 0 || !ht_glimpse_ask(g, g->before))
        g->high = g->low;
    return stop;
}

/* It has been looked at. */
static void ht_glimpse_forget(struct ht_glimpse *g)
{
    if (g->high == g->low || !ht_glimpse_ask(g, g->after))
        return;
    for (uint64_t page = g->low, from = 0; page <= g->high; page += HT_PAGE) {
        uint64_t i = (page - g->low) / HT_PAGE;
        int came = page < g->high && !(g->before[i] & (HT_PAGE_PRESENT | HT_PAGE_SWAPPED)) && (g->after[i] & HT_PAGE_PRESENT) && (g->after[i] & HT_PAGE_OF_FILE);
        if (came && !from)
            from = page;
        if (!came && from) {
            ht_sys_discard((void *)from, page - from);
            from = 0;
        }
    }
}
