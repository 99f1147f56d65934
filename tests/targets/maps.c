/*
 * Maps memory itself. Right answer (pages of 4 KiB), by function:
 *   whole     memory: 1 mapping of 8 MiB, of which 4 MiB are unmapped again, and 1 MiB of the rest is given back
 *   again     memory: 100 mappings of 64 KiB each, all unmapped
 *   grown     memory: 1 MiB that becomes 3 MiB: 2 mappings of 4 MiB in all, 3 MiB still there
 *   reserved  reserved: 64 MiB, of which 1 MiB comes into use (memory, 1 mapping) and 256 KiB of that go again
 *   shared    shared: 1 MiB
 *   file      file: 64 KiB
 *   broken    memory: 128 KiB by the break, of which 64 KiB go again
 * Live at the end: memory 4 MiB + 3 MiB + 768 KiB + 64 KiB. What malloc and threads take is not among it.
 * Prints `ready` and waits for a byte.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB 1024ul
#define MIB (1024ul * KIB)
#define APART __attribute__((noinline, noclone))

static void *map(size_t size, int protection, int flags, int fd)
{
    void *at = mmap(NULL, size, protection, flags, fd, 0);
    if (at == MAP_FAILED)
        exit(3);
    return at;
}
#define RW (PROT_READ | PROT_WRITE)
#define OWN (MAP_PRIVATE | MAP_ANONYMOUS)

APART static void whole(void)
{
    char *at = map(8 * MIB, RW, OWN, -1);
    memset(at, 1, 8 * MIB);
    munmap(at + 2 * MIB, 4 * MIB);
    madvise(at, 1 * MIB, MADV_DONTNEED);
}

APART static void again(void)
{
    for (int i = 0; i < 100; i++)
        munmap(map(64 * KIB, RW, OWN, -1), 64 * KIB);
}

APART static void grown(void)
{
    char *at = map(1 * MIB, RW, OWN, -1);
    at = mremap(at, 1 * MIB, 3 * MIB, MREMAP_MAYMOVE);
    memset(at, 1, 3 * MIB);
}

APART static void reserved(void)
{
    char *at = map(64 * MIB, PROT_NONE, OWN | MAP_NORESERVE, -1);
    mprotect(at + 4 * MIB, 1 * MIB, RW);
    memset(at + 4 * MIB, 1, 1 * MIB);
    mprotect(at + 4 * MIB, 256 * KIB, PROT_NONE);
}

APART static void shared(void) { memset(map(1 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1), 1, 1 * MIB); }

APART static void file(const char *path)
{
    int fd = open(path, O_RDONLY);
    map(64 * KIB, PROT_READ, MAP_PRIVATE, fd);
    close(fd);
}

APART static void broken(void)
{
    sbrk(128 * KIB);
    sbrk(-(long)(64 * KIB));
}

static void *thread(void *unused)
{
    void *block = malloc(300000); /* from an arena, or a mapping of the C library's own */
    memset(block, 1, 300000);
    free(block);
    return unused;
}

int main(int count, char **arguments)
{
    (void)count;
    pthread_t t;
    whole();
    again();
    grown();
    reserved();
    shared();
    file(arguments[0]);
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
    broken();
    puts("ready");
    fflush(stdout);
    return read(0, &(char){ 0 }, 1) < 0;
}
