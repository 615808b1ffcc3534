/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Somebody else's program, run beside the loop: no shell, its own process group, nothing inherited
 * but what is given here; its working directory is "/". Has no time-out: its owner's deadline calls
 * child_kill().
 *
 * Its file may be anywhere, on a server that is gone too. Only another process may look at it: the
 * program start-program, which becomes the one that is wanted if that is trusted.
 */

#include <stdbool.h>
#include <stddef.h>

#include "io/runtime.h"

/*
 * More wait until one has ended. Far more than run at a time on a machine that is well: those that
 * hang until their deadlines must leave the others a turn. A start costs the loop about a
 * millisecond, so there is one a round.
 */
#define CHILDREN_MAX      256
#define CHILD_ERRORS_MAX  512
/* What writes more than this is not going to end: it is killed. */
#define CHILD_DROPPED_MAX ((size_t) 16 * 1024 * 1024)

typedef struct Child Child;

/* What to run; borrowed until child_start() returns. */
typedef struct ChildCommand {
        char *const *argv;        /* argv[0] is an absolute path */
        const char *starter;      /* of start-program; NULL: argv[0] is a program beside the daemon,
                                     and was looked at */
        char *const *environment; /* all of it but HEALTHD_RUN= (orphans.h); NULL: none */
        const char *input;        /* for its standard input, for secrets too; NULL: /dev/null */
        size_t output_max;        /* bytes of its standard output that are kept */
} ChildCommand;

/* How it ended. */
typedef struct ChildResult {
        int error;             /* negative errno: it could not be run; nothing else but refusal */
        const char *refusal;   /* with error: why it is not trusted, for people; or NULL */
        int signal;            /* that killed it; 0: it exited */
        int exit_status;       /* if it exited */
        const char *output;    /* standard output, NUL-terminated */
        size_t output_length;  /* may be more than strlen(output) */
        bool output_truncated; /* it wrote more than output_max; the rest was read and dropped */
        bool output_endless;   /* it was killed at CHILD_DROPPED_MAX */
        const char *errors;    /* the first CHILD_ERRORS_MAX bytes of standard error */
} ChildResult;

/*
 * Called once, from the loop, never from inside child_start(), when the program itself has ended
 * and what it had written is read. Whatever it left behind is killed, not waited for. The child is
 * gone when this is called; the result is valid during the call only.
 */
typedef void (*ChildHandler)(const ChildResult *result, void *userdata);

/* Starts it in one of the next rounds of the loop, in turn. Returns 0 or a negative errno. */
int child_start(Runtime *runtime, const ChildCommand *command, ChildHandler on_done, void *userdata,
                Child **ret);
/*
 * SIGKILL to its process group, at once, and to what left the group; on_done is not called. It
 * holds its place among the CHILDREN_MAX until it is dead. Accepts NULL, returns NULL.
 */
Child *child_kill(Child *child);
/*
 * Why it has not been started yet, for people: "had no turn, because ...", or where start-program
 * hangs; NULL: it has been.
 */
const char *child_explain_wait(const Child *child);

/* For runtime.c: kills what still runs. Accepts NULL, returns NULL. */
Children *children_free(Children *children);
