/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "publish/state-image.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/string-util.h"

#define MAGIC        UINT64_C(0x6865616c74687374) /* another byte order shows as another magic */
#define FORMAT       1U

/* Above any number of writes, and far from wrapping to 0. */
#define SEQUENCE_MAX (UINT64_C(1) << 62)

static_assert(sizeof(StateHeader) % 8 == 0 && sizeof(StateName) % 8 == 0 &&
                              sizeof(StateCopy) % 8 == 0,
              "copies and blocks are aligned to 8 bytes");
static_assert(offsetof(StateHeader, crc) == sizeof(StateHeader) - sizeof(uint32_t) &&
                              offsetof(StateCopy, crc) == 12,
              "no padding, which would be no part of a checksum");

static size_t aligned(size_t size) {
        return (size + 7) & ~(size_t) 7;
}

static size_t copy_size(size_t record_size) {
        return sizeof(StateCopy) + aligned(record_size);
}

/* Not empty, and nothing behind its end. */
static bool name_is_sound(const StateName *name) {
        size_t length = strnlen(name->name, STATE_NAME_MAX);

        for (size_t i = length; i < STATE_NAME_MAX; i++)
                if (name->name[i])
                        return false;
        return length > 0;
}

static bool name_is_allowed(const char *name) {
        return !string_is_empty(name) && strlen(name) <= STATE_NAME_MAX;
}

static size_t layout_count_globals(const StateLayout *layout) {
        size_t n = 0;

        while (layout->globals && layout->globals[n])
                n++;
        return n;
}

int state_refuse(char **ret_problem, int error, const char *format, ...) {
        char *text = NULL;
        va_list arguments;

        va_start(arguments, format);
        (void) string_vprintf(&text, format, arguments);
        va_end(arguments);
        *ret_problem = text;
        return error;
}

/* Says where everything lies. The bounds keep the sums from overflowing. */
static int image_place(const StateLayout *layout, size_t n_slots, StateImage *ret) {
        StateImage image = {
                .record_size = layout->record_size,
                .block_size = layout->block_size,
                .global_size = layout->global_size,
                .n_globals = layout_count_globals(layout),
                .n_slots = n_slots,
        };

        if (n_slots > STATE_SLOTS_MAX || image.n_globals > STATE_SLOTS_MAX ||
            image.record_size > STATE_IMAGE_MAX || image.block_size > STATE_IMAGE_MAX ||
            image.global_size > STATE_IMAGE_MAX)
                return -EFBIG;
        for (size_t i = 0; i < image.n_globals; i++)
                if (!name_is_allowed(layout->globals[i]))
                        return -EINVAL;
        image.globals = sizeof(StateHeader) + (image.n_globals + n_slots) * sizeof(StateName);
        image.records = image.globals + image.n_globals * 2 * copy_size(image.global_size);
        image.blocks = image.records + n_slots * 2 * copy_size(image.record_size);
        image.size = image.blocks + n_slots * aligned(image.block_size);
        if (image.size > STATE_IMAGE_MAX)
                return -EFBIG;
        *ret = image;
        return 0;
}

static void image_set_memory(StateImage *image, void *memory) {
        image->memory = memory;
        image->names = (void *) (image->memory + sizeof(StateHeader));
}

int state_image_get_size(const StateLayout *layout, size_t n_slots, size_t *ret_size) {
        StateImage image;
        int r = image_place(layout, n_slots, &image);

        if (r < 0)
                return r;
        *ret_size = image.size;
        return 0;
}

static uint32_t image_names_crc(const StateImage *image) {
        return crc32c_add(0, image->names, (image->n_globals + image->n_slots) * sizeof(StateName));
}

static int compare_slots(const void *a, const void *b) {
        const StateSlotName *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static int image_add_slots(StateImage *image, StateSlotName *slots) {
        StateName *name = image->names + image->n_globals;

        for (size_t i = 0; i < image->n_slots; i++)
                if (!name_is_allowed(slots[i].name))
                        return -EINVAL;
        if (image->n_slots > 1)
                qsort(slots, image->n_slots, sizeof(*slots), compare_slots);
        for (size_t i = 0; i < image->n_slots; i++, name++) {
                if (i > 0 && string_equal(slots[i].name, slots[i - 1].name))
                        return -EEXIST;
                memcpy(name->name, slots[i].name, strlen(slots[i].name));
                name->identity = slots[i].identity;
        }
        return 0;
}

int state_image_format(const StateLayout *layout, StateSlotName *slots, size_t n_slots,
                       void *memory, StateImage *ret) {
        StateHeader header = { .magic = MAGIC, .format = FORMAT, .version = layout->version };
        StateImage image;
        sd_id128_t boot_id;
        int r;

        r = image_place(layout, n_slots, &image);
        if (r < 0)
                return r;
        image_set_memory(&image, memory);
        for (size_t i = 0; i < image.n_globals; i++)
                memcpy(image.names[i].name, layout->globals[i], strlen(layout->globals[i]));
        r = image_add_slots(&image, slots);
        if (r < 0)
                return r;
        if (sd_id128_get_boot(&boot_id) >= 0)
                memcpy(header.boot_id, &boot_id, sizeof(header.boot_id));
        header.record_size = image.record_size;
        header.block_size = image.block_size;
        header.global_size = image.global_size;
        header.n_globals = (uint32_t) image.n_globals;
        header.n_slots = (uint32_t) image.n_slots;
        header.names_crc = image_names_crc(&image);
        header.crc = crc32c_add(0, &header, offsetof(StateHeader, crc));
        memcpy(memory, &header, sizeof(header));
        *ret = image;
        return 0;
}

int state_image_check_header(const StateLayout *layout, const StateHeader *header, size_t size,
                             char **ret_problem) {
        size_t expected;

        if (header->magic != MAGIC)
                return state_refuse(ret_problem, -EBADMSG,
                                    "it is damaged, or no state written on such a machine");
        if (header->format != FORMAT)
                return state_refuse(ret_problem, -EPROTO,
                                    "it is of another version (format %" PRIu32
                                    ", this program's is %u)",
                                    header->format, FORMAT);
        if (header->crc != crc32c_add(0, header, offsetof(StateHeader, crc)))
                return state_refuse(ret_problem, -EBADMSG,
                                    "it is damaged (checksum of the header)");
        if (header->version != layout->version)
                return state_refuse(ret_problem, -EPROTO,
                                    "it is of another version (%" PRIu32
                                    ", this program's is %" PRIu32 ")",
                                    header->version, layout->version);
        if (header->record_size != layout->record_size ||
            header->block_size != layout->block_size ||
            header->global_size != layout->global_size ||
            header->n_globals != layout_count_globals(layout))
                return state_refuse(ret_problem, -EPROTO,
                                    "it is of another version (its records have other sizes)");
        if (state_image_get_size(layout, header->n_slots, &expected) < 0 || size != expected)
                return state_refuse(ret_problem, -EBADMSG,
                                    "it is damaged (%zu bytes for %" PRIu32 " slots)", size,
                                    header->n_slots);
        return 0;
}

static int image_check_names(const StateImage *image, const StateLayout *layout, uint32_t crc,
                             char **ret_problem) {
        if (image_names_crc(image) != crc)
                return state_refuse(ret_problem, -EBADMSG, "it is damaged (checksum of the names)");
        for (size_t i = 0; i < image->n_globals; i++)
                if (!name_is_sound(&image->names[i]) ||
                    strncmp(image->names[i].name, layout->globals[i], STATE_NAME_MAX) != 0)
                        return state_refuse(ret_problem, -EPROTO,
                                            "it is of another version (it has no \"%s\")",
                                            layout->globals[i]);
        for (size_t i = 0; i < image->n_slots; i++) {
                const StateName *name = &image->names[image->n_globals + i];

                if (!name_is_sound(name) ||
                    (i > 0 && strncmp(name[-1].name, name->name, STATE_NAME_MAX) >= 0))
                        return state_refuse(ret_problem, -EBADMSG,
                                            "it is damaged (name of slot %zu)", i);
        }
        return 0;
}

static uint32_t copy_crc(const StateCopy *head, const void *data) {
        return crc32c_add(crc32c_add(0, head, offsetof(StateCopy, crc)), data, head->size);
}

static bool copy_is_whole(const StateCopy *copy, size_t size_max) {
        return copy->sequence > 0 && copy->size <= size_max &&
               copy->crc == copy_crc(copy, copy->data);
}

/* From here on the sequence numbers alone say which copy is the older one. */
static void slot_drop_broken(const StateSlot *slot) {
        for (size_t i = 0; i < ELEMENTS(slot->copies); i++)
                if (slot->copies[i]->sequence > SEQUENCE_MAX ||
                    (slot->copies[i]->sequence > 0 &&
                     !copy_is_whole(slot->copies[i], slot->size_max)))
                        slot->copies[i]->sequence = 0;
}

int state_image_open(const StateLayout *layout, void *memory, size_t size, StateImage *ret,
                     char **ret_problem) {
        StateHeader header;
        StateImage image;
        StateSlot slot;
        int r;

        if (size < sizeof(header))
                return state_refuse(ret_problem, -EBADMSG, "it is damaged (only %zu bytes)", size);
        memcpy(&header, memory, sizeof(header));
        r = state_image_check_header(layout, &header, size, ret_problem);
        if (r < 0)
                return r;
        r = image_place(layout, header.n_slots, &image);
        if (r < 0)
                return state_refuse(ret_problem, r, "it is too large");
        image_set_memory(&image, memory);
        r = image_check_names(&image, layout, header.names_crc, ret_problem);
        if (r < 0)
                return r;
        for (size_t i = 0; i < image.n_globals; i++) {
                slot = state_image_global(&image, i);
                slot_drop_broken(&slot);
        }
        for (size_t i = 0; i < image.n_slots; i++) {
                slot = state_image_slot(&image, i);
                slot_drop_broken(&slot);
        }
        *ret = image;
        return 0;
}

static StateSlot image_record(const StateImage *image, size_t area, size_t index, size_t size) {
        uint8_t *first = image->memory + area + index * 2 * copy_size(size);

        return (StateSlot){
                .copies = { (void *) first, (void *) (first + copy_size(size)) },
                .size_max = size,
        };
}

StateSlot state_image_global(const StateImage *image, size_t index) {
        return image_record(image, image->globals, index, image->global_size);
}

size_t state_image_block_size(const StateImage *image) {
        return aligned(image->block_size);
}

StateSlot state_image_slot(const StateImage *image, size_t index) {
        StateSlot slot = image_record(image, image->records, index, image->record_size);

        if (image->block_size > 0)
                slot.block = image->memory + image->blocks + index * aligned(image->block_size);
        return slot;
}

static int compare_name(const void *key, const void *element) {
        const StateName *name = element;

        return strncmp(key, name->name, STATE_NAME_MAX);
}

const StateName *state_image_find_slot(const StateImage *image, const char *name) {
        if (!name_is_allowed(name) || image->n_slots == 0)
                return NULL;
        return bsearch(name, image->names + image->n_globals, image->n_slots, sizeof(StateName),
                       compare_name);
}

const StateName *state_image_find_global(const StateImage *image, const char *name) {
        for (size_t i = 0; name_is_allowed(name) && i < image->n_globals; i++)
                if (compare_name(name, &image->names[i]) == 0)
                        return &image->names[i];
        return NULL;
}

bool state_image_is_same_boot(const StateImage *image) {
        const StateHeader *header = (const void *) image->memory;
        sd_id128_t boot_id;

        return sd_id128_get_boot(&boot_id) >= 0 &&
               memcmp(header->boot_id, &boot_id, sizeof(header->boot_id)) == 0;
}

int state_slot_read(const StateSlot *slot, void *buffer, size_t size, size_t *ret_size) {
        size_t newer = slot->copies[1]->sequence > slot->copies[0]->sequence;

        for (size_t i = 0; i < ELEMENTS(slot->copies); i++) {
                const StateCopy *copy = slot->copies[i == 0 ? newer : !newer];

                if (!copy_is_whole(copy, slot->size_max))
                        continue;
                if (copy->size > size)
                        return -ENOBUFS;
                memcpy(buffer, copy->data, copy->size);
                *ret_size = copy->size;
                return 0;
        }
        return -ENODATA;
}

int state_slot_write(const StateSlot *slot, const void *data, size_t size) {
        size_t newer = slot->copies[1]->sequence > slot->copies[0]->sequence;
        StateCopy *copy = slot->copies[!newer];
        StateCopy head = { .sequence = slot->copies[newer]->sequence + 1, .size = (uint32_t) size };

        if (size > slot->size_max)
                return -EMSGSIZE;
        __atomic_store_n(&copy->sequence, 0, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        memcpy(copy->data, data, size);
        copy->size = head.size;
        copy->crc = copy_crc(&head, data);
        __atomic_store_n(&copy->sequence, head.sequence, __ATOMIC_RELEASE);
        return 0;
}
