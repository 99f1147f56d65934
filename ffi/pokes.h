/*
 * pokes.h: jumps that are to be put into code that runs: what the library plans (linked.c) and the program that attaches writes
 * (attach/poke.c), while it has all threads stopped, and none of them is about to execute what is written over.
 *
 * The library writes the list, `count` last, which only grows; a place whose object was unloaded becomes 0. The program that attaches reads it. Whoever writes holds
 * the library's lock of loaded objects.
 */
#ifndef HT_POKES_H
#define HT_POKES_H

#include <stdint.h>

#define HT_POKES 512u
#define HT_POKE_SIZE 5u /* a jump's; all in one page */

struct ht_pokes {
    uint64_t count;
    struct ht_poke {
        uint64_t at;     /* 0: nothing is to be done any more */
        uint64_t object; /* where that begins */
        uint8_t was[8], becomes[8]; /* HT_POKE_SIZE bytes each */
        uint64_t ends; /* the function ends blocks: written first, and taken back last, so that none is seen to begin that is not seen to end */
    } each[HT_POKES];
};

#endif
