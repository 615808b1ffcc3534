/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What healthd remembers over restarts: the state and history of every check, silences, and the
 * restart budget. Every result is written at once into a memfd that systemd keeps for us; on a
 * clean stop it also goes to a file, for the next boot.
 */

#include "check/check-set.h"
#include "check/silence.h"
#include "publish/alert-queue.h"
#include "publish/guard-record.h"
#include "publish/journal.h"
#include "publish/notify.h"
#include "publish/restart-budget.h"

typedef struct Memory Memory;

/* A descriptor that systemd passed, of a name that memory_is_fd_name() knows. */
typedef struct MemoryFd {
        int fd;
        const char *name;
} MemoryFd;

/*
 * Finds what systemd kept, or the file, or begins anew; what cannot be used is said in the
 * journal. The descriptors are taken over. notify NULL: systemd keeps nothing. path NULL: no file.
 * Returns 0 or a negative errno.
 */
int memory_new(Notify *notify, Journal *journal, const char *path, const MemoryFd *fds,
               size_t n_fds, Memory **ret);
/* Forgets the mapping; what systemd keeps stays. */
Memory *memory_free(Memory *memory);

/* Whether a descriptor of this name is ours. */
bool memory_is_fd_name(const char *name);

/*
 * Makes room for a set of checks: carries over what is known of those that are still there, and
 * restores those that have not run yet, and tells each where its history lies. At start and at
 * every reload. Returns 0 or a negative errno; then checks run without memory.
 */
int memory_bind(Memory *memory, const CheckSet *checks);

/* After a result of a check of the bound set. */
void memory_note(Memory *memory, const Check *check, const CheckChanges *changes);

/* To be changed in place and then saved. */
RestartBudget *memory_budget(Memory *memory);
void memory_save_budget(Memory *memory);
/* What was done to a guarded unit in this boot. */
void memory_load_guard(const Memory *memory, const char *unit, GuardRecord *ret);
void memory_save_guard(Memory *memory, const char *unit, const GuardRecord *record);
SilenceTable *memory_silences(Memory *memory);
void memory_save_silences(Memory *memory);
AlertTable *memory_alerts(Memory *memory);
void memory_save_alerts(Memory *memory);

/* Writes the file. Blocks on the disk: at the stop only. */
void memory_save_file(const Memory *memory);
