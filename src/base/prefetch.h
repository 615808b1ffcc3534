/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What many checks have, each its own, is in no cache when its turn comes, and each line of it that
 * is touched is a wait. Asked for together and early, they are waited for together, or not at all.
 */

#include <stddef.h>

#define CACHE_LINE 64

/* A hint: any address will do. */
static inline void prefetch_for_write(const void *data, size_t size) {
        for (size_t offset = 0; offset < size; offset += CACHE_LINE)
                __builtin_prefetch((const char *) data + offset, 1);
}
