/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Feeds any bytes as a kept state, as they are and with their checksums made good, since a fuzzer
 * does not guess those. Whatever is accepted must work like a store of our own. And as a table of
 * silences.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/crc32c.h"
#include "check/silence.h"
#include "publish/state-store.h"

#define RECORD_SIZE 16
#define GLOBAL_SIZE 20
#define BLOCK_SIZE  5
#define INPUT_MAX   (64 * 1024)

static const char *const globals[] = { "silences", "budget", NULL };
static const StateLayout layout = {
        .version = 1,
        .record_size = RECORD_SIZE,
        .block_size = BLOCK_SIZE,
        .global_size = GLOBAL_SIZE,
        .globals = globals,
};

/* Unlike assert(), also in builds without assertions. */
static void require(bool truth) {
        if (!truth)
                abort();
}

static void repair_copies(uint8_t *image, size_t size, size_t area, size_t n, size_t record_size) {
        size_t stride = sizeof(StateCopy) + (record_size + 7) / 8 * 8;

        for (size_t i = 0; i < n && area + (i + 1) * stride <= size; i++) {
                uint8_t *copy = image + area + i * stride;
                StateCopy head;

                memcpy(&head, copy, sizeof(head));
                if (head.size > record_size)
                        continue;
                head.crc = crc32c_add(0, &head, offsetof(StateCopy, crc));
                head.crc = crc32c_add(head.crc, copy + sizeof(head), head.size);
                memcpy(copy, &head, sizeof(head));
        }
}

static void repair(uint8_t *image, size_t size) {
        StateHeader header;
        size_t names, records;

        if (size < sizeof(header))
                return;
        memcpy(&header, image, sizeof(header));
        names = ((size_t) header.n_globals + header.n_slots) * sizeof(StateName);
        if (header.n_globals == ELEMENTS(globals) - 1 && names <= size - sizeof(header)) {
                header.names_crc = crc32c_add(0, image + sizeof(header), names);
                records = sizeof(header) + names;
                repair_copies(image, size, records, 2 * header.n_globals, GLOBAL_SIZE);
                records += 2 * header.n_globals * (sizeof(StateCopy) + (GLOBAL_SIZE + 7) / 8 * 8);
                repair_copies(image, size, records, 2 * (size_t) header.n_slots, RECORD_SIZE);
        }
        header.crc = crc32c_add(0, &header, offsetof(StateHeader, crc));
        memcpy(image, &header, sizeof(header));
}

static void use_slot(const StateSlot *slot, size_t size_max) {
        uint8_t buffer[32], again[32];
        size_t size, size_again;
        int r = state_slot_read(slot, buffer, sizeof(buffer), &size);

        require(r == 0 || r == -ENODATA);
        require(r < 0 || size <= size_max);
        require(state_slot_write(slot, buffer, size_max + 1) == -EMSGSIZE);
        memset(buffer, 0x5a, sizeof(buffer));
        for (size_t n = size_max - 2; n <= size_max; n++) {
                require(state_slot_write(slot, buffer, n) == 0);
                require(state_slot_read(slot, again, sizeof(again), &size_again) == 0);
                require(size_again == n && memcmp(buffer, again, n) == 0);
        }
}

/* An accepted store has the slots it names, and can be carried over into one made by ourselves. */
static void use_store(StateStore *store, const uint8_t *image) {
        _cleanup_(state_store_freep) StateStore *copy = NULL;
        _cleanup_free_ StateSlotName *slots = NULL;
        _cleanup_free_ char *texts = NULL;
        StateHeader header;
        StateName name;
        StateSlot slot;

        memcpy(&header, image, sizeof(header));
        slots = calloc(header.n_slots + 1, sizeof(*slots));
        texts = calloc(header.n_slots + 1, STATE_NAME_MAX + 1);
        require(slots && texts);
        for (size_t i = 0; i < header.n_slots; i++) {
                char *text = texts + i * (STATE_NAME_MAX + 1);

                memcpy(&name, image + sizeof(header) + (i + ELEMENTS(globals) - 1) * sizeof(name),
                       sizeof(name));
                memcpy(text, name.name, STATE_NAME_MAX);
                slots[i] = (StateSlotName){ text, name.identity };
                require(state_store_find(store, text, name.identity + 1, &slot) == -ENOENT);
                require(state_store_find(store, text, name.identity, &slot) == 0);
                use_slot(&slot, RECORD_SIZE);
                memset(slot.block, 1, BLOCK_SIZE);
        }
        for (size_t i = 0; globals[i]; i++) {
                require(state_store_find_global(store, globals[i], &slot) == 0);
                use_slot(&slot, GLOBAL_SIZE);
        }
        require(state_store_has_slots(store, slots, header.n_slots));
        require(state_store_new(&layout, slots, header.n_slots, &copy) == 0);
        require(state_store_copy(copy, store, true) == 0);
        (void) state_store_is_same_boot(store);
}

static void feed(const uint8_t *image, size_t size) {
        _cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        _cleanup_(state_store_freep) StateStore *store = NULL;
        _cleanup_free_ char *problem = NULL;
        int r;

        require(fd >= 0 && write(fd, image, size) == (ssize_t) size);
        require(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
        r = state_store_adopt(&layout, TAKE_FD(fd), &store, &problem);
        require((r == 0) == (store != NULL) && (r == 0) == (problem == NULL));
        require(r == 0 || r == -EBADMSG || r == -EPROTO);
        if (store)
                use_store(store, image);
}

/* A table that is accepted is loaded again as it is, and can be used up. */
static void feed_silences(const uint8_t *data, size_t size) {
        SilenceTable table = {}, again = {};
        uint8_t bytes[sizeof(table)] = {};
        int r;

        /* What is missing is zero: an empty place. */
        memcpy(bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
        require(silence_table_load(&table, bytes, sizeof(bytes) - 1) == -EBADMSG);
        r = silence_table_load(&table, bytes, sizeof(bytes));
        require(r == 0 || r == -EBADMSG);
        if (r < 0)
                return;
        require(silence_table_load(&again, &table, sizeof(table)) == 0);
        require(memcmp(&again, &table, sizeof(table)) == 0);
        for (size_t i = 0; i < table.n_items; i++) {
                const Silence *silence = &table.items[i];

                require(silence->pattern[sizeof(silence->pattern) - 1] == 0);
                (void) silence_table_find(&table, silence->pattern, silence->created_usec);
        }
        (void) silence_table_expire(&table, UINT64_MAX);
        require(table.n_items == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ uint8_t *image = calloc(size + 1, 1);

        require(image);
        if (size > INPUT_MAX)
                return 0;
        feed_silences(data, size);
        if (size > 0)
                memcpy(image, data, size);
        feed(image, size);
        repair(image, size);
        feed(image, size);
        return 0;
}
