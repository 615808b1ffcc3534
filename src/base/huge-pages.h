/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Memory in huge pages, where there is much of it. Thousands of checks are a hundred megabytes that
 * are touched all over every second, each line by its own way through the page tables: with pages
 * of 2 MB instead of 4 KB that takes 5 to 15 % less time. A small installation stays as small as it
 * is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In bytes. Memory that is to be in huge pages begins at a multiple of it. */
#define HUGE_PAGE_SIZE ((size_t) 2 * 1024 * 1024)
/* In bytes. What is smaller is left in small pages. */
#define HUGE_AREA_MIN  (4 * HUGE_PAGE_SIZE)

/*
 * Begins, a second later, to make huge pages of the heap and of memfds; returns at once. A thread
 * does it: the kernel waits for all processors before it begins, and may have to make room first.
 * Whether it succeeds nobody needs to know: where the kernel is too old (before 6.1), has no huge
 * pages of this size, or none to spare, all stays as it is.
 */
void huge_pages_make(void);

/*
 * What the thread does again and again: makes one, of the first 2 MB at or after *position (an
 * address, 0 at first) that are in use for the most part: what is free takes no memory again.
 * *position moves behind them. Returns whether there was such a piece: then there may be another.
 * Takes a millisecond, six in a virtual machine that has not touched the memory before; next to
 * nothing where it is huge already.
 */
bool huge_pages_make_one(uintptr_t *position);
