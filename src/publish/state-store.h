/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What has to survive a restart, as bytes: records of fixed maximum size under a name, and a block
 * beside each. They live in a memfd of sealed size, which the service manager keeps in the
 * service's descriptor store and hands back by name after a restart, SIGKILL or SIGABRT. So every
 * write counts at once, and nothing needs to be saved before a crash. For a reboot there is a file.
 *
 *     at start   state_store_adopt() what systemd hands back, else state_store_load_file(), else
 *                nothing; if state_store_has_slots() says it is made for the checks there are,
 *                and it is of the same boot, it is used on; else state_store_new(),
 *                state_store_copy(), and the new one goes to the descriptor store
 *     reload     the same with the store in use
 *     stop       state_store_save_file()
 *
 * Times of CLOCK_MONOTONIC in the records mean something only if state_store_is_same_boot().
 * Records are written in one thread of one process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "publish/state-image.h"

typedef struct StateStore StateStore;

StateStore *state_store_free(StateStore *store);
DEFINE_CLEANUP(StateStore, state_store_free)

/*
 * An empty store with these slots, in any order. Layout and names are not needed afterwards.
 * Returns 0, -EINVAL if a name is empty or too long, -EEXIST if one is given twice, -EFBIG if more
 * than STATE_SLOTS_MAX slots or STATE_IMAGE_MAX bytes would be needed, -ENOMEM, or another
 * negative errno.
 */
int state_store_new(const StateLayout *layout, const StateSlotName *slots, size_t n_slots,
                    StateStore **ret);

/*
 * Takes over a memfd that state_store_fd() once gave to the service manager. The fd is taken and
 * closed on failure too. Nothing in it is trusted. Returns 0 or a negative errno; then
 * *ret_problem is a sentence for the journal, owned by the caller, or NULL:
 * -EBADMSG: damaged, or no state at all; -EPROTO: of another version or layout; -EPERM: a
 * descriptor that others may change. In all cases: go on without it.
 */
int state_store_adopt(const StateLayout *layout, int fd, StateStore **ret, char **ret_problem);

/*
 * Reads a file of state_store_save_file() into a memfd of its own. Returns as state_store_adopt();
 * -EPERM: not a regular file, or not ours (or root's) alone to write. -ENOENT, without a sentence,
 * if there is none. Blocks: for the start only.
 */
int state_store_load_file(const StateLayout *layout, const char *path, StateStore **ret,
                          char **ret_problem);

/*
 * Replaces the file, mode 0600, in one step: whatever happens, path has its old content or all of
 * the new one, on the disk when this returns 0. PATH.new is used on the way. Returns 0 or a
 * negative errno. Blocks on the disk: for the stop only.
 */
int state_store_save_file(const StateStore *store, const char *path);

/* For the descriptor store; remains the store's. */
int state_store_fd(const StateStore *store);

/* Whether state_store_new() made it since the machine was booted, wherever it was kept since. */
bool state_store_is_same_boot(const StateStore *store);

/* Whether the store has these slots (unique names, any order), identities included, and no other.
 */
bool state_store_has_slots(const StateStore *store, const StateSlotName *slots, size_t n_slots);

/*
 * The slot of a name and identity, or a global by name. Valid until the store is freed. The block
 * is aligned to 8 bytes, zeroed at first, and its owner's alone to write and to guard. For
 * reading and writing the record see state_slot_read() and state_slot_write().
 * Returns 0 or -ENOENT.
 */
int state_store_find(const StateStore *store, const char *name, uint64_t identity,
                     StateSlot *ret_slot);
/* The slot that has this block, for whoever kept it: there is nothing to search for. */
StateSlot state_store_slot_of(const StateStore *store, const void *block);
int state_store_find_global(const StateStore *store, const char *name, StateSlot *ret_slot);

/*
 * Carries over the globals, and record and block of every slot whose name and identity are in
 * both; with keep_blocks also the block where only the name is. What finds no place in the other
 * layout (a record too long, a block of another size) is left as it is in the target. Returns 0 or
 * -ENOMEM, before anything is copied.
 */
int state_store_copy(StateStore *to, const StateStore *from, bool keep_blocks);
