/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One request to healthd-guard, over its socket, without waiting. */

#include "io/runtime.h"

#define GUARD_SOCKET "/run/healthd/guard.sock"

typedef enum GuardOutcome {
        GUARD_DONE,
        GUARD_REFUSED,
        GUARD_FAILED, /* the guard could not do it, or did not answer */
        _GUARD_OUTCOME_MAX,
} GuardOutcome;

/* text: a sentence, borrowed. Called once, never from inside guard_call_start(). */
typedef void (*GuardReplyHandler)(GuardOutcome outcome, const char *text, void *userdata);

/* Embedded in its owner, zeroed before first use; cancelled before the owner goes. */
typedef struct GuardCall {
        int fd; /* while source is watched */
        IoSource source;
        Timer deadline;
        GuardReplyHandler on_reply;
        void *userdata;
} GuardCall;

/*
 * Sends it. action: see healthd-guard(8); reason: one line. Returns 0, or a negative errno: there
 * is no guard (-ENOENT, -ECONNREFUSED, -EACCES), or we are short of something.
 */
int guard_call_start(GuardCall *call, Runtime *runtime, const char *unit, const char *action,
                     const char *reason, GuardReplyHandler on_reply, void *userdata);
/* The same without waiting for what comes of it. Returns 0 or a negative errno. */
int guard_send(const char *unit, const char *action, const char *reason);
/* The same for programs that may wait: returns when it was answered, or does not seem to be. */
int guard_send_and_wait(const char *unit, const char *action, const char *reason);
/* on_reply is not called any more; the request may be carried out all the same. */
void guard_call_cancel(GuardCall *call);
