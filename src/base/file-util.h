/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small files of /proc and their like; what an errno means. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reads a whole small file into buffer and ends it with NUL; what does not fit is cut off.
 * Returns the length, or a negative errno.
 */
int file_read_small(const char *path, char *buffer, size_t size);

/* How many entries of a directory begin with a digit (processes, descriptors). */
int directory_count_numbers(const char *path, unsigned *ret_count);

/* Zero at first. */
typedef struct ProcessCounter {
        unsigned other_links;   /* of /proc, that are not of processes */
        unsigned times_trusted; /* how often its links will do before it is listed again */
} ProcessCounter;

/*
 * How many processes there are; path: "/proc". To list it has the kernel look up every process, so
 * its number of links is taken where that is the same. Now and then it is listed all the same: a
 * module may bring a directory of its own.
 */
int process_counter_read(ProcessCounter *counter, const char *path, unsigned *ret_count);

/*
 * Whether an errno says that we are short of descriptors or memory, the kernel's for epoll (ENOSPC)
 * included: nothing of that is a verdict on a peer.
 */
bool error_is_shortage(int error);
