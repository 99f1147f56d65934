/*
 * The few orders in which the library touches memory that others see, by name.
 *
 * own_*     one writer, the calling thread; others may read at any time and see old or new, never
 *           half of it
 * shared_*  several writers
 */
#ifndef HT_ATOMIC_H
#define HT_ATOMIC_H

/* A plain addition: one instruction on x86-64, so that a signal handler of the same thread cannot
 * come between its load and its store, where an atomic store would take three. */
#if defined(__SANITIZE_THREAD__)
#define ht_own_add(place, n) __atomic_store_n((place), *(place) + (n), __ATOMIC_RELAXED)
#else
#define ht_own_add(place, n) ((void)(*(place) += (n)))
#endif
#define ht_own_set(place, value) __atomic_store_n((place), (value), __ATOMIC_RELAXED)

#define ht_peek(place) __atomic_load_n((place), __ATOMIC_RELAXED)
#define ht_shared_get(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
#define ht_shared_set(place, value) __atomic_store_n((place), (value), __ATOMIC_RELEASE)
#define ht_shared_add(place, n) __atomic_fetch_add((place), (n), __ATOMIC_ACQ_REL)
#define ht_shared_or(place, bits) __atomic_fetch_or((place), (bits), __ATOMIC_ACQ_REL)
#define ht_shared_and(place, bits) __atomic_fetch_and((place), (bits), __ATOMIC_ACQ_REL)
#define ht_shared_exchange(place, value) __atomic_exchange_n((place), (value), __ATOMIC_ACQ_REL)
#define ht_shared_swap(place, expected, value)                                                     \
    __atomic_compare_exchange_n((place), (expected), (value), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* Orders the program against its own signal handlers; costs nothing. */
#define ht_signal_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

#endif
