/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/huge-pages.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/thread.h"

/* Linux 6.1; older headers do not have it. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* Of /proc/self/pagemap, which has 64 bits for each page. */
#define PAGE_PRESENT  (UINT64_C(1) << 63)
#define PAGE_SIZE_MIN 4096

#define STACK_SIZE    ((size_t) 256 * 1024)
/* By then each check has run, and has the memory that it is going to have. */
#define BEGIN_AFTER   1
/* Between two: what else wants memory waits for the same lock of the kernel's. */
#define PAUSE_USEC    5000

/* How often it was asked for since the thread began; 0: there is none. */
static atomic_uint wanted;

/* A line of /proc/self/maps: BEGIN-END MODE OFFSET DEVICE INODE NAME. */
static bool parse_large_area(const char *line, uintptr_t *ret_begin, uintptr_t *ret_end) {
        int name = 0;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", ret_begin, ret_end,
                   &name) != 2 ||
            name == 0 || *ret_end - *ret_begin < HUGE_AREA_MIN)
                return false;
        return strncmp(line + name, "[heap]", 6) == 0 || strncmp(line + name, "/memfd:", 7) == 0;
}

/* malloc_trim() gives back what is free in the heap: that must not come back as a huge page. */
static bool piece_is_used(int pagemap, uintptr_t piece) {
        uint64_t pages[HUGE_PAGE_SIZE / PAGE_SIZE_MIN];
        const size_t page_size = (size_t) sysconf(_SC_PAGESIZE);
        const size_t n_pages = HUGE_PAGE_SIZE / page_size, size = n_pages * sizeof(pages[0]);
        size_t n_present = 0;

        if (pread(pagemap, pages, size, (off_t) (piece / page_size * sizeof(pages[0]))) !=
            (ssize_t) size)
                return false;
        for (size_t i = 0; i < n_pages; i++)
                n_present += (pages[i] & PAGE_PRESENT) != 0;
        return n_present * 4 >= n_pages * 3;
}

bool huge_pages_make_one(uintptr_t *position) {
        _cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
        _cleanup_close_ int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        uintptr_t piece, end;
        char line[512];

        while (maps && pagemap >= 0 && fgets(line, sizeof(line), maps)) {
                if (!parse_large_area(line, &piece, &end))
                        continue;
                if (piece < *position)
                        piece = *position;
                piece += -piece % HUGE_PAGE_SIZE;
                for (; piece < end && end - piece >= HUGE_PAGE_SIZE; piece += HUGE_PAGE_SIZE) {
                        if (!piece_is_used(pagemap, piece))
                                continue;
                        (void) madvise((void *) piece, HUGE_PAGE_SIZE, MADV_COLLAPSE);
                        *position = piece + HUGE_PAGE_SIZE;
                        return true;
                }
        }
        return false;
}

static void *thread_run(void *userdata) {
        unsigned seen = atomic_load(&wanted);
        uintptr_t position;

        (void) userdata;
        (void) pthread_setname_np(pthread_self(), "huge-pages");
        do {
                (void) sleep(BEGIN_AFTER);
                position = 0;
                while (huge_pages_make_one(&position))
                        (void) usleep(PAUSE_USEC);
        } while (!atomic_compare_exchange_strong(&wanted, &seen, 0));
        return NULL;
}

void huge_pages_make(void) {
        /* Out of memory: the pages stay small. */
        if (atomic_fetch_add(&wanted, 1) == 0 && thread_start(thread_run, NULL, STACK_SIZE) < 0)
                atomic_store(&wanted, 0);
}
