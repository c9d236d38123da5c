/* kernel.h: the integer types bpf/abi is written in, for user space. */
#ifndef TETRAGON_FAST_KERNEL_H
#define TETRAGON_FAST_KERNEL_H

#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
