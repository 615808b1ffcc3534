/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/crc32c.h"

#include <string.h>

/* The checksum is linear, so the eight single bits give the checksum of every byte. */
#define BIT(byte, n, crc) ((byte) >> (n) &1 ? UINT32_C(crc) : 0)
#define ROW1(b)                                                                                    \
        (BIT(b, 0, 0xf26b8303) ^ BIT(b, 1, 0xe13b70f7) ^ BIT(b, 2, 0xc79a971f) ^                   \
         BIT(b, 3, 0x8ad958cf) ^ BIT(b, 4, 0x105ec76f) ^ BIT(b, 5, 0x20bd8ede) ^                   \
         BIT(b, 6, 0x417b1dbc) ^ BIT(b, 7, 0x82f63b78))
#define ROW4(b)  ROW1(b), ROW1((b) + 1), ROW1((b) + 2), ROW1((b) + 3)
#define ROW16(b) ROW4(b), ROW4((b) + 4), ROW4((b) + 8), ROW4((b) + 12)
#define ROW64(b) ROW16(b), ROW16((b) + 16), ROW16((b) + 32), ROW16((b) + 48)

static const uint32_t byte_table[256] = { ROW64(0), ROW64(64), ROW64(128), ROW64(192) };

uint32_t crc32c_add_portable(uint32_t crc, const void *data, size_t size) {
        const uint8_t *bytes = data;

        crc = ~crc;
        for (size_t i = 0; i < size; i++)
                crc = crc >> 8 ^ byte_table[(crc ^ bytes[i]) & 0xff];
        return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t add_by_instruction(uint32_t crc, const void *data,
                                                                     size_t size) {
        const uint8_t *bytes = data;
        uint64_t wide = ~crc, word;

        for (; size >= sizeof(word); size -= sizeof(word), bytes += sizeof(word)) {
                memcpy(&word, bytes, sizeof(word));
                wide = __builtin_ia32_crc32di(wide, word);
        }
        crc = (uint32_t) wide;
        for (; size > 0; size--)
                crc = __builtin_ia32_crc32qi(crc, *bytes++);
        return ~crc;
}

uint32_t crc32c_add(uint32_t crc, const void *data, size_t size) {
        if (__builtin_cpu_supports("sse4.2"))
                return add_by_instruction(crc, data, size);
        return crc32c_add_portable(crc, data, size);
}
#else
uint32_t crc32c_add(uint32_t crc, const void *data, size_t size) {
        return crc32c_add_portable(crc, data, size);
}
#endif
