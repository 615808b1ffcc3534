/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A kind of channel that people are told by. Each lives in one file of src/alert/ and exports one
 * const AlertType. It carries a message; to whom, when and how often is decided elsewhere.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config-type.h"
#include "io/runtime.h"

/* What became of one check. Texts are UTF-8 without control characters, and never NULL. */
typedef struct AlertEvent {
        char id[17]; /* the same for a failure, its reminders and its recovery, over restarts */
        char *check;
        char *type;        /* of the check */
        char *description; /* of the check */
        char *groups;      /* separated by blanks */
        char *status;
        char *reason;        /* of a recovery: the last one while it failed */
        bool required;       /* the check can make the host unhealthy */
        bool resolved;       /* it has recovered */
        bool flapping;       /* it changes all the time; told once */
        bool reminder;       /* it was told before and is still so */
        uint64_t begin_usec; /* CLOCK_REALTIME; since when it failed */
        uint64_t end_usec;   /* since when it does not; 0: it does */
} AlertEvent;

/* What is to be said at once, about one or more checks. */
typedef struct AlertMessage {
        const char *alert; /* whose message it is */
        const char *host;
        char *subject; /* one line */
        char *text;    /* a line for each event */
        AlertEvent *events;
        size_t n_events;       /* at least one */
        bool test;             /* somebody wants to see whether it arrives */
        uint64_t created_usec; /* CLOCK_REALTIME */
} AlertMessage;

void alert_message_done(AlertMessage *message);

/* Writes subject and text from the rest. Returns 0 or -ENOMEM. */
int alert_message_write(AlertMessage *message);

/*
 * The message as a JSON object, which programs and webhooks without a template get. Returns 0 or
 * -ENOMEM.
 */
int alert_message_render(const AlertMessage *message, char **ret_text, size_t *ret_length);

/*
 * Called once for each start, from the loop, never from inside start(). detail: what the receiver
 * answered, or what went wrong, for people, without secrets; valid during the call only.
 */
typedef void (*AlertHandler)(bool delivered, const char *detail, void *userdata);

typedef struct AlertType {
        const char *name;    /* of Type= */
        const char *section; /* that holds its keys */
        size_t instance_size;
        const ConfigKey *keys;
        /* After the keys: checks them together. 0, or -EINVAL with setup->why, or -ENOMEM. */
        int (*prepare)(void *instance, TypeSetup *setup);
        /*
         * After how long it is to be told again of what is still so, or else forgets it. NULL:
         * Reminder= says it, if anything.
         */
        uint64_t (*resend_usec)(const void *instance);
        /* How many checks a message may speak of. NULL: of any number. */
        size_t (*events_max)(const void *instance);
        /*
         * Begins to send one message, which stays as it is until the end; one at a time. Ends in
         * exactly one on_done, unless cancel() comes first. A negative return: nothing is under
         * way, and *ret_why (owned by the caller afterwards) may say for people what is wrong.
         */
        int (*start)(void *instance, Runtime *runtime, const AlertMessage *message,
                     AlertHandler on_done, void *userdata, char **ret_why);
        /*
         * The deadline passed, or nobody waits any more: stops everything at once. Returns what it
         * was waiting for, owned by the caller; NULL if memory is short.
         */
        char *(*cancel)(void *instance);
        /* Frees what the instance holds; called when idle; accepts a half-prepared instance. */
        void (*done)(void *instance);
} AlertType;
