/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How kept state lies in memory and in its file: bytes only, no files, no descriptors.
 *
 *     header    sizes, version, boot id, checksums of itself and of the names; never changed
 *     names     of the globals, then of the slots in ascending order; never changed
 *     globals   two copies of a record each
 *     records   two copies of a record for every slot
 *     blocks    one for every slot, as their owner writes them
 *
 * Nothing but the number of slots is taken from an image: all sizes and places follow from the
 * caller's layout, which the image must agree with. Integers are in the host's byte order.
 *
 * Of a record's two copies the older one is written: its sequence number is set to 0 first and to
 * its new value last. A writer that is killed in between leaves a copy that says it is none,
 * beside the one before. The checksum is for what memory and disks do.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_NAME_MAX  200         /* bytes, without a final NUL */
#define STATE_SLOTS_MAX (1U << 17)  /* and as many globals */
#define STATE_IMAGE_MAX (1UL << 30) /* bytes */

typedef struct StateLayout {
        uint32_t version;           /* to be raised when the meaning of any kept byte changes */
        size_t record_size;         /* the longest record of a slot, bytes */
        size_t block_size;          /* bytes, may be 0 */
        size_t global_size;         /* the longest record of a global, bytes */
        const char *const *globals; /* their names, ended by NULL; or NULL */
} StateLayout;

/* Names are 1 to STATE_NAME_MAX bytes and unique within a store. */
typedef struct StateSlotName {
        const char *name;
        uint64_t identity; /* what the slot's record is about, say a hash of its settings */
} StateSlotName;

typedef struct StateHeader {
        uint64_t magic;
        uint32_t format; /* of this file's structures */
        uint32_t version;
        uint8_t boot_id[16];
        uint64_t record_size;
        uint64_t block_size;
        uint64_t global_size;
        uint32_t n_globals;
        uint32_t n_slots;
        uint32_t names_crc;
        uint32_t crc; /* of all above */
} StateHeader;

typedef struct StateName {
        uint64_t identity;
        char name[STATE_NAME_MAX]; /* padded with NULs; a full one has none */
} StateName;

typedef struct StateCopy {
        uint64_t sequence; /* 0: not written, or not to its end */
        uint32_t size;
        uint32_t crc; /* of all above and the data */
        uint8_t data[];
} StateCopy;

/* One record, and the block beside it. A small value to be passed around; owns nothing. */
typedef struct StateSlot {
        StateCopy *copies[2];
        size_t size_max;
        void *block; /* NULL for a global, or where blocks have no size */
} StateSlot;

typedef struct StateImage {
        uint8_t *memory; /* not owned */
        size_t size;
        size_t record_size;
        size_t block_size;
        size_t global_size;
        size_t n_globals;
        size_t n_slots;
        StateName *names;
        size_t globals; /* offsets */
        size_t records;
        size_t blocks;
} StateImage;

/*
 * How many bytes an image takes. Returns 0, -EINVAL if a name of a global is empty or too long,
 * or -EFBIG.
 */
int state_image_get_size(const StateLayout *layout, size_t n_slots, size_t *ret_size);

/*
 * Makes an image in zeroed memory of that size, aligned for any type and outliving the image. The
 * slots are ordered in place. Returns 0, -EINVAL on a bad name, -EEXIST if one is given twice, or
 * an error of state_image_get_size().
 */
int state_image_format(const StateLayout *layout, StateSlotName *slots, size_t n_slots,
                       void *memory, StateImage *ret);

/*
 * Whether the beginning of an image fits the layout and the whole image's size, before anything
 * of that size is allocated. Returns 0, or what state_refuse() returned.
 */
int state_image_check_header(const StateLayout *layout, const StateHeader *header, size_t size,
                             char **ret_problem);

/*
 * Takes memory whose content is not trusted for an image. All of it is validated; copies of
 * records that are not whole are emptied, on success only. Errors as above.
 */
int state_image_open(const StateLayout *layout, void *memory, size_t size, StateImage *ret,
                     char **ret_problem);

/* From one slot's block to the next one's. */
size_t state_image_block_size(const StateImage *image);

/* Index below n_slots (n_globals). */
StateSlot state_image_slot(const StateImage *image, size_t index);
StateSlot state_image_global(const StateImage *image, size_t index);

/* By name alone; returns NULL if there is none. */
const StateName *state_image_find_slot(const StateImage *image, const char *name);
const StateName *state_image_find_global(const StateImage *image, const char *name);

/* Whether an image was made since the machine was booted; false if that is not known. */
bool state_image_is_same_boot(const StateImage *image);

/*
 * The latest whole record. Returns 0, -ENODATA if none was ever written or none is left, or
 * -ENOBUFS if it is longer than the buffer.
 */
int state_slot_read(const StateSlot *slot, void *buffer, size_t size, size_t *ret_size);

/* Returns 0, or -EMSGSIZE and leaves the old record if this one is too long. */
int state_slot_write(const StateSlot *slot, const void *data, size_t size);

/*
 * Puts a sentence for the journal into *ret_problem (owned; NULL when out of memory) and returns
 * error. Errors used: -EBADMSG damaged or no state at all, -EPROTO of another version, -EPERM not
 * to be trusted.
 */
int state_refuse(char **ret_problem, int error, const char *format, ...)
                __attribute__((format(printf, 3, 4)));
