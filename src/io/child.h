/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Somebody else's program, run beside the loop: no shell, its own process group, nothing inherited
 * but what is given here. Has no time-out: its owner's deadline calls child_kill().
 */

#include <stdbool.h>
#include <stddef.h>

#include "io/runtime.h"

/* More wait until one has ended: each costs the loop about a millisecond to start. */
#define CHILDREN_MAX     32
#define CHILD_ERRORS_MAX 512

typedef struct Child Child;

/* What to run; borrowed until child_start() returns. */
typedef struct ChildCommand {
        char *const *argv;        /* argv[0] is an absolute path */
        char *const *environment; /* all of it, NULL-terminated */
        const char *input;        /* for its standard input, for secrets too; NULL: /dev/null */
        size_t output_max;        /* bytes of its standard output that are kept */
} ChildCommand;

/* How it ended. */
typedef struct ChildResult {
        int error;       /* negative errno: it could not be started; nothing else is set */
        int signal;      /* that killed it; 0: it exited */
        int exit_status; /* if it exited */
        const char *output; /* standard output, NUL-terminated */
        size_t output_length;
        bool output_truncated; /* it wrote more than output_max; the rest was read and dropped */
        const char *errors;    /* the first CHILD_ERRORS_MAX bytes of standard error */
} ChildResult;

/*
 * Called once, from the loop, never from inside child_start(), when the program has ended and its
 * output is read. Whatever it left behind in its process group is killed then. The child is gone
 * when this is called; the result is valid during the call only.
 */
typedef void (*ChildHandler)(const ChildResult *result, void *userdata);

/* Starts it, or lets it wait for its turn. Returns 0 or a negative errno. */
int child_start(Runtime *runtime, const ChildCommand *command, ChildHandler on_done, void *userdata,
                Child **ret);
/* SIGKILL to its process group, at once; on_done is not called. Accepts NULL, returns NULL. */
Child *child_kill(Child *child);
/* Whether it has not been started yet because CHILDREN_MAX others run. */
bool child_is_waiting(const Child *child);
