/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * CRC-32C (Castagnoli, RFC 3720): finds every error within 32 neighbouring bits, all other damage
 * but once in 2^32. No protection against a forger.
 */

#include <stddef.h>
#include <stdint.h>

/* Continues a checksum over further bytes; the first call takes 0. */
uint32_t crc32c_add(uint32_t crc, const void *data, size_t size);

/* The same by table, for processors without an instruction for it. */
uint32_t crc32c_add_portable(uint32_t crc, const void *data, size_t size);
