/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the programs we run leave behind. The kernel makes us the parent of whoever below us loses
 * its own ("subreaper"): so that none stays a zombie where nobody else reaps, and so that those can
 * be found that left their process group.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "io/reactor.h"

/* A variable in the environment of all that a run of a program starts. */
#define ORPHAN_MARK_SIZE 64

typedef struct Orphans Orphans;

/* Whether a process is a child that somebody else here waits for. */
typedef bool (*OrphanIsKnown)(pid_t pid, void *userdata);
/* Whether the run of that number is still under way, so that what it started may live. */
typedef bool (*OrphanMayLive)(uint64_t run, void *userdata);

/* SIGCHLD is blocked in the calling thread; all others must block it too. Returns 0 or errno. */
int orphans_new(Reactor *reactor, OrphanIsKnown is_known, OrphanMayLive may_live, void *userdata,
                Orphans **ret);
Orphans *orphans_free(Orphans *orphans);

/* The mark for a run: "HEALTHD_RUN=PID.RUN". Returns buffer. */
const char *orphans_format_mark(char buffer[ORPHAN_MARK_SIZE], uint64_t run);

/*
 * Reaps the dead, and kills what was started by runs that are over. To be called when one ends.
 * Returns whether somebody died or is dying: what that one leaves comes only then.
 */
bool orphans_tend(Orphans *orphans);
/* The same until there is nothing left, or until that time: for the end, when no loop runs. */
void orphans_end(Orphans *orphans, uint64_t until_usec);
