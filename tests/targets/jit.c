/*
 * Code that no tool knows: 50 functions made at run time, which call malloc(100) and free through registers, without unwind
 * tables, half of them with a frame pointer. Each is called 10 times, then its page is used for the next. 500 allocations,
 * 50,000 bytes, 500 frees. Exits with 0.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* push rbp; mov rbp, rsp; (or push rbx; nop twice) mov edi, 100; mov rax, malloc; call rax; mov rdi, rax; mov rax, free; call
 * rax; pop; ret. What malloc returned is not looked at by anybody else. */
static size_t make(uint8_t *code, int with_frame)
{
    uint8_t *at = code;
    uint64_t function = (uint64_t)(void *)malloc;
    static const uint8_t frame[] = { 0x55, 0x48, 0x89, 0xe5 }, none[] = { 0x53, 0x90, 0x90, 0x90 };
    memcpy(at, with_frame ? frame : none, 4), at += 4;
    static const uint8_t size[] = { 0xbf, 100, 0, 0, 0, 0x48, 0xb8 };
    memcpy(at, size, sizeof size), at += sizeof size;
    memcpy(at, &function, 8), at += 8;
    static const uint8_t call[] = { 0xff, 0xd0, 0x48, 0x89, 0xc7, 0x48, 0xb8 };
    memcpy(at, call, sizeof call), at += sizeof call;
    function = (uint64_t)(void *)free;
    memcpy(at, &function, 8), at += 8;
    *at++ = 0xff, *at++ = 0xd0;
    *at++ = with_frame ? 0x5d : 0x5b;
    *at++ = 0xc3;
    return (size_t)(at - code);
}

int main(void)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return 1;
    for (int i = 0; i < 50; i++) {
        memset(page, 0xcc, 4096);
        make(page + i * 8, i % 2);
        for (int j = 0; j < 10; j++)
            ((void (*)(void))(page + i * 8))();
    }
    return 0;
}
