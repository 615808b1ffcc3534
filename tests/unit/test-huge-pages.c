/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is made huge and what is left alone, by what the kernel says of this process. */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/huge-pages.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define N_PIECES (2 * HUGE_AREA_MIN / HUGE_PAGE_SIZE)

/* Of the mappings that lie in an area, in KiB. */
typedef struct Resident {
        unsigned long all;
        unsigned long huge;
} Resident;

static Resident resident(const void *area, size_t size) {
        _cleanup_fclose_ FILE *file = fopen("/proc/self/smaps", "re");
        uintptr_t begin = (uintptr_t) area, first, end;
        Resident found = {};
        unsigned long kib;
        bool counts = false;
        char line[1024];

        assert_non_null(file);
        while (fgets(line, sizeof(line), file))
                if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &first, &end) == 2)
                        counts = first < begin + size && end > begin;
                else if (counts && sscanf(line, "Rss: %lu kB", &kib) == 1)
                        found.all += kib;
                else if (counts && (sscanf(line, "AnonHugePages: %lu kB", &kib) == 1 ||
                                    sscanf(line, "ShmemPmdMapped: %lu kB", &kib) == 1))
                        found.huge += kib;
        return found;
}

/* In small pages, also where the kernel has huge ones for everybody. */
static void fill(uint8_t *area, size_t size) {
        assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
        memset(area, 7, size);
        assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
}

/* An aligned area of so many pieces, of a memfd or of nothing. */
static uint8_t *new_area(int fd, size_t n_pieces) {
        size_t size = n_pieces * HUGE_PAGE_SIZE;
        uint8_t *room = mmap(NULL, size + HUGE_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                             -1, 0);
        uint8_t *area = room + -(uintptr_t) room % HUGE_PAGE_SIZE;

        assert_true(room != MAP_FAILED);
        if (fd >= 0)
                assert_int_equal(ftruncate(fd, (off_t) size), 0);
        assert_true(mmap(area, size, PROT_READ | PROT_WRITE,
                         MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd,
                         0) == area);
        fill(area, size);
        return area;
}

static void skip_unless_possible(int fd) {
        uint8_t *area = new_area(fd, 1);
        int r = madvise(area, HUGE_PAGE_SIZE, MADV_COLLAPSE);

        assert_int_equal(munmap(area, HUGE_PAGE_SIZE), 0);
        if (r < 0)
                skip();
}

static size_t make_all(void) {
        uintptr_t position = 0, before;
        size_t n_made = 0;

        for (before = position; huge_pages_make_one(&position); before = position) {
                assert_true(position > before);
                assert_int_equal(position % HUGE_PAGE_SIZE, 0);
                n_made++;
        }
        return n_made;
}

/* In the end; a page that the kernel is busy with itself keeps its piece small for the moment. */
static void assert_made(const void *area, size_t size, size_t n_pieces) {
        unsigned long kib = n_pieces * HUGE_PAGE_SIZE / 1024;

        for (int i = 0; i < 10; i++) {
                assert_int_equal(make_all(), n_pieces);
                if (resident(area, size).huge == kib)
                        break;
        }
        assert_int_equal(resident(area, size).huge, kib);
}

static void test_memfd(void **state) {
        _cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);
        const size_t size = HUGE_AREA_MIN;
        uint8_t *area;

        (void) state;
        skip_unless_possible(fd);
        assert_int_equal(ftruncate(fd, 0), 0);
        area = new_area(fd, size / HUGE_PAGE_SIZE);
        assert_int_equal(resident(area, size).huge, 0);

        /* One page less, and it is too small. */
        assert_int_equal(munmap(area + size - 4096, 4096), 0);
        assert_int_equal(make_all(), 0);
        assert_int_equal(resident(area, size).huge, 0);

        assert_true(mmap(area, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED, fd, 0) ==
                    area);
        for (size_t i = 0; i < size; i += 4096)
                assert_int_equal(area[i], 7);
        assert_made(area, size, size / HUGE_PAGE_SIZE);
        assert_int_equal(area[size - 1], 7);
        munmap(area, size);
}

/* Memory of nobody's is not ours to change. */
static void test_others(void **state) {
        uint8_t *area = new_area(-1, N_PIECES);

        (void) state;
        assert_int_equal(make_all(), 0);
        munmap(area, N_PIECES * HUGE_PAGE_SIZE);
}

/* Also where the C library has no heap there: a sanitizer's. */
static void test_heap(void **state) {
        uint8_t *bottom, *piece;
        Resident before, after;
        const size_t size = (N_PIECES + 1) * HUGE_PAGE_SIZE;

        (void) state;
        skip_unless_possible(-1);
        bottom = sbrk((intptr_t) size);
        if (!bottom || bottom == (void *) -1) {
                fail_msg("no memory");
                return;
        }
        piece = bottom + -(uintptr_t) bottom % HUGE_PAGE_SIZE;
        fill(piece, N_PIECES * HUGE_PAGE_SIZE);
        /* More than a quarter of the second is free, and of the third a little. */
        assert_int_equal(madvise(piece + HUGE_PAGE_SIZE, HUGE_PAGE_SIZE / 2, MADV_DONTNEED), 0);
        assert_int_equal(madvise(piece + 2 * HUGE_PAGE_SIZE, 65536, MADV_DONTNEED), 0);
        before = resident(piece, N_PIECES * HUGE_PAGE_SIZE);

        assert_made(piece, N_PIECES * HUGE_PAGE_SIZE, N_PIECES - 1);
        after = resident(piece, N_PIECES * HUGE_PAGE_SIZE);
        assert_int_equal(after.all - before.all, 64);
        for (size_t i = 3 * HUGE_PAGE_SIZE; i < N_PIECES * HUGE_PAGE_SIZE; i += 4096)
                assert_int_equal(piece[i], 7);
        assert_int_equal(piece[2 * HUGE_PAGE_SIZE], 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memfd),
                cmocka_unit_test(test_others),
                cmocka_unit_test(test_heap),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
