/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/string-util.h"
#include "publish/state-store.h"

#define LONG_NAME                                                                                  \
        "x23456789.x23456789.x23456789.x23456789.x23456789.x23456789.x23456789.x23456789."         \
        "x23456789.x23456789.x23456789.x23456789.x23456789.x23456789.x23456789.x23456789."         \
        "x23456789.x23456789.x23456789.x23456789."
#define ANY_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const char *const globals[] = { "silences", "budget", NULL };
static const StateLayout layout = {
        .version = 7,
        .record_size = 13,
        .block_size = 9,
        .global_size = 21,
        .globals = globals,
};
static const StateSlotName slots[] = {
        { "redis", 1 },
        { LONG_NAME, 2 },
        { "orders", UINT64_MAX },
};

typedef struct Place {
        char directory[64];
        char path[80];
} Place;

static size_t store_size(const StateStore *store) {
        struct stat status;

        assert_int_equal(fstat(state_store_fd(store), &status), 0);
        return (size_t) status.st_size;
}

static int place_setup(void **state) {
        Place *place = calloc(1, sizeof(Place));

        if (!place)
                return -1;
        strcpy(place->directory, "/tmp/test-state-XXXXXX");
        if (!mkdtemp(place->directory)) {
                free(place);
                return -1;
        }
        snprintf(place->path, sizeof(place->path), "%s/state", place->directory);
        *state = place;
        return 0;
}

static int place_teardown(void **state) {
        Place *place = *state;
        _cleanup_free_ char *new_path = NULL;

        (void) unlink(place->path);
        if (string_printf(&new_path, "%s.new", place->path) == 0)
                (void) unlink(new_path);
        if (rmdir(place->directory) < 0)
                return -1;
        free(place);
        return 0;
}

static void assert_record(const StateSlot *slot, const char *expected) {
        char buffer[64];
        size_t size = 0;

        assert_int_equal(state_slot_read(slot, buffer, sizeof(buffer), &size), 0);
        assert_int_equal(size, strlen(expected));
        assert_memory_equal(buffer, expected, size);
}

static void write_text(const StateSlot *slot, const char *text) {
        assert_int_equal(state_slot_write(slot, text, strlen(text)), 0);
}

static StateSlot find(const StateStore *store, const char *name, uint64_t identity) {
        StateSlot slot;

        assert_int_equal(state_store_find(store, name, identity, &slot), 0);
        return slot;
}

static StateSlot find_global(const StateStore *store, const char *name) {
        StateSlot slot;

        assert_int_equal(state_store_find_global(store, name, &slot), 0);
        return slot;
}

/* Two generations of every record but one, so that both copies are in use. */
static StateStore *new_filled_store(void) {
        StateStore *store = NULL;
        StateSlot slot;

        assert_int_equal(state_store_new(&layout, slots, ELEMENTS(slots), &store), 0);
        for (size_t i = 0; i < ELEMENTS(slots); i++) {
                slot = find(store, slots[i].name, slots[i].identity);
                write_text(&slot, "older");
                if (i > 0)
                        write_text(&slot, "newer record!");
                memcpy(slot.block, "a block!", layout.block_size);
        }
        slot = find_global(store, "silences");
        write_text(&slot, "older silences");
        write_text(&slot, "newer silences, long");
        return store;
}

static void test_crc32c(void **state) {
        uint8_t bytes[32], many[1000];
        uint32_t whole;

        (void) state;
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t) i;
        for (size_t i = 0; i < sizeof(many); i++)
                many[i] = (uint8_t) (i * 7 + i / 256);
        assert_int_equal(crc32c_add(0, "123456789", 9), 0xe3069283);
        assert_int_equal(crc32c_add_portable(0, "123456789", 9), 0xe3069283);
        /* RFC 3720, B.4 */
        assert_int_equal(crc32c_add(0, bytes, sizeof(bytes)), 0x46dd794e);
        assert_int_equal(crc32c_add_portable(0, bytes, sizeof(bytes)), 0x46dd794e);
        memset(bytes, 0, sizeof(bytes));
        assert_int_equal(crc32c_add(0, bytes, sizeof(bytes)), 0x8a9136aa);
        memset(bytes, 0xff, sizeof(bytes));
        assert_int_equal(crc32c_add(0, bytes, sizeof(bytes)), 0x62a8ab43);
        whole = crc32c_add(0, many, sizeof(many));
        for (size_t i = 0; i <= sizeof(many); i++) {
                assert_int_equal(crc32c_add(crc32c_add(0, many, i), many + i, sizeof(many) - i),
                                 whole);
                assert_int_equal(crc32c_add_portable(0, many, i), crc32c_add(0, many, i));
        }
}

static void test_records(void **state) {
        _cleanup_(state_store_freep) StateStore *store = NULL;
        StateSlot slot, other;
        char buffer[64];
        size_t size;

        (void) state;
        assert_int_equal(state_store_new(&layout, slots, ELEMENTS(slots), &store), 0);
        slot = find(store, "redis", 1);
        other = find(store, "orders", UINT64_MAX);
        assert_int_equal(state_slot_read(&slot, buffer, sizeof(buffer), &size), -ENODATA);
        for (int i = 0; i < 100; i++) {
                snprintf(buffer, sizeof(buffer), "%0*d", i % 13 + 1, i);
                write_text(&slot, buffer);
                assert_record(&slot, buffer);
                assert_int_equal(state_slot_read(&other, buffer, sizeof(buffer), &size), -ENODATA);
        }
        write_text(&slot, "");
        assert_record(&slot, "");
        write_text(&slot, "thirteen byte");
        assert_int_equal(state_slot_write(&slot, "fourteen bytes", 14), -EMSGSIZE);
        assert_record(&slot, "thirteen byte");
        assert_int_equal(state_slot_read(&slot, buffer, 12, &size), -ENOBUFS);
        assert_int_equal((uintptr_t) slot.block % 8, 0);
        memset(slot.block, 0xff, layout.block_size);
        memset(other.block, 0xff, layout.block_size);
        assert_record(&slot, "thirteen byte");
        slot = find_global(store, "budget");
        assert_null(slot.block);
        write_text(&slot, "twenty-one characters");
        assert_record(&slot, "twenty-one characters");
}

static void test_names(void **state) {
        static const char *const bad_globals[] = { "", NULL };
        const StateSlotName twice[] = { { "a", 1 }, { "b", 2 }, { "a", 3 } };
        const StateSlotName empty[] = { { "", 1 } };
        const StateSlotName too_long[] = { { LONG_NAME "x", 1 } };
        StateLayout bad = layout;
        _cleanup_(state_store_freep) StateStore *store = NULL, *none = NULL;
        StateSlot slot;

        (void) state;
        assert_int_equal(state_store_new(&layout, twice, 3, &store), -EEXIST);
        assert_int_equal(state_store_new(&layout, empty, 1, &store), -EINVAL);
        assert_int_equal(state_store_new(&layout, too_long, 1, &store), -EINVAL);
        assert_int_equal(state_store_new(&layout, slots, STATE_SLOTS_MAX + 1, &store), -EFBIG);
        bad.block_size = STATE_IMAGE_MAX;
        assert_int_equal(state_store_new(&bad, slots, 3, &store), -EFBIG);
        bad.block_size = SIZE_MAX;
        assert_int_equal(state_store_new(&bad, slots, 3, &store), -EFBIG);
        bad = layout;
        bad.globals = bad_globals;
        assert_int_equal(state_store_new(&bad, slots, 3, &store), -EINVAL);
        assert_null(store);

        assert_int_equal(state_store_new(&layout, slots, 3, &store), 0);
        assert_int_equal(state_store_find(store, "redis", 2, &slot), -ENOENT);
        assert_int_equal(state_store_find(store, "redi", 1, &slot), -ENOENT);
        assert_int_equal(state_store_find(store, "", 1, &slot), -ENOENT);
        assert_int_equal(state_store_find(store, LONG_NAME "x", 2, &slot), -ENOENT);
        assert_int_equal(state_store_find(store, "silences", 0, &slot), -ENOENT);
        assert_int_equal(state_store_find_global(store, "redis", &slot), -ENOENT);
        assert_true(state_store_has_slots(store, slots, 3));
        assert_false(state_store_has_slots(store, slots, 2));
        assert_false(state_store_has_slots(store, twice, 3));

        bad.globals = NULL;
        bad.block_size = 0;
        assert_int_equal(state_store_new(&bad, NULL, 0, &none), 0);
        assert_int_equal(state_store_find(none, "redis", 1, &slot), -ENOENT);
        assert_true(state_store_has_slots(none, NULL, 0));
}

static void test_ten_thousand(void **state) {
        _cleanup_free_ StateSlotName *many = calloc(10000, sizeof(StateSlotName));
        _cleanup_free_ char *texts = calloc(10000, 16);
        StateLayout wide = layout;
        _cleanup_(state_store_freep) StateStore *store = NULL;
        StateSlot slot;
        size_t size;
        uint64_t number;

        (void) state;
        assert_true(many && texts);
        for (uint64_t i = 0; i < 10000; i++) {
                snprintf(texts + 16 * i, 16, "check-%05u", (unsigned) (i * 7919 % 10000));
                many[i] = (StateSlotName){ texts + 16 * i, i };
        }
        wide.block_size = 4096;
        assert_int_equal(state_store_new(&wide, many, 10000, &store), 0);
        for (uint64_t i = 0; i < 10000; i++) {
                slot = find(store, many[i].name, i);
                assert_int_equal(state_slot_write(&slot, &i, sizeof(i)), 0);
                memset(slot.block, (int) i, wide.block_size);
        }
        for (uint64_t i = 0; i < 10000; i++) {
                slot = find(store, many[i].name, i);
                assert_int_equal(state_slot_read(&slot, &number, sizeof(number), &size), 0);
                assert_int_equal(number, i);
                assert_int_equal(((uint8_t *) slot.block)[0], i % 256);
                assert_int_equal(((uint8_t *) slot.block)[wide.block_size - 1], i % 256);
        }
        assert_true(state_store_has_slots(store, many, 10000));
        assert_true(store_size(store) < (size_t) 64 << 20);
}

static void test_adopt(void **state) {
        _cleanup_(state_store_freep) StateStore *store = new_filled_store(), *adopted = NULL;
        _cleanup_free_ char *problem = NULL;
        StateSlot slot;
        int fd;

        (void) state;
        assert_int_equal(fcntl(state_store_fd(store), F_GETFD), FD_CLOEXEC);
        assert_int_equal(ftruncate(state_store_fd(store), 0), -1);
        assert_int_equal(errno, EPERM);
        fd = fcntl(state_store_fd(store), F_DUPFD_CLOEXEC, 3);
        store = state_store_free(store);
        assert_int_equal(state_store_adopt(&layout, fd, &adopted, &problem), 0);
        assert_null(problem);
        assert_true(state_store_is_same_boot(adopted));
        assert_true(state_store_has_slots(adopted, slots, 3));
        slot = find(adopted, "redis", 1);
        assert_record(&slot, "older");
        assert_memory_equal(slot.block, "a block!", 9);
        slot = find(adopted, LONG_NAME, 2);
        assert_record(&slot, "newer record!");
        slot = find_global(adopted, "silences");
        assert_record(&slot, "newer silences, long");
        write_text(&slot, "newest");
        assert_record(&slot, "newest");
}

static int new_memfd(const void *data, size_t size, uint64_t length, unsigned seals) {
        _cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        if (size > 0)
                assert_int_equal(write(fd, data, size), size);
        assert_int_equal(ftruncate(fd, (off_t) length), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return TAKE_FD(fd);
}

/* Takes the fd. */
static void assert_refused(const StateLayout *expected, int fd, int error, const char *words) {
        StateStore *store = NULL;
        _cleanup_free_ char *problem = NULL;

        assert_true(fd >= 0);
        assert_int_equal(state_store_adopt(expected, fd, &store, &problem), error);
        assert_null(store);
        assert_non_null(problem);
        assert_non_null(strstr(problem, "The state kept by systemd is not used: "));
        if (!strstr(problem, words))
                fail_msg("\"%s\" is not in \"%s\"", words, problem);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_refused_descriptors(void **state) {
        Place *place = *state;
        _cleanup_(state_store_freep) StateStore *store = new_filled_store();
        size_t size = store_size(store);
        _cleanup_free_ char *image = malloc(size);
        _cleanup_free_ char *path = NULL;
        int pair[2];

        assert_int_equal(pread(state_store_fd(store), image, size, 0), size);
        assert_refused(&layout, new_memfd(NULL, 0, 0, ANY_SEALS), -EBADMSG, "damaged (0 bytes)");
        assert_refused(&layout, new_memfd(NULL, 0, 4096, ANY_SEALS), -EBADMSG, "damaged");
        assert_refused(&layout, new_memfd(image, size, size - 1, ANY_SEALS), -EBADMSG, "damaged");
        assert_refused(&layout, new_memfd(image, size, size + 1, ANY_SEALS), -EBADMSG, "damaged");
        assert_refused(&layout, new_memfd(image, size, 100, ANY_SEALS), -EBADMSG, "damaged");
        assert_refused(&layout, new_memfd(image, size, UINT64_C(1) << 40, ANY_SEALS), -EBADMSG,
                       "damaged");
        assert_refused(&layout, new_memfd(image, size, size, 0), -EPERM, "not sealed");
        assert_refused(&layout, new_memfd(image, size, size, F_SEAL_SHRINK | F_SEAL_GROW), -EPERM,
                       "not sealed");
        assert_refused(&layout, new_memfd(image, size, size, ANY_SEALS | F_SEAL_WRITE), -EPERM,
                       "not sealed");
        assert_int_equal(state_store_save_file(store, place->path), 0);
        assert_refused(&layout, open(place->path, O_RDWR | O_CLOEXEC), -EPERM, "no");
        assert_refused(&layout, open("/dev/null", O_RDWR | O_CLOEXEC), -EPERM, "no memfd");
        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        assert_refused(&layout, pair[0], -EPERM, "no memfd");
        assert_refused(&layout, pair[1], -EPERM, "no memfd");
        assert_int_equal(string_printf(&path, "/proc/self/fd/%d", state_store_fd(store)), 0);
        assert_refused(&layout, open(path, O_RDONLY | O_CLOEXEC), -EPERM, "not sealed");
}

static void test_other_version(void **state) {
        static const char *const other_globals[] = { "silences", "budgets", NULL };
        _cleanup_(state_store_freep) StateStore *store = new_filled_store();
        StateLayout others[] = { layout, layout, layout, layout, layout, layout };

        (void) state;
        others[0].version++;
        others[1].record_size++;
        others[2].block_size--;
        others[3].global_size++;
        others[4].globals = globals + 1;
        others[5].globals = other_globals;
        for (size_t i = 0; i < ELEMENTS(others); i++)
                assert_refused(&others[i], fcntl(state_store_fd(store), F_DUPFD_CLOEXEC, 3),
                               -EPROTO, "of another version");
}

static void test_file(void **state) {
        Place *place = *state;
        _cleanup_(state_store_freep) StateStore *store = new_filled_store(), *loaded = NULL;
        _cleanup_free_ char *problem = NULL, *left_over = NULL;
        struct stat status;
        StateSlot slot;

        assert_int_equal(state_store_load_file(&layout, place->path, &loaded, &problem), -ENOENT);
        assert_null(problem);
        assert_int_equal(string_printf(&left_over, "%s.new", place->path), 0);
        assert_int_equal(symlink("/dev/full", left_over), 0);
        assert_int_equal(state_store_save_file(store, place->path), 0);
        assert_int_equal(lstat(left_over, &status), -1);
        assert_int_equal(lstat(place->path, &status), 0);
        assert_int_equal(status.st_mode, S_IFREG | 0600);
        assert_int_equal(status.st_size, store_size(store));
        store = state_store_free(store);
        assert_int_equal(state_store_load_file(&layout, place->path, &loaded, &problem), 0);
        assert_true(state_store_is_same_boot(loaded));
        slot = find(loaded, "orders", UINT64_MAX);
        assert_record(&slot, "newer record!");
        assert_memory_equal(slot.block, "a block!", 9);
        write_text(&slot, "after");
        assert_int_equal(fcntl(state_store_fd(loaded), F_GET_SEALS) & ANY_SEALS, ANY_SEALS);
        assert_int_equal(state_store_save_file(loaded, "/proc/self/state"), -ENOENT);
        assert_int_equal(state_store_save_file(loaded, "/dev/null/state"), -ENOTDIR);
        assert_int_equal(state_store_save_file(loaded, place->directory), -EISDIR);
}

static void test_other_boot(void **state) {
        Place *place = *state;
        _cleanup_(state_store_freep) StateStore *store = new_filled_store(), *loaded = NULL;
        _cleanup_free_ char *problem = NULL;
        _cleanup_close_ int fd = -1;
        StateHeader header;

        assert_true(state_store_is_same_boot(store));
        assert_int_equal(state_store_save_file(store, place->path), 0);
        fd = open(place->path, O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
        header.boot_id[15] ^= 1;
        header.crc = crc32c_add(0, &header, offsetof(StateHeader, crc));
        assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
        assert_int_equal(state_store_load_file(&layout, place->path, &loaded, &problem), 0);
        assert_false(state_store_is_same_boot(loaded));
}

static void test_failed_save(void **state) {
        Place *place = *state;
        _cleanup_(state_store_freep) StateStore *store = new_filled_store(), *loaded = NULL;
        _cleanup_free_ char *problem = NULL, *left_over = NULL;
        struct rlimit limit, small;
        StateSlot slot = find(store, "redis", 1);
        int r;

        assert_int_equal(string_printf(&left_over, "%s.new", place->path), 0);
        assert_int_equal(state_store_save_file(store, place->path), 0);
        write_text(&slot, "unsaved");
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
        small = limit;
        small.rlim_cur = store_size(store) / 2;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        r = state_store_save_file(store, place->path);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        signal(SIGXFSZ, SIG_DFL);
        assert_int_equal(r, -EFBIG);
        assert_int_equal(access(left_over, F_OK), -1);
        assert_int_equal(state_store_load_file(&layout, place->path, &loaded, &problem), 0);
        slot = find(loaded, "redis", 1);
        assert_record(&slot, "older");
}

static void assert_file_refused(const Place *place, int error, const char *words) {
        StateStore *store = NULL;
        _cleanup_free_ char *problem = NULL;

        assert_int_equal(state_store_load_file(&layout, place->path, &store, &problem), error);
        assert_null(store);
        assert_non_null(problem);
        assert_non_null(strstr(problem, place->path));
        if (!strstr(problem, words))
                fail_msg("\"%s\" is not in \"%s\"", words, problem);
}

static void test_refused_files(void **state) {
        Place *place = *state;
        _cleanup_(state_store_freep) StateStore *store = new_filled_store();

        assert_int_equal(mkfifo(place->path, 0600), 0);
        assert_file_refused(place, -EPERM, "no regular file");
        assert_int_equal(unlink(place->path), 0);
        assert_int_equal(symlink("/dev/zero", place->path), 0);
        assert_file_refused(place, -ELOOP, "cannot be opened");
        assert_int_equal(unlink(place->path), 0);
        assert_int_equal(state_store_save_file(store, place->path), 0);
        assert_int_equal(chmod(place->path, 0620), 0);
        assert_file_refused(place, -EPERM, "others can write");
        assert_int_equal(chmod(place->path, 0600), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(place->path, 65534, 65534), 0);
                assert_file_refused(place, -EPERM, "others can write");
                assert_int_equal(chown(place->path, 0, 0), 0);
        }
        assert_int_equal(truncate(place->path, (off_t) store_size(store) - 1), 0);
        assert_file_refused(place, -EBADMSG, "damaged");
        assert_int_equal(truncate(place->path, INT64_C(1) << 40), 0);
        assert_file_refused(place, -EBADMSG, "damaged");
        assert_int_equal(truncate(place->path, 0), 0);
        assert_file_refused(place, -EBADMSG, "damaged (0 bytes)");
}

static void test_copy(void **state) {
        static const char *const more_globals[] = { "alerts", "silences", NULL };
        const StateSlotName others[] = { { "new", 9 }, { "redis", 1 }, { "orders", 5 } };
        StateLayout grown = layout;
        _cleanup_(state_store_freep) StateStore *from = new_filled_store(), *to = NULL,
                                                *kept = NULL, *small = NULL;
        StateSlot slot;
        char buffer[64];
        size_t size;

        (void) state;
        grown.version++;
        grown.record_size += 100;
        grown.globals = more_globals;
        assert_int_equal(state_store_new(&grown, others, 3, &to), 0);
        assert_int_equal(state_store_copy(to, from, false), 0);
        slot = find(to, "redis", 1);
        assert_record(&slot, "older");
        assert_memory_equal(slot.block, "a block!", 9);
        slot = find(to, "orders", 5);
        assert_int_equal(state_slot_read(&slot, buffer, sizeof(buffer), &size), -ENODATA);
        assert_memory_equal(slot.block, "\0\0\0\0\0\0\0\0", 9);
        slot = find_global(to, "silences");
        assert_record(&slot, "newer silences, long");
        slot = find_global(to, "alerts");
        assert_int_equal(state_slot_read(&slot, buffer, sizeof(buffer), &size), -ENODATA);

        assert_int_equal(state_store_new(&grown, others, 3, &kept), 0);
        assert_int_equal(state_store_copy(kept, from, true), 0);
        slot = find(kept, "orders", 5);
        assert_int_equal(state_slot_read(&slot, buffer, sizeof(buffer), &size), -ENODATA);
        assert_memory_equal(slot.block, "a block!", 9);

        grown.record_size = 5;
        grown.block_size = 1;
        assert_int_equal(state_store_new(&grown, slots, 3, &small), 0);
        assert_int_equal(state_store_copy(small, from, true), 0);
        slot = find(small, "redis", 1);
        assert_record(&slot, "older");
        assert_int_equal(*(char *) slot.block, 0);
        slot = find(small, LONG_NAME, 2);
        assert_int_equal(state_slot_read(&slot, buffer, sizeof(buffer), &size), -ENODATA);
}

/* Numbers from 1 on, each filling its record; says in shared memory how far it is. */
static void write_for_ever(StateStore *store, volatile uint64_t *progress, uint64_t *buffer,
                           size_t n_words) {
        StateSlot slot;

        if (state_store_find(store, "redis", 1, &slot) < 0)
                _exit(1);
        for (uint64_t number = progress[1] + 1;; number++) {
                for (size_t i = 0; i < n_words; i++)
                        buffer[i] = number;
                progress[0] = number;
                if (state_slot_write(&slot, buffer, n_words * sizeof(*buffer)) < 0)
                        _exit(1);
                progress[1] = number;
        }
}

static void sleep_usec(unsigned usec) {
        struct timespec span = { .tv_nsec = (long) usec * 1000 };

        (void) nanosleep(&span, NULL);
}

/* Where the writer was killed: a copy that does not say so is whole. Returns how many are. */
static unsigned count_whole(int fd, size_t offset, uint64_t *buffer, size_t n_words) {
        size_t size = n_words * sizeof(*buffer);
        StateCopy head;
        unsigned n = 0;

        for (size_t i = 0; i < 2; i++, offset += sizeof(head) + size) {
                assert_int_equal(pread(fd, &head, sizeof(head), (off_t) offset), sizeof(head));
                assert_int_equal(pread(fd, buffer, size, (off_t) (offset + sizeof(head))), size);
                if (head.sequence == 0)
                        continue;
                for (size_t word = 1; word < n_words; word++)
                        assert_int_equal(buffer[word], buffer[0]);
                n++;
        }
        return n;
}

static void test_killed_writer(void **state) {
        enum {
                N_WORDS = 2048
        };
        StateLayout wide = { .version = 1, .record_size = N_WORDS * 8 };
        _cleanup_(state_store_freep) StateStore *store = NULL;
        _cleanup_free_ uint64_t *buffer = calloc(N_WORDS, sizeof(uint64_t));
        volatile uint64_t *progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned n_half_written = 0;

        (void) state;
        assert_true(buffer && progress != MAP_FAILED);
        assert_int_equal(state_store_new(&wide, slots, 1, &store), 0);
        for (unsigned round = 0; round < 200; round++) {
                StateStore *adopted = NULL;
                _cleanup_free_ char *problem = NULL;
                StateSlot slot;
                size_t size = 0;
                int fd = fcntl(state_store_fd(store), F_DUPFD_CLOEXEC, 3);
                pid_t child = fork();

                assert_true(child >= 0);
                if (child == 0)
                        write_for_ever(store, progress, buffer, N_WORDS);
                while (progress[1] < round + 2)
                        sleep_usec(20);
                sleep_usec(round * 37 % 501);
                assert_int_equal(kill(child, SIGKILL), 0);
                assert_int_equal(waitpid(child, NULL, 0), child);
                n_half_written += count_whole(fd, sizeof(StateHeader) + sizeof(StateName), buffer,
                                              N_WORDS) < 2;
                store = state_store_free(store);
                assert_int_equal(state_store_adopt(&wide, fd, &adopted, &problem), 0);
                store = adopted;
                slot = find(store, "redis", 1);
                assert_int_equal(state_slot_read(&slot, buffer, wide.record_size, &size), 0);
                assert_int_equal(size, wide.record_size);
                for (size_t i = 1; i < N_WORDS; i++)
                        assert_int_equal(buffer[i], buffer[0]);
                assert_in_range(buffer[0], progress[1], progress[0]);
                progress[1] = buffer[0];
        }
        print_message("# %u of 200 kills left a half-written copy\n", n_half_written);
        assert_true(n_half_written > 0);
        munmap((void *) progress, 4096);
}

static void save_for_ever(const StateStore *const *stores, const char *path,
                          volatile unsigned *count) {
        for (unsigned i = 0;; i++, (*count)++)
                if (state_store_save_file(stores[i % 2], path) < 0)
                        _exit(1);
}

static void test_killed_saver(void **state) {
        Place *place = *state;
        StateLayout wide = { .version = 1, .record_size = 8, .block_size = 1 << 20 };
        StateStore *stores[2] = {};
        volatile unsigned *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned n_left_over = 0, n_of[2] = {};
        StateSlot slot;

        assert_true(count != MAP_FAILED);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(state_store_new(&wide, slots, 1, &stores[i]), 0);
                slot = find(stores[i], "redis", 1);
                write_text(&slot, i == 0 ? "even" : "odd");
                memset(slot.block, (int) i + 1, wide.block_size);
        }
        for (unsigned round = 0; round < 30; round++) {
                _cleanup_(state_store_freep) StateStore *loaded = NULL;
                _cleanup_free_ char *problem = NULL, *left_over = NULL;
                unsigned before = *count;
                pid_t child = fork();

                assert_true(child >= 0);
                if (child == 0)
                        save_for_ever((const StateStore *const *) stores, place->path, count);
                while (*count == before)
                        sleep_usec(50);
                sleep_usec(round * 137 % 3001);
                assert_int_equal(kill(child, SIGKILL), 0);
                assert_int_equal(waitpid(child, NULL, 0), child);
                assert_int_equal(string_printf(&left_over, "%s.new", place->path), 0);
                n_left_over += access(left_over, F_OK) == 0;
                assert_int_equal(state_store_load_file(&wide, place->path, &loaded, &problem), 0);
                slot = find(loaded, "redis", 1);
                n_of[((uint8_t *) slot.block)[0] - 1]++;
                assert_record(&slot, ((uint8_t *) slot.block)[0] == 1 ? "even" : "odd");
                for (size_t i = 1; i < wide.block_size; i++)
                        if (((uint8_t *) slot.block)[i] != ((uint8_t *) slot.block)[0])
                                fail_msg("file of two contents");
        }
        print_message("# %u even, %u odd; %u kills left a temporary file\n", n_of[0], n_of[1],
                      n_left_over);
        for (size_t i = 0; i < 2; i++)
                state_store_free(stores[i]);
        munmap((void *) count, 4096);
}

/* Whatever is read was written to this very record, the latest or, if it is lost, the one before.
 */
static void assert_some_written(const StateSlot *slot, const char *newer, const char *older) {
        char buffer[64];
        size_t size;

        if (state_slot_read(slot, buffer, sizeof(buffer), &size) < 0)
                return;
        if (newer && size == strlen(newer) && memcmp(buffer, newer, size) == 0)
                return;
        if (!older || size != strlen(older) || memcmp(buffer, older, size) != 0)
                fail_msg("a value that was never written");
}

static void check_flipped(const StateStore *store) {
        unsigned n_missing = 0;
        StateSlot slot;

        assert_true(state_store_has_slots(store, slots, ELEMENTS(slots)));
        for (size_t i = 0; i < ELEMENTS(slots); i++) {
                char buffer[64];
                size_t size;

                slot = find(store, slots[i].name, slots[i].identity);
                assert_some_written(&slot, i == 0 ? NULL : "newer record!", "older");
                n_missing += state_slot_read(&slot, buffer, sizeof(buffer), &size) < 0;
                write_text(&slot, "afterwards");
                assert_record(&slot, "afterwards");
        }
        assert_true(n_missing <= 1);
        slot = find_global(store, "silences");
        assert_some_written(&slot, "newer silences, long", "older silences");
        slot = find_global(store, "budget");
        assert_some_written(&slot, NULL, NULL);
}

static void test_flips(void **state) {
        Place *place = *state;
        _cleanup_(state_store_freep) StateStore *store = new_filled_store();
        size_t size = store_size(store);
        size_t guarded = sizeof(StateHeader) + (ELEMENTS(slots) + 2) * sizeof(StateName);
        _cleanup_free_ uint8_t *image = malloc(size);
        _cleanup_close_ int fd = -1;
        unsigned n_refused = 0, n_loaded = 0;

        assert_int_equal(state_store_save_file(store, place->path), 0);
        fd = open(place->path, O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, image, size, 0), size);
        for (size_t i = 0; i < size; i++) {
                for (unsigned n = 0; n < 64; n++) {
                        _cleanup_(state_store_freep) StateStore *loaded = NULL;
                        _cleanup_free_ char *problem = NULL;
                        uint8_t value = (uint8_t) (image[i] ^ (n < 8 ? 1U << n : n * 4 + i % 4));
                        int r;

                        if (value == image[i])
                                value = (uint8_t) ~value;
                        assert_int_equal(pwrite(fd, &value, 1, (off_t) i), 1);
                        r = state_store_load_file(&layout, place->path, &loaded, &problem);
                        if (i < guarded ? r != -EBADMSG && r != -EPROTO : r != 0)
                                fail_msg("byte %zu as %#x: %d, %s", i, value, r, problem);
                        if (r < 0) {
                                assert_non_null(problem);
                                n_refused++;
                                continue;
                        }
                        check_flipped(loaded);
                        n_loaded++;
                }
                assert_int_equal(pwrite(fd, image + i, 1, (off_t) i), 1);
        }
        print_message("# %zu bytes: %u refused, %u loaded\n", size, n_refused, n_loaded);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_crc32c),
                cmocka_unit_test(test_records),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_ten_thousand),
                cmocka_unit_test(test_adopt),
                cmocka_unit_test_setup_teardown(test_refused_descriptors, place_setup,
                                                place_teardown),
                cmocka_unit_test(test_other_version),
                cmocka_unit_test_setup_teardown(test_file, place_setup, place_teardown),
                cmocka_unit_test_setup_teardown(test_other_boot, place_setup, place_teardown),
                cmocka_unit_test_setup_teardown(test_failed_save, place_setup, place_teardown),
                cmocka_unit_test_setup_teardown(test_refused_files, place_setup, place_teardown),
                cmocka_unit_test(test_copy),
                cmocka_unit_test(test_killed_writer),
                cmocka_unit_test_setup_teardown(test_killed_saver, place_setup, place_teardown),
                cmocka_unit_test_setup_teardown(test_flips, place_setup, place_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
