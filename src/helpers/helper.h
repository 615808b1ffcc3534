/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the programs beside the daemon have in common. They are for libraries that block or bring
 * threads. A helper is told what to do by its arguments, user name and password by its standard
 * input, and answers as a plug-in with JSON does (probe/plugin.h):
 *
 *     {"details":{"connected":true,"queue_size":42}}
 *     {"details":{"connected":true},"status":"unhealthy","message":"there is no such queue ..."}
 *     {"details":{"connected":false},"status":"unreachable","message":"connecting to ..."}
 *
 * If it ends with another status than 0, it could not do its work; its standard error says why.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/json-writer.h"

typedef struct HelperSettings {
        const char *name; /* of the check: what the broker shows us as */
        const char *address;
        const char *queue, *group;
        const char *virtual_host;
        const char *mechanism;
        const char *ca_file, *certificate, *key;
        bool tls;
        uint64_t deadline_usec; /* CLOCK_MONOTONIC: whatever passes before it is started counts */
        char *username, *password; /* owned; NULL if none was given */
} HelperSettings;

/*
 * Reads "--queue=orders" and the like, and the login. Returns 0, or a negative errno after it
 * has said on standard error what is wrong.
 */
int helper_read_settings(int argc, char **argv, HelperSettings *ret);
void helper_settings_done(HelperSettings *settings);

/* What is left until the deadline, at least 1. */
int helper_left_ms(const HelperSettings *settings);

typedef struct HelperAnswer {
        JsonWriter json; /* what is added is a detail */
        bool connected;  /* the broker talked to us, whatever it said then */
        bool let_in;     /* and did not refuse the log-in */
        char *message;   /* what went wrong */
} HelperAnswer;

void helper_answer_begin(HelperAnswer *answer);
/* The dependency failed. The first text stays: it is the cause of what follows. Returns -EIO. */
int helper_fail(HelperAnswer *answer, const char *format, ...)
                __attribute__((format(printf, 2, 3)));
/*
 * Writes it out, and empties it. result: of what the program did; negative without helper_fail()
 * is a failure of ours. Returns the exit status of the program.
 */
int helper_answer_finish(HelperAnswer *answer, int result);
